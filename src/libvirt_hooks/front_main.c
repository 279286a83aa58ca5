/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gantry-config.h"
#include "libvirt_hooks/front.h"

int
main(int argc, char **argv)
{
    static const HookPaths paths = {
        .engine = GANTRY_LIBEXECDIR "/gantry-hook-engine",
        .host_conf = GANTRY_CONFDIR "/host.conf",
        .policy_dir = GANTRY_CONFDIR "/policy.d",
        .run_dir = "/run/gantry",
        .engine_max_sec = 360, /* hook_timeout is 300 s at most; an alarm follows 3 s after it */
    };

    return hook_front_main(&paths, argc, argv);
}
