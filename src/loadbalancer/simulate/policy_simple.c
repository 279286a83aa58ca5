/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies that need no more than a page: what a script would do. */
#include <math.h>
#include <string.h>

#include "common/base/i18n.h"
#include "loadbalancer/simulate/policy.h"

#define STDDEV_LIMIT \
    0.05 /* of loads: below it all is well (Watcher's default is 0.2, which does nothing here) */

typedef struct {
    LbSimOptions options;
    GRand *random;
} Simple;

static gpointer
begin(const LbSimOptions *options)
{
    Simple *simple = g_new0(Simple, 1);

    simple->options = *options;
    simple->random = g_rand_new_with_seed(options->seed);
    return simple;
}

static void
end(gpointer self)
{
    Simple *simple = self;

    g_rand_free(simple->random);
    g_free(simple);
}

static void
move(LbFleet *fleet, const LbVm *vm, guint target, GArray *moves)
{
    const LbSimMove chosen = {.vm = lb_fleet_index(fleet, vm), .target = target};

    g_array_append_val(moves, chosen);
    lb_fleet_move(fleet, chosen.vm, target);
}

static void
decide_nothing(gpointer self, LbFleet *fleet, guint at, GArray *moves)
{
}

/* Random: a host over the threshold gives a VM by chance to a host by chance that has memory. */

static void
decide_randomly(gpointer self, LbFleet *fleet, guint at, GArray *moves)
{
    Simple *simple = self;
    guint n_hosts = fleet->state->hosts->len;

    for (guint h = 0; h < n_hosts; h++) {
        const LbHost *host = lb_state_host(fleet->state, h);
        guint target = (guint)g_rand_int_range(simple->random, 0, (int)n_hosts);
        const LbVm *vm;

        if (lb_host_load(host) <= simple->options.threshold || host->vms->len == 0) {
            continue;
        }
        vm = lb_host_vm(host, (guint)g_rand_int_range(simple->random, 0, (int)host->vms->len));
        if (target != h &&
            lb_state_host(fleet->state, target)->memory_available_bytes >= vm->memory_bytes) {
            move(fleet, vm, target, moves);
        }
    }
}

/* Largest: a host over the threshold gives its busiest VM to the least loaded host. */

static const LbVm *
busiest(const LbHost *host)
{
    const LbVm *best = NULL;

    for (guint v = 0; v < host->vms->len; v++) {
        if (!best || lb_host_vm(host, v)->cpu > best->cpu) {
            best = lb_host_vm(host, v);
        }
    }
    return best;
}

static void
decide_largest(gpointer self, LbFleet *fleet, guint at, GArray *moves)
{
    Simple *simple = self;
    guint n_hosts = fleet->state->hosts->len;

    for (guint h = 0; h < n_hosts; h++) {
        const LbHost *host = lb_state_host(fleet->state, h);
        const LbVm *vm = busiest(host);
        guint target = G_MAXUINT;

        if (!vm || lb_host_load(host) <= simple->options.threshold) {
            continue;
        }
        for (guint t = 0; t < n_hosts; t++) {
            const LbHost *other = lb_state_host(fleet->state, t);

            if (t != h && other->memory_available_bytes >= vm->memory_bytes &&
                (target == G_MAXUINT ||
                 lb_host_load(other) < lb_host_load(lb_state_host(fleet->state, target)))) {
                target = t;
            }
        }
        if (target != G_MAXUINT) {
            move(fleet, vm, target, moves);
        }
    }
}

/* Standard deviation: while it is over the limit, the move from the most to the least loaded host
 * that lowers it most; as Watcher's workload_stabilization, one host pair at a time. */

static double
stddev(const double *loads, guint n)
{
    double sum = 0;
    double squares = 0;

    for (guint i = 0; i < n; i++) {
        sum += loads[i];
        squares += loads[i] * loads[i];
    }
    return n > 0 ? sqrt(MAX(squares / n - (sum / n) * (sum / n), 0)) : 0;
}

static void
decide_by_stddev(gpointer self, LbFleet *fleet, guint at, GArray *moves)
{
    guint n = fleet->state->hosts->len;
    g_autofree double *loads = g_new0(double, n + 1);

    for (guint round = 0; round < n; round++) {
        guint from = 0;
        guint to = 0;
        const LbVm *best = NULL;
        double best_deviation;

        for (guint h = 0; h < n; h++) {
            loads[h] = lb_host_load(lb_state_host(fleet->state, h));
            from = loads[h] > loads[from] ? h : from;
            to = loads[h] < loads[to] ? h : to;
        }
        best_deviation = stddev(loads, n);
        if (best_deviation <= STDDEV_LIMIT) {
            return;
        }
        for (guint v = 0; v < lb_state_host(fleet->state, from)->vms->len; v++) {
            const LbHost *source = lb_state_host(fleet->state, from);
            const LbHost *target = lb_state_host(fleet->state, to);
            const LbVm *vm = lb_host_vm(source, v);
            double before[2] = {loads[from], loads[to]};
            double deviation;

            loads[from] -= vm->cpu / source->capacity;
            loads[to] += vm->cpu / target->capacity;
            deviation = stddev(loads, n);
            loads[from] = before[0];
            loads[to] = before[1];
            if (deviation < best_deviation && target->memory_available_bytes >= vm->memory_bytes) {
                best = vm;
                best_deviation = deviation;
            }
        }
        if (!best) {
            return;
        }
        move(fleet, best, to, moves);
    }
}

const LbSimPolicy lb_policy_none = {
    .name = "none", .summary = N_("nothing moves"), .decide = decide_nothing};

const LbSimPolicy lb_policy_random = {
    .name = "random",
    .summary = N_("a host over the threshold gives any VM to any host"),
    .begin = begin,
    .decide = decide_randomly,
    .end = end,
};

const LbSimPolicy lb_policy_largest = {
    .name = "largest",
    .summary = N_("a host over the threshold gives its busiest VM to the least loaded host"),
    .begin = begin,
    .decide = decide_largest,
    .end = end,
};

const LbSimPolicy lb_policy_stddev = {
    .name = "stddev",
    .summary = N_("moves VMs while the standard deviation of the loads is over 5 percent"),
    .begin = begin,
    .decide = decide_by_stddev,
    .end = end,
};

const LbSimPolicy *const lb_sim_policies[] = {
    &lb_policy_gantry,
    &lb_policy_gantry_single,
    &lb_policy_none,
    &lb_policy_thr_mmt,
    &lb_policy_thr_mmt_consolidate,
    &lb_policy_stddev,
    &lb_policy_random,
    &lb_policy_largest,
    NULL,
};

const LbSimPolicy *
lb_sim_policy(const char *name)
{
    for (const LbSimPolicy *const *policy = lb_sim_policies; *policy; policy++) {
        if (strcmp((*policy)->name, name) == 0) {
            return *policy;
        }
    }
    return NULL;
}
