/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "libvirt_hooks/paths.h"

/* All of gantry-hook but its paths. Returns the exit status. */
int hook_front_main(const HookPaths *paths, int argc, char **argv);
