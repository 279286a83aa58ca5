/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. A round: do what was asked by ioq_thread_call(); fetch from each queue and
 * start what was fetched; submit all of it at once and take completions; then, queue by queue,
 * push what has ended and publish it once, with at most one notification. Pushing waits for the end
 * of the round since nothing may be fetched between a push and its publish (queue.h).
 *
 * A round without progress ends in idle(): the thread looks on for a while without a system call if
 * that has lately paid off, and then sleeps in io_uring, where kicks, storage and calls wake it.
 */
#include "ioq_tuning/worker/queue_thread_priv.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"

#define RING_ENTRIES     256
#define POLL_MIN_NSEC    2000
#define KICKLESS_NSEC    200000 /* how long a ring without a kick is left alone */
#define CONTENDED_ROUNDS 1024   /* sleeps without a busy wait after another thread wanted our CPU */

static gboolean
serve_once(IoqThread *thread)
{
    gboolean progress = FALSE;

    for (guint i = 0; i < thread->queues->len; i++) {
        progress |= served_queue_fetch(thread->queues->pdata[i]);
    }
    progress |= ioq_loop_run(thread->loop, FALSE) > 0;
    for (guint i = 0; i < thread->queues->len; i++) {
        progress |= served_queue_publish(thread->queues->pdata[i]);
    }
    return progress;
}

static gboolean
is_anything_available(IoqThread *thread)
{
    for (guint i = 0; i < thread->queues->len; i++) {
        IoqServedQueue *queue = thread->queues->pdata[i];

        if (served_queue_is_served(queue) && ioq_queue_is_ready(queue->ring)) {
            return TRUE;
        }
    }
    return ioq_loop_is_ready(thread->loop) || g_atomic_int_get(&thread->is_asked);
}

/* Somebody else wanted this CPU since the last look: what we burn is his. */
static gboolean
is_contended(IoqThread *thread)
{
    struct rusage usage;
    gboolean contended;

    if (thread->sleeps_without_poll > 0) {
        thread->sleeps_without_poll--;
        return TRUE;
    }
    getrusage(RUSAGE_THREAD, &usage);
    contended = usage.ru_nivcsw != thread->preempted;
    thread->preempted = usage.ru_nivcsw;
    if (contended) {
        thread->sleeps_without_poll = CONTENDED_ROUNDS;
    }
    return contended;
}

static gboolean
busy_wait(IoqThread *thread)
{
    gint64 deadline = ioq_now_nsec() + (gint64)thread->poll_nsec;
    guint64 limit = (guint64)thread->options.poll_max_usec * 1000;

    do {
        for (guint i = 0; i < 16; i++) {
            if (is_anything_available(thread)) {
                thread->poll_nsec = MIN(thread->poll_nsec * 2, limit);
                return TRUE;
            }
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#endif
        }
    } while (ioq_now_nsec() < deadline);
    thread->poll_nsec /= 2;
    if (thread->poll_nsec < POLL_MIN_NSEC) {
        thread->poll_nsec = 0;
    }
    return FALSE;
}

static void
on_timer(IoqEvent *event, int result, guint cqe_flags)
{
    IoqThread *thread = (IoqThread *)(gpointer)((char *)event - G_STRUCT_OFFSET(IoqThread, timer));

    thread->timer_runs = FALSE;
}

/* A ring without a kick is looked at now and then. */
static void
start_timer(IoqThread *thread)
{
    static const struct __kernel_timespec interval = {0, KICKLESS_NSEC};
    gboolean wanted = FALSE;

    for (guint i = 0; i < thread->queues->len; i++) {
        const IoqServedQueue *queue = thread->queues->pdata[i];

        wanted |= queue->kick_fd < 0 && served_queue_is_served(queue);
    }
    if (wanted && !thread->timer_runs) {
        struct io_uring_sqe *sqe = ioq_loop_sqe(thread->loop);

        io_uring_prep_timeout(sqe, (struct __kernel_timespec *)&interval, 0, 0);
        ioq_loop_set_event(sqe, &thread->timer);
        thread->timer_runs = TRUE;
    }
}

/* Sleeps until something comes, unless something has. */
static void
sleep_once(IoqThread *thread)
{
    guint64 limit = (guint64)thread->options.poll_max_usec * 1000;
    gboolean may_sleep = TRUE;
    gint64 before;
    guint asked;

    for (asked = 0; asked < thread->queues->len && may_sleep; asked++) {
        IoqServedQueue *queue = thread->queues->pdata[asked];

        may_sleep = !served_queue_is_served(queue) || ioq_queue_sleep(queue->ring);
    }
    if (may_sleep && !g_atomic_int_get(&thread->is_asked)) {
        before = ioq_now_nsec();
        start_timer(thread);
        ioq_loop_run(thread->loop, TRUE);
        /* What came so soon would have been worth waiting for. */
        if (thread->poll_nsec == 0 && limit > 0 && (guint64)(ioq_now_nsec() - before) < limit) {
            thread->poll_nsec = MIN(POLL_MIN_NSEC, limit);
        }
    }
    for (guint i = 0; i < asked; i++) {
        IoqServedQueue *queue = thread->queues->pdata[i];

        if (served_queue_is_served(queue)) {
            ioq_queue_wake(queue->ring);
        }
    }
}

/* The guest is worth waiting for, storage is not: the CPU that is burnt may be what the kernel's
 * own workers need to do the request. */
static gboolean
waits_for_storage(IoqThread *thread)
{
    for (guint i = 0; i < thread->queues->len; i++) {
        const IoqServedQueue *queue = thread->queues->pdata[i];

        if (ioq_queue_n_in_flight(queue->ring) > 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static void
idle(IoqThread *thread)
{
    if (thread->poll_nsec > 0 && !waits_for_storage(thread) && !is_contended(thread) &&
        busy_wait(thread)) {
        return;
    }
    sleep_once(thread);
}

static void
answer(IoqThread *thread)
{
    g_mutex_lock(&thread->lock);
    if (thread->function) {
        thread->function(thread, thread->data);
        thread->function = NULL;
        g_atomic_int_set(&thread->is_asked, FALSE);
        g_cond_broadcast(&thread->answered);
    }
    g_mutex_unlock(&thread->lock);
}

static void
on_wake(IoqEvent *event, int result, guint cqe_flags)
{
    IoqThread *thread = (IoqThread *)(gpointer)((char *)event - G_STRUCT_OFFSET(IoqThread, wake));
    eventfd_t value;

    eventfd_read(thread->wake_fd, &value);
    if (!(cqe_flags & IORING_CQE_F_MORE)) {
        ioq_loop_watch(thread->loop, thread->wake_fd, event);
    }
}

static gboolean
set_up(IoqThread *thread, GError **error)
{
    thread->tid = (pid_t)syscall(SYS_gettid);
    if (thread->options.cpus &&
        sched_setaffinity(0, sizeof(thread->cpus), thread->options.cpus) < 0) {
        /* Such CPUs were there when the disk was set up. Served elsewhere is better than not. */
        gantry_warn(_("disk %1$s: a thread runs on any CPU: %2$s"), thread->options.disk,
                    g_strerror(errno));
    }
    thread->loop = ioq_loop_new(RING_ENTRIES, error);
    if (!thread->loop) {
        return FALSE;
    }
    thread->wake.done = on_wake;
    thread->timer.done = on_timer;
    ioq_loop_watch(thread->loop, thread->wake_fd, &thread->wake);
    return TRUE;
}

static gpointer
thread_main(gpointer data)
{
    IoqThread *thread = data;
    gboolean ok;

    g_mutex_lock(&thread->lock);
    ok = set_up(thread, &thread->start_error);
    thread->started = TRUE;
    g_cond_broadcast(&thread->answered);
    g_mutex_unlock(&thread->lock);
    while (ok && !thread->quit) {
        if (g_atomic_int_get(&thread->is_asked)) {
            answer(thread);
        } else if (!serve_once(thread)) {
            idle(thread);
        }
    }
    ioq_loop_free(thread->loop);
    return NULL;
}

IoqThread *
ioq_thread_new(const IoqThreadOptions *options, GError **error)
{
    IoqThread *thread = g_new0(IoqThread, 1);

    thread->options = *options;
    if (options->cpus) {
        thread->cpus = *options->cpus;
        thread->options.cpus = &thread->cpus;
    }
    thread->queues = g_ptr_array_new();
    thread->dying = g_ptr_array_new();
    thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_mutex_init(&thread->lock);
    g_cond_init(&thread->answered);
    thread->thread = g_thread_new(options->name, thread_main, thread);
    g_mutex_lock(&thread->lock);
    while (!thread->started) {
        g_cond_wait(&thread->answered, &thread->lock);
    }
    g_mutex_unlock(&thread->lock);
    if (thread->start_error) {
        g_propagate_error(error, g_steal_pointer(&thread->start_error));
        ioq_thread_free(thread);
        return NULL;
    }
    return thread;
}

void
ioq_thread_call(IoqThread *thread, void (*function)(IoqThread *, gpointer), gpointer data)
{
    g_mutex_lock(&thread->lock);
    thread->function = function;
    thread->data = data;
    g_atomic_int_set(&thread->is_asked, TRUE);
    eventfd_write(thread->wake_fd, 1);
    while (thread->function) {
        g_cond_wait(&thread->answered, &thread->lock);
    }
    g_mutex_unlock(&thread->lock);
}

static void
end(IoqThread *thread, gpointer unused)
{
    thread->quit = TRUE;
}

void
ioq_thread_free(IoqThread *thread)
{
    if (!thread) {
        return;
    }
    g_assert(thread->queues->len == 0);
    if (thread->loop) {
        ioq_thread_call(thread, end, NULL);
    }
    g_thread_join(thread->thread);
    /* Their polls went with the loop. */
    g_ptr_array_set_free_func(thread->dying, g_free);
    g_ptr_array_unref(thread->dying);
    g_ptr_array_unref(thread->queues);
    gantry_fd_clear(&thread->wake_fd);
    g_mutex_clear(&thread->lock);
    g_cond_clear(&thread->answered);
    g_free(thread);
}

pid_t
ioq_thread_tid(const IoqThread *thread)
{
    return thread->tid;
}
