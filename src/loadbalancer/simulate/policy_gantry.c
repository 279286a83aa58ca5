/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What gantry-balancer does, by its own planner, history and rests. It would look ten times in an
 * interval of a trace: so a host may get several moves in one, one after the other, as they are
 * soon done; and five minutes over the threshold are long enough. */
#include "loadbalancer/model/damping.h"
#include "loadbalancer/model/history.h"
#include "loadbalancer/plan/planner.h"
#include "common/base/i18n.h"
#include "loadbalancer/simulate/policy.h"
#include "loadbalancer/simulate/trace.h"

#define WINDOW             12 /* an hour */
#define HORIZON            2
#define PASSES_AN_INTERVAL 5
#define MARGIN             0.05

typedef struct {
    LbPolicy policy;
    LbHistory *history;
    LbDamping *damping;
} Gantry;

static Gantry *
gantry_new(const LbSimOptions *options, gboolean steps)
{
    const LbHistoryOptions history = {
        .n_samples = WINDOW, .n_trigger = 1, .horizon = HORIZON, .threshold = options->threshold};
    Gantry *gantry = g_new0(Gantry, 1);

    gantry->policy.threshold = options->threshold;
    gantry->policy.n_over = 1;
    gantry->policy.steps = steps;
    gantry->policy.margin = MARGIN;
    gantry->history = lb_history_new(&history);
    gantry->damping = lb_damping_new(&lb_damping_defaults);
    return gantry;
}

static gpointer
begin(const LbSimOptions *options)
{
    return gantry_new(options, TRUE);
}

static gpointer
begin_by_single_moves(const LbSimOptions *options)
{
    return gantry_new(options, FALSE);
}

/* Returns: whether there was a move. */
static gboolean
make_pass(Gantry *gantry, LbFleet *fleet, gint64 now_sec, GArray *moves)
{
    g_autoptr(LbPlan) plan = lb_plan_new(fleet->state, &gantry->policy);
    guint first = moves->len;

    for (guint i = 0; i < plan->moves->len; i++) {
        const LbCandidate *chosen = &g_array_index(plan->moves, LbCandidate, i);
        const LbVm *vm = lb_host_vm(lb_state_host(fleet->state, chosen->source), chosen->vm);
        const LbSimMove move = {.vm = lb_fleet_index(fleet, vm), .target = chosen->target};

        g_array_append_val(moves, move);
        lb_damping_moved(gantry->damping, vm->uuid, now_sec);
    }
    for (guint i = first; i < moves->len; i++) {
        const LbSimMove *move = &g_array_index(moves, LbSimMove, i);

        lb_fleet_move(fleet, move->vm, move->target);
    }
    return moves->len > first;
}

static void
decide(gpointer self, LbFleet *fleet, guint at, GArray *moves)
{
    Gantry *gantry = self;
    gint64 now_sec = (gint64)at * LB_TRACE_INTERVAL_SEC;

    lb_history_add(gantry->history, fleet->state);
    for (guint i = 0; i < PASSES_AN_INTERVAL; i++) {
        lb_damping_apply(gantry->damping, fleet->state, now_sec);
        if (!make_pass(gantry, fleet, now_sec, moves)) {
            return;
        }
    }
}

static void
end(gpointer self)
{
    Gantry *gantry = self;

    lb_history_free(gantry->history);
    lb_damping_free(gantry->damping);
    g_free(gantry);
}

const LbSimPolicy lb_policy_gantry = {
    .name = "gantry",
    .summary = N_("Gantry's planner, with forecast and rests"),
    .begin = begin,
    .decide = decide,
    .end = end,
};

const LbSimPolicy lb_policy_gantry_single = {
    .name = "gantry-single",
    .summary = N_("the same by the letter of S2: only a VM whose leaving suffices alone"),
    .begin = begin_by_single_moves,
    .decide = decide,
    .end = end,
};
