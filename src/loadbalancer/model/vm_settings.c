/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/vm_settings.h"

#include <string.h>

void
lb_vm_read_settings(LbVm *vm, const char *xml, const GantryExtension *const *extensions,
                    const GantryPolicy *policy)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) document = gantry_xml_parse(xml, strlen(xml), vm->name, &error);
    g_autoptr(GantrySettings) settings = NULL;
    g_auto(GantryDomainIdentity) identity = {0};
    const GantryElement *balance;
    const char *group_policy;

    if (document && gantry_domain_identity_read(document, &identity, &error)) {
        vm->nova = identity.nova;
        settings = gantry_settings_resolve(extensions, document, policy, &error);
    }
    if (!settings) {
        g_free(vm->settings_error);
        vm->settings_error = g_strdup(error->message);
        return;
    }
    balance = gantry_settings_get(settings, "balance")->element;
    vm->movable = gantry_element_bool(balance, "movable");
    vm->priority = (guint)gantry_element_uint(balance, "priority");
    vm->max_downtime_msec = (guint)gantry_element_uint(balance, "max-downtime");
    g_free(vm->group);
    vm->group = g_strdup(gantry_element_string(balance, "group"));
    group_policy = gantry_element_string(balance, "policy");
    if (g_strcmp0(group_policy, "affinity") == 0) {
        vm->policy = LB_GROUP_AFFINITY;
    } else if (g_strcmp0(group_policy, "anti-affinity") == 0) {
        vm->policy = LB_GROUP_ANTI_AFFINITY;
    } else {
        vm->policy = LB_GROUP_NONE;
    }
}
