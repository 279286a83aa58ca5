/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/store/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

struct IoqLoop {
    struct io_uring ring;
    gpointer guest;
    GDestroyNotify free_guest;
    IoqBounceBudget bounce_budget;
};

IoqLoop *
ioq_loop_new(guint entries, GError **error)
{
    /* The best that the kernel has: completions are worked off when we ask (6.1), or at least
     * without interrupting us (5.19). */
    static const guint flags[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                      IORING_SETUP_TASKRUN_FLAG,
                                  IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
    IoqLoop *loop = g_new0(IoqLoop, 1);
    int result = -EINVAL;

    for (guint i = 0; i < G_N_ELEMENTS(flags) && result == -EINVAL; i++) {
        struct io_uring_params params = {.flags = flags[i] | IORING_SETUP_CQSIZE,
                                         .cq_entries = entries * 4};

        result = io_uring_queue_init_params(entries, &loop->ring, &params);
    }
    if (result < 0) {
        gantry_set_error_errno(error, -result, _("Cannot set up io_uring"));
        g_free(loop);
        return NULL;
    }
    io_uring_ring_dontfork(&loop->ring);
    return loop;
}

void
ioq_loop_free(IoqLoop *loop)
{
    if (loop) {
        if (loop->free_guest) {
            loop->free_guest(loop->guest);
        }
        io_uring_queue_exit(&loop->ring);
        g_free(loop);
    }
}

struct io_uring_sqe *
ioq_loop_sqe(IoqLoop *loop)
{
    struct io_uring_sqe *sqe;

    while (!(sqe = io_uring_get_sqe(&loop->ring))) {
        /* Full: submitting makes room. Where the kernel has none for completions either, or no
         * memory just now, it has to work off what is there; we take them in our turn. */
        if (io_uring_submit(&loop->ring) < 0) {
            io_uring_get_events(&loop->ring);
        }
    }
    return sqe;
}

void
ioq_loop_set_event(struct io_uring_sqe *sqe, IoqEvent *event)
{
    io_uring_sqe_set_data(sqe, event);
}

guint
ioq_loop_run(IoqLoop *loop, gboolean wait)
{
    struct io_uring_cqe *cqe;
    guint head, n = 0;

    if (wait) {
        io_uring_submit_and_wait(&loop->ring, 1);
    } else if (io_uring_sq_ready(&loop->ring) > 0) {
        io_uring_submit_and_get_events(&loop->ring);
    } else if (!io_uring_cq_ready(&loop->ring) && ioq_loop_is_ready(loop)) {
        io_uring_get_events(&loop->ring);
    }
    io_uring_for_each_cqe(&loop->ring, head, cqe)
    {
        IoqEvent *event = io_uring_cqe_get_data(cqe);

        if (event) {
            event->done(event, cqe->res, cqe->flags);
        }
        n++;
    }
    io_uring_cq_advance(&loop->ring, n);
    return n;
}

gboolean
ioq_loop_is_ready(IoqLoop *loop)
{
    return io_uring_cq_ready(&loop->ring) > 0 ||
           (__atomic_load_n(loop->ring.sq.kflags, __ATOMIC_RELAXED) &
            (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void
ioq_loop_watch(IoqLoop *loop, int fd, IoqEvent *event)
{
    struct io_uring_sqe *sqe = ioq_loop_sqe(loop);

    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    ioq_loop_set_event(sqe, event);
}

void
ioq_loop_unwatch(IoqLoop *loop, IoqEvent *event)
{
    struct io_uring_sqe *sqe = ioq_loop_sqe(loop);

    io_uring_prep_poll_remove(sqe, (guint64)(gsize)event);
    ioq_loop_set_event(sqe, NULL);
}

void
ioq_loop_set_guest(IoqLoop *loop, gpointer guest, GDestroyNotify free)
{
    loop->guest = guest;
    loop->free_guest = free;
}

gpointer
ioq_loop_guest(IoqLoop *loop)
{
    return loop->guest;
}

IoqBounceBudget *
ioq_loop_bounce_budget(IoqLoop *loop)
{
    return &loop->bounce_budget;
}
