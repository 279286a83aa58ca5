/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/simulate/fleet.h"

typedef struct {
    guint vm; /* of the fleet */
    guint target;
} LbSimMove;

typedef struct {
    double threshold; /* fraction */
    guint32 seed;     /* for what is left to chance */
} LbSimOptions;

/* One way to balance. It sees loads as they are measured, not what VMs would like to use. */
typedef struct {
    const char *name;
    const char *summary;

    gpointer (*begin)(const LbSimOptions *options); /* NULL: it has no memory */

    /* Called at the end of each interval. Appends to @moves, of LbSimMove. */
    void (*decide)(gpointer self, LbFleet *fleet, guint at, GArray *moves);

    void (*end)(gpointer self);
} LbSimPolicy;

/* Ours: planner, history and rests as gantry-balancer has them. */
extern const LbSimPolicy lb_policy_gantry;
extern const LbSimPolicy lb_policy_gantry_single;

/* What others do, for comparison. */
extern const LbSimPolicy lb_policy_none;
extern const LbSimPolicy lb_policy_thr_mmt;
extern const LbSimPolicy lb_policy_thr_mmt_consolidate;
extern const LbSimPolicy lb_policy_stddev;
extern const LbSimPolicy lb_policy_random;
extern const LbSimPolicy lb_policy_largest;

/* All of them, ours first; NULL-terminated. */
extern const LbSimPolicy *const lb_sim_policies[];

const LbSimPolicy *lb_sim_policy(const char *name);
