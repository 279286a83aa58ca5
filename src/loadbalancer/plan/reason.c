/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/plan/reason.h"

const char *
lb_reason_name(LbReason reason)
{
    static const char *const names[] = {
        [LB_REASON_CHOSEN] = "chosen",
        [LB_REASON_FEASIBLE] = "feasible",
        [LB_REASON_TARGET_STALE] = "target-stale",
        [LB_REASON_TARGET_UNREACHABLE] = "target-unreachable",
        [LB_REASON_TARGET_CLOSED] = "target-closed",
        [LB_REASON_TARGET_DRAINED] = "target-drained",
        [LB_REASON_TARGET_POOL] = "target-pool",
        [LB_REASON_TARGET_TAKEN] = "target-taken",
        [LB_REASON_TARGET_CPU_MODEL] = "target-cpu-model",
        [LB_REASON_QUARANTINED] = "quarantined",
        [LB_REASON_TARGET_WOULD_EXCEED] = "target-would-exceed",
        [LB_REASON_TARGET_FORECAST] = "target-forecast",
        [LB_REASON_TARGET_MEMORY] = "target-memory",
        [LB_REASON_AFFINITY] = "affinity",
        [LB_REASON_ANTI_AFFINITY] = "anti-affinity",
        [LB_REASON_LITTLE_GAIN] = "little-gain",
        [LB_REASON_SETTINGS_INVALID] = "settings-invalid",
        [LB_REASON_NOT_MOVABLE] = "not-movable",
        [LB_REASON_NOVA_MANAGED] = "nova-managed",
        [LB_REASON_UNMEASURED] = "unmeasured",
        [LB_REASON_DUPLICATE] = "duplicate",
        [LB_REASON_GROUP_UNSEEN] = "group-unseen",
        [LB_REASON_SOURCE_STAYS_OVER] = "source-stays-over",
        [LB_REASON_TIED] = "tied",
        [LB_REASON_MOVING] = "moving",
        [LB_REASON_COOLING_DOWN] = "cooling-down",
        [LB_REASON_DIRTIES_TOO_FAST] = "dirties-too-fast",
        [LB_REASON_DOWNTIME_TOO_LONG] = "downtime-too-long",
        [LB_REASON_TAKES_TOO_LONG] = "takes-too-long",
        [LB_REASON_STALE] = "stale",
        [LB_REASON_UNREACHABLE] = "unreachable",
        [LB_REASON_BELOW_THRESHOLD] = "below-threshold",
        [LB_REASON_NOT_OVERCOMMITTED] = "not-overcommitted",
        [LB_REASON_NOT_SUSTAINED] = "not-sustained",
        [LB_REASON_SOURCE_TAKEN] = "source-taken",
        [LB_REASON_CAPPED] = "capped",
        [LB_REASON_RELIEVED] = "relieved",
        [LB_REASON_STEP] = "step",
        [LB_REASON_EMPTY] = "empty",
        [LB_REASON_NO_VM] = "no-vm",
        [LB_REASON_NO_TARGET] = "no-target",
        [LB_REASON_MOVE] = "move",
        [LB_REASON_BALANCED] = "balanced",
        [LB_REASON_NO_DATA] = "no-data",
    };

    return names[reason];
}
