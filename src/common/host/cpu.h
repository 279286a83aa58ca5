/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/host/host.h"

/* Of an online CPU. Core ids are unique within a package only. */
typedef struct {
    guint cpu;
    int package;                   /* socket; -1: unknown */
    int core;                      /* -1: unknown */
    GantryCpuset *thread_siblings; /* CPUs of the same core, itself included */
} GantryCpu;

/* (transfer full): the CPUs that run tasks now. */
GantryCpuset *gantry_host_online_cpus(const GantryHost *host, GError **error);

/* (transfer full) (element-type GantryCpu): one for each online CPU, by number. */
GPtrArray *gantry_host_cpus(const GantryHost *host, GError **error);
