/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/model/state.h"

/**
 * Hosts and VMs that are made up, as a state that a policy sees, and what it cannot see: what each
 * VM would use if it could.
 */
typedef struct {
    const char *name;
    guint n_cores;
    double capacity; /* in CPUs of VMs */
    guint64 memory_bytes;
    double idle_watt; /* for policies that save power, linear between the two */
    double full_watt;
} LbHostModel;

typedef struct {
    double cpus; /* what 100 % of its trace is */
    guint64 memory_bytes;
} LbVmModel;

typedef struct {
    const char *name;
    const LbHostModel *hosts; /* in turn; until .name is NULL */
    const LbVmModel *vms;     /* in turn, for traces that do not say; until .cpus is 0 */
    double bandwidth_bytes_per_sec;
} LbFleetModel;

/* "cloudsim" (as its PlanetLab example has them) and "modern"; until .name is NULL. */
extern const LbFleetModel lb_fleet_models[];

typedef struct {
    LbState *state; /* as measured in the present interval */
    const LbFleetModel *model;
    GPtrArray *traces;               /* of LbTrace; not owned */
    GPtrArray *vms;                  /* of LbVm, one a trace; of the state */
    GHashTable *indices;             /* LbVm -> its number */
    double *cpus;                    /* of each VM */
    guint *hosts;                    /* where each is */
    const LbHostModel **host_models; /* of each host */
    double *demand;                  /* of each VM in this interval, in CPUs */
    double *host_demand;             /* of each host */
    double *slowdown;                /* of each VM: the part of the interval that it was moved in */
} LbFleet;

/**
 * lb_fleet_new:
 *
 * Places the VMs as a scheduler would that only knows their sizes: one after the other, each where
 * most of what was sold is still free.
 *
 * Returns: (transfer full): NULL with an error where they do not fit.
 */
LbFleet *lb_fleet_new(GPtrArray *traces, guint n_hosts, const LbFleetModel *model, GError **error);
void lb_fleet_free(LbFleet *fleet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbFleet, lb_fleet_free)

/* Interval @at: VMs want what their traces say; where that is more than a host has, each gets its
 * part, and waits for the rest. */
void lb_fleet_advance(LbFleet *fleet, guint at);

/* Returns: the seconds that it takes. The VM gets 10 % less meanwhile, as in CloudSim. */
double lb_fleet_move(LbFleet *fleet, guint vm, guint target);

guint lb_fleet_index(const LbFleet *fleet, const LbVm *vm);
