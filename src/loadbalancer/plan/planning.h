/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the planner's files share: a plan in the making. */
#include "loadbalancer/plan/planner_priv.h"

/* A host, as the moves under way and those chosen so far make it. */
typedef struct {
    double busy;     /* of what runs here */
    double wanted;   /* with what is on its way */
    double forecast; /* the same, as forecast */
    guint64 memory_available_bytes;
    guint n_in; /* moves */
    guint n_out;
} Ledger;

/* Where a group's VMs are. */
typedef struct {
    guint host;
    const LbVm *vm;
} Member;

typedef struct Targets Targets;

typedef struct {
    const LbState *state;
    const LbPolicy *policy;
    LbRule omitted;
    Ledger *ledgers;     /* one a host */
    GHashTable *groups;  /* name -> GArray of Member; strings of the state */
    GHashTable *by_uuid; /* VM's uuid -> index + 1 of the last host that has it running */
    GHashTable *doubles; /* uuids that run on more than one host */
    Targets *targets;
    guint unseen;   /* the first host that is not fresh, or LB_NO_HOST */
    guint n_moving; /* under way */
    gboolean steps; /* the source at hand is relieved by more than one VM */
    LbPlan *plan;
} Planner;

static inline gboolean
planner_holds(const Planner *planner, LbRule rule)
{
    return !(planner->omitted & rule);
}

/* Loads are compared as they are; scores are rounded, so that hosts which are equal but for the
 * last bits of a sum are told apart by name and not by noise. */
gint64 planner_millionths(double load);

/* The host is emptied, whatever its load. */
gboolean planner_drains(const Planner *planner, guint host);

/* It takes part in as many moves as it may. */
gboolean planner_is_taken(const Planner *planner, guint host);

/* judge.c */

LbReason judge_host(const Planner *planner, guint host);

/* Fills the candidate's source_after; LB_REASON_FEASIBLE: now its targets are to be judged. */
LbReason judge_vm(const Planner *planner, LbCandidate *candidate);

/* Fills the candidate's target_after and target_forecast. */
LbReason judge_pair(const Planner *planner, LbCandidate *candidate);

/* Both are of the same source, and feasible. */
gboolean planner_is_better(const Planner *planner, const LbCandidate *a, const LbCandidate *b);

/* targets.c: hosts in an order that lets the best be found without trying all. */

Targets *targets_new(const Planner *planner);
void targets_free(Targets *targets);

/**
 * targets_best:
 * @model: with a VM that may move
 * @best: (inout): the best candidate so far of its source, if @have_best
 *
 * As trying all hosts would, and with the same outcome. The order was made when no move was chosen;
 * hosts whose loads have changed since then must be taken.
 */
void targets_best(const Planner *planner, const LbCandidate *model, LbCandidate *best,
                  gboolean *have_best);
