/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests only: the planner without some of its rules, to see that a test misses each. */
#include "loadbalancer/plan/planner.h"

typedef enum {
    LB_RULE_SOURCE_OVER = 1 << 0,
    LB_RULE_OVERCOMMIT = 1 << 1,
    LB_RULE_TARGET_BEARS = 1 << 2,
    LB_RULE_SOURCE_RELIEVED = 1 << 3,
    LB_RULE_MEMORY = 1 << 4,
    LB_RULE_MOVABLE = 1 << 5,
    LB_RULE_NOVA = 1 << 6,
    LB_RULE_SETTINGS = 1 << 7,
    LB_RULE_AFFINITY = 1 << 8,
    LB_RULE_ANTI_AFFINITY = 1 << 9,
    LB_RULE_FRESH = 1 << 10, /* of the source and of the target */
    LB_RULE_OPEN = 1 << 11,
    LB_RULE_MEASURED = 1 << 12,
    LB_RULE_DUPLICATE = 1 << 13,
    LB_RULE_ONE_MOVE_A_HOST = 1 << 14,
    LB_RULE_PRIORITY = 1 << 15,
    LB_RULE_WORTH = 1 << 16, /* most relief for each byte */
    LB_RULE_PEAK = 1 << 17,
    LB_RULE_TIE_BREAK = 1 << 18,
    LB_RULE_GROUP_SEEN = 1 << 19,
    LB_RULE_GROUP_PAUSED = 1 << 20, /* paused VMs count in their groups */
    LB_RULE_SUSTAINED = 1 << 21,
    LB_RULE_DRAINED = 1 << 22, /* no target, and a source whatever its load */
    LB_RULE_POOL = 1 << 23,
    LB_RULE_CPU_MODEL = 1 << 24,
    LB_RULE_QUARANTINE = 1 << 25,
    LB_RULE_GAIN = 1 << 26,
    LB_RULE_TIED = 1 << 27,
    LB_RULE_REST = 1 << 28,   /* neither moving nor cooling down */
    LB_RULE_COST = 1 << 29,   /* dirty rate, downtime, time */
    LB_RULE_DEMAND = 1 << 30, /* at a target, VMs take what they waited for and what is forecast */
} LbRule;

#define LB_N_RULES 31

LbPlan *lb_plan_new_without(const LbState *state, const LbPolicy *policy, LbRule omitted);
