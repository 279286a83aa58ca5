/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/damping.h"

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

const LbDampingOptions lb_damping_defaults = {
    .rest_sec = 15 * MINUTE,
    .max_rest_sec = 6 * HOUR,
    .memory_sec = DAY,
    .quarantine_sec = HOUR,
    .max_quarantine_sec = DAY,
};

struct LbDamping {
    LbDampingOptions options;
    GHashTable *moves; /* VM's uuid -> LbDampingEntry */
    GHashTable *pairs; /* VM's uuid -> GPtrArray of LbDampingEntry */
};

static void
entry_free(gpointer data)
{
    LbDampingEntry *entry = data;

    g_free(entry->vm_uuid);
    g_free(entry->host_uuid);
    g_free(entry);
}

static LbDampingEntry *
entry_new(const char *vm_uuid, const char *host_uuid)
{
    LbDampingEntry *entry = g_new0(LbDampingEntry, 1);

    entry->vm_uuid = g_strdup(vm_uuid);
    entry->host_uuid = g_strdup(host_uuid);
    return entry;
}

static void
array_unref(gpointer data)
{
    g_ptr_array_unref(data);
}

LbDamping *
lb_damping_new(const LbDampingOptions *options)
{
    LbDamping *damping = g_new0(LbDamping, 1);

    damping->options = *options;
    damping->moves = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
    damping->pairs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, array_unref);
    return damping;
}

void
lb_damping_free(LbDamping *damping)
{
    g_hash_table_unref(damping->moves);
    g_hash_table_unref(damping->pairs);
    g_free(damping);
}

static LbDampingEntry *
entry_for(LbDamping *damping, const char *vm_uuid, const char *host_uuid)
{
    GPtrArray *pairs;
    LbDampingEntry *entry;

    if (!host_uuid) {
        entry = g_hash_table_lookup(damping->moves, vm_uuid);
        if (!entry) {
            entry = entry_new(vm_uuid, NULL);
            g_hash_table_insert(damping->moves, entry->vm_uuid, entry);
        }
        return entry;
    }
    pairs = g_hash_table_lookup(damping->pairs, vm_uuid);
    if (!pairs) {
        pairs = g_ptr_array_new_with_free_func(entry_free);
        g_hash_table_insert(damping->pairs, g_strdup(vm_uuid), pairs);
    }
    for (guint i = 0; i < pairs->len; i++) {
        entry = pairs->pdata[i];
        if (g_str_equal(entry->host_uuid, host_uuid)) {
            return entry;
        }
    }
    entry = entry_new(vm_uuid, host_uuid);
    g_ptr_array_add(pairs, entry);
    return entry;
}

static gint64
rest_of(const LbDamping *damping, const LbDampingEntry *entry)
{
    const LbDampingOptions *options = &damping->options;
    guint64 first = entry->host_uuid ? options->quarantine_sec : options->rest_sec;
    guint64 longest = entry->host_uuid ? options->max_quarantine_sec : options->max_rest_sec;

    return entry->n == 0 ? 0 : (gint64)MIN(first << MIN(entry->n - 1, 31U), longest);
}

/* A time that is still to come is a clock that has jumped: the rest begins now. */
static gint64
rest_left(const LbDamping *damping, LbDampingEntry *entry, gint64 now_sec)
{
    entry->time_sec = MIN(entry->time_sec, now_sec);
    return MAX(entry->time_sec + rest_of(damping, entry) - now_sec, 0);
}

static gboolean
is_forgotten(const LbDamping *damping, LbDampingEntry *entry, gint64 now_sec)
{
    gint64 memory = MAX(rest_of(damping, entry), (gint64)damping->options.memory_sec);

    return rest_left(damping, entry, now_sec) == 0 && now_sec - entry->time_sec >= memory;
}

static LbDampingEntry
note(LbDamping *damping, const char *vm_uuid, const char *host_uuid, gint64 now_sec)
{
    LbDampingEntry *entry = entry_for(damping, vm_uuid, host_uuid);

    if (is_forgotten(damping, entry, now_sec)) {
        entry->n = 0;
    }
    entry->n++;
    entry->time_sec = now_sec;
    return *entry;
}

LbDampingEntry
lb_damping_moved(LbDamping *damping, const char *vm_uuid, gint64 now_sec)
{
    return note(damping, vm_uuid, NULL, now_sec);
}

LbDampingEntry
lb_damping_failed(LbDamping *damping, const char *vm_uuid, const char *host_uuid, gint64 now_sec)
{
    return note(damping, vm_uuid, host_uuid, now_sec);
}

typedef struct {
    const LbDamping *damping;
    gint64 now_sec;
} Forget;

static gboolean
forget_moves(gpointer key, gpointer value, gpointer data)
{
    const Forget *forget = data;

    return is_forgotten(forget->damping, value, forget->now_sec);
}

static gboolean
forget_pairs(gpointer key, gpointer value, gpointer data)
{
    const Forget *forget = data;
    GPtrArray *pairs = value;

    for (guint i = pairs->len; i > 0; i--) {
        if (is_forgotten(forget->damping, pairs->pdata[i - 1], forget->now_sec)) {
            g_ptr_array_remove_index_fast(pairs, i - 1);
        }
    }
    return pairs->len == 0;
}

static void
apply_to_vm(const LbDamping *damping, LbVm *vm, gint64 now_sec)
{
    LbDampingEntry *moves = g_hash_table_lookup(damping->moves, vm->uuid);
    GPtrArray *pairs = g_hash_table_lookup(damping->pairs, vm->uuid);
    g_autoptr(GStrvBuilder) hosts = g_strv_builder_new();

    vm->cooldown_sec = moves ? (guint64)rest_left(damping, moves, now_sec) : 0;
    for (guint i = 0; pairs && i < pairs->len; i++) {
        LbDampingEntry *entry = pairs->pdata[i];

        if (rest_left(damping, entry, now_sec) > 0) {
            g_strv_builder_add(hosts, entry->host_uuid);
        }
    }
    g_strfreev(vm->quarantine);
    vm->quarantine = pairs ? g_strv_builder_end(hosts) : NULL;
}

void
lb_damping_apply(LbDamping *damping, LbState *state, gint64 now_sec)
{
    Forget forget = {.damping = damping, .now_sec = now_sec};

    g_hash_table_foreach_remove(damping->moves, forget_moves, &forget);
    g_hash_table_foreach_remove(damping->pairs, forget_pairs, &forget);
    for (guint h = 0; h < state->hosts->len; h++) {
        const LbHost *host = lb_state_host(state, h);

        for (guint v = 0; v < host->vms->len; v++) {
            apply_to_vm(damping, lb_host_vm(host, v), now_sec);
        }
    }
}

void
lb_damping_foreach(const LbDamping *damping, LbDampingFunc func, gpointer data)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, damping->moves);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        func(value, data);
    }
    g_hash_table_iter_init(&iter, damping->pairs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const GPtrArray *pairs = value;

        for (guint i = 0; i < pairs->len; i++) {
            func(pairs->pdata[i], data);
        }
    }
}

void
lb_damping_restore(LbDamping *damping, const LbDampingEntry *entry)
{
    LbDampingEntry *mine = entry_for(damping, entry->vm_uuid, entry->host_uuid);

    mine->n = entry->n;
    mine->time_sec = entry->time_sec;
}
