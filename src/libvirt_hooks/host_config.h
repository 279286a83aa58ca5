/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/base/cpuset.h"

/**
 * /etc/gantry/host.conf: how this host differs from those that VMs come from.
 *
 *     [cpu-class NAME]        a kind of CPU that every host has
 *     cpus = 8-11             which of this host's CPUs they are
 *     elsewhere = 0-3; 32-39  which they are on other hosts, one set for each layout
 *
 *     [paths]
 *     /srv/old = /srv/new     the prefix of disk sources elsewhere, and here
 *
 * Mapping is idempotent: what is already right for this host stays as it is. That is why no CPU may
 * stand in two sets, nor may a mapped path be mapped again.
 */
typedef struct HookHostConfig HookHostConfig;

/* NULL with GANTRY_ERROR_NOT_FOUND (no such file), _INVALID or _CONFLICT, naming file, section and
 * key. */
HookHostConfig *hook_host_config_load(const char *path, GError **error);
void hook_host_config_free(HookHostConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HookHostConfig, hook_host_config_free)

gboolean hook_host_config_has_cpus(const HookHostConfig *config);
gboolean hook_host_config_has_paths(const HookHostConfig *config);

/**
 * hook_host_config_map_cpus:
 * @cpus: as in a cpuset attribute
 * @online: this host's CPUs; a result outside of them is an error
 * @where: what to name in an error, e.g. "<vcpupin vcpu='2'>"
 * @ret_mapped: (out) (nullable): NULL where nothing changes
 *
 * A whole set of a class becomes the whole class here, a part of it the CPUs at the same places.
 * CPUs of no class stay.
 *
 * Returns: FALSE with GANTRY_ERROR_INVALID (@cpus is not a set of CPUs) or GANTRY_ERROR_CONFLICT
 * (this host's class is too small, or a CPU is not online).
 */
gboolean hook_host_config_map_cpus(const HookHostConfig *config, const char *cpus,
                                   const GantryCpuset *online, const char *where, char **ret_mapped,
                                   GError **error);

/* (transfer full) (nullable): the path here, by the longest prefix that ends at a "/"; NULL:
 * unchanged. */
char *hook_host_config_map_path(const HookHostConfig *config, const char *path);
