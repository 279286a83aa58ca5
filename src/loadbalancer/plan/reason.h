/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Why the planner did, or did not do, something. Each has a stable name for scripts. */
typedef enum {
    /* of a pair (VM, target) */
    LB_REASON_CHOSEN,
    LB_REASON_FEASIBLE, /* nothing speaks against it, but another pair is better */
    LB_REASON_TARGET_STALE,
    LB_REASON_TARGET_UNREACHABLE,
    LB_REASON_TARGET_CLOSED,
    LB_REASON_TARGET_DRAINED,
    LB_REASON_TARGET_POOL,
    LB_REASON_TARGET_TAKEN, /* takes part in as many moves as it may */
    LB_REASON_TARGET_CPU_MODEL,
    LB_REASON_QUARANTINED, /* this VM could not be moved there lately */
    LB_REASON_TARGET_WOULD_EXCEED,
    LB_REASON_TARGET_FORECAST, /* would soon have more to do than it can */
    LB_REASON_TARGET_MEMORY,
    LB_REASON_AFFINITY,
    LB_REASON_ANTI_AFFINITY,
    LB_REASON_LITTLE_GAIN,

    /* of a VM on an overloaded host, whatever the target */
    LB_REASON_SETTINGS_INVALID,
    LB_REASON_NOT_MOVABLE,
    LB_REASON_NOVA_MANAGED,
    LB_REASON_UNMEASURED,
    LB_REASON_DUPLICATE,
    LB_REASON_GROUP_UNSEEN, /* a host that is not fresh may have others of its group */
    LB_REASON_SOURCE_STAYS_OVER,
    LB_REASON_TIED,
    LB_REASON_MOVING,
    LB_REASON_COOLING_DOWN,
    LB_REASON_DIRTIES_TOO_FAST,
    LB_REASON_DOWNTIME_TOO_LONG,
    LB_REASON_TAKES_TOO_LONG,

    /* of a host */
    LB_REASON_STALE,
    LB_REASON_UNREACHABLE,
    LB_REASON_BELOW_THRESHOLD,
    LB_REASON_NOT_OVERCOMMITTED,
    LB_REASON_NOT_SUSTAINED, /* over the threshold, but not often enough lately */
    LB_REASON_SOURCE_TAKEN,  /* as many of its VMs are leaving as may at once */
    LB_REASON_CAPPED,        /* as many moves are under way in all as may be */
    LB_REASON_RELIEVED,      /* a move is planned */
    LB_REASON_STEP,          /* one is, and more must follow */
    LB_REASON_EMPTY,         /* drained */
    LB_REASON_NO_VM,         /* none of its VMs may move and suffices alone */
    LB_REASON_NO_TARGET,

    /* of a plan, besides some of a host's */
    LB_REASON_MOVE,
    LB_REASON_BALANCED,
    LB_REASON_NO_DATA,
} LbReason;

/* "target-would-exceed" */
const char *lb_reason_name(LbReason reason);
