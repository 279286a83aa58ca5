/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/model/state.h"

/**
 * How long VMs rest after moves, and pairs (VM, target) after failures. Time is in seconds of any
 * clock that goes on over restarts; a clock that jumps back makes nothing rest longer than the rest
 * that it has earned.
 */
typedef struct LbDamping LbDamping;

typedef struct {
    guint rest_sec; /* after a first move; twice as long after each further one */
    guint max_rest_sec;
    guint memory_sec;     /* so long after its last move a VM's moves are forgotten */
    guint quarantine_sec; /* after a failure; twice as long after each further one */
    guint max_quarantine_sec;
} LbDampingOptions;

/* 15 min to 6 h, forgotten after a day; 1 h to a day. */
extern const LbDampingOptions lb_damping_defaults;

typedef struct {
    char *vm_uuid;
    char *host_uuid; /* a failure's target; NULL: it is about moves */
    guint n;         /* moves, or failures */
    gint64 time_sec; /* of the last one */
} LbDampingEntry;

LbDamping *lb_damping_new(const LbDampingOptions *options);
void lb_damping_free(LbDamping *damping);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbDamping, lb_damping_free)

/* Returns: what is to be kept of it; its texts are borrowed. */
LbDampingEntry lb_damping_moved(LbDamping *damping, const char *vm_uuid, gint64 now_sec);
LbDampingEntry lb_damping_failed(LbDamping *damping, const char *vm_uuid, const char *host_uuid,
                                 gint64 now_sec);

/* Gives the VMs of @state their cooldown_sec and quarantine, and forgets what is over. */
void lb_damping_apply(LbDamping *damping, LbState *state, gint64 now_sec);

/* To be kept over a restart: calls @func for each entry; and back. */
typedef void (*LbDampingFunc)(const LbDampingEntry *entry, gpointer data);
void lb_damping_foreach(const LbDamping *damping, LbDampingFunc func, gpointer data);
void lb_damping_restore(LbDamping *damping, const LbDampingEntry *entry);
