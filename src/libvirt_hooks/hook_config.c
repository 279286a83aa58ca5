/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/hook_config.h"

#include "common/base/i18n.h"

const GantryOption hook_options[] = {
    {
        .name = "call-timeout",
        .type = GANTRY_OPTION_DURATION,
        .offset = G_STRUCT_OFFSET(HookConfig, call_timeout_msec),
        .section = "hook",
        .fallback = "3s",
        .min = 10,
        .max = 60000,
        .metavar = N_("TIME"),
        .summary = N_("How long one daemon may take to answer"),
    },
    {
        .name = "hook-timeout",
        .type = GANTRY_OPTION_DURATION,
        .offset = G_STRUCT_OFFSET(HookConfig, hook_timeout_msec),
        .section = "hook",
        .fallback = "5s",
        .min = 10,
        .max = 300000,
        .metavar = N_("TIME"),
        .summary = N_("How long all daemons together may take in one run of the hook"),
    },
    {
        .name = "level",
        .type = GANTRY_OPTION_STRING,
        .offset = G_STRUCT_OFFSET(HookConfig, log_levels),
        .section = "log",
        .fallback = "notice",
        .metavar = N_("LEVELS"),
        .summary = N_("What is logged: err, warn, notice, info or debug, also as MODULE=LEVEL"),
    },
    {
        .name = "file",
        .type = GANTRY_OPTION_STRING,
        .offset = G_STRUCT_OFFSET(HookConfig, log_file),
        .section = "log",
        .metavar = N_("FILE"),
        .summary = N_("Where it is logged; stderr is what libvirt throws away; "
                      "/var/log/gantry/hook.log if not "
                      "given"),
    },
    GANTRY_OPTION_END,
};

void
hook_config_clear(HookConfig *config)
{
    gantry_options_clear(hook_options, config);
}

gboolean
hook_config_load(const char *path, HookConfig *ret_config, GError **error)
{
    gantry_options_init(hook_options, ret_config);
    return gantry_options_load_file(hook_options, ret_config, path, error);
}
