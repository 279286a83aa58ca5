/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/rpc/rpc.h"
#include "gantry-config.h"
#include "libvirt_hooks/engine.h"

int
main(int argc, char **argv)
{
    static const HookPaths paths = {
        .hook_conf = GANTRY_CONFDIR "/hook.conf",
        .host_conf = GANTRY_CONFDIR "/host.conf",
        .policy_dir = GANTRY_CONFDIR "/policy.d",
        .run_dir = GANTRY_RPC_RUN_DIR,
        .log_file = "/var/log/gantry/hook.log",
        .root = "/",
    };

    return hook_engine_main(&paths, argc, argv);
}
