/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * What a pre-copy live migration will cost, by the usual model: memory M goes over a link of
 * bandwidth B while the guest dirties D of it each second, so that each round sends r = D/B of what
 * the one before did. (Clark et al., "Live Migration of Virtual Machines", NSDI 2005, section 3.) A
 * guest that writes the same pages again and again costs less than this says, never more.
 */
typedef struct {
    guint64 bandwidth_bytes_per_sec; /* 0: not known, and nothing is limited */
    double max_dirty_ratio;          /* of D to B; 0: no limit */
    guint max_sec;                   /* of the whole; 0: no limit */
} LbCostLimits;

typedef struct {
    double dirty_ratio;
    guint64 bytes; /* to be sent; what is in memory where nothing else is known */
    double sec;
    double downtime_msec;
} LbCost;

/**
 * lb_cost_predict:
 * @memory_bytes: of the guest
 * @dirty_bytes_per_sec: 0 where it is not known
 * @downtime_msec: the pause that is allowed: rounds go on until what is left can be sent in it, or
 *   for so many rounds that it never will be
 */
LbCost lb_cost_predict(guint64 memory_bytes, guint64 dirty_bytes_per_sec,
                       guint64 bandwidth_bytes_per_sec, guint downtime_msec);
