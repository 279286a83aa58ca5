/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/store/store.h"
#include "ioq_tuning/virtqueue/queue.h"

/**
 * virtio-blk (virtio 1.2, section 5.2): what a chain asks for, done on a store.
 */

#define IOQ_BLK_ID_BYTES 20

/* A disk, for all of its queues. */
typedef struct {
    IoqStore *store;
    char id[IOQ_BLK_ID_BYTES]; /* of GET_ID: zero-padded, not always ended */
    guint16 n_queues;
    guint16 queue_size; /* the largest that is offered: gives seg_max */
    gint write_back;    /* atomic: a write need not be on the medium before FLUSH, as the driver
                         * has accepted that there is a FLUSH */
} IoqBlk;

#define IOQ_BLK_MAX_UNMAP_SECTORS ((1U << 30) / 512) /* of one discard or write-zeroes */

/* Device feature bits of virtio-blk that this disk offers. */
guint64 ioq_blk_features(const IoqBlk *blk);

/* The configuration space. @length bytes from @offset; FALSE where it has no such bytes. */
gboolean ioq_blk_config_read(const IoqBlk *blk, guint32 offset, guint32 length, guint8 *bytes);

/* One request, from fetch to done. */
typedef struct IoqRequest IoqRequest;
struct IoqRequest {
    IoqChain chain;
    IoqIo io;
    guint8 *status;    /* in guest memory */
    int error;         /* of the store: errno; 0: none */
    guint32 written;   /* bytes that will have been written to the guest, status included */
    gint64 begin_nsec; /* the thread's */
    gpointer queue;    /* the thread's */
    guint generation;  /* the thread's: of guest memory */
    IoqRequest *next;  /* the thread's */
    void (*done)(IoqRequest *request);
};

/**
 * ioq_blk_start:
 * @request: with the chain that was fetched
 * @done: called once, maybe before this returns; the status byte is set by then
 *
 * Returns: FALSE where the chain is no virtio-blk request at all (no header or no status byte):
 * @done is not called, and the queue should stop. Requests that are merely wrong get a status.
 */
gboolean ioq_blk_start(IoqBlk *blk, IoqLoop *loop, IoqRequest *request,
                       void (*done)(IoqRequest *request), GError **error);
