/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/plan/reason.h"
#include "loadbalancer/model/state.h"
#include "loadbalancer/plan/cost.h"

/**
 * Load-triggered hot migration, decided: state in, plan out. No libvirt, no clock, no input or
 * output; the same state, in whatever order, gives the same moves.
 *
 * A host is a source if its load is over the threshold and more VMs run on it than it has cores. A
 * move takes one of its VMs to a target so that the target is not over the threshold with it, and
 * the source is below the threshold without it: both together, for one pair (VM, target). (US
 * patent 10,990,431 B2.) All else, from settings to what the move would cost, can only take pairs
 * away. Of what remains, the best pair has the VM of the lowest priority; then the most relief (by
 * how much the higher of the two loads falls, with the target's as it is forecast) for each byte to
 * send; then the lowest such load.
 *
 * A forecast refuses a target only where that would have more to do than it can: by a threshold on
 * forecasts, a fleet that is nearly full could not be relieved at all (docs/design/balancer.md).
 *
 * With @steps, a source that no VM relieves alone gives away the one that relieves it most, if all
 * that may leave it would suffice together; so the condition on the source holds for them jointly.
 *
 * A host that is drained is a source whatever its load, and its VMs only have to fit elsewhere.
 *
 * One pass makes at most one move out of a host and one into a host, and no host takes part in two.
 */
typedef struct {
    double threshold;             /* fraction, 0 to 1 */
    guint64 memory_reserve_bytes; /* stays free on a target */
    guint n_over;                 /* samples that must have been over the threshold; 0: no matter */
    double margin;                /* fraction: relief that a move must bring */
    LbCostLimits cost;            /* what a move may cost */
    gboolean steps;               /* where no VM suffices alone, several one after the other */
    guint max_moves;              /* in all, with those under way; 0: no limit */
    gboolean explain;             /* keep all candidates, not only the chosen ones */
} LbPolicy;

#define LB_DEFAULT_THRESHOLD            0.8
#define LB_DEFAULT_MEMORY_RESERVE_BYTES (G_GUINT64_CONSTANT(256) * 1024 * 1024)

#define LB_NO_HOST G_MAXUINT

/* One VM of a source, with one target or with none where it was refused whatever the target.
 * Numbers are indices into the state. */
typedef struct {
    guint source;
    guint vm;     /* in the source */
    guint target; /* LB_NO_HOST: all of them */
    LbReason reason;
    double source_after; /* load; of the pair's hosts if the move is made */
    double target_after;
    double target_forecast; /* of the target, with what is forecast of both */
    guint other; /* host that the reason speaks of (group member, other copy); LB_NO_HOST: none */
} LbCandidate;

typedef struct {
    LbReason reason;
    double load;
    guint n_running;
} LbVerdict;

typedef struct {
    LbReason outcome;   /* LB_REASON_MOVE, or why there is none */
    GArray *verdicts;   /* of LbVerdict, one a host */
    GArray *candidates; /* of LbCandidate, by source; empty unless policy.explain */
    GArray *moves;      /* of LbCandidate, in the order in which they were chosen */
} LbPlan;

LbPlan *lb_plan_new(const LbState *state, const LbPolicy *policy);
void lb_plan_free(LbPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbPlan, lb_plan_free)

/* One sentence each, with the numbers; names are quoted so that they cannot forge lines. (transfer
 * full) */
char *lb_plan_explain(const LbPlan *plan, const LbState *state, const LbPolicy *policy);
char *lb_verdict_explain(const LbPlan *plan, const LbState *state, const LbPolicy *policy,
                         guint host);
char *lb_candidate_explain(const LbCandidate *candidate, const LbState *state,
                           const LbPolicy *policy);

/* Makes the moves of @plan in the model @state: VMs change hosts with their load and memory. */
void lb_plan_apply(const LbPlan *plan, LbState *state);
