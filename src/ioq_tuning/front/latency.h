/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* How long requests took: a histogram of steps of 200 ns, up to 13 ms, above which only the longest
 * is known. */
typedef struct {
    guint64 total;
    guint32 *buckets;
    gint64 max_nsec;
} FrontLatency;

void front_latency_init(FrontLatency *latency);
void front_latency_clear(FrontLatency *latency);
void front_latency_add(FrontLatency *latency, gint64 nsec);

/* Adds @other's requests. */
void front_latency_merge(FrontLatency *latency, const FrontLatency *other);

/* Microseconds that this share (0 to 1) of the requests did not exceed; 0 without requests. */
double front_latency_percentile(const FrontLatency *latency, double share);

/* CLOCK_MONOTONIC. */
gint64 front_now_nsec(void);
