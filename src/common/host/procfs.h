/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "common/host/host.h"

/* A line of /proc/stat. Guest time is also counted in user, and guest_nice in nice. */
typedef struct {
    guint64 user_usec;
    guint64 nice_usec;
    guint64 system_usec;
    guint64 idle_usec;
    guint64 iowait_usec;
    guint64 irq_usec;
    guint64 softirq_usec;
    guint64 steal_usec;
    guint64 guest_usec;
    guint64 guest_nice_usec;
} GantryCpuTimes;

typedef struct {
    guint cpu;
    GantryCpuTimes times;
} GantryCpuTimesOf;

typedef struct {
    GantryCpuTimes total;
    GArray *cpus; /* of GantryCpuTimesOf: the online CPUs, by number */
    guint64 boot_time_sec;
} GantryProcStat;

void gantry_proc_stat_clear(GantryProcStat *stat);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GantryProcStat, gantry_proc_stat_clear)

/* /proc/stat. */
gboolean gantry_host_proc_stat(const GantryHost *host, GantryProcStat *ret_stat, GError **error);

/* Time that a CPU was busy with anything but waiting: user to steal, without idle and iowait. */
guint64 gantry_cpu_times_busy_usec(const GantryCpuTimes *times);

/* Busy time and idle time. */
guint64 gantry_cpu_times_total_usec(const GantryCpuTimes *times);

typedef struct {
    guint64 total_bytes;
    guint64 free_bytes;
    guint64 available_bytes; /* what could be given out without swapping */
    guint64 swap_total_bytes;
    guint64 swap_free_bytes;
    guint64 huge_page_bytes; /* of the default size; 0: none known */
    guint64 huge_pages_total;
    guint64 huge_pages_free;
} GantryMeminfo;

/* /proc/meminfo. */
gboolean gantry_host_meminfo(const GantryHost *host, GantryMeminfo *ret_meminfo, GError **error);

/* When a process was started, in seconds since 1970: to a second, for it is counted from the boot
 * time. GANTRY_ERROR_NOT_FOUND: there is no such process. */
gboolean gantry_host_process_start(const GantryHost *host, pid_t pid, gint64 *ret_time_sec,
                                   GError **error);

/* CPU time that a thread has had so far, in nanoseconds. */
gboolean gantry_host_thread_cpu(const GantryHost *host, pid_t pid, pid_t tid, guint64 *ret_nsec,
                                GError **error);
