/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/store/store.h"

typedef struct {
    LbStore base;
    GHashTable *moves; /* id -> LbMoveRecord */
    LbDamping *rests;
    GHashTable *drained; /* uuids of hosts */
} MemoryStore;

static gboolean
memory_is_leader(LbStore *store)
{
    return TRUE;
}

static gboolean
memory_put_move(LbStore *store, const LbMoveRecord *record, GError **error)
{
    LbMoveRecord *copy = lb_move_record_copy(record);

    g_hash_table_replace(((MemoryStore *)store)->moves, copy->id, copy);
    return TRUE;
}

static gboolean
memory_remove_move(LbStore *store, const char *id, GError **error)
{
    g_hash_table_remove(((MemoryStore *)store)->moves, id);
    return TRUE;
}

static gboolean
memory_put_rest(LbStore *store, const LbDampingEntry *entry, GError **error)
{
    lb_damping_restore(((MemoryStore *)store)->rests, entry);
    return TRUE;
}

static gboolean
memory_set_draining(LbStore *store, const char *host_uuid, gboolean draining, GError **error)
{
    MemoryStore *memory = (MemoryStore *)store;

    if (draining) {
        g_hash_table_add(memory->drained, g_strdup(host_uuid));
    } else {
        g_hash_table_remove(memory->drained, host_uuid);
    }
    return TRUE;
}

static GPtrArray *
memory_list_moves(LbStore *store)
{
    GPtrArray *moves = g_ptr_array_new_with_free_func(lb_move_record_free);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, ((MemoryStore *)store)->moves);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const LbMoveRecord *record = value;

        if (record->state == LB_RECORD_RUNNING || record->state == LB_RECORD_UNCLEAR) {
            g_ptr_array_add(moves, lb_move_record_copy(record));
        }
    }
    return moves;
}

static void
memory_foreach_rest(LbStore *store, LbDampingFunc func, gpointer data)
{
    lb_damping_foreach(((MemoryStore *)store)->rests, func, data);
}

static gboolean
memory_is_draining(LbStore *store, const char *host_uuid)
{
    return g_hash_table_contains(((MemoryStore *)store)->drained, host_uuid);
}

static void
memory_free(LbStore *store)
{
    MemoryStore *memory = (MemoryStore *)store;

    g_hash_table_unref(memory->moves);
    g_hash_table_unref(memory->drained);
    lb_damping_free(memory->rests);
    g_free(memory);
}

static const LbStoreOps memory_ops = {
    .is_leader = memory_is_leader,
    .put_move = memory_put_move,
    .remove_move = memory_remove_move,
    .put_rest = memory_put_rest,
    .set_draining = memory_set_draining,
    .list_moves = memory_list_moves,
    .foreach_rest = memory_foreach_rest,
    .is_draining = memory_is_draining,
    .free = memory_free,
};

LbStore *
lb_store_memory_new(void)
{
    MemoryStore *memory = g_new0(MemoryStore, 1);

    memory->base.ops = &memory_ops;
    memory->moves = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lb_move_record_free);
    memory->rests = lb_damping_new(&lb_damping_defaults);
    memory->drained = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return &memory->base;
}
