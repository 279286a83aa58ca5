/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/cpu.h"

#define CPU_FOLDER "sys/devices/system/cpu"

static void
cpu_free(gpointer data)
{
    GantryCpu *cpu = data;

    g_clear_pointer(&cpu->thread_siblings, gantry_cpuset_free);
    g_free(cpu);
}

static gboolean
read_topology(const GantryHost *host, GantryCpu *cpu, GError **error)
{
    gint64 package;
    gint64 core;

    if (!gantry_host_read_int(host, -1, G_MAXINT, &package, error,
                              CPU_FOLDER "/cpu%u/topology/physical_package_id", cpu->cpu) ||
        !gantry_host_read_int(host, -1, G_MAXINT, &core, error,
                              CPU_FOLDER "/cpu%u/topology/core_id", cpu->cpu)) {
        return FALSE;
    }
    cpu->package = (int)package;
    cpu->core = (int)core;
    cpu->thread_siblings = gantry_host_read_cpuset(
        host, error, CPU_FOLDER "/cpu%u/topology/thread_siblings_list", cpu->cpu);
    return cpu->thread_siblings != NULL;
}

GantryCpuset *
gantry_host_online_cpus(const GantryHost *host, GError **error)
{
    return gantry_host_read_cpuset(host, error, CPU_FOLDER "/online");
}

GPtrArray *
gantry_host_cpus(const GantryHost *host, GError **error)
{
    g_autoptr(GantryCpuset) online = gantry_host_online_cpus(host, error);
    g_autoptr(GPtrArray) cpus = g_ptr_array_new_with_free_func(cpu_free);

    if (!online) {
        return NULL;
    }
    for (int i = gantry_cpuset_next(online, 0); i >= 0;
         i = gantry_cpuset_next(online, (guint)i + 1)) {
        GantryCpu *cpu = g_new0(GantryCpu, 1);

        cpu->cpu = (guint)i;
        g_ptr_array_add(cpus, cpu);
        if (!read_topology(host, cpu, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&cpus);
}
