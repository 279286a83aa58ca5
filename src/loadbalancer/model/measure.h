/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/model/state.h"

/* What a host's libvirt says at one moment; CPU times are since some start. Plain data. */
typedef struct {
    char *name;
    char *uuid;
    char *xml; /* NULL: not asked for, or not had in time */
    gboolean running;
    gboolean has_cpu_time;
    guint64 cpu_time_nsec;
    gboolean has_memory;
    guint64 memory_bytes; /* that it can grow to */
} LbDomainSample;

typedef struct {
    char *hostname;
    char *uuid; /* of the host; "" if unknown */
    guint n_cpus;
    guint n_threads_per_core;
    gint64 cpu_time_usec;     /* when the host's counters were read; monotonic, ours */
    gint64 domains_time_usec; /* when the domains' were: on a busy host that is much later */
    guint64 busy_nsec;
    guint64 total_nsec; /* busy, idle and waiting for I/O, of all CPUs */
    guint64 memory_total_bytes;
    guint64 memory_unused_bytes; /* free, or caches */
    GPtrArray *domains;          /* of LbDomainSample, active ones */
} LbSample;

LbSample *lb_sample_new(void);
void lb_sample_free(LbSample *sample);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbSample, lb_sample_free)

LbDomainSample *lb_sample_add_domain(LbSample *sample, const char *name, const char *uuid);

/**
 * lb_measure_host:
 * @host: (inout): gets the numbers, and one VM for each domain of @after, without its settings
 *
 * The load between two samples. Busy is CPU time that was neither idle nor waiting for I/O; the
 * capacity is all CPU time that the host counted over the time that passed, so a host that is
 * confined to some of its machine's CPUs, or robbed of them, comes out right. A VM's share is its
 * own CPU time over the time that passed.
 *
 * Cores are physical ones, but not more than the capacity. Memory for further VMs is what is unused
 * now, but not more than what remains if all VMs here grow to what they may: guest memory that is
 * shared with a back end is counted among the caches. Where libvirt does not tell the memory of one
 * of its VMs, that VM is not measured, and the host has none for further ones.
 *
 * Returns: FALSE with GANTRY_ERROR_INVALID where the samples make no sense (a clock that stood
 * still, counters that ran backwards: the host was restarted).
 */
gboolean lb_measure_host(const LbSample *before, const LbSample *after, LbHost *host,
                         GError **error);
