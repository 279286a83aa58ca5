/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * The state is never changed. What the moves chosen so far do to it stands in Ledger: a host's CPUs
 * and memory after them, and whether it takes part in one. Sources are served from the highest load
 * down. For each, its VMs are judged alone first (settings, and whether losing it suffices), then
 * with each target; the best pair becomes a move.
 *
 * Loads are compared as they are; scores are rounded to a millionth, so that hosts which are equal
 * but for the last bits of a sum are told apart by name and not by noise.
 *
 * Cost: sources x VMs on them x hosts, and each pair looks at the VM's group.
 */
#include "loadbalancer/plan/planner_priv.h"

#include <math.h>

typedef struct {
    double busy;
    guint64 memory_available_bytes;
    gboolean taken; /* takes part in a move */
} Ledger;

/* Where a group's VMs are. */
typedef struct {
    guint host;
    const LbVm *vm;
} Member;

typedef struct {
    const LbState *state;
    const LbPolicy *policy;
    LbRule omitted;
    Ledger *ledgers;     /* one a host */
    GHashTable *groups;  /* name -> GArray of Member; strings of the state */
    GHashTable *by_uuid; /* VM's uuid -> index + 1 of the last host that has it running */
    GHashTable *doubles; /* uuids that run on more than one host */
    guint unseen;        /* the first host that is not fresh, or LB_NO_HOST */
    LbPlan *plan;
} Planner;

static gboolean
holds(const Planner *planner, LbRule rule)
{
    return !(planner->omitted & rule);
}

/* Preparation */

static void
index_group(Planner *planner, const LbVm *vm, guint host)
{
    const Member member = {.host = host, .vm = vm};
    GArray *members;

    if (!vm->group || (!vm->running && !holds(planner, LB_RULE_GROUP_PAUSED))) {
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
    const LbState *state = data;
    const LbHost *left = lb_state_host(state, *(const guint *)a);
    const LbHost *right = lb_state_host(state, *(const guint *)b);
    double left_load = lb_host_load(left);
    double right_load = lb_host_load(right);

    if (left_load != right_load) {
        return left_load > right_load ? -1 : 1;
    }
    return g_strcmp0(left->name, right->name);
}

/* Fills the verdicts. Returns: (transfer full): indices of the sources, the most loaded first. */
static GArray *
judge_hosts(Planner *planner)
{
    GArray *sources = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint h = 0; h < planner->state->hosts->len; h++) {
        const LbHost *host = lb_state_host(planner->state, h);
        LbVerdict verdict = {
            .load = lb_host_load(host),
            .n_running = lb_host_count_running(host),
        };

        if (host->status == LB_HOST_UNREACHABLE) {
            verdict.reason = LB_REASON_UNREACHABLE;
        } else if (host->status == LB_HOST_STALE && holds(planner, LB_RULE_FRESH)) {
            verdict.reason = LB_REASON_STALE;
        } else if (verdict.load <= planner->policy->threshold &&
                   holds(planner, LB_RULE_SOURCE_OVER)) {
            verdict.reason = LB_REASON_BELOW_THRESHOLD;
        } else if (verdict.n_running <= host->n_cores && holds(planner, LB_RULE_OVERCOMMIT)) {
            verdict.reason = LB_REASON_NOT_OVERCOMMITTED;
        } else {
            verdict.reason = LB_REASON_NO_VM; /* until its VMs were looked at */
            g_array_append_val(sources, h);
        }
        g_array_append_val(planner->plan->verdicts, verdict);
    }
    g_array_sort_with_data(sources, compare_sources, (gpointer)planner->state);
    return sources;
}

/* Judging one VM, and one pair */

static double
load_with(const Planner *planner, guint host, double change)
{
    const LbHost *at = lb_state_host(planner->state, host);

    return at->capacity > 0 ? MAX(planner->ledgers[host].busy + change, 0) / at->capacity : 0;
}

static LbReason
judge_vm(const Planner *planner, const LbVm *vm, double source_after, guint *ret_other)
{
    if (vm->settings_error && holds(planner, LB_RULE_SETTINGS)) {
        return LB_REASON_SETTINGS_INVALID;
    }
    if (vm->nova && holds(planner, LB_RULE_NOVA)) {
        return LB_REASON_NOVA_MANAGED;
    }
    if (!vm->movable && holds(planner, LB_RULE_MOVABLE)) {
        return LB_REASON_NOT_MOVABLE;
    }
    if (g_hash_table_contains(planner->doubles, vm->uuid) && holds(planner, LB_RULE_DUPLICATE)) {
        return LB_REASON_DUPLICATE;
    }
    if (!vm->measured && holds(planner, LB_RULE_MEASURED)) {
        return LB_REASON_UNMEASURED;
    }
    if (source_after >= planner->policy->threshold && holds(planner, LB_RULE_SOURCE_RELIEVED)) {
        return LB_REASON_SOURCE_STAYS_OVER;
    }
    if (vm->group && planner->unseen != LB_NO_HOST && holds(planner, LB_RULE_GROUP_SEEN)) {
        *ret_other = planner->unseen;
        return LB_REASON_GROUP_UNSEEN;
    }
    return LB_REASON_FEASIBLE;
}

/* A group's word on @vm at @target. */
static LbReason
judge_group(const Planner *planner, const LbVm *vm, guint target, guint *ret_other)
{
    const GArray *members = vm->group ? g_hash_table_lookup(planner->groups, vm->group) : NULL;

    for (guint i = 0; members && i < members->len; i++) {
        const Member *member = &g_array_index(members, Member, i);
        gboolean apart =
            vm->policy == LB_GROUP_ANTI_AFFINITY || member->vm->policy == LB_GROUP_ANTI_AFFINITY;

        if (member->vm == vm) {
            continue;
        }
        if (apart && member->host == target && holds(planner, LB_RULE_ANTI_AFFINITY)) {
            *ret_other = member->host;
            return LB_REASON_ANTI_AFFINITY;
        }
        if (vm->policy == LB_GROUP_AFFINITY && member->host != target &&
            holds(planner, LB_RULE_AFFINITY)) {
            *ret_other = member->host;
            return LB_REASON_AFFINITY;
        }
    }
    return LB_REASON_FEASIBLE;
}

static LbReason
judge_pair(const Planner *planner, const LbVm *vm, LbCandidate *candidate)
{
    const LbHost *target = lb_state_host(planner->state, candidate->target);
    const Ledger *ledger = &planner->ledgers[candidate->target];

    if (target->status == LB_HOST_UNREACHABLE) {
        return LB_REASON_TARGET_UNREACHABLE;
    }
    if (target->status == LB_HOST_STALE && holds(planner, LB_RULE_FRESH)) {
        return LB_REASON_TARGET_STALE;
    }
    if (target->closed_reason && holds(planner, LB_RULE_OPEN)) {
        return LB_REASON_TARGET_CLOSED;
    }
    if (ledger->taken && holds(planner, LB_RULE_ONE_MOVE_A_HOST)) {
        return LB_REASON_TARGET_TAKEN;
    }
    if (candidate->target_after > planner->policy->threshold &&
        holds(planner, LB_RULE_TARGET_BEARS)) {
        return LB_REASON_TARGET_WOULD_EXCEED;
    }
    if ((ledger->memory_available_bytes < planner->policy->memory_reserve_bytes ||
         ledger->memory_available_bytes - planner->policy->memory_reserve_bytes <
             vm->memory_bytes) &&
        holds(planner, LB_RULE_MEMORY)) {
        return LB_REASON_TARGET_MEMORY;
    }
    return judge_group(planner, vm, candidate->target, &candidate->other);
}

/* Choosing */

static gint64
peak_millionths(const LbCandidate *candidate)
{
    return llround(MAX(candidate->source_after, candidate->target_after) * 1e6);
}

static int
compare_numbers(gint64 a, gint64 b)
{
    return (a > b) - (a < b);
}

/* Both are of the same source. */
static gboolean
is_better(const Planner *planner, const LbCandidate *a, const LbCandidate *b)
{
    const LbHost *source = lb_state_host(planner->state, a->source);
    const LbVm *vm_a = lb_host_vm(source, a->vm);
    const LbVm *vm_b = lb_host_vm(source, b->vm);
    int order = 0;

    if (holds(planner, LB_RULE_PRIORITY)) {
        order = compare_numbers(vm_a->priority, vm_b->priority);
    }
    if (order == 0 && holds(planner, LB_RULE_PEAK)) {
        order = compare_numbers(peak_millionths(a), peak_millionths(b));
    }
    if (order == 0 && holds(planner, LB_RULE_LEAST_MEMORY)) {
        order = compare_numbers((gint64)vm_a->memory_bytes, (gint64)vm_b->memory_bytes);
    }
    if (order == 0 && holds(planner, LB_RULE_TIE_BREAK)) {
        order = g_strcmp0(vm_a->name, vm_b->name);
        order = order ? order : g_strcmp0(vm_a->uuid, vm_b->uuid);
        order = order ? order
                      : g_strcmp0(lb_state_host(planner->state, a->target)->name,
                                  lb_state_host(planner->state, b->target)->name);
    }
    return order < 0;
}

static void
keep_candidate(Planner *planner, const LbCandidate *candidate)
{
    if (planner->policy->explain) {
        g_array_append_val(planner->plan->candidates, *candidate);
    }
}

/* All pairs of @vm. @best: (inout): the best pair so far, if @have_best. */
static void
try_targets(Planner *planner, const LbVm *vm, const LbCandidate *model, LbCandidate *best,
            gboolean *have_best)
{
    for (guint target = 0; target < planner->state->hosts->len; target++) {
        LbCandidate candidate = *model;

        if (target == model->source) {
            continue;
        }
        candidate.target = target;
        candidate.target_after = load_with(planner, target, vm->cpu);
        candidate.reason = judge_pair(planner, vm, &candidate);
        keep_candidate(planner, &candidate);
        if (candidate.reason == LB_REASON_FEASIBLE &&
            (!*have_best || is_better(planner, &candidate, best))) {
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
    from->taken = TRUE;
    to->busy += vm->cpu;
    to->memory_available_bytes -= MIN(to->memory_available_bytes, vm->memory_bytes);
    to->taken = TRUE;
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

static void
relieve(Planner *planner, guint source)
{
    const LbHost *host = lb_state_host(planner->state, source);
    LbVerdict *verdict = &g_array_index(planner->plan->verdicts, LbVerdict, source);
    LbCandidate best = {0};
    gboolean have_best = FALSE;

    for (guint v = 0; v < host->vms->len; v++) {
        const LbVm *vm = lb_host_vm(host, v);
        LbCandidate candidate = {
            .source = source, .vm = v, .target = LB_NO_HOST, .other = LB_NO_HOST};

        if (!vm->running) {
            continue;
        }
        candidate.source_after = load_with(planner, source, -vm->cpu);
        candidate.reason = judge_vm(planner, vm, candidate.source_after, &candidate.other);
        if (candidate.reason != LB_REASON_FEASIBLE) {
            keep_candidate(planner, &candidate);
            continue;
        }
        verdict->reason = LB_REASON_NO_TARGET;
        try_targets(planner, vm, &candidate, &best, &have_best);
    }
    if (have_best) {
        verdict->reason = LB_REASON_RELIEVED;
        make_move(planner, &best);
    }
}

/* The verdict that speaks for all; the most telling one wins. */
static LbReason
sum_up(const LbPlan *plan)
{
    static const LbReason by_weight[] = {
        LB_REASON_NO_TARGET,
        LB_REASON_NO_VM,
        LB_REASON_NOT_OVERCOMMITTED,
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
        if (g_array_index(plan->verdicts, LbVerdict, h).reason == LB_REASON_BELOW_THRESHOLD) {
            return LB_REASON_BALANCED;
        }
    }
    return LB_REASON_NO_DATA;
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
    for (guint h = 0; h < state->hosts->len; h++) {
        ledgers[h].busy = lb_state_host(state, h)->busy;
        ledgers[h].memory_available_bytes = lb_state_host(state, h)->memory_available_bytes;
    }
    index_vms(&planner);
    sources = judge_hosts(&planner);
    for (guint i = 0; i < sources->len; i++) {
        relieve(&planner, g_array_index(sources, guint, i));
    }
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
