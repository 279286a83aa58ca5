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
#include "ioq_tuning/worker/queue_thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/virtqueue/crash_point.h"

#define RING_ENTRIES     256
#define FETCH_MAX        128 /* of one queue in one round, so that none starves the others */
#define POLL_MIN_NSEC    2000
#define KICKLESS_NSEC    200000 /* how long a ring without a kick is left alone */
#define CONTENDED_ROUNDS 1024   /* sleeps without a busy wait after another thread wanted our CPU */

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

static gint64
now_nsec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * G_GINT64_CONSTANT(1000000000) + t.tv_nsec;
}

static void
stop_broken(IoqServedQueue *queue, const GError *why)
{
    queue->broken = TRUE;
    if (queue->err_fd >= 0) {
        eventfd_write(queue->err_fd, 1);
    }
    queue->watcher.broken(queue, why, queue->watcher.data);
}

static void
request_done(IoqRequest *request)
{
    IoqServedQueue *queue = request->queue;

    request->next = queue->ended;
    queue->ended = request;
}

static gboolean
fetch(IoqServedQueue *queue)
{
    guint n = 0;

    if (ioq_memory_is_damaged(ioq_queue_memory(queue->ring))) {
        g_autoptr(GError) error = g_error_new(GANTRY_ERROR, GANTRY_ERROR_INVALID,
                                              _("guest memory is shorter than it was"));

        stop_broken(queue, error);
        return FALSE;
    }
    while (n < FETCH_MAX && queue->idle) {
        g_autoptr(GError) error = NULL;
        IoqRequest *request = queue->idle;
        IoqFetch result = ioq_queue_fetch(queue->ring, &request->chain, &error);

        if (result == IOQ_FETCH_NOTHING) {
            break;
        }
        if (result == IOQ_FETCH_BROKEN) {
            stop_broken(queue, error);
            break;
        }
        queue->idle = request->next;
        request->generation = queue->generation;
        request->begin_nsec = now_nsec();
        if (!ioq_blk_start(queue->thread->options.blk, queue->thread->loop, request, request_done,
                           &error)) {
            ioq_queue_abandon(queue->ring, &request->chain);
            stop_broken(queue, error);
            break;
        }
        n++;
    }
    return n > 0;
}

static void
count_latency(IoqServedQueue *queue, gint64 nsec)
{
    guint bucket = g_bit_storage((gulong)(MAX(nsec, 0) / 1000));

    queue->stats.requests++;
    queue->stats.latency[MIN(bucket, IOQ_LATENCY_BUCKETS - 1)]++;
}

static const IoqMemory *
memory_of(IoqServedQueue *queue, const IoqRequest *request)
{
    for (guint i = 0; i < queue->old->len; i++) {
        const OldMemory *old = &g_array_index(queue->old, OldMemory, i);

        if (old->generation == request->generation) {
            return old->memory;
        }
    }
    return ioq_queue_memory(queue->ring);
}

static void
release_memory(IoqServedQueue *queue, guint generation)
{
    for (guint i = 0; i < queue->old->len; i++) {
        OldMemory *old = &g_array_index(queue->old, OldMemory, i);

        if (old->generation == generation && --old->n_requests == 0) {
            ioq_memory_unref(old->memory);
            g_array_remove_index_fast(queue->old, i);
            return;
        }
    }
}

static void
push(IoqServedQueue *queue, IoqRequest *request, gint64 now)
{
    IoqChain *chain = &request->chain;
    const struct iovec status = {request->status, 1};

    if (queue->mute) {
        ioq_queue_abandon(queue->ring, chain);
    } else {
        const IoqMemory *memory = memory_of(queue, request);

        ioq_queue_log_written(queue->ring, memory, chain->iov + chain->n_out, chain->n_in);
        ioq_queue_log_written(queue->ring, memory, &status, 1);
        ioq_queue_push(queue->ring, chain, request->written);
        ioq_chain_clear(chain);
    }
    if (request->generation != queue->generation) {
        release_memory(queue, request->generation);
    }
    count_latency(queue, now - request->begin_nsec);
    request->next = queue->idle;
    queue->idle = request;
}

/* Pushes what has ended, the oldest first. */
static void
publish(IoqServedQueue *queue)
{
    IoqRequest *oldest = NULL;
    gint64 now = now_nsec();

    while (queue->ended) {
        IoqRequest *request = queue->ended;

        queue->ended = request->next;
        request->next = oldest;
        oldest = request;
    }
    while (oldest) {
        IoqRequest *request = oldest;

        oldest = request->next;
        push(queue, request, now);
    }
    if (ioq_queue_publish(queue->ring) && queue->call_fd >= 0) {
        eventfd_write(queue->call_fd, 1);
        queue->stats.notifications++;
    }
}

static gboolean
is_served(const IoqServedQueue *queue)
{
    return queue->enabled && !queue->broken && !queue->draining;
}

/* What was in flight when the back end died is done before a drain is over. */
static gboolean
must_replay(const IoqServedQueue *queue)
{
    return queue->draining && !queue->broken && !queue->mute && ioq_queue_n_replay(queue->ring) > 0;
}

static gboolean
serve_once(IoqThread *thread)
{
    gboolean progress = FALSE;

    for (guint i = 0; i < thread->queues->len; i++) {
        IoqServedQueue *queue = thread->queues->pdata[i];

        if (is_served(queue) || must_replay(queue)) {
            progress |= fetch(queue);
        }
    }
    progress |= ioq_loop_run(thread->loop, FALSE) > 0;
    for (guint i = 0; i < thread->queues->len; i++) {
        IoqServedQueue *queue = thread->queues->pdata[i];

        if (queue->ended) {
            publish(queue);
            progress = TRUE;
        }
        if (queue->draining && !queue->drained && !must_replay(queue) &&
            ioq_served_queue_is_quiet(queue)) {
            queue->drained = TRUE;
            queue->watcher.drained(queue, queue->watcher.data);
        }
    }
    return progress;
}

static gboolean
is_anything_available(IoqThread *thread)
{
    for (guint i = 0; i < thread->queues->len; i++) {
        IoqServedQueue *queue = thread->queues->pdata[i];

        if (is_served(queue) && ioq_queue_is_ready(queue->ring)) {
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
    gint64 deadline = now_nsec() + (gint64)thread->poll_nsec;
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
    } while (now_nsec() < deadline);
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

        wanted |= queue->kick_fd < 0 && is_served(queue);
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

        may_sleep = !is_served(queue) || ioq_queue_sleep(queue->ring);
    }
    if (may_sleep && !g_atomic_int_get(&thread->is_asked)) {
        before = now_nsec();
        start_timer(thread);
        ioq_loop_run(thread->loop, TRUE);
        /* What came so soon would have been worth waiting for. */
        if (thread->poll_nsec == 0 && limit > 0 && (guint64)(now_nsec() - before) < limit) {
            thread->poll_nsec = MIN(POLL_MIN_NSEC, limit);
        }
    }
    for (guint i = 0; i < asked; i++) {
        IoqServedQueue *queue = thread->queues->pdata[i];

        if (is_served(queue)) {
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
        gantry_set_error_errno(error, errno, _("Cannot bind a thread to its CPUs"));
        return FALSE;
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

/* Queues */

static void
on_kick(IoqEvent *event, int result, guint cqe_flags)
{
    IoqServedQueue *queue =
        (IoqServedQueue *)(gpointer)((char *)event - G_STRUCT_OFFSET(IoqServedQueue, kick));

    queue->stats.kicks++;
    if (cqe_flags & IORING_CQE_F_MORE) {
        return;
    }
    if (queue->dying) {
        g_ptr_array_remove_fast(queue->thread->dying, queue);
        g_free(queue);
    } else if (result >= 0) {
        ioq_loop_watch(queue->thread->loop, queue->kick_fd, event);
    } else {
        queue->watched = FALSE;
    }
}

IoqServedQueue *
ioq_served_queue_new(IoqThread *thread, guint index, IoqQueue *ring, int kick_fd, int call_fd,
                     int err_fd, gboolean enabled, const IoqQueueWatcher *watcher)
{
    IoqServedQueue *queue = g_new0(IoqServedQueue, 1);
    guint size = ioq_queue_size(ring);

    queue->thread = thread;
    queue->index = index;
    queue->ring = ring;
    queue->kick_fd = kick_fd;
    queue->call_fd = call_fd;
    queue->err_fd = err_fd;
    queue->enabled = enabled;
    queue->watcher = *watcher;
    queue->old = g_array_new(FALSE, FALSE, sizeof(OldMemory));
    queue->requests = g_new0(IoqRequest, size);
    for (guint i = size; i > 0; i--) {
        queue->requests[i - 1].queue = queue;
        queue->requests[i - 1].next = queue->idle;
        queue->idle = &queue->requests[i - 1];
    }
    if (kick_fd >= 0) {
        queue->kick.done = on_kick;
        queue->watched = TRUE;
        ioq_loop_watch(thread->loop, kick_fd, &queue->kick);
    }
    g_ptr_array_add(thread->queues, queue);
    return queue;
}

IoqQueue *
ioq_served_queue_free(IoqServedQueue *queue)
{
    IoqThread *thread = queue->thread;
    IoqQueue *ring = queue->ring;

    g_assert(ioq_served_queue_is_quiet(queue));
    g_ptr_array_remove(thread->queues, queue);
    gantry_fd_clear(&queue->kick_fd);
    gantry_fd_clear(&queue->call_fd);
    gantry_fd_clear(&queue->err_fd);
    g_free(queue->requests);
    g_array_unref(queue->old);
    if (queue->watched) {
        queue->dying = TRUE;
        g_ptr_array_add(thread->dying, queue);
        ioq_loop_unwatch(thread->loop, &queue->kick);
    } else {
        g_free(queue);
    }
    return ring;
}

gboolean
ioq_served_queue_is_quiet(const IoqServedQueue *queue)
{
    return !queue->ended && ioq_queue_n_in_flight(queue->ring) == 0;
}

void
ioq_served_queue_mute(IoqServedQueue *queue)
{
    queue->mute = TRUE;
}

gboolean
ioq_served_queue_set_memory(IoqServedQueue *queue, IoqMemory *memory, GError **error)
{
    OldMemory old = {ioq_memory_ref(ioq_queue_memory(queue->ring)), queue->generation,
                     ioq_queue_n_in_flight(queue->ring)};

    if (!ioq_queue_set_memory(queue->ring, memory, error)) {
        ioq_memory_unref(old.memory);
        return FALSE;
    }
    for (guint i = 0; i < queue->old->len; i++) {
        old.n_requests -= g_array_index(queue->old, OldMemory, i).n_requests;
    }
    if (old.n_requests > 0) {
        g_array_append_val(queue->old, old);
        queue->generation++;
    } else {
        ioq_memory_unref(old.memory);
    }
    return TRUE;
}

void
ioq_served_queue_drain(IoqServedQueue *queue)
{
    queue->draining = TRUE;
}

void
ioq_served_queue_enable(IoqServedQueue *queue, gboolean enabled)
{
    queue->enabled = enabled;
}

void
ioq_served_queue_set_call(IoqServedQueue *queue, int call_fd)
{
    gantry_fd_clear(&queue->call_fd);
    queue->call_fd = call_fd;
    /* What was notified to the old one may have been lost with it. */
    if (call_fd >= 0) {
        eventfd_write(call_fd, 1);
    }
}

void
ioq_served_queue_set_err(IoqServedQueue *queue, int err_fd)
{
    gantry_fd_clear(&queue->err_fd);
    queue->err_fd = err_fd;
}

IoqQueue *
ioq_served_queue_ring(IoqServedQueue *queue)
{
    return queue->ring;
}

guint
ioq_served_queue_index(const IoqServedQueue *queue)
{
    return queue->index;
}

IoqThread *
ioq_served_queue_thread(const IoqServedQueue *queue)
{
    return queue->thread;
}

void
ioq_served_queue_stats(IoqServedQueue *queue, IoqQueueStats *ret_stats)
{
    *ret_stats = queue->stats;
    ret_stats->in_flight = ioq_queue_n_in_flight(queue->ring);
}
