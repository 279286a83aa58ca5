/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ovs_encap/encap_ext.h"

#include "common/base/i18n.h"

#define MAX_INTERFACES 64

static const GantryField interface_fields[] = {
    {.name = "mac",
     .type = GANTRY_FIELD_MAC,
     .required = TRUE,
     .summary = N_("The passed-through interface's MAC address")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec interface = {
    .name = "interface", .fields = interface_fields, .max_occurs = MAX_INTERFACES};

static const GantryField fields[] = {
    {.name = "required",
     .type = GANTRY_FIELD_BOOL,
     .fallback = "no",
     .summary = N_("Refuse the start when the daemon cannot be reached")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec *const children[] = {&interface, NULL};
static const GantryElementSpec root = {.name = "encap", .fields = fields, .children = children};

static gboolean
validate(const GantryElement *element, const char *where, GError **error)
{
    return gantry_element_check_unique(element, "interface", "mac", where, error);
}

const GantryExtension encap_extension = {
    .feature = "encap",
    .uri = "urn:gantry:encap:1",
    .root = &root,
    .daemon = "encapd",
    .validate = validate,
};
