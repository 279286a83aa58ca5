/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <liburing.h>

/**
 * IoqLoop: one io_uring, and all that a queue thread waits for is in it: storage, kicks, timers.
 * Belongs to one thread, which must also make it.
 */
typedef struct IoqLoop IoqLoop;

/* Whoever waits embeds one, and gets its completions; it must stay until the last has come. */
typedef struct IoqEvent IoqEvent;
struct IoqEvent {
    void (*done)(IoqEvent *event, int result, guint cqe_flags);
};

IoqLoop *ioq_loop_new(guint entries, GError **error);
void ioq_loop_free(IoqLoop *loop);

/* An entry to be filled by an io_uring_prep_*(); never NULL. @event is set by this, so not by
 * io_uring_sqe_set_data(): call it after the prep. */
struct io_uring_sqe *ioq_loop_sqe(IoqLoop *loop);
void ioq_loop_set_event(struct io_uring_sqe *sqe, IoqEvent *event); /* NULL: nobody wants to know */

/* Submits what was prepared, and calls back what has completed. @wait: until something has, if
 * nothing is there yet. Returns: number of completions. */
guint ioq_loop_run(IoqLoop *loop, gboolean wait);

/* Whether ioq_loop_run() would find a completion; makes no system call. */
gboolean ioq_loop_is_ready(IoqLoop *loop);

/* A multishot poll of @fd: @event comes at each POLLIN until it fails or is cancelled. */
void ioq_loop_watch(IoqLoop *loop, int fd, IoqEvent *event);
void ioq_loop_unwatch(IoqLoop *loop, IoqEvent *event); /* a last completion comes: -ECANCELED */

/* What a store keeps for this loop, as a connection that its thread has for itself. One a loop;
 * @free is called with it before the loop ends. */
void ioq_loop_set_guest(IoqLoop *loop, gpointer guest, GDestroyNotify free);
gpointer ioq_loop_guest(IoqLoop *loop); /* NULL: none yet */

/* Of the stores that this loop works for: see bounce.h. */
typedef struct {
    gsize used;
    struct IoqIo *first; /* who waits */
    struct IoqIo *last;
} IoqBounceBudget;
IoqBounceBudget *ioq_loop_bounce_budget(IoqLoop *loop);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoqLoop, ioq_loop_free)
