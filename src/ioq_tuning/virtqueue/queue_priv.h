/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/virtqueue/inflight.h"
#include "ioq_tuning/virtqueue/queue.h"

/* What the two kinds of rings do differently. */
typedef struct {
    gboolean (*map)(IoqQueue *queue, const IoqMemory *memory, GError **error); /* all or nothing */
    gboolean (*recover)(IoqQueue *queue, GError **error); /* from the region or the base */
    IoqFetch (*fetch)(IoqQueue *queue, IoqChain *chain, GError **error);
    gboolean (*replay)(IoqQueue *queue, guint entry, IoqChain *chain, GError **error);
    void (*push)(IoqQueue *queue, const IoqChain *chain, guint32 written);
    gboolean (*publish)(IoqQueue *queue);
    gboolean (*is_empty)(IoqQueue *queue);
    void (*ask_for_kicks)(IoqQueue *queue, gboolean on);
    guint32 (*base)(const IoqQueue *queue);
} IoqRingOps;

extern const IoqRingOps ioq_split_ops;
extern const IoqRingOps ioq_packed_ops;

typedef struct {
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    guint16 next_avail;
    guint16 next_used; /* with what is pushed */
    guint16 published; /* used index that the driver sees */
    guint16 signalled; /* used index at the last notification */
    gboolean ever_signalled;
    IoqInflightSplit *region;
    guint16 batch_head; /* private copy */
    guint16 *batch;     /* heads pushed since the last publish */
    guint n_batch;
} IoqSplit;

typedef struct {
    struct vring_packed_desc *desc;
    struct vring_packed_desc_event *driver_event;
    struct vring_packed_desc_event *device_event;
    guint16 next_avail;
    guint16 next_used;
    gboolean avail_wrap;
    gboolean used_wrap;
    guint16 signalled; /* next_used at the last notification */
    gboolean ever_signalled;
    gboolean pushed;     /* something since the last publish */
    guint n_outstanding; /* descriptors that are ours */
    IoqInflightPacked *region;
    guint16 free_head;
    guint16 *next_free; /* private copies of the free list, and of each chain's last entry */
    guint16 *last_entry;
} IoqPacked;

struct IoqQueue {
    IoqQueueConfig config;
    const IoqRingOps *ops;
    IoqMemory *memory;
    IoqLog *log;
    union {
        IoqSplit split;
        IoqPacked packed;
    } ring;
    guint n_in_flight;
    guint64 counter;   /* for the region */
    IoqReplay *replay; /* what is to be fetched again */
    guint n_replay;
    guint next_replay;
};

/* Appends a descriptor's range to a chain. FALSE with GANTRY_ERROR_INVALID. */
gboolean ioq_chain_add(IoqQueue *queue, IoqChain *chain, guint64 address, guint32 length,
                       gboolean is_in, GError **error);
void ioq_chain_begin(IoqChain *chain);

/* Logs what the device wrote to the ring. */
void ioq_queue_log_ring(IoqQueue *queue, gconstpointer start, gsize length);
