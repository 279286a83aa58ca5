/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CloudSim's threshold policies with minimum migration time (Beloglazov and Buyya 2012, sections 6
 * and 7): a host over the threshold gives away the VMs that are soonest moved, until it is not;
 * they go, the largest first, to the hosts whose power rises least (PABFD). Consolidating, the
 * least loaded host is emptied in the same way, and the next, as long as that can be done wholly.
 */
#include <string.h>

#include "common/base/i18n.h"
#include "loadbalancer/simulate/policy.h"

typedef struct {
    LbSimOptions options;
    gboolean consolidates;
} Mmt;

/* A host as the moves decided so far make it. */
typedef struct {
    double busy;
    guint64 free_bytes;
    guint n_vms;
    gboolean over;     /* was over the threshold */
    gboolean received; /* VMs, in this interval */
} Room;

typedef struct {
    const Mmt *mmt;
    const LbFleet *fleet;
    Room *rooms;
    guint *places; /* of each VM */
} Work;

static double
wants(const Work *work, guint vm)
{
    return ((const LbVm *)work->fleet->vms->pdata[vm])->cpu;
}

static guint64
memory_of(const Work *work, guint vm)
{
    return ((const LbVm *)work->fleet->vms->pdata[vm])->memory_bytes;
}

static double
capacity_of(const Work *work, guint host)
{
    return lb_state_host(work->fleet->state, host)->capacity;
}

static void
take_out(Work *work, guint vm)
{
    Room *room = &work->rooms[work->places[vm]];

    room->busy -= wants(work, vm);
    room->free_bytes += memory_of(work, vm);
    room->n_vms--;
}

static void
put_in(Work *work, guint vm, guint host)
{
    Room *room = &work->rooms[host];

    room->busy += wants(work, vm);
    room->free_bytes -= MIN(room->free_bytes, memory_of(work, vm));
    room->n_vms++;
    work->places[vm] = host;
}

static gboolean
is_over(const Work *work, guint host)
{
    return work->rooms[host].busy > work->mmt->options.threshold * capacity_of(work, host);
}

static gboolean
fits(const Work *work, guint vm, guint host)
{
    const Room *room = &work->rooms[host];

    return room->free_bytes >= memory_of(work, vm) &&
           room->busy + wants(work, vm) <= work->mmt->options.threshold * capacity_of(work, host);
}

/* Watts that the VM's load adds there. */
static double
power_added(const Work *work, guint vm, guint host)
{
    const LbHostModel *model = work->fleet->host_models[host];

    return (model->full_watt - model->idle_watt) * wants(work, vm) / model->capacity;
}

/* @except: a host; @only_used: none that is empty. G_MAXUINT: there is none. */
static guint
find_host(const Work *work, guint vm, guint except, gboolean only_used)
{
    guint best = G_MAXUINT;
    double best_power = 0;

    for (guint h = 0; h < work->fleet->state->hosts->len; h++) {
        const Room *room = &work->rooms[h];
        double power;

        if (h == except || room->over || (only_used && room->n_vms == 0) || !fits(work, vm, h)) {
            continue;
        }
        power = power_added(work, vm, h);
        if (best == G_MAXUINT || power < best_power) {
            best = h;
            best_power = power;
        }
    }
    return best;
}

static gint
by_cpu(gconstpointer a, gconstpointer b, gpointer data)
{
    double left = wants(data, *(const guint *)a);
    double right = wants(data, *(const guint *)b);

    return left != right
               ? (left < right ? 1 : -1)
               : (*(const guint *)a > *(const guint *)b) - (*(const guint *)a < *(const guint *)b);
}

static GArray *
vms_on(const Work *work, guint host)
{
    GArray *vms = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint v = 0; v < work->fleet->vms->len; v++) {
        if (work->places[v] == host) {
            g_array_append_val(vms, v);
        }
    }
    return vms;
}

/* Minimum migration time is least memory. */
static void
relieve(Work *work, guint host, GArray *homeless)
{
    g_autoptr(GArray) vms = vms_on(work, host);

    while (is_over(work, host) && vms->len > 0) {
        guint least = 0;
        guint vm;

        for (guint i = 1; i < vms->len; i++) {
            if (memory_of(work, g_array_index(vms, guint, i)) <
                memory_of(work, g_array_index(vms, guint, least))) {
                least = i;
            }
        }
        vm = g_array_index(vms, guint, least);
        take_out(work, vm);
        g_array_append_val(homeless, vm);
        g_array_remove_index_fast(vms, least);
    }
}

static void
add_move(GArray *moves, guint vm, guint target)
{
    const LbSimMove move = {.vm = vm, .target = target};

    g_array_append_val(moves, move);
}

static void
relieve_all(Work *work, GArray *moves)
{
    g_autoptr(GArray) homeless = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint h = 0; h < work->fleet->state->hosts->len; h++) {
        work->rooms[h].over = is_over(work, h);
        if (work->rooms[h].over) {
            relieve(work, h, homeless);
        }
    }
    g_array_sort_with_data(homeless, by_cpu, work);
    for (guint i = 0; i < homeless->len; i++) {
        guint vm = g_array_index(homeless, guint, i);
        guint target = find_host(work, vm, work->places[vm], FALSE);

        if (target == G_MAXUINT) {
            put_in(work, vm, work->places[vm]); /* back */
        } else {
            put_in(work, vm, target);
            work->rooms[target].received = TRUE;
            add_move(moves, vm, target);
        }
    }
}

/* All of a host's VMs, or none. */
static gboolean
empty_host(Work *work, guint host, GArray *moves)
{
    g_autoptr(GArray) vms = vms_on(work, host);
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(LbSimMove));

    g_array_sort_with_data(vms, by_cpu, work);
    for (guint i = 0; i < vms->len; i++) {
        guint vm = g_array_index(vms, guint, i);
        guint target = find_host(work, vm, host, TRUE);

        if (target == G_MAXUINT) {
            for (guint k = 0; k < found->len; k++) {
                take_out(work, g_array_index(found, LbSimMove, k).vm);
                put_in(work, g_array_index(found, LbSimMove, k).vm, host);
            }
            return FALSE;
        }
        take_out(work, vm);
        put_in(work, vm, target);
        add_move(found, vm, target);
    }
    for (guint k = 0; k < found->len; k++) {
        work->rooms[g_array_index(found, LbSimMove, k).target].received = TRUE;
    }
    g_array_append_vals(moves, found->data, found->len);
    return TRUE;
}

static void
consolidate(Work *work, GArray *moves)
{
    guint n_hosts = work->fleet->state->hosts->len;
    g_autofree gboolean *tried = g_new0(gboolean, n_hosts + 1);

    for (;;) {
        guint least = G_MAXUINT;
        double least_load = 0;

        for (guint h = 0; h < n_hosts; h++) {
            const Room *room = &work->rooms[h];
            double load = room->busy / capacity_of(work, h);

            if (!tried[h] && room->n_vms > 0 && !room->over && !room->received &&
                (least == G_MAXUINT || load < least_load)) {
                least = h;
                least_load = load;
            }
        }
        if (least == G_MAXUINT) {
            return;
        }
        tried[least] = TRUE;
        empty_host(work, least, moves);
    }
}

static void
decide(gpointer self, LbFleet *fleet, guint at, GArray *moves)
{
    guint n_hosts = fleet->state->hosts->len;
    g_autofree Room *rooms = g_new0(Room, n_hosts + 1);
    g_autofree guint *places = g_new0(guint, fleet->vms->len + 1);
    Work work = {.mmt = self, .fleet = fleet, .rooms = rooms, .places = places};

    memcpy(places, fleet->hosts, fleet->vms->len * sizeof(guint));
    for (guint h = 0; h < n_hosts; h++) {
        const LbHost *host = lb_state_host(fleet->state, h);

        rooms[h].busy = host->busy;
        rooms[h].free_bytes = host->memory_available_bytes;
        rooms[h].n_vms = host->vms->len;
    }
    relieve_all(&work, moves);
    if (work.mmt->consolidates) {
        consolidate(&work, moves);
    }
    for (guint i = 0; i < moves->len; i++) {
        const LbSimMove *move = &g_array_index(moves, LbSimMove, i);

        lb_fleet_move(fleet, move->vm, move->target);
    }
}

static gpointer
begin(const LbSimOptions *options)
{
    Mmt *mmt = g_new0(Mmt, 1);

    mmt->options = *options;
    return mmt;
}

static gpointer
begin_consolidating(const LbSimOptions *options)
{
    Mmt *mmt = begin(options);

    mmt->consolidates = TRUE;
    return mmt;
}

const LbSimPolicy lb_policy_thr_mmt = {
    .name = "thr-mmt",
    .summary = N_("CloudSim's threshold with minimum migration time, relieving only"),
    .begin = begin,
    .decide = decide,
    .end = g_free,
};

const LbSimPolicy lb_policy_thr_mmt_consolidate = {
    .name = "thr-mmt-consolidate",
    .summary = N_("the same as published: also empties the least loaded hosts"),
    .begin = begin_consolidating,
    .decide = decide,
    .end = g_free,
};
