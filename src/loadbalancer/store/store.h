/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/model/damping.h"

/**
 * What must outlive a balancer: moves, rests after them, hosts that are drained. A store says who
 * leads, and takes no beginning of anything from somebody who does not: what a caller could not
 * write has not happened, and must not be done.
 */
typedef enum {
    LB_RECORD_RUNNING,   /* begun, or about to be: it may be under way */
    LB_RECORD_DONE,      /* the VM runs at the target, and only there */
    LB_RECORD_STAYED,    /* it runs at the source */
    LB_RECORD_CANCELLED, /* the same, by the time limit or an operator */
    LB_RECORD_UNCLEAR,   /* somebody must look */
} LbRecordState;

typedef struct {
    char *id; /* a uuid of its own */
    char *vm_uuid;
    char *vm_name;
    char *source_uuid;
    char *source_name;
    char *target_uuid;
    char *target_name;
    LbRecordState state;
    char *reason; /* why it did not succeed; NULL: it did, or is not over */
    gint64 begin_sec;
    gint64 end_sec; /* 0: not over */

    /* What was reckoned with, and what came of it. */
    double demand; /* CPUs that it was to use at the target */
    guint64 memory_bytes;
    guint64 predicted_bytes;
    double predicted_sec;
    guint64 sent_bytes;
    double total_sec;
    double downtime_msec;
} LbMoveRecord;

LbMoveRecord *lb_move_record_copy(const LbMoveRecord *record);
void lb_move_record_free(gpointer record);

typedef struct LbStore LbStore;

typedef struct {
    gboolean (*is_leader)(LbStore *store);
    /* FALSE: not written. A record that is there already is replaced. */
    gboolean (*put_move)(LbStore *store, const LbMoveRecord *record, GError **error);
    gboolean (*remove_move)(LbStore *store, const char *id, GError **error);
    gboolean (*put_rest)(LbStore *store, const LbDampingEntry *entry, GError **error);
    gboolean (*set_draining)(LbStore *store, const char *host_uuid, gboolean draining,
                             GError **error);
    /* (transfer full) (element-type LbMoveRecord): those that are running or unclear. */
    GPtrArray *(*list_moves)(LbStore *store);
    void (*foreach_rest)(LbStore *store, LbDampingFunc func, gpointer data);
    gboolean (*is_draining)(LbStore *store, const char *host_uuid);
    void (*free)(LbStore *store);
} LbStoreOps;

struct LbStore {
    const LbStoreOps *ops;
};

void lb_store_free(LbStore *store); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbStore, lb_store_free)

/* In this process alone, which always leads: for one pass, and for tests. */
LbStore *lb_store_memory_new(void);
