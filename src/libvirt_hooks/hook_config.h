/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/base/option.h"

/* /etc/gantry/hook.conf */
typedef struct {
    guint64 call_timeout_msec; /* one call to a daemon */
    guint64 hook_timeout_msec; /* all that one run of the hook waits for */
    char *log_levels;
    char *log_file; /* or "stderr"; NULL: that of HookPaths */
} HookConfig;

/* Held to the man page and the example file by a test. */
extern const GantryOption hook_options[];

void hook_config_clear(HookConfig *config);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HookConfig, hook_config_clear)

/**
 * hook_config_load:
 * @ret_config: zeroed; always filled in, with the defaults where the file cannot be used
 *
 * Returns: FALSE with GANTRY_ERROR_INVALID, naming file, section and key.
 */
gboolean hook_config_load(const char *path, HookConfig *ret_config, GError **error);
