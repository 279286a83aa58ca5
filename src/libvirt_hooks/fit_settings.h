/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/settings.h"
#include "libvirt_hooks/host_config.h"

/**
 * hook_fit_settings:
 * @host: that has classes of CPUs
 *
 * Settings are written for some host, as all of a domain's XML: the CPUs that the enabled features'
 * elements name below their root become those that host.conf says they are here. Done again,
 * nothing changes.
 *
 * Returns: FALSE as hook_host_config_map_cpus() for the first that cannot be had here; none of
 * those is set any more.
 */
gboolean hook_fit_settings(const GantrySettings *settings, const GantryExtension *const *extensions,
                           const HookHostConfig *host, const GantryCpuset *online, GError **error);
