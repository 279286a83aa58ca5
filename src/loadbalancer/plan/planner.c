/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * The state is never changed. What the moves chosen so far do to it stands in Ledger: a host's CPUs
 * and memory after them, and how many it takes part in. Sources are served from the highest load
 * down, what is drained first. For each, its VMs are judged alone (judge.c), then with targets
 * (targets.c); the best pair becomes a move.
 */
#include "loadbalancer/plan/planning.h"

/* Preparation */

static void
index_group(Planner *planner, const LbVm *vm, guint host)
{
    const Member member = {.host = host, .vm = vm};
    GArray *members;

    if (!vm->group || (!vm->running && !planner_holds(planner, LB_RULE_GROUP_PAUSED))) {
        return;
    }
    members = g_hash_table_lookup(planner->groups, vm->group);
    if (!members) {
        members = g_array_new(FALSE, FALSE, sizeof(Member));
        g_hash_table_insert(planner->groups, vm->group, members);
    }
    g_array_append_val(members, member);
}

static void
index_vms(Planner *planner)
{
    for (guint h = 0; h < planner->state->hosts->len; h++) {
        const LbHost *host = lb_state_host(planner->state, h);

        if (host->status != LB_HOST_FRESH && planner->unseen == LB_NO_HOST) {
            planner->unseen = h;
        }
        for (guint v = 0; v < host->vms->len; v++) {
            const LbVm *vm = lb_host_vm(host, v);

            index_group(planner, vm, h);
            if (!vm->running) {
                continue;
            }
            if (g_hash_table_contains(planner->by_uuid, vm->uuid)) {
                g_hash_table_add(planner->doubles, vm->uuid);
            }
            g_hash_table_insert(planner->by_uuid, vm->uuid, GUINT_TO_POINTER(h + 1));
        }
    }
}

static gint
compare_sources(gconstpointer a, gconstpointer b, gpointer data)
{
    const Planner *planner = data;
    guint left = *(const guint *)a;
    guint right = *(const guint *)b;
    const LbHost *left_host = lb_state_host(planner->state, left);
    const LbHost *right_host = lb_state_host(planner->state, right);
    double left_load = lb_host_load(left_host);
    double right_load = lb_host_load(right_host);

    if (planner_drains(planner, left) != planner_drains(planner, right)) {
        return planner_drains(planner, left) ? -1 : 1;
    }
    if (left_load != right_load) {
        return left_load > right_load ? -1 : 1;
    }
    return g_strcmp0(left_host->name, right_host->name);
}

/* Fills the verdicts. Returns: (transfer full): indices of the sources, in their order. */
static GArray *
judge_hosts(Planner *planner)
{
    GArray *sources = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint h = 0; h < planner->state->hosts->len; h++) {
        const LbHost *host = lb_state_host(planner->state, h);
        LbVerdict verdict = {
            .load = lb_host_load(host),
            .n_running = lb_host_count_running(host),
            .reason = judge_host(planner, h),
        };

        if (verdict.reason == LB_REASON_FEASIBLE) {
            verdict.reason = LB_REASON_NO_VM; /* until its VMs were looked at */
            g_array_append_val(sources, h);
        }
        g_array_append_val(planner->plan->verdicts, verdict);
    }
    g_array_sort_with_data(sources, compare_sources, planner);
    return sources;
}

/* Choosing */

static void
keep_candidate(Planner *planner, const LbCandidate *candidate)
{
    if (planner->policy->explain) {
        g_array_append_val(planner->plan->candidates, *candidate);
    }
}

/* All pairs of a VM, for people. @best: (inout): the best pair so far, if @have_best. */
static void
try_all(Planner *planner, const LbCandidate *model, LbCandidate *best, gboolean *have_best)
{
    for (guint target = 0; target < planner->state->hosts->len; target++) {
        LbCandidate candidate = *model;

        if (target == model->source) {
            continue;
        }
        candidate.target = target;
        candidate.reason = judge_pair(planner, &candidate);
        keep_candidate(planner, &candidate);
        if (candidate.reason == LB_REASON_FEASIBLE &&
            (!*have_best || planner_is_better(planner, &candidate, best))) {
            *best = candidate;
            *have_best = TRUE;
        }
    }
}

static void
make_move(Planner *planner, const LbCandidate *choice)
{
    const LbVm *vm = lb_host_vm(lb_state_host(planner->state, choice->source), choice->vm);
    Ledger *from = &planner->ledgers[choice->source];
    Ledger *to = &planner->ledgers[choice->target];
    GArray *members = vm->group ? g_hash_table_lookup(planner->groups, vm->group) : NULL;
    LbCandidate move = *choice;

    move.reason = LB_REASON_CHOSEN;
    from->busy = MAX(from->busy - vm->cpu, 0);
    from->n_out++;
    to->busy += vm->cpu;
    to->wanted += vm->cpu + vm->delay;
    to->forecast += lb_vm_demand(vm);
    to->memory_available_bytes -= MIN(to->memory_available_bytes, vm->memory_bytes);
    to->n_in++;
    planner->n_moving++;
    for (guint i = 0; members && i < members->len; i++) {
        Member *member = &g_array_index(members, Member, i);

        if (member->vm == vm) {
            member->host = choice->target;
        }
    }
    g_array_append_val(planner->plan->moves, move);
    for (guint i = 0; i < planner->plan->candidates->len; i++) {
        LbCandidate *candidate = &g_array_index(planner->plan->candidates, LbCandidate, i);

        if (candidate->source == move.source && candidate->vm == move.vm &&
            candidate->target == move.target) {
            *candidate = move;
        }
    }
}

static gboolean
is_capped(const Planner *planner)
{
    return planner->policy->max_moves > 0 && planner->n_moving >= planner->policy->max_moves;
}

/* The best pair of all VMs of @source. Returns: whether there is one; @verdict says what was in the
 * way. */
static gboolean
find_move(Planner *planner, guint source, LbVerdict *verdict, LbCandidate *ret_best)
{
    const LbHost *host = lb_state_host(planner->state, source);
    gboolean have_best = FALSE;

    for (guint v = 0; v < host->vms->len; v++) {
        LbCandidate candidate = {
            .source = source, .vm = v, .target = LB_NO_HOST, .other = LB_NO_HOST};

        if (!lb_host_vm(host, v)->running && !planner_drains(planner, source)) {
            continue;
        }
        candidate.reason = judge_vm(planner, &candidate);
        if (candidate.reason != LB_REASON_FEASIBLE) {
            keep_candidate(planner, &candidate);
            continue;
        }
        verdict->reason = LB_REASON_NO_TARGET;
        if (planner->policy->explain) {
            try_all(planner, &candidate, ret_best, &have_best);
        } else {
            targets_best(planner, &candidate, ret_best, &have_best);
        }
    }
    return have_best;
}

/* Whether all VMs that may leave @source would bring it below the threshold. */
static gboolean
suffice_together(const Planner *planner, guint source)
{
    const LbHost *host = lb_state_host(planner->state, source);
    double rest = planner->ledgers[source].busy;

    for (guint v = 0; v < host->vms->len; v++) {
        LbCandidate candidate = {.source = source, .vm = v};

        if (lb_host_vm(host, v)->running && judge_vm(planner, &candidate) == LB_REASON_FEASIBLE) {
            rest -= lb_host_vm(host, v)->cpu;
        }
    }
    return rest < planner->policy->threshold * host->capacity;
}

static gboolean
find_step(Planner *planner, guint source, LbVerdict *verdict, LbCandidate *ret_best)
{
    gboolean found;

    if (!planner->policy->steps || planner_drains(planner, source)) {
        return FALSE;
    }
    planner->steps = TRUE;
    found = suffice_together(planner, source) && find_move(planner, source, verdict, ret_best);
    planner->steps = FALSE;
    return found;
}

static void
relieve(Planner *planner, guint source)
{
    LbVerdict *verdict = &g_array_index(planner->plan->verdicts, LbVerdict, source);
    LbCandidate best = {0};
    LbReason outcome = LB_REASON_RELIEVED;

    if (planner_is_taken(planner, source)) {
        verdict->reason = LB_REASON_SOURCE_TAKEN;
        return;
    }
    if (!find_move(planner, source, verdict, &best)) {
        if (!find_step(planner, source, verdict, &best)) {
            return;
        }
        outcome = LB_REASON_STEP;
    }
    if (is_capped(planner)) {
        verdict->reason = LB_REASON_CAPPED;
        return;
    }
    verdict->reason = outcome;
    make_move(planner, &best);
}

/* The verdict that speaks for all; the most telling one wins. */
static LbReason
sum_up(const LbPlan *plan)
{
    static const LbReason by_weight[] = {
        LB_REASON_CAPPED, LB_REASON_SOURCE_TAKEN,  LB_REASON_NO_TARGET,
        LB_REASON_NO_VM,  LB_REASON_NOT_SUSTAINED, LB_REASON_NOT_OVERCOMMITTED,
    };

    if (plan->moves->len > 0) {
        return LB_REASON_MOVE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(by_weight); i++) {
        for (guint h = 0; h < plan->verdicts->len; h++) {
            if (g_array_index(plan->verdicts, LbVerdict, h).reason == by_weight[i]) {
                return by_weight[i];
            }
        }
    }
    for (guint h = 0; h < plan->verdicts->len; h++) {
        LbReason reason = g_array_index(plan->verdicts, LbVerdict, h).reason;

        if (reason == LB_REASON_BELOW_THRESHOLD || reason == LB_REASON_EMPTY) {
            return LB_REASON_BALANCED;
        }
    }
    return LB_REASON_NO_DATA;
}

static void
open_ledgers(Planner *planner)
{
    for (guint h = 0; h < planner->state->hosts->len; h++) {
        const LbHost *host = lb_state_host(planner->state, h);
        Ledger *ledger = &planner->ledgers[h];

        ledger->busy = host->busy;
        ledger->wanted = host->busy + host->incoming_cpu;
        ledger->forecast = MAX(host->busy, host->forecast) + host->incoming_cpu;
        ledger->memory_available_bytes =
            host->memory_available_bytes - MIN(host->memory_available_bytes, host->incoming_bytes);
        ledger->n_in = host->n_moves_in;
        ledger->n_out = host->n_moves_out;
        planner->n_moving += host->n_moves_out;
    }
}

static void
array_unref(gpointer data)
{
    g_array_unref(data);
}

LbPlan *
lb_plan_new_without(const LbState *state, const LbPolicy *policy, LbRule omitted)
{
    g_autoptr(GHashTable) groups =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, array_unref);
    g_autoptr(GHashTable) by_uuid = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) doubles = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree Ledger *ledgers = g_new0(Ledger, state->hosts->len + 1);
    g_autoptr(GArray) sources = NULL;
    LbPlan *plan = g_new0(LbPlan, 1);
    Planner planner = {
        .state = state,
        .policy = policy,
        .omitted = omitted,
        .ledgers = ledgers,
        .groups = groups,
        .by_uuid = by_uuid,
        .doubles = doubles,
        .unseen = LB_NO_HOST,
        .plan = plan,
    };

    plan->verdicts = g_array_new(FALSE, TRUE, sizeof(LbVerdict));
    plan->candidates = g_array_new(FALSE, TRUE, sizeof(LbCandidate));
    plan->moves = g_array_new(FALSE, TRUE, sizeof(LbCandidate));
    open_ledgers(&planner);
    index_vms(&planner);
    planner.targets = targets_new(&planner);
    sources = judge_hosts(&planner);
    for (guint i = 0; i < sources->len; i++) {
        relieve(&planner, g_array_index(sources, guint, i));
    }
    targets_free(planner.targets);
    plan->outcome = sum_up(plan);
    return plan;
}

LbPlan *
lb_plan_new(const LbState *state, const LbPolicy *policy)
{
    return lb_plan_new_without(state, policy, 0);
}

void
lb_plan_free(LbPlan *plan)
{
    g_array_unref(plan->verdicts);
    g_array_unref(plan->candidates);
    g_array_unref(plan->moves);
    g_free(plan);
}

void
lb_plan_apply(const LbPlan *plan, LbState *state)
{
    g_autoptr(GPtrArray) vms = g_ptr_array_new();

    /* First find all, then move: moving changes the indices. */
    for (guint i = 0; i < plan->moves->len; i++) {
        const LbCandidate *move = &g_array_index(plan->moves, LbCandidate, i);

        g_ptr_array_add(vms, lb_host_vm(lb_state_host(state, move->source), move->vm));
    }
    for (guint i = 0; i < plan->moves->len; i++) {
        const LbCandidate *move = &g_array_index(plan->moves, LbCandidate, i);
        LbHost *from = lb_state_host(state, move->source);
        LbHost *to = lb_state_host(state, move->target);
        LbVm *vm = vms->pdata[i];
        guint index;

        g_assert(g_ptr_array_find(from->vms, vm, &index));
        g_ptr_array_add(to->vms, g_ptr_array_steal_index(from->vms, index));
        from->busy = MAX(from->busy - vm->cpu, 0);
        to->busy += vm->cpu;
        from->memory_available_bytes += vm->memory_bytes;
        to->memory_available_bytes -= MIN(to->memory_available_bytes, vm->memory_bytes);
    }
}
