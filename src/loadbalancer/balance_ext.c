/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/balance_ext.h"

#include "common/base/error.h"
#include "common/base/i18n.h"

static const char *const policies[] = {"affinity", "anti-affinity", NULL};

static const GantryField fields[] = {
    {.name = "movable",
     .type = GANTRY_FIELD_BOOL,
     .fallback = "yes",
     .summary = N_("Whether the balancer may move the domain")},
    {.name = "priority",
     .type = GANTRY_FIELD_UINT,
     .fallback = "50",
     .min = 0,
     .max = 100,
     .summary = N_("Domains of higher priority are moved later")},
    {.name = "group",
     .type = GANTRY_FIELD_NAME,
     .summary = N_("Group of domains that 'policy' is about")},
    {.name = "policy",
     .type = GANTRY_FIELD_CHOICE,
     .choices = policies,
     .summary = N_("Whether the group's domains share a host, or never do")},
    {.name = "max-downtime",
     .type = GANTRY_FIELD_UINT,
     .fallback = "300",
     .min = 1,
     .max = 60000,
     .unit = "ms",
     .summary = N_("Longest pause of the domain that a move may cause")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec root = {.name = "balance", .fields = fields};

static gboolean
validate(const GantryElement *element, const char *where, GError **error)
{
    if (gantry_element_has(element, "group") != gantry_element_has(element, "policy")) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("%s: 'group' and 'policy' go together: give both, or none"), where);
        return FALSE;
    }
    return TRUE;
}

const GantryExtension lb_balance_extension = {
    .feature = "balance",
    .uri = "urn:gantry:balance:1",
    .root = &root,
    .validate = validate,
};
