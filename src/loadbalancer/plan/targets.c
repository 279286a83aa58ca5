/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Hosts of one pool and of about the same capacity form a class, sorted by forecast load. On the
 * way along a class what a VM would make of it never falls below a bound that only grows: the load
 * that is there, plus the VM's part of the largest capacity in the class. So the search ends when
 * the bound is worse than the best found. Without that, planning for
 * N hosts would try N targets for each VM of each of N hosts.
 */
#include <math.h>

#include "loadbalancer/plan/planning.h"

#define STEPS_AN_OCTAVE 16 /* capacities of a class differ by less than 5 % */

typedef struct {
    guint host;
    double load;
} Entry;

typedef struct {
    const char *pool;
    int octave;
    double largest;
    GArray *entries; /* of Entry, by load, then name */
    guint n_taken;   /* at the beginning; they stay so */
} TargetClass;

struct Targets {
    GPtrArray *classes;
};

static void
class_free(gpointer data)
{
    TargetClass *class = data;

    g_array_unref(class->entries);
    g_free(class);
}

static TargetClass *
class_of(Targets *targets, const LbHost *host)
{
    int octave = (int)floor(log2(host->capacity) * STEPS_AN_OCTAVE);
    TargetClass *class;

    for (guint i = 0; i < targets->classes->len; i++) {
        class = targets->classes->pdata[i];
        if (class->octave == octave && g_strcmp0(class->pool, host->pool) == 0) {
            return class;
        }
    }
    class = g_new0(TargetClass, 1);
    class->pool = host->pool;
    class->octave = octave;
    class->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    g_ptr_array_add(targets->classes, class);
    return class;
}

static gint
compare_entries(gconstpointer a, gconstpointer b, gpointer state)
{
    const Entry *left = a;
    const Entry *right = b;

    if (left->load != right->load) {
        return left->load < right->load ? -1 : 1;
    }
    return g_strcmp0(lb_state_host(state, left->host)->name,
                     lb_state_host(state, right->host)->name);
}

Targets *
targets_new(const Planner *planner)
{
    Targets *targets = g_new0(Targets, 1);

    targets->classes = g_ptr_array_new_with_free_func(class_free);
    for (guint h = 0; h < planner->state->hosts->len; h++) {
        const LbHost *host = lb_state_host(planner->state, h);
        const Ledger *ledger = &planner->ledgers[h];
        TargetClass *class;
        Entry entry = {.host = h};

        /* Without a capacity there are no numbers: it can be no target. */
        if (host->capacity > 0) {
            class = class_of(targets, host);
            class->largest = MAX(class->largest, host->capacity);
            entry.load = MAX(ledger->forecast, ledger->wanted) / host->capacity;
            g_array_append_val(class->entries, entry);
        }
    }
    for (guint i = 0; i < targets->classes->len; i++) {
        TargetClass *class = targets->classes->pdata[i];

        g_array_sort_with_data(class->entries, compare_entries, (gpointer)planner->state);
    }
    return targets;
}

void
targets_free(Targets *targets)
{
    g_ptr_array_unref(targets->classes);
    g_free(targets);
}

/* Nothing with this load forecast, or more, at the target can be better than @best for the same VM.
 */
static gboolean
is_hopeless(const LbCandidate *model, const LbCandidate *best, double load)
{
    gint64 peak = planner_millionths(MAX(model->source_after, load));
    gint64 best_peak = planner_millionths(MAX(best->source_after, best->target_forecast));

    return peak > best_peak || (peak == best_peak && planner_millionths(load) >
                                                         planner_millionths(best->target_forecast));
}

static void
search_class(const Planner *planner, TargetClass *class, const LbCandidate *model,
             LbCandidate *best, gboolean *have_best)
{
    const LbVm *vm = lb_host_vm(lb_state_host(planner->state, model->source), model->vm);
    double bound = lb_vm_demand(vm) / class->largest * (1 - 1e-9); /* rounding must not raise it */

    while (class->n_taken < class->entries->len &&
           planner_is_taken(planner, g_array_index(class->entries, Entry, class->n_taken).host)) {
        class->n_taken++;
    }
    for (guint i = class->n_taken; i < class->entries->len; i++) {
        const Entry *entry = &g_array_index(class->entries, Entry, i);
        LbCandidate candidate = *model;

        if (*have_best && is_hopeless(model, best, entry->load + bound)) {
            return;
        }
        if (entry->host == model->source) {
            continue;
        }
        candidate.target = entry->host;
        candidate.reason = judge_pair(planner, &candidate);
        if (candidate.reason == LB_REASON_FEASIBLE &&
            (!*have_best || planner_is_better(planner, &candidate, best))) {
            *best = candidate;
            *have_best = TRUE;
        }
    }
}

/* The only host where the rest of an affinity group is, or LB_NO_HOST where it has no rest. */
static guint
host_of_group(const Planner *planner, const LbVm *vm)
{
    const GArray *members = vm->group && vm->policy == LB_GROUP_AFFINITY
                                ? g_hash_table_lookup(planner->groups, vm->group)
                                : NULL;

    for (guint i = 0; members && i < members->len; i++) {
        const Member *member = &g_array_index(members, Member, i);

        if (member->vm != vm) {
            return member->host;
        }
    }
    return LB_NO_HOST;
}

void
targets_best(const Planner *planner, const LbCandidate *model, LbCandidate *best,
             gboolean *have_best)
{
    const LbHost *source = lb_state_host(planner->state, model->source);
    const LbVm *vm = lb_host_vm(source, model->vm);
    guint only = host_of_group(planner, vm);
    LbCandidate mine;
    gboolean have_mine = FALSE;

    if (only != LB_NO_HOST) {
        mine = *model;
        mine.target = only;
        mine.reason = only == model->source ? LB_REASON_AFFINITY : judge_pair(planner, &mine);
        have_mine = mine.reason == LB_REASON_FEASIBLE;
    } else {
        for (guint i = 0; i < planner->targets->classes->len; i++) {
            TargetClass *class = planner->targets->classes->pdata[i];

            if (g_strcmp0(class->pool, source->pool) == 0) {
                search_class(planner, class, model, &mine, &have_mine);
            }
        }
    }
    if (have_mine && (!*have_best || planner_is_better(planner, &mine, best))) {
        *best = mine;
        *have_best = TRUE;
    }
}
