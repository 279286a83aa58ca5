/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gantry-hook with everything below the current directory: see src/libvirt_hooks/paths.h. With a
 * file "impatient" there it waits for a second only. */
#include <unistd.h>

#include "libvirt_hooks/front.h"

int
main(int argc, char **argv)
{
    const HookPaths paths = {
        .engine = "libexec/gantry-hook-engine",
        .host_conf = "etc/gantry/host.conf",
        .policy_dir = "etc/gantry/policy.d",
        .run_dir = "run/gantry",
        .engine_max_sec = access("impatient", F_OK) == 0 ? 1 : 360,
    };

    return hook_front_main(&paths, argc, argv);
}
