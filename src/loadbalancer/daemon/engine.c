/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. A move is written into the store before it begins, and only who leads can
 * write that; so no two balancers begin it, and one that dies has left word of it. What is under
 * way is part of each state that is planned on: the VM does not move again, both hosts count the
 * move, and the target has less to give.
 */
#include "loadbalancer/daemon/engine.h"

#define GANTRY_LOG_MODULE "balancer"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"

typedef struct {
    guint64 bytes_per_sec;
    gint64 time_sec;
    gboolean is_asked; /* and not answered */
} DirtyRate;

struct LbEngine {
    LbEngineOptions options;
    LbStore *store;
    LbEngineActor actor;
    gpointer data;
    LbHistory *history;
    LbDamping *damping;
    GHashTable *moves;       /* id -> LbMoveRecord: under way, or unclear */
    GHashTable *dirty_rates; /* VM's uuid -> DirtyRate */
    LbState *state;
    LbPlan *plan;
};

static void
restore_rest(const LbDampingEntry *entry, gpointer damping)
{
    lb_damping_restore(damping, entry);
}

LbEngine *
lb_engine_new(const LbEngineOptions *options, LbStore *store, const LbEngineActor *actor,
              gpointer data)
{
    LbEngine *engine = g_new0(LbEngine, 1);
    g_autoptr(GPtrArray) moves = store->ops->list_moves(store);

    engine->options = *options;
    engine->options.policy.explain = FALSE;
    engine->store = store;
    engine->actor = *actor;
    engine->data = data;
    engine->history = lb_history_new(&options->history);
    engine->damping = lb_damping_new(&options->damping);
    engine->moves = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lb_move_record_free);
    engine->dirty_rates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    store->ops->foreach_rest(store, restore_rest, engine->damping);
    for (guint i = 0; i < moves->len; i++) {
        LbMoveRecord *record = lb_move_record_copy(moves->pdata[i]);

        g_hash_table_insert(engine->moves, record->id, record);
        if (record->state == LB_RECORD_RUNNING) {
            actor->adopt(record, data);
        }
    }
    return engine;
}

void
lb_engine_free(LbEngine *engine)
{
    g_clear_pointer(&engine->plan, lb_plan_free);
    g_clear_pointer(&engine->state, lb_state_free);
    lb_history_free(engine->history);
    lb_damping_free(engine->damping);
    g_hash_table_unref(engine->moves);
    g_hash_table_unref(engine->dirty_rates);
    g_free(engine);
}

/* What is remembered goes into the state */

static LbHost *
find_host(const LbState *state, const char *uuid)
{
    for (guint i = 0; i < state->hosts->len; i++) {
        LbHost *host = lb_state_host(state, i);

        if (*uuid && g_str_equal(host->uuid, uuid)) {
            return host;
        }
    }
    return NULL;
}

static LbVm *
find_vm(const LbHost *host, const char *uuid)
{
    for (guint i = 0; host && i < host->vms->len; i++) {
        if (g_str_equal(lb_host_vm(host, i)->uuid, uuid)) {
            return lb_host_vm(host, i);
        }
    }
    return NULL;
}

static void
mark_unclear(LbVm *vm, const LbMoveRecord *record)
{
    if (vm) {
        g_free(vm->tied_reason);
        vm->tied_reason =
            g_strdup_printf(_("after a move from %1$s to %2$s it was not clear where it runs; see "
                              "to it, then forget the move"),
                            record->source_name, record->target_name);
    }
}

static void
apply_move(const LbMoveRecord *record, LbState *state)
{
    LbHost *source = find_host(state, record->source_uuid);
    LbHost *target = find_host(state, record->target_uuid);
    LbVm *at_source = find_vm(source, record->vm_uuid);
    LbVm *at_target = find_vm(target, record->vm_uuid);

    if (record->state == LB_RECORD_UNCLEAR) {
        mark_unclear(at_source, record);
        mark_unclear(at_target, record);
        return;
    }
    if (at_source) {
        at_source->moving = TRUE;
    }
    if (at_target) {
        at_target->moving = TRUE;
    }
    if (source) {
        source->n_moves_out++;
    }
    if (target) {
        target->n_moves_in++;
        target->incoming_cpu += record->demand;
        /* libvirt counts the memory of a VM that is there already, though it does not run yet. */
        target->incoming_bytes += at_target ? 0 : record->memory_bytes;
    }
}

static void
apply_dirty_rates(const LbEngine *engine, const LbState *state, gint64 now_sec)
{
    for (guint h = 0; h < state->hosts->len; h++) {
        const LbHost *host = lb_state_host(state, h);

        for (guint v = 0; v < host->vms->len; v++) {
            LbVm *vm = lb_host_vm(host, v);
            const DirtyRate *rate = g_hash_table_lookup(engine->dirty_rates, vm->uuid);

            if (rate && !rate->is_asked &&
                ABS(now_sec - rate->time_sec) <= engine->options.dirty_rate_sec) {
                vm->has_dirty_rate = TRUE;
                vm->dirty_bytes_per_sec = rate->bytes_per_sec;
            }
        }
    }
}

static void
remember(LbEngine *engine, LbState *state, gint64 now_sec)
{
    GHashTableIter iter;
    gpointer record;

    lb_history_add(engine->history, state);
    lb_damping_apply(engine->damping, state, now_sec);
    apply_dirty_rates(engine, state, now_sec);
    for (guint i = 0; i < state->hosts->len; i++) {
        LbHost *host = lb_state_host(state, i);

        host->draining = engine->store->ops->is_draining(engine->store, host->uuid);
    }
    g_hash_table_iter_init(&iter, engine->moves);
    while (g_hash_table_iter_next(&iter, NULL, &record)) {
        apply_move(record, state);
    }
}

/* Moves */

static LbMoveRecord *
record_of(const LbEngine *engine, const LbCandidate *move, gint64 now_sec)
{
    const LbHost *source = lb_state_host(engine->state, move->source);
    const LbHost *target = lb_state_host(engine->state, move->target);
    const LbVm *vm = lb_host_vm(source, move->vm);
    LbCost cost =
        lb_cost_predict(vm->memory_bytes, vm->dirty_bytes_per_sec,
                        engine->options.policy.cost.bandwidth_bytes_per_sec, vm->max_downtime_msec);
    LbMoveRecord *record = g_new0(LbMoveRecord, 1);

    record->id = g_uuid_string_random();
    record->vm_uuid = g_strdup(vm->uuid);
    record->vm_name = g_strdup(vm->name);
    record->source_uuid = g_strdup(source->uuid);
    record->source_name = g_strdup(source->name);
    record->target_uuid = g_strdup(target->uuid);
    record->target_name = g_strdup(target->name);
    record->state = LB_RECORD_RUNNING;
    record->begin_sec = now_sec;
    record->demand = lb_vm_demand(vm);
    record->memory_bytes = vm->memory_bytes;
    record->predicted_bytes = cost.bytes;
    record->predicted_sec = cost.sec;
    return record;
}

/* Asks once. Returns: whether it is known, or need not be. */
static gboolean
knows_dirty_rate(LbEngine *engine, const LbCandidate *move)
{
    const LbHost *source = lb_state_host(engine->state, move->source);
    const LbVm *vm = lb_host_vm(source, move->vm);
    DirtyRate *rate = g_hash_table_lookup(engine->dirty_rates, vm->uuid);

    if (!engine->actor.measure || vm->has_dirty_rate || !vm->running) {
        return TRUE;
    }
    if (!rate) {
        rate = g_new0(DirtyRate, 1);
        g_hash_table_insert(engine->dirty_rates, g_strdup(vm->uuid), rate);
    }
    if (!rate->is_asked) {
        rate->is_asked = TRUE;
        engine->actor.measure(vm->uuid, source->uuid, engine->data);
    }
    return FALSE;
}

static void
begin(LbEngine *engine, const LbCandidate *move, gint64 now_sec)
{
    LbMoveRecord *record = record_of(engine, move, now_sec);
    g_autoptr(GError) error = NULL;

    if (!engine->store->ops->put_move(engine->store, record, &error)) {
        gantry_warn(_("the move of '%1$s' is not begun: %2$s"), record->vm_name, error->message);
        lb_move_record_free(record);
        return;
    }
    g_hash_table_insert(engine->moves, record->id, record);
    engine->actor.begin(record, engine->data);
}

void
lb_engine_pass(LbEngine *engine, LbState *state, gint64 now_sec)
{
    g_clear_pointer(&engine->plan, lb_plan_free);
    g_clear_pointer(&engine->state, lb_state_free);
    engine->state = state;
    remember(engine, state, now_sec);
    engine->plan = lb_plan_new(state, &engine->options.policy);
    for (guint i = 0; i < engine->plan->moves->len && engine->store->ops->is_leader(engine->store);
         i++) {
        const LbCandidate *move = &g_array_index(engine->plan->moves, LbCandidate, i);

        if (knows_dirty_rate(engine, move)) {
            begin(engine, move, now_sec);
        }
    }
}

static void
note_end(LbEngine *engine, const LbMoveRecord *record, gint64 now_sec)
{
    gboolean done = record->state == LB_RECORD_DONE;
    LbDampingEntry entry;
    g_autoptr(GError) error = NULL;

    if (done) {
        entry = lb_damping_moved(engine->damping, record->vm_uuid, now_sec);
    } else {
        entry = lb_damping_failed(engine->damping, record->vm_uuid, record->target_uuid, now_sec);
    }
    if (!engine->store->ops->put_rest(engine->store, &entry, &error)) {
        gantry_warn(_("that '%1$s' rests is not kept: %2$s"), record->vm_name, error->message);
    }
}

void
lb_engine_ended(LbEngine *engine, const LbMoveRecord *result, gint64 now_sec)
{
    LbMoveRecord *record = g_hash_table_lookup(engine->moves, result->id);
    g_autoptr(GError) error = NULL;

    if (!record) {
        return; /* somebody has forgotten it */
    }
    record->state = result->state;
    g_free(record->reason);
    record->reason = g_strdup(result->reason);
    record->end_sec = now_sec;
    record->sent_bytes = result->sent_bytes;
    record->total_sec = result->total_sec;
    record->downtime_msec = result->downtime_msec;
    note_end(engine, record, now_sec);
    if (!engine->store->ops->put_move(engine->store, record, &error)) {
        gantry_warn(_("the end of the move of '%1$s' is not kept: %2$s"), record->vm_name,
                    error->message);
    }
    if (record->state != LB_RECORD_UNCLEAR) {
        g_hash_table_remove(engine->moves, result->id);
    }
}

void
lb_engine_dirty_rate(LbEngine *engine, const char *vm_uuid, guint64 bytes_per_sec, gint64 now_sec)
{
    DirtyRate *rate = g_hash_table_lookup(engine->dirty_rates, vm_uuid);

    if (rate) {
        rate->is_asked = FALSE;
        rate->bytes_per_sec = bytes_per_sec;
        rate->time_sec = now_sec;
    }
}

gboolean
lb_engine_forget(LbEngine *engine, const char *vm_uuid, GError **error)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, engine->moves);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const LbMoveRecord *record = value;

        if (record->state == LB_RECORD_UNCLEAR && g_str_equal(record->vm_uuid, vm_uuid)) {
            if (!engine->store->ops->remove_move(engine->store, record->id, error)) {
                return FALSE;
            }
            g_hash_table_iter_remove(&iter);
            return TRUE;
        }
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("no move of domain '%s' is unclear"),
                vm_uuid);
    return FALSE;
}

/* For whoever looks */

const LbState *
lb_engine_state(const LbEngine *engine)
{
    return engine->state;
}

const LbPlan *
lb_engine_plan(const LbEngine *engine)
{
    return engine->plan;
}

GPtrArray *
lb_engine_moves(const LbEngine *engine)
{
    GPtrArray *moves = g_ptr_array_new();
    GHashTableIter iter;
    gpointer record;

    g_hash_table_iter_init(&iter, engine->moves);
    while (g_hash_table_iter_next(&iter, NULL, &record)) {
        g_ptr_array_add(moves, record);
    }
    return moves;
}
