/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/simulate/run.h"

#include <math.h>

#include "loadbalancer/simulate/trace.h"

#define HOUR_SEC      3600
#define PING_PONG_SEC (6 * HOUR_SEC)

/* Where a VM was before, and when it left. */
typedef struct {
    guint host;
    guint at;
} Origin;

typedef struct {
    LbFleet *fleet;
    LbSimResult *result;
    double threshold;
    GArray **origins; /* of Origin, for each VM */
    double active_sec;
    double overloaded_sec;
    double wanted;
    double missed;
    double lost_by_moves;
} Run;

void
lb_sim_result_free(gpointer data)
{
    LbSimResult *result = data;

    g_free(result->imbalance);
    g_free(result->overloaded);
    g_free(result->migrations);
    g_free(result);
}

static void
account_hosts(Run *run, guint at)
{
    LbSimResult *result = run->result;
    guint n_hosts = run->fleet->state->hosts->len;
    double sum = 0;
    double squares = 0;

    for (guint h = 0; h < n_hosts; h++) {
        const LbHost *host = lb_state_host(run->fleet->state, h);
        double load = run->fleet->host_demand[h] / host->capacity;
        gboolean is_overloaded = load > 1;

        sum += load;
        squares += load * load;
        if (host->vms->len == 0) {
            continue;
        }
        run->active_sec += LB_TRACE_INTERVAL_SEC;
        run->overloaded_sec += is_overloaded ? LB_TRACE_INTERVAL_SEC : 0;
        result->overloaded[at] += is_overloaded ? 1 : 0;
        result->over_hours += load > run->threshold ? (double)LB_TRACE_INTERVAL_SEC / HOUR_SEC : 0;
        result->hosts_used += 1.0 / result->n_intervals;
    }
    result->imbalance[at] = sqrt(MAX(squares / n_hosts - (sum / n_hosts) * (sum / n_hosts), 0));
    result->stddev += result->imbalance[at] / result->n_intervals;
}

static void
account_vms(Run *run)
{
    for (guint v = 0; v < run->fleet->vms->len; v++) {
        const LbVm *vm = run->fleet->vms->pdata[v];

        run->wanted += run->fleet->demand[v];
        run->missed += vm->delay;
    }
}

static void
account_moves(Run *run, guint at, const GArray *moves, const guint *before)
{
    LbSimResult *result = run->result;
    guint long_ago = PING_PONG_SEC / LB_TRACE_INTERVAL_SEC;

    for (guint i = 0; i < moves->len; i++) {
        const LbSimMove *move = &g_array_index(moves, LbSimMove, i);
        const LbVm *vm = run->fleet->vms->pdata[move->vm];
        GArray *origins = run->origins[move->vm];
        const Origin here = {.host = before[move->vm], .at = at};

        for (guint k = 0; k < origins->len; k++) {
            const Origin *origin = &g_array_index(origins, Origin, k);

            if (origin->host == move->target && at - origin->at < long_ago) {
                result->n_ping_pongs++;
                break;
            }
        }
        g_array_append_val(origins, here);
        result->n_migrations++;
        result->moved_bytes += (double)vm->memory_bytes;
        run->lost_by_moves += run->fleet->slowdown[move->vm] * run->fleet->demand[move->vm];
    }
    result->migrations[at] = result->n_migrations;
}

static void
array_free(gpointer data)
{
    g_array_unref(data);
}

LbSimResult *
lb_simulate(GPtrArray *traces, guint n_hosts, const LbFleetModel *model, const LbSimPolicy *policy,
            const LbSimOptions *options, void (*progress)(double part, gpointer data),
            gpointer data, GError **error)
{
    g_autoptr(LbFleet) fleet = lb_fleet_new(traces, n_hosts, model, error);
    g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(LbSimMove));
    g_autoptr(GPtrArray) origins = g_ptr_array_new_with_free_func(array_free);
    g_autofree guint *before = NULL;
    LbSimResult *result;
    gpointer self;
    Run run = {.fleet = fleet, .threshold = options->threshold};

    if (!fleet) {
        return NULL;
    }
    result = run.result = g_new0(LbSimResult, 1);
    result->policy = policy;
    result->n_intervals = ((const LbTrace *)traces->pdata[0])->n_values;
    result->imbalance = g_new0(double, result->n_intervals);
    result->overloaded = g_new0(double, result->n_intervals);
    result->migrations = g_new0(double, result->n_intervals);
    for (guint v = 0; v < traces->len; v++) {
        g_ptr_array_add(origins, g_array_new(FALSE, FALSE, sizeof(Origin)));
    }
    run.origins = (GArray **)origins->pdata;
    self = policy->begin ? policy->begin(options) : NULL;
    for (guint at = 0; at < result->n_intervals; at++) {
        lb_fleet_advance(fleet, at);
        account_hosts(&run, at);
        account_vms(&run);
        g_free(before);
        before = g_memdup2(fleet->hosts, traces->len * sizeof(guint));
        g_array_set_size(moves, 0);
        policy->decide(self, fleet, at, moves);
        account_moves(&run, at, moves, before);
        if (progress) {
            progress((at + 1.0) / result->n_intervals, data);
        }
    }
    if (policy->end) {
        policy->end(self);
    }
    result->slatah = run.active_sec > 0 ? run.overloaded_sec / run.active_sec : 0;
    result->overload_hours = run.overloaded_sec / HOUR_SEC;
    result->pdm = run.wanted > 0 ? run.lost_by_moves / run.wanted : 0;
    result->lost_work = run.wanted > 0 ? run.missed / run.wanted : 0;
    return result;
}
