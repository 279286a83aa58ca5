/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/store/store.h"

LbMoveRecord *
lb_move_record_copy(const LbMoveRecord *record)
{
    LbMoveRecord *copy = g_memdup2(record, sizeof(*record));

    copy->id = g_strdup(record->id);
    copy->vm_uuid = g_strdup(record->vm_uuid);
    copy->vm_name = g_strdup(record->vm_name);
    copy->source_uuid = g_strdup(record->source_uuid);
    copy->source_name = g_strdup(record->source_name);
    copy->target_uuid = g_strdup(record->target_uuid);
    copy->target_name = g_strdup(record->target_name);
    copy->reason = g_strdup(record->reason);
    return copy;
}

void
lb_move_record_free(gpointer data)
{
    LbMoveRecord *record = data;

    g_free(record->id);
    g_free(record->vm_uuid);
    g_free(record->vm_name);
    g_free(record->source_uuid);
    g_free(record->source_name);
    g_free(record->target_uuid);
    g_free(record->target_name);
    g_free(record->reason);
    g_free(record);
}

void
lb_store_free(LbStore *store)
{
    if (store) {
        store->ops->free(store);
    }
}
