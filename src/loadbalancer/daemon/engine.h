/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/model/history.h"
#include "loadbalancer/plan/planner.h"
#include "loadbalancer/store/store.h"

/**
 * LbEngine: the balancer's passes, and what goes on between them. Somebody measures and hands it a
 * state each interval; it adds what it remembers, plans, and has moves begun, each of which ends
 * some time later. No libvirt, no clock, no threads: all in one thread, and time is a parameter.
 */
typedef struct LbEngine LbEngine;

/* Who does what the engine decides. Nothing of it may wait. */
typedef struct {
    /* A move begins; lb_engine_ended() tells its end. It is in the store already. */
    void (*begin)(const LbMoveRecord *record, gpointer data);

    /* It was begun by an earlier balancer: is to be looked for and followed, not begun again; ends
     * like the others. */
    void (*adopt)(const LbMoveRecord *record, gpointer data);

    /* How fast does the VM on the host @source (both uuids) write its memory?
     * lb_engine_dirty_rate() takes the answer. NULL: moves are made without knowing. */
    void (*measure)(const char *vm, const char *source, gpointer data);
} LbEngineActor;

typedef struct {
    LbPolicy policy;
    LbHistoryOptions history;
    LbDampingOptions damping;
    guint dirty_rate_sec; /* so long is a measured dirty rate good for */
} LbEngineOptions;

/* @store, @actor: borrowed. Adopts what the store says is under way. */
LbEngine *lb_engine_new(const LbEngineOptions *options, LbStore *store, const LbEngineActor *actor,
                        gpointer data);
void lb_engine_free(LbEngine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbEngine, lb_engine_free)

/**
 * lb_engine_pass:
 * @state: (transfer full): as measured now
 *
 * Makes a pass. Who does not lead plans, but begins nothing.
 */
void lb_engine_pass(LbEngine *engine, LbState *state, gint64 now_sec);

/* The state and the plan of the last pass; NULL before the first. */
const LbState *lb_engine_state(const LbEngine *engine);
const LbPlan *lb_engine_plan(const LbEngine *engine);

/* (transfer container) (element-type LbMoveRecord): moves that are under way or unclear. */
GPtrArray *lb_engine_moves(const LbEngine *engine);

/**
 * lb_engine_ended:
 * @result: with the id of the move, its state, reason, and what was measured
 *
 * Where the store cannot be written, the move stays under way for it: whoever leads next adopts it.
 */
void lb_engine_ended(LbEngine *engine, const LbMoveRecord *result, gint64 now_sec);

void lb_engine_dirty_rate(LbEngine *engine, const char *vm_uuid, guint64 bytes_per_sec,
                          gint64 now_sec);

/* An operator has seen to an unclear move. FALSE with GANTRY_ERROR_NOT_FOUND. */
gboolean lb_engine_forget(LbEngine *engine, const char *vm_uuid, GError **error);
