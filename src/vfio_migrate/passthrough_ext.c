/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vfio_migrate/passthrough_ext.h"

#include "common/base/i18n.h"

#define MAX_INTERFACES 64

static const GantryField interface_fields[] = {
    {.name = "mac",
     .type = GANTRY_FIELD_MAC,
     .required = TRUE,
     .summary = N_("The passed-through interface's MAC address")},
    {.name = "pool",
     .type = GANTRY_FIELD_NAME,
     .summary = N_("Pool of functions that a host takes a free one from")},
    {.name = "migrate",
     .type = GANTRY_FIELD_BOOL,
     .fallback = "yes",
     .summary = N_("Whether the function's state is migrated with the domain")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec interface = {
    .name = "interface", .fields = interface_fields, .max_occurs = MAX_INTERFACES};
static const GantryElementSpec *const children[] = {&interface, NULL};
static const GantryElementSpec root = {.name = "passthrough", .children = children};

static gboolean
validate(const GantryElement *element, const char *where, GError **error)
{
    return gantry_element_check_unique(element, "interface", "mac", where, error);
}

const GantryExtension vfm_passthrough_extension = {
    .feature = "passthrough",
    .uri = "urn:gantry:passthrough:1",
    .root = &root,
    .validate = validate,
};
