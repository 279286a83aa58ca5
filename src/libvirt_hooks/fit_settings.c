/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/fit_settings.h"

/* Maps the cpusets of @element and of what it holds; what cannot be mapped is unset. */
static void
fit_element(GantryElement *element, const HookHostConfig *host, const GantryCpuset *online,
            GError **first_error)
{
    for (const GantryField *field = element->spec->fields; field && field->name; field++) {
        const char *cpus =
            field->type == GANTRY_FIELD_CPUSET ? gantry_element_string(element, field->name) : NULL;
        g_autofree char *where = g_strdup_printf("<%s> %s", element->spec->name, field->name);
        g_autofree char *mapped = NULL;
        g_autoptr(GError) local = NULL;

        if (!cpus ||
            (hook_host_config_map_cpus(host, cpus, online, where, &mapped, &local) && !mapped)) {
            continue;
        }
        gantry_element_set(element, field->name, mapped);
        if (local && !*first_error) {
            *first_error = g_steal_pointer(&local);
        }
    }
    for (guint i = 0; i < element->children->len; i++) {
        fit_element(element->children->pdata[i], host, online, first_error);
    }
}

gboolean
hook_fit_settings(const GantrySettings *settings, const GantryExtension *const *extensions,
                  const HookHostConfig *host, const GantryCpuset *online, GError **error)
{
    g_autoptr(GError) first = NULL;

    for (const GantryExtension *const *e = extensions; *e; e++) {
        const GantryFeatureSettings *feature = gantry_settings_get(settings, (*e)->feature);

        for (guint i = 0; feature->enabled && i < feature->element->children->len; i++) {
            fit_element(feature->element->children->pdata[i], host, online, &first);
        }
    }
    if (first) {
        g_propagate_error(error, g_steal_pointer(&first));
        return FALSE;
    }
    return TRUE;
}
