/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests only. */
#include "common/virt/monitor.h"

/* The part after libvirt: QEMU's @answer to @command. */
JsonNode *gantry_virt_monitor_parse(const char *command, const char *answer, GError **error);
