/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gantry-hook-engine with everything below the current directory: see src/libvirt_hooks/paths.h. */
#include "libvirt_hooks/engine.h"

int
main(int argc, char **argv)
{
    static const HookPaths paths = {
        .hook_conf = "etc/gantry/hook.conf",
        .host_conf = "etc/gantry/host.conf",
        .policy_dir = "etc/gantry/policy.d",
        .run_dir = "run/gantry",
        .log_file = "log/hook.log",
        .root = ".",
    };

    return hook_engine_main(&paths, argc, argv);
}
