/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules: why a host, a VM or a pair is not for a move. The order is that of the reasons that
 * are given where there are several. */
#include <math.h>

#include "loadbalancer/plan/planning.h"

#define MAX_MOVES_A_HOST 1U  /* in, and out */
#define FORECAST_LIMIT   1.0 /* load that a target may be forecast to have */

#define ASSUMED_DIRTY_RATIO 0.25

gint64
planner_millionths(double load)
{
    return llround(load * 1e6);
}

gboolean
planner_drains(const Planner *planner, guint host)
{
    return lb_state_host(planner->state, host)->draining && planner_holds(planner, LB_RULE_DRAINED);
}

gboolean
planner_is_taken(const Planner *planner, guint host)
{
    const Ledger *ledger = &planner->ledgers[host];

    return (ledger->n_in >= MAX_MOVES_A_HOST || ledger->n_out >= MAX_MOVES_A_HOST) &&
           planner_holds(planner, LB_RULE_ONE_MOVE_A_HOST);
}

/* Hosts */

static LbReason
judge_load(const Planner *planner, const LbHost *host)
{
    if (lb_host_load(host) <= planner->policy->threshold &&
        planner_holds(planner, LB_RULE_SOURCE_OVER)) {
        return LB_REASON_BELOW_THRESHOLD;
    }
    if (lb_host_count_running(host) <= host->n_cores &&
        planner_holds(planner, LB_RULE_OVERCOMMIT)) {
        return LB_REASON_NOT_OVERCOMMITTED;
    }
    if (host->n_over < planner->policy->n_over && planner_holds(planner, LB_RULE_SUSTAINED)) {
        return LB_REASON_NOT_SUSTAINED;
    }
    return LB_REASON_FEASIBLE;
}

LbReason
judge_host(const Planner *planner, guint index)
{
    const LbHost *host = lb_state_host(planner->state, index);
    LbReason reason;

    if (host->status == LB_HOST_UNREACHABLE) {
        return LB_REASON_UNREACHABLE;
    }
    if (host->status == LB_HOST_STALE && planner_holds(planner, LB_RULE_FRESH)) {
        return LB_REASON_STALE;
    }
    if (planner_drains(planner, index)) {
        reason = host->vms->len == 0 ? LB_REASON_EMPTY : LB_REASON_FEASIBLE;
    } else {
        reason = judge_load(planner, host);
    }
    if (reason == LB_REASON_FEASIBLE && planner_is_taken(planner, index)) {
        return LB_REASON_SOURCE_TAKEN;
    }
    return reason;
}

/* VMs */

static LbReason
judge_cost(const Planner *planner, const LbVm *vm)
{
    const LbCostLimits *limits = &planner->policy->cost;
    LbCost cost;

    if (limits->bandwidth_bytes_per_sec == 0 || !planner_holds(planner, LB_RULE_COST)) {
        return LB_REASON_FEASIBLE;
    }
    cost = lb_cost_predict(vm->memory_bytes, vm->dirty_bytes_per_sec,
                           limits->bandwidth_bytes_per_sec, vm->max_downtime_msec);
    if (limits->max_dirty_ratio > 0 && cost.dirty_ratio > limits->max_dirty_ratio) {
        return LB_REASON_DIRTIES_TOO_FAST;
    }
    if (cost.downtime_msec > vm->max_downtime_msec) {
        return LB_REASON_DOWNTIME_TOO_LONG;
    }
    if (limits->max_sec > 0 && cost.sec > limits->max_sec) {
        return LB_REASON_TAKES_TOO_LONG;
    }
    return LB_REASON_FEASIBLE;
}

/* What has nothing to do with loads. */
static LbReason
judge_freedom(const Planner *planner, const LbVm *vm)
{
    if (vm->settings_error && planner_holds(planner, LB_RULE_SETTINGS)) {
        return LB_REASON_SETTINGS_INVALID;
    }
    if (vm->nova && planner_holds(planner, LB_RULE_NOVA)) {
        return LB_REASON_NOVA_MANAGED;
    }
    if (!vm->movable && planner_holds(planner, LB_RULE_MOVABLE)) {
        return LB_REASON_NOT_MOVABLE;
    }
    if (vm->tied_reason && planner_holds(planner, LB_RULE_TIED)) {
        return LB_REASON_TIED;
    }
    if (g_hash_table_contains(planner->doubles, vm->uuid) &&
        planner_holds(planner, LB_RULE_DUPLICATE)) {
        return LB_REASON_DUPLICATE;
    }
    if (vm->moving && planner_holds(planner, LB_RULE_REST)) {
        return LB_REASON_MOVING;
    }
    return LB_REASON_FEASIBLE;
}

LbReason
judge_vm(const Planner *planner, LbCandidate *candidate)
{
    const LbHost *source = lb_state_host(planner->state, candidate->source);
    const LbVm *vm = lb_host_vm(source, candidate->vm);
    gboolean drains = planner_drains(planner, candidate->source);
    LbReason reason = judge_freedom(planner, vm);

    candidate->source_after =
        source->capacity > 0
            ? MAX(planner->ledgers[candidate->source].busy - vm->cpu, 0) / source->capacity
            : 0;
    if (reason != LB_REASON_FEASIBLE) {
        return reason;
    }
    if (!vm->measured && planner_holds(planner, LB_RULE_MEASURED)) {
        return LB_REASON_UNMEASURED;
    }
    if (vm->cooldown_sec > 0 && !drains && planner_holds(planner, LB_RULE_REST)) {
        return LB_REASON_COOLING_DOWN;
    }
    if (candidate->source_after >= planner->policy->threshold && !drains && !planner->steps &&
        planner_holds(planner, LB_RULE_SOURCE_RELIEVED)) {
        return LB_REASON_SOURCE_STAYS_OVER;
    }
    if (vm->group && planner->unseen != LB_NO_HOST && planner_holds(planner, LB_RULE_GROUP_SEEN)) {
        candidate->other = planner->unseen;
        return LB_REASON_GROUP_UNSEEN;
    }
    return judge_cost(planner, vm);
}

/* Pairs */

/* A group's word on @vm at @target. */
static LbReason
judge_group(const Planner *planner, const LbVm *vm, LbCandidate *candidate)
{
    const GArray *members = vm->group ? g_hash_table_lookup(planner->groups, vm->group) : NULL;
    guint target = candidate->target;

    for (guint i = 0; members && i < members->len; i++) {
        const Member *member = &g_array_index(members, Member, i);
        gboolean apart =
            vm->policy == LB_GROUP_ANTI_AFFINITY || member->vm->policy == LB_GROUP_ANTI_AFFINITY;

        if (member->vm == vm) {
            continue;
        }
        if (apart && member->host == target && planner_holds(planner, LB_RULE_ANTI_AFFINITY)) {
            candidate->other = member->host;
            return LB_REASON_ANTI_AFFINITY;
        }
        if (vm->policy == LB_GROUP_AFFINITY && member->host != target &&
            planner_holds(planner, LB_RULE_AFFINITY)) {
            candidate->other = member->host;
            return LB_REASON_AFFINITY;
        }
    }
    return LB_REASON_FEASIBLE;
}

static gboolean
accepts_cpu(const LbHost *target, const LbVm *vm)
{
    return !vm->cpu_model ||
           (target->cpu_models &&
            g_strv_contains((const char *const *)target->cpu_models, vm->cpu_model));
}

static gboolean
is_in_quarantine(const LbHost *target, const LbVm *vm)
{
    return vm->quarantine && g_strv_contains((const char *const *)vm->quarantine, target->uuid);
}

/* Nothing is wrong with the target itself. */
static LbReason
judge_target(const Planner *planner, const LbHost *source, guint index)
{
    const LbHost *target = lb_state_host(planner->state, index);

    if (target->status == LB_HOST_UNREACHABLE) {
        return LB_REASON_TARGET_UNREACHABLE;
    }
    if (target->status == LB_HOST_STALE && planner_holds(planner, LB_RULE_FRESH)) {
        return LB_REASON_TARGET_STALE;
    }
    if (target->closed_reason && planner_holds(planner, LB_RULE_OPEN)) {
        return LB_REASON_TARGET_CLOSED;
    }
    if (planner_drains(planner, index)) {
        return LB_REASON_TARGET_DRAINED;
    }
    if (g_strcmp0(source->pool, target->pool) != 0 && planner_holds(planner, LB_RULE_POOL)) {
        return LB_REASON_TARGET_POOL;
    }
    return planner_is_taken(planner, index) ? LB_REASON_TARGET_TAKEN : LB_REASON_FEASIBLE;
}

static gboolean
has_memory(const Planner *planner, const LbVm *vm, guint target)
{
    guint64 available = planner->ledgers[target].memory_available_bytes;
    guint64 reserve = planner->policy->memory_reserve_bytes;

    return available >= reserve && available - reserve >= vm->memory_bytes;
}

static void
fill_target(const Planner *planner, const LbVm *vm, LbCandidate *candidate)
{
    const LbHost *host = lb_state_host(planner->state, candidate->target);
    const Ledger *ledger = &planner->ledgers[candidate->target];
    double now = ledger->busy + vm->cpu;
    double forecast = now;

    if (planner_holds(planner, LB_RULE_DEMAND)) {
        now = ledger->wanted + vm->cpu + vm->delay;
        forecast = ledger->forecast + lb_vm_demand(vm);
    }
    if (host->capacity > 0) {
        candidate->target_after = MAX(now, 0) / host->capacity;
        candidate->target_forecast = MAX(MAX(now, forecast), 0) / host->capacity;
    }
}

static double
peak_of(const LbCandidate *candidate)
{
    return MAX(candidate->source_after, candidate->target_forecast);
}

/* By how much the higher of the two loads falls to @peak. */
static gint64
relief_to(const Planner *planner, const LbCandidate *candidate, double peak)
{
    const LbHost *source = lb_state_host(planner->state, candidate->source);
    double before =
        source->capacity > 0 ? planner->ledgers[candidate->source].busy / source->capacity : 0;

    return planner_millionths(before) - planner_millionths(peak);
}

LbReason
judge_pair(const Planner *planner, LbCandidate *candidate)
{
    const LbHost *source = lb_state_host(planner->state, candidate->source);
    const LbHost *target = lb_state_host(planner->state, candidate->target);
    const LbVm *vm = lb_host_vm(source, candidate->vm);
    LbReason reason = judge_target(planner, source, candidate->target);

    fill_target(planner, vm, candidate);
    if (reason != LB_REASON_FEASIBLE) {
        return reason;
    }
    if (candidate->target_after > planner->policy->threshold &&
        planner_holds(planner, LB_RULE_TARGET_BEARS)) {
        return LB_REASON_TARGET_WOULD_EXCEED;
    }
    if (candidate->target_forecast > FORECAST_LIMIT && planner_holds(planner, LB_RULE_DEMAND)) {
        return LB_REASON_TARGET_FORECAST;
    }
    if (!has_memory(planner, vm, candidate->target) && planner_holds(planner, LB_RULE_MEMORY)) {
        return LB_REASON_TARGET_MEMORY;
    }
    if (!accepts_cpu(target, vm) && planner_holds(planner, LB_RULE_CPU_MODEL)) {
        return LB_REASON_TARGET_CPU_MODEL;
    }
    if (is_in_quarantine(target, vm) && planner_holds(planner, LB_RULE_QUARANTINE)) {
        return LB_REASON_QUARANTINED;
    }
    reason = judge_group(planner, vm, candidate);
    if (reason == LB_REASON_FEASIBLE && !planner_drains(planner, candidate->source) &&
        relief_to(planner, candidate, MAX(candidate->source_after, candidate->target_after)) <
            planner_millionths(planner->policy->margin) &&
        planner_holds(planner, LB_RULE_GAIN)) {
        return LB_REASON_LITTLE_GAIN;
    }
    return reason;
}

/* Choosing */

static int
compare_numbers(gint64 a, gint64 b)
{
    return (a > b) - (a < b);
}

#define MIB (G_GINT64_CONSTANT(1) << 20)

/* Of a VM whose dirty rate is not known something in between is assumed, so that one that was asked
 * about, and is harmless, is not passed over for one that was not. */
static gint64
mib_to_send(const Planner *planner, const LbVm *vm)
{
    const LbCostLimits *limits = &planner->policy->cost;
    guint64 dirty = vm->has_dirty_rate
                        ? vm->dirty_bytes_per_sec
                        : (guint64)(ASSUMED_DIRTY_RATIO * (double)limits->bandwidth_bytes_per_sec);
    LbCost cost = lb_cost_predict(vm->memory_bytes, dirty, limits->bandwidth_bytes_per_sec,
                                  vm->max_downtime_msec);

    /* The product with a relief stays below 2^63. */
    return CLAMP((gint64)(cost.bytes / MIB), 1, G_MAXINT32);
}

/* More relief for each byte is less. */
static int
compare_worth(const Planner *planner, const LbCandidate *a, const LbVm *vm_a, const LbCandidate *b,
              const LbVm *vm_b)
{
    return compare_numbers(relief_to(planner, b, peak_of(b)) * mib_to_send(planner, vm_a),
                           relief_to(planner, a, peak_of(a)) * mib_to_send(planner, vm_b));
}

gboolean
planner_is_better(const Planner *planner, const LbCandidate *a, const LbCandidate *b)
{
    const LbHost *source = lb_state_host(planner->state, a->source);
    const LbVm *vm_a = lb_host_vm(source, a->vm);
    const LbVm *vm_b = lb_host_vm(source, b->vm);
    int order = 0;

    if (planner_holds(planner, LB_RULE_PRIORITY)) {
        order = compare_numbers(vm_a->priority, vm_b->priority);
    }
    /* What is drained goes anyway: then it is only about where to. Of several steps, the fewer the
     * better. */
    if (order == 0 && !planner_drains(planner, a->source) && !planner->steps &&
        planner_holds(planner, LB_RULE_WORTH)) {
        order = compare_worth(planner, a, vm_a, b, vm_b);
    }
    if (order == 0 && planner_holds(planner, LB_RULE_PEAK)) {
        order = compare_numbers(planner_millionths(peak_of(a)), planner_millionths(peak_of(b)));
        order = order ? order
                      : compare_numbers(planner_millionths(a->target_forecast),
                                        planner_millionths(b->target_forecast));
    }
    if (order == 0 && planner_holds(planner, LB_RULE_TIE_BREAK)) {
        order = g_strcmp0(vm_a->name, vm_b->name);
        order = order ? order : g_strcmp0(vm_a->uuid, vm_b->uuid);
        order = order ? order
                      : g_strcmp0(lb_state_host(planner->state, a->target)->name,
                                  lb_state_host(planner->state, b->target)->name);
    }
    return order < 0;
}
