/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/simulate/fleet.h"

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "loadbalancer/simulate/trace.h"

#define MIB             (G_GUINT64_CONSTANT(1) << 20)
#define GIB             (G_GUINT64_CONSTANT(1) << 30)
#define LOST_WHEN_MOVED 0.1

/* CloudSim 4.0, org.cloudbus.cloudsim.examples.power.Constants: MIPS/1000 for CPUs. The power of
 * its two servers is from SPECpower, of which we keep the ends. */
static const LbHostModel cloudsim_hosts[] = {
    {"HP ProLiant ML110 G4", 2, 2 * 1.860, 4096 * MIB, 86, 117},
    {"HP ProLiant ML110 G5", 2, 2 * 2.660, 4096 * MIB, 93.7, 135},
    {NULL, 0, 0, 0, 0, 0},
};

static const LbVmModel cloudsim_vms[] = {
    {2.500, 870 * MIB}, {2.000, 1740 * MIB}, {1.000, 1740 * MIB}, {0.500, 613 * MIB}, {0, 0},
};

static const LbHostModel modern_hosts[] = {
    {"16 cores, 512 GiB", 16, 32, 512 * GIB, 120, 400},
    {NULL, 0, 0, 0, 0, 0},
};

static const LbVmModel modern_vms[] = {
    {1, 2 * GIB}, {2, 4 * GIB}, {4, 8 * GIB}, {8, 16 * GIB}, {0, 0}};

const LbFleetModel lb_fleet_models[] = {
    {"cloudsim", cloudsim_hosts, cloudsim_vms, 1e9 / 8 / 2}, /* half of its 1 Gbit/s */
    {"modern", modern_hosts, modern_vms, 10e9 / 8},
    {NULL, NULL, NULL, 0},
};

void
lb_fleet_free(LbFleet *fleet)
{
    lb_state_free(fleet->state);
    g_ptr_array_unref(fleet->vms);
    g_hash_table_unref(fleet->indices);
    g_free(fleet->cpus);
    g_free(fleet->hosts);
    g_free(fleet->host_models);
    g_free(fleet->demand);
    g_free(fleet->host_demand);
    g_free(fleet->slowdown);
    g_free(fleet);
}

static void
add_hosts(LbFleet *fleet, guint n_hosts)
{
    const LbHostModel *model = fleet->model->hosts;

    for (guint i = 0; i < n_hosts; i++) {
        g_autofree char *name = g_strdup_printf("host-%04u", i);
        LbHost *host = lb_state_add_host(fleet->state, name, name);

        host->n_cores = model->n_cores;
        host->capacity = model->capacity;
        host->memory_total_bytes = host->memory_available_bytes = model->memory_bytes;
        fleet->host_models[i] = model;
        model++;
        if (!model->name) {
            model = fleet->model->hosts;
        }
    }
}

/* The host with the largest part of its CPUs not sold yet, among those with memory. */
static guint
place(const LbFleet *fleet, const double *sold, guint64 memory_bytes)
{
    guint best = G_MAXUINT;
    double best_part = 0;

    for (guint i = 0; i < fleet->state->hosts->len; i++) {
        const LbHost *host = lb_state_host(fleet->state, i);
        double part = sold[i] / host->capacity;

        if (host->memory_available_bytes >= memory_bytes &&
            (best == G_MAXUINT || part < best_part)) {
            best = i;
            best_part = part;
        }
    }
    return best;
}

static gboolean
add_vms(LbFleet *fleet, GError **error)
{
    g_autofree double *sold = g_new0(double, fleet->state->hosts->len + 1);
    const LbVmModel *model = fleet->model->vms;

    for (guint i = 0; i < fleet->traces->len; i++) {
        const LbTrace *trace = fleet->traces->pdata[i];
        guint64 memory = trace->memory_bytes > 0 ? trace->memory_bytes : model->memory_bytes;
        guint host = place(fleet, sold, memory);
        LbVm *vm;

        if (host == G_MAXUINT) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("%1$u hosts have no memory left for VM '%2$s', the %3$u. of %4$u: take "
                          "more hosts"),
                        fleet->state->hosts->len, trace->name, i + 1, fleet->traces->len);
            return FALSE;
        }
        vm = lb_host_add_vm(lb_state_host(fleet->state, host), trace->name, trace->name);
        vm->memory_bytes = memory;
        vm->max_downtime_msec = 300;
        fleet->cpus[i] = trace->n_vcpus > 0 ? trace->n_vcpus : model->cpus;
        vm->n_vcpus = (guint)(fleet->cpus[i] + 0.999);
        fleet->hosts[i] = host;
        sold[host] += fleet->cpus[i];
        lb_state_host(fleet->state, host)->memory_available_bytes -= memory;
        g_ptr_array_add(fleet->vms, vm);
        g_hash_table_insert(fleet->indices, vm, GUINT_TO_POINTER(i));
        model++;
        if (model->cpus == 0) {
            model = fleet->model->vms;
        }
    }
    return TRUE;
}

LbFleet *
lb_fleet_new(GPtrArray *traces, guint n_hosts, const LbFleetModel *model, GError **error)
{
    g_autoptr(LbFleet) fleet = g_new0(LbFleet, 1);

    fleet->state = lb_state_new();
    fleet->model = model;
    fleet->traces = traces;
    fleet->vms = g_ptr_array_new();
    fleet->indices = g_hash_table_new(NULL, NULL);
    fleet->cpus = g_new0(double, traces->len + 1);
    fleet->hosts = g_new0(guint, traces->len + 1);
    fleet->host_models = g_new0(const LbHostModel *, n_hosts + 1);
    fleet->demand = g_new0(double, traces->len + 1);
    fleet->host_demand = g_new0(double, n_hosts + 1);
    fleet->slowdown = g_new0(double, traces->len + 1);
    add_hosts(fleet, n_hosts);
    return add_vms(fleet, error) ? g_steal_pointer(&fleet) : NULL;
}

void
lb_fleet_advance(LbFleet *fleet, guint at)
{
    guint n_hosts = fleet->state->hosts->len;

    for (guint i = 0; i < n_hosts; i++) {
        fleet->host_demand[i] = 0;
    }
    for (guint i = 0; i < fleet->vms->len; i++) {
        const LbTrace *trace = fleet->traces->pdata[i];

        fleet->demand[i] = fleet->cpus[i] * trace->percent[at] / 100;
        fleet->host_demand[fleet->hosts[i]] += fleet->demand[i];
        fleet->slowdown[i] = 0;
    }
    for (guint i = 0; i < n_hosts; i++) {
        LbHost *host = lb_state_host(fleet->state, i);

        host->busy = MIN(fleet->host_demand[i], host->capacity);
    }
    for (guint i = 0; i < fleet->vms->len; i++) {
        LbVm *vm = fleet->vms->pdata[i];
        const LbHost *host = lb_state_host(fleet->state, fleet->hosts[i]);
        double demand = fleet->host_demand[fleet->hosts[i]];

        vm->cpu =
            demand > host->capacity ? fleet->demand[i] * host->capacity / demand : fleet->demand[i];
        vm->delay = fleet->demand[i] - vm->cpu;
    }
}

double
lb_fleet_move(LbFleet *fleet, guint index, guint target)
{
    LbVm *vm = fleet->vms->pdata[index];
    LbHost *from = lb_state_host(fleet->state, fleet->hosts[index]);
    LbHost *to = lb_state_host(fleet->state, target);
    double sec = (double)vm->memory_bytes / fleet->model->bandwidth_bytes_per_sec;
    guint place;

    g_assert(g_ptr_array_find(from->vms, vm, &place));
    g_ptr_array_add(to->vms, g_ptr_array_steal_index(from->vms, place));
    from->memory_available_bytes += vm->memory_bytes;
    to->memory_available_bytes -= MIN(to->memory_available_bytes, vm->memory_bytes);
    from->busy = MAX(from->busy - vm->cpu, 0);
    to->busy += vm->cpu;
    fleet->hosts[index] = target;
    fleet->slowdown[index] = MIN(sec / LB_TRACE_INTERVAL_SEC, 1) * LOST_WHEN_MOVED;
    return sec;
}

guint
lb_fleet_index(const LbFleet *fleet, const LbVm *vm)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(fleet->indices, vm));
}
