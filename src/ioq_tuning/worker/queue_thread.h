/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/blk/blk.h"

/**
 * IoqThread: serves some of one disk's queues (US20200097314A1: the queues bound to one processing
 * thread). What is done to a queue from outside is done by its own thread, between two rounds:
 * ioq_thread_call() hands it a function and waits. So functions marked (in thread) take no lock.
 */
typedef struct IoqThread IoqThread;
typedef struct IoqServedQueue IoqServedQueue;

typedef struct {
    const char *name;      /* at most 15 bytes are shown by the kernel */
    const char *disk;      /* for logs; borrowed */
    IoqBlk *blk;           /* borrowed */
    const cpu_set_t *cpus; /* NULL: where the process may run */
    guint poll_max_usec;   /* longest busy wait for the next request; 0: never */
} IoqThreadOptions;

IoqThread *ioq_thread_new(const IoqThreadOptions *options, GError **error);
void ioq_thread_free(IoqThread *thread); /* it must have no queue */

/* Runs @function in the thread and returns after it. Not from a queue thread. */
void ioq_thread_call(IoqThread *thread, void (*function)(IoqThread *, gpointer), gpointer data);

pid_t ioq_thread_tid(const IoqThread *thread);

/* Events of a queue, called in its thread. */
typedef struct {
    void (*drained)(IoqServedQueue *queue, gpointer data); /* nothing is in flight any more */
    /* The driver broke the rules, or the memory went away; the queue stands still. */
    void (*broken)(IoqServedQueue *queue, const GError *why, gpointer data);
    gpointer data;
} IoqQueueWatcher;

/**
 * ioq_served_queue_new: (in thread)
 * @ring: (transfer full)
 * @kick_fd, @call_fd, @err_fd: owned by the queue from now on; -1: none. Without a kick the ring is
 * polled.
 *
 * The queue is served from now on if @enabled.
 */
IoqServedQueue *ioq_served_queue_new(IoqThread *thread, guint index, IoqQueue *ring, int kick_fd,
                                     int call_fd, int err_fd, gboolean enabled,
                                     const IoqQueueWatcher *watcher);

/* (in thread) Nothing may be in flight. Returns: (transfer full): the ring. */
IoqQueue *ioq_served_queue_free(IoqServedQueue *queue);

/* (in thread) Whether nothing of it is in the store. */
gboolean ioq_served_queue_is_quiet(const IoqServedQueue *queue);

/* (in thread) What ends from now on is not told to the driver any more. */
void ioq_served_queue_mute(IoqServedQueue *queue);

/* (in thread) Another table of guest memory; requests in the store keep the old one. */
gboolean ioq_served_queue_set_memory(IoqServedQueue *queue, IoqMemory *memory, GError **error);

/* (in thread) Fetches nothing more, except, with @replays, what was in flight when the back end
 * before us died; says when the last request has ended. */
void ioq_served_queue_drain(IoqServedQueue *queue, gboolean replays);

/* (in thread) */
void ioq_served_queue_enable(IoqServedQueue *queue, gboolean enabled);
void ioq_served_queue_set_call(IoqServedQueue *queue, int call_fd);
void ioq_served_queue_set_err(IoqServedQueue *queue, int err_fd);
IoqQueue *ioq_served_queue_ring(IoqServedQueue *queue);

guint ioq_served_queue_index(const IoqServedQueue *queue);
IoqThread *ioq_served_queue_thread(const IoqServedQueue *queue);

/* What a queue has done so far; latencies are counted in buckets of powers of two of a microsecond:
 * bucket i holds those below 2^i. */
#define IOQ_LATENCY_BUCKETS 24

typedef struct {
    guint64 requests;
    guint64 kicks;
    guint64 notifications;
    guint64 errors;    /* requests that the store could not do */
    guint64 polls_won; /* busy waits that ended with a request */
    guint64 polls_lost;
    guint in_flight;
    guint64 latency[IOQ_LATENCY_BUCKETS];
} IoqQueueStats;

void ioq_served_queue_stats(IoqServedQueue *queue, IoqQueueStats *ret_stats); /* (in thread) */
