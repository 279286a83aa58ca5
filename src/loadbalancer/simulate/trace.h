/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * What VMs would use over a day, if they could: one value an interval, in percent of what the VM
 * may use at most.
 *
 * Two formats of files are read. CloudSim's, as its PlanetLab workload has it: one file a VM, a
 * whole number from 0 to 100 in each line, 288 of them, five minutes each. Ours: a file NAME.csv
 * with a VM in each line,
 *
 *     vm,vcpus,memory_mib,cpu_percent...
 *     web-1,4,8192,12,13.5,11,...
 *
 * where the first line is just that heading, and each VM has as many values as the first.
 */
#define LB_TRACE_INTERVAL_SEC 300
#define LB_TRACE_VALUES_A_DAY (24 * 3600 / LB_TRACE_INTERVAL_SEC)
#define LB_TRACE_MAX_VALUES   100000U

typedef struct {
    char *name;
    guint n_vcpus;        /* 0: the file does not say */
    guint64 memory_bytes; /* 0: the same */
    guint n_values;
    float *percent;
} LbTrace;

void lb_trace_free(gpointer trace);

/**
 * lb_traces_load:
 * @path: a folder whose files are all read, or one file in our format
 *
 * Returns: (transfer full) (element-type LbTrace): in the order of their names; NULL with an error
 * that names file and line.
 */
GPtrArray *lb_traces_load(const char *path, GError **error);

/**
 * lb_traces_make_up:
 *
 * VMs like those of PlanetLab as the published figures describe them: mean 9 to 12 %, standard
 * deviation 13 to 18 (A. Beloglazov and R. Buyya, "Optimal Online Deterministic Algorithms and
 * Adaptive Heuristics...", 2012, table 1). Most idle along, some are busy, all have bursts; day and
 * night are to be seen. The same seed gives the same.
 *
 * Returns: (transfer full) (element-type LbTrace)
 */
GPtrArray *lb_traces_make_up(guint n_vms, guint n_values, guint32 seed);
