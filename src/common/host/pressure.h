/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/host/host.h"

/* Share of time in which tasks waited for a resource, and its sum since boot. */
typedef struct {
    double avg10_percent;
    double avg60_percent;
    double avg300_percent;
    guint64 total_usec;
} GantryPressureLine;

typedef struct {
    GantryPressureLine some; /* at least one task waited */
    GantryPressureLine full; /* all tasks waited at once; zero where the kernel does not tell */
} GantryPressure;

/**
 * gantry_host_pressure:
 * @resource: "cpu", "memory" or "io"
 *
 * /proc/pressure/RESOURCE. A kernel without PSI: GANTRY_ERROR_NOT_FOUND, or GANTRY_ERROR_SYSTEM
 * where it is built in but switched off.
 */
gboolean gantry_host_pressure(const GantryHost *host, const char *resource,
                              GantryPressure *ret_pressure, GError **error);

/* The same from the text of any pressure file, e.g. a cgroup's; @file for messages. */
gboolean gantry_pressure_parse(const char *text, const char *file, GantryPressure *ret_pressure,
                               GError **error);
