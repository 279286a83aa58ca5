/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * What the planner knows: hosts with their load, and the VMs on them. Plain data, made by the
 * collector, read from a file, or by a test.
 */
typedef enum {
    LB_HOST_FRESH,       /* the numbers are from now */
    LB_HOST_STALE,       /* they are old: never a source, never a target */
    LB_HOST_UNREACHABLE, /* there are none */
} LbHostStatus;

typedef enum {
    LB_GROUP_NONE,
    LB_GROUP_AFFINITY,      /* the group's VMs share a host */
    LB_GROUP_ANTI_AFFINITY, /* no two of them do */
} LbGroupPolicy;

typedef struct {
    char *name;
    char *uuid;
    gboolean running;  /* uses a CPU, or would like to; others count for nothing but their memory */
    gboolean measured; /* @cpu and @memory_bytes are known */
    guint n_vcpus;     /* 0: not known */
    double cpu;        /* CPUs used, in the host's own CPUs: 0.35 is 35 % of one */
    double delay;      /* CPUs that it waited for: runnable, and not run */
    double forecast;   /* CPUs that it will want; counts where it is more than now */
    guint64 memory_bytes; /* what a target must have free */
    gboolean has_dirty_rate;
    guint64 dirty_bytes_per_sec; /* 0 where it is not known */

    /* What keeps it where it is, or from some hosts. */
    char *tied_reason;    /* a device or disk of this host; NULL: none */
    char *cpu_model;      /* what it must find at a target; NULL: does not matter */
    gboolean moving;      /* a migration of it is under way */
    guint64 cooldown_sec; /* still to rest since the last move */
    char **quarantine;    /* (nullable): uuids of hosts that it could not be moved to lately */

    /* Settings of the balance extension. */
    gboolean movable;
    guint priority; /* 0..100, higher is moved later */
    guint max_downtime_msec;
    char *group; /* NULL: none */
    LbGroupPolicy policy;
    char *settings_error; /* the domain's settings are wrong: why; NULL: they are fine */

    gboolean nova; /* has a nova:instance: Nova must move it, or it starts a second copy later */
} LbVm;

typedef struct {
    char *name;
    char *uuid; /* "" if unknown */
    LbHostStatus status;
    char *status_reason; /* why it is not fresh; NULL if it is */
    guint n_cores;
    double capacity; /* CPUs that work can get */
    double busy;     /* CPUs in use */
    guint64 memory_total_bytes;
    guint64 memory_available_bytes; /* for further VMs */
    char *closed_reason; /* why nothing can move here, e.g. no URI that others reach; NULL: open */
    char *pool;          /* VMs move only within one; NULL: one that has no name */
    double forecast;     /* CPUs that will be in use; counts where it is more than now */
    guint n_over;        /* of the last samples, how many were over the threshold */
    gboolean draining;   /* all VMs are to leave, none to come */
    guint n_moves_in;    /* under way */
    guint n_moves_out;
    double incoming_cpu; /* demand of VMs that are on their way here */
    guint64 incoming_bytes;
    char **cpu_models; /* (nullable): of the fleet's, those that run here */
    GPtrArray *vms;    /* of LbVm */
} LbHost;

typedef struct {
    GPtrArray *hosts; /* of LbHost */
} LbState;

LbState *lb_state_new(void);
void lb_state_free(LbState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbState, lb_state_free)

/* A host in @state, fresh, with no load and no VMs. */
LbHost *lb_state_add_host(LbState *state, const char *name, const char *uuid);

/* A VM on @host: running, measured, movable, priority 50. */
LbVm *lb_host_add_vm(LbHost *host, const char *name, const char *uuid);

LbHost *lb_state_host(const LbState *state, guint index);
LbVm *lb_host_vm(const LbHost *host, guint index);

/* Busy part of the capacity, 0 to 1 and, in models, beyond; 0 where the capacity is unknown. */
double lb_host_load(const LbHost *host);

guint lb_host_count_running(const LbHost *host);

/* CPUs that @vm would use at another host: what it used and waited for, or what is forecast. */
double lb_vm_demand(const LbVm *vm);
