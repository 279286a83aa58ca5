/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <time.h>

#include "ioq_tuning/worker/queue_thread.h"

/* A former table of guest memory, while requests point into it. */
typedef struct {
    IoqMemory *memory;
    guint generation;
    guint n_requests;
} OldMemory;

struct IoqServedQueue {
    IoqThread *thread;
    guint index;
    IoqQueue *ring;
    int kick_fd;
    int call_fd;
    int err_fd;
    gboolean enabled;
    gboolean draining; /* for good */
    gboolean replays;  /* before the drain is over */
    gboolean drained;  /* and said so */
    gboolean broken;
    gboolean mute;
    guint generation; /* of guest memory */
    GArray *old;      /* of OldMemory */
    gboolean watched; /* its kick is being polled */
    gboolean dying;   /* freed when the last completion of the poll has come */
    IoqEvent kick;
    IoqQueueWatcher watcher;
    IoqRequest *requests; /* one for each entry of the ring */
    IoqRequest *idle;
    IoqRequest *ended; /* since the last publish, newest first */
    IoqQueueStats stats;
};

struct IoqThread {
    IoqThreadOptions options;
    cpu_set_t cpus;
    GThread *thread;
    pid_t tid;
    IoqLoop *loop;
    GPtrArray *queues; /* of IoqServedQueue; borrowed */
    GPtrArray *dying;  /* of IoqServedQueue */
    int wake_fd;
    IoqEvent wake;
    IoqEvent timer; /* for rings without a kick */
    gboolean timer_runs;

    GMutex lock;
    GCond answered;
    void (*function)(IoqThread *, gpointer); /* by lock: what is asked */
    gpointer data;
    gint is_asked; /* atomic: function is set */
    gboolean quit;
    GError *start_error;
    gboolean started;

    guint64 poll_nsec; /* of the next busy wait */
    guint sleeps_without_poll;
    glong preempted; /* involuntary context switches seen so far */
};

static inline gint64
ioq_now_nsec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * G_GINT64_CONSTANT(1000000000) + t.tv_nsec;
}

/* served_queue.c, in the queue's thread, once a round each. Returns: whether there was anything. */
gboolean served_queue_fetch(IoqServedQueue *queue);
gboolean served_queue_publish(IoqServedQueue *queue);

gboolean served_queue_is_served(const IoqServedQueue *queue);
