/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/plan/cost.h"

#define MAX_ROUNDS 30 /* by then it has converged or never will */

LbCost
lb_cost_predict(guint64 memory_bytes, guint64 dirty_bytes_per_sec, guint64 bandwidth_bytes_per_sec,
                guint downtime_msec)
{
    LbCost cost = {.bytes = memory_bytes};
    double bandwidth = (double)bandwidth_bytes_per_sec;
    double last_chunk = bandwidth * downtime_msec / 1000;
    double left = (double)memory_bytes;
    double sent = 0;

    if (bandwidth_bytes_per_sec == 0) {
        return cost;
    }
    cost.dirty_ratio = (double)dirty_bytes_per_sec / bandwidth;
    for (guint round = 0; left > last_chunk && round < MAX_ROUNDS; round++) {
        sent += left;
        /* What is dirtied meanwhile, but not more than there is. */
        left = MIN(left * cost.dirty_ratio, (double)memory_bytes);
    }
    sent += left;
    cost.bytes = (guint64)MIN(sent, 0x1p62);
    cost.sec = sent / bandwidth;
    cost.downtime_msec = left / bandwidth * 1000;
    return cost;
}
