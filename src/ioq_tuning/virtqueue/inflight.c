/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/virtqueue/inflight.h"

G_STATIC_ASSERT(sizeof(IoqInflightSplitEntry) == 16);
G_STATIC_ASSERT(sizeof(IoqInflightSplit) == 16);
G_STATIC_ASSERT(sizeof(IoqInflightPackedEntry) == 32);
/* The specification's members end at 29; C aligns the entries behind them to 8. */
G_STATIC_ASSERT(G_STRUCT_OFFSET(IoqInflightPacked, desc) == 32);
G_STATIC_ASSERT(G_STRUCT_OFFSET(IoqInflightPacked, used_idx) % 8 == 0);

gsize
ioq_inflight_queue_bytes(gboolean packed, guint queue_size)
{
    gsize bytes = packed ? sizeof(IoqInflightPacked) + queue_size * sizeof(IoqInflightPackedEntry)
                         : sizeof(IoqInflightSplit) + queue_size * sizeof(IoqInflightSplitEntry);

    return (bytes + IOQ_INFLIGHT_ALIGN - 1) / IOQ_INFLIGHT_ALIGN * IOQ_INFLIGHT_ALIGN;
}

int
ioq_replay_compare(gconstpointer a, gconstpointer b)
{
    const IoqReplay *x = a;
    const IoqReplay *y = b;

    return x->counter < y->counter ? -1 : x->counter > y->counter;
}
