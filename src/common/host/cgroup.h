/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "common/host/host.h"

/**
 * Control groups of a process (or thread), by controller: "cpu", "cpuacct", "cpuset", "memory", ...
 *
 * A controller is either mounted as (part of) a hierarchy of version 1, or belongs to the one of
 * version 2; a "hybrid" host has both kinds. Which it is is looked up in /proc/self/mountinfo on
 * each call.
 */
typedef struct {
    char *folder;     /* below the host's root, e.g. "/sys/fs/cgroup/cpuset/machine.slice" */
    char *mount;      /* where its hierarchy is mounted: @folder begins with it */
    gboolean unified; /* version 2 */
} GantryCgroup;

void gantry_cgroup_free(GantryCgroup *cgroup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryCgroup, gantry_cgroup_free)

/**
 * gantry_host_cgroup:
 *
 * Returns: (transfer full): GANTRY_ERROR_NOT_FOUND where there is no such process, nothing mounted
 * for the controller, or the group is outside of what we may see (cgroup namespaces).
 */
GantryCgroup *gantry_host_cgroup(const GantryHost *host, pid_t pid, const char *controller,
                                 GError **error);

typedef struct {
    guint64 usage_usec;
    guint64 user_usec;
    guint64 system_usec;
    guint64 n_periods; /* of a quota; this and the rest are 0 where none is set */
    guint64 n_throttled;
    guint64 throttled_usec;
} GantryCgroupCpuStat;

/* CPU time that the process's group, with all below it, has had. */
gboolean gantry_host_cgroup_cpu_stat(const GantryHost *host, pid_t pid,
                                     GantryCgroupCpuStat *ret_stat, GError **error);

/* (transfer full): the online CPUs that the process's group may use. */
GantryCpuset *gantry_host_cgroup_cpuset(const GantryHost *host, pid_t pid, GError **error);
