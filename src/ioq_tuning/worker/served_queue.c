/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One queue as its thread serves it: requests from the ring to the disk, and back. */
#include <inttypes.h>
#include <sys/eventfd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/worker/queue_thread_priv.h"

#define FETCH_MAX 128 /* of one queue in one round, so that none starves the others */

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
        request->begin_nsec = ioq_now_nsec();
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

/* The guest is told, and may keep it to itself; said at the first, and ever more rarely. */
static void
count_error(IoqServedQueue *queue, int problem)
{
    guint64 n = ++queue->stats.errors;

    if ((n & (n - 1)) == 0) {
        gantry_warn(_("disk %1$s: storage fails requests (%2$" PRIu64 " of queue %3$u): %4$s"),
                    queue->thread->options.disk, n, queue->index, g_strerror(problem));
    }
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
    if (request->error != 0) {
        count_error(queue, request->error);
    }
    request->next = queue->idle;
    queue->idle = request;
}

/* Pushes what has ended, the oldest first. */
static void
publish(IoqServedQueue *queue)
{
    IoqRequest *oldest = NULL;
    gint64 now = ioq_now_nsec();

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

gboolean
served_queue_is_served(const IoqServedQueue *queue)
{
    return queue->enabled && !queue->broken && !queue->draining;
}

static gboolean
must_replay(const IoqServedQueue *queue)
{
    return queue->replays && !queue->broken && !queue->mute && ioq_queue_n_replay(queue->ring) > 0;
}

gboolean
served_queue_fetch(IoqServedQueue *queue)
{
    return (served_queue_is_served(queue) || must_replay(queue)) && fetch(queue);
}

gboolean
served_queue_publish(IoqServedQueue *queue)
{
    gboolean progress = queue->ended != NULL;

    if (progress) {
        publish(queue);
    }
    if (queue->draining && !queue->drained && !must_replay(queue) &&
        ioq_served_queue_is_quiet(queue)) {
        queue->drained = TRUE;
        queue->watcher.drained(queue, queue->watcher.data);
    }
    return progress;
}

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
        g_autoptr(GError) error = NULL;

        gantry_set_error_errno(&error, -result, _("Cannot wait for its notifications"));
        queue->watched = FALSE;
        stop_broken(queue, error);
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
ioq_served_queue_drain(IoqServedQueue *queue, gboolean replays)
{
    queue->draining = TRUE;
    queue->replays = replays;
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
