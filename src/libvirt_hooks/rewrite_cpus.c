/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/rewrite.h"

/* Maps @element's cpuset attribute, if it has one. */
static gboolean
rewrite_cpuset(const xmlNode *element, const HookRewriteContext *context, HookChanges *changes,
               GError **error)
{
    g_autofree char *cpus = gantry_xml_attribute(element, "cpuset");
    g_autofree char *vcpu = gantry_xml_attribute(element, "vcpu");
    g_autofree char *iothread = gantry_xml_attribute(element, "iothread");
    g_autofree char *where = NULL;
    g_autofree char *mapped = NULL;

    if (!cpus) {
        return TRUE;
    }
    where = vcpu || iothread ? g_strdup_printf("<%s %s='%s'>", (const char *)element->name,
                                               vcpu ? "vcpu" : "iothread", vcpu ? vcpu : iothread)
                             : g_strdup_printf("<%s>", (const char *)element->name);
    if (!hook_host_config_map_cpus(context->host, cpus, context->online, where, &mapped, error)) {
        return FALSE;
    }
    if (mapped) {
        hook_changes_add(changes, element, where, "cpuset", cpus, mapped);
    }
    return TRUE;
}

gboolean
hook_rewrite_cpus(GantryXml *domain, const HookRewriteContext *context, HookChanges *changes,
                  GError **error)
{
    static const char *const pins[] = {"vcpupin", "emulatorpin", "iothreadpin"};
    const xmlNode *vcpu = gantry_xml_path(domain, "vcpu");
    const xmlNode *cputune = gantry_xml_path(domain, "cputune");

    if (!context->host || !hook_host_config_has_cpus(context->host)) {
        return TRUE;
    }
    if (vcpu && !rewrite_cpuset(vcpu, context, changes, error)) {
        return FALSE;
    }
    for (gsize i = 0; cputune && i < G_N_ELEMENTS(pins); i++) {
        const xmlNode *pin = NULL;

        while ((pin = gantry_xml_next_child(cputune, pin, NULL, pins[i]))) {
            if (!rewrite_cpuset(pin, context, changes, error)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}
