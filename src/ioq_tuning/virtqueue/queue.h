/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "ioq_tuning/vhost_user/log.h"
#include "ioq_tuning/vhost_user/memory.h"

/**
 * IoqQueue: the device's side of one virtqueue, split or packed (virtio 1.2, sections 2.7 and 2.8),
 * with in-flight tracking. No locks: after ioq_queue_start() it belongs to one thread.
 *
 * The order of use in each round is: fetch until there is nothing; later push each chain that has
 * ended and publish once. Between a push and its publish nothing may be fetched.
 */
typedef struct IoqQueue IoqQueue;

#define IOQ_QUEUE_MAX_SIZE 1024
/* Pieces of a chain: descriptors, and one more for each that spans two memory regions. */
#define IOQ_CHAIN_MAX_IOV 258
#define IOQ_CHAIN_FEW_IOV 6

/* One buffer of the ring, while it is ours. */
typedef struct {
    guint16 id;                          /* split: its head; packed: its buffer id */
    guint16 n_descriptors;               /* slots of the ring that it takes; split: not used */
    guint16 entry;                       /* packed: the head's entry in the in-flight region */
    guint16 n_out;                       /* pieces that we read, from iov[0] */
    guint16 n_in;                        /* pieces that we write, from iov[n_out] */
    struct iovec *iov;                   /* few, or allocated */
    struct iovec few[IOQ_CHAIN_FEW_IOV]; /* small requests stay small in memory */
} IoqChain;

/* After the chain has ended, or its fetch has failed. An all-zero chain is fine. */
void ioq_chain_clear(IoqChain *chain);

typedef struct {
    guint16 size;
    gboolean packed;
    gboolean event_idx;
    gboolean indirect;
    VuVringAddr address;
    guint32 base;           /* as of SET_VRING_BASE */
    gpointer inflight;      /* this queue's part of the region; NULL: not tracked */
    guint inflight_entries; /* that it has room for */
} IoqQueueConfig;

typedef enum {
    IOQ_FETCH_NOTHING,
    IOQ_FETCH_CHAIN,
    IOQ_FETCH_BROKEN, /* the driver broke the rules: stop this queue */
} IoqFetch;

/**
 * ioq_queue_start:
 * @memory: (transfer none): where the rings are; counted
 *
 * Takes the ring up at config->base, or, where a region tells more, where the back end before us
 * left it: what was in flight will be fetched again first, in its old order.
 *
 * Returns: (transfer full): NULL with GANTRY_ERROR_INVALID: size, a ring that is not in memory, a
 * region that contradicts the ring.
 */
IoqQueue *ioq_queue_start(const IoqQueueConfig *config, IoqMemory *memory, GError **error);
void ioq_queue_free(IoqQueue *queue);

/* Another table of the guest's memory, between two rounds; chains that are out keep theirs alive by
 * their own reference. FALSE: the ring is not in it, and the queue is left as it was. */
gboolean ioq_queue_set_memory(IoqQueue *queue, IoqMemory *memory, GError **error);
IoqMemory *ioq_queue_memory(IoqQueue *queue); /* (transfer none) */

void ioq_queue_set_log(IoqQueue *queue, IoqLog *log); /* NULL: nothing is logged; counted */

IoqFetch ioq_queue_fetch(IoqQueue *queue, IoqChain *chain, GError **error);

/* Logs pieces of @memory, the table that their chain was fetched with, that were written for the
 * guest; does nothing while nothing is logged. */
void ioq_queue_log_written(IoqQueue *queue, const IoqMemory *memory, const struct iovec *iov,
                           guint n_iov);

/* A chain that ended, with @written bytes from the start of its iov[n_out]. */
void ioq_queue_push(IoqQueue *queue, const IoqChain *chain, guint32 written);

/* Makes what was pushed visible. Returns: whether the driver wants a notification. */
gboolean ioq_queue_publish(IoqQueue *queue);

/* Asks for kicks. Returns: TRUE where there is nothing to fetch, so that one may sleep; else kicks
 * are off again. */
gboolean ioq_queue_sleep(IoqQueue *queue);
void ioq_queue_wake(IoqQueue *queue); /* no kicks from now on */

/* Whether there is something to fetch. */
gboolean ioq_queue_is_ready(IoqQueue *queue);

/* A chain that was fetched and will never be pushed, since the queue is given up; it stays marked
 * in the region. */
void ioq_queue_abandon(IoqQueue *queue, IoqChain *chain);

guint ioq_queue_size(const IoqQueue *queue);
guint ioq_queue_n_in_flight(const IoqQueue *queue); /* fetched and not pushed */
guint ioq_queue_n_replay(const IoqQueue *queue);    /* still to be fetched again */

/* For GET_VRING_BASE. */
guint32 ioq_queue_base(const IoqQueue *queue);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoqQueue, ioq_queue_free)
