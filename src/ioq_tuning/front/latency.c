/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/front/latency.h"

#include <time.h>

#define N_BUCKETS 65536U
#define STEP_NSEC 200

void
front_latency_init(FrontLatency *latency)
{
    *latency = (FrontLatency){.buckets = g_new0(guint32, N_BUCKETS)};
}

void
front_latency_clear(FrontLatency *latency)
{
    g_clear_pointer(&latency->buckets, g_free);
}

void
front_latency_add(FrontLatency *latency, gint64 nsec)
{
    latency->total++;
    latency->buckets[CLAMP(nsec / STEP_NSEC, 0, N_BUCKETS - 1)]++;
    latency->max_nsec = MAX(latency->max_nsec, nsec);
}

void
front_latency_merge(FrontLatency *latency, const FrontLatency *other)
{
    latency->total += other->total;
    latency->max_nsec = MAX(latency->max_nsec, other->max_nsec);
    for (guint i = 0; i < N_BUCKETS; i++) {
        latency->buckets[i] += other->buckets[i];
    }
}

double
front_latency_percentile(const FrontLatency *latency, double share)
{
    guint64 sum = 0;

    for (guint i = 0; latency->total > 0 && i < N_BUCKETS - 1; i++) {
        sum += latency->buckets[i];
        if (sum > 0 && (double)sum >= share * (double)latency->total) {
            return (i + 1) * STEP_NSEC / 1000.0;
        }
    }
    return (double)latency->max_nsec / 1000.0;
}

gint64
front_now_nsec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * G_GINT64_CONSTANT(1000000000) + t.tv_nsec;
}
