/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ovs_encap/steer_ext.h"

#include "common/base/error.h"
#include "common/base/i18n.h"

#define MAX_INTERFACES 64
#define MAX_ADDRESSES  256

static const GantryField ip_content = {
    .name = "ip",
    .type = GANTRY_FIELD_IP,
    .summary = N_("Address of the domain that is forwarded to the interface")};
static const GantryElementSpec ip = {
    .name = "ip", .content = &ip_content, .min_occurs = 1, .max_occurs = MAX_ADDRESSES};

static const GantryField interface_fields[] = {
    {.name = "mac",
     .type = GANTRY_FIELD_MAC,
     .required = TRUE,
     .summary = N_("The interface's MAC address in the domain")},
    {.name = "vf",
     .type = GANTRY_FIELD_NAME,
     .summary = N_("PCI address of the function on this host, as 0000:03:10.0")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec *const interface_children[] = {&ip, NULL};
static const GantryElementSpec interface = {.name = "interface",
                                            .fields = interface_fields,
                                            .children = interface_children,
                                            .max_occurs = MAX_INTERFACES};

static const GantryField fields[] = {
    {.name = "required",
     .type = GANTRY_FIELD_BOOL,
     .fallback = "no",
     .summary = N_("Refuse the start when the daemon cannot be reached")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec *const children[] = {&interface, NULL};
static const GantryElementSpec root = {.name = "steer", .fields = fields, .children = children};

/* An interface stands there once, and an address can be forwarded to one function only. */
static gboolean
validate(const GantryElement *element, const char *where, GError **error)
{
    g_autoptr(GHashTable) addresses = g_hash_table_new(g_str_hash, g_str_equal);

    if (!gantry_element_check_unique(element, "interface", "mac", where, error)) {
        return FALSE;
    }
    for (guint i = 0; i < element->children->len; i++) {
        const GantryElement *child = element->children->pdata[i];

        for (guint k = 0; k < child->children->len; k++) {
            const GantryElement *address = child->children->pdata[k];

            if (!g_hash_table_add(addresses, address->content)) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                            _("%1$s: address %2$s stands in it twice"), where, address->content);
                return FALSE;
            }
        }
    }
    return TRUE;
}

const GantryExtension encap_steer_extension = {
    .feature = "steer",
    .uri = "urn:gantry:steer:1",
    .root = &root,
    .daemon = "encapd",
    .validate = validate,
};
