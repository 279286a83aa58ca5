/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/virtqueue/queue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "ioq_tuning/virtqueue/crash_point.h"
#include "ioq_tuning/virtqueue/queue_priv.h"

IoqQueue *
ioq_queue_start(const IoqQueueConfig *config, IoqMemory *memory, GError **error)
{
    g_autoptr(IoqQueue) queue = g_new0(IoqQueue, 1);

    queue->config = *config;
    queue->ops = config->packed ? &ioq_packed_ops : &ioq_split_ops;
    queue->memory = ioq_memory_ref(memory);
    if (config->size == 0 || config->size > IOQ_QUEUE_MAX_SIZE ||
        (!config->packed && (config->size & (config->size - 1)) != 0)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a queue of %1$u entries; allowed are 1 to %2$d, and powers of two in a "
                      "split ring"),
                    config->size, IOQ_QUEUE_MAX_SIZE);
        return NULL;
    }
    if (config->inflight && config->inflight_entries < config->size) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("the in-flight region is too small for a queue of %u entries"), config->size);
        return NULL;
    }
    queue->replay = g_new0(IoqReplay, config->size);
    if (!queue->ops->map(queue, memory, error) || !queue->ops->recover(queue, error)) {
        return NULL;
    }
    if (!ioq_control_is_off(IOQ_CONTROL_COUNTER)) {
        qsort(queue->replay, queue->n_replay, sizeof(*queue->replay), ioq_replay_compare);
    }
    if (queue->n_replay > 0) {
        queue->counter = queue->replay[queue->n_replay - 1].counter + 1;
    }
    queue->ops->ask_for_kicks(queue, FALSE);
    return g_steal_pointer(&queue);
}

void
ioq_queue_free(IoqQueue *queue)
{
    if (!queue) {
        return;
    }
    if (queue->config.packed) {
        g_free(queue->ring.packed.next_free);
        g_free(queue->ring.packed.last_entry);
    } else {
        g_free(queue->ring.split.batch);
    }
    ioq_memory_unref(queue->memory);
    ioq_log_unref(queue->log);
    g_free(queue->replay);
    g_free(queue);
}

gboolean
ioq_queue_set_memory(IoqQueue *queue, IoqMemory *memory, GError **error)
{
    if (!queue->ops->map(queue, memory, error)) {
        return FALSE;
    }
    ioq_memory_ref(memory);
    ioq_memory_unref(queue->memory);
    queue->memory = memory;
    return TRUE;
}

IoqMemory *
ioq_queue_memory(IoqQueue *queue)
{
    return queue->memory;
}

void
ioq_queue_set_log(IoqQueue *queue, IoqLog *log)
{
    IoqLog *old = queue->log;

    queue->log = log ? ioq_log_ref(log) : NULL;
    ioq_log_unref(old);
}

void
ioq_chain_begin(IoqChain *chain)
{
    chain->n_out = 0;
    chain->n_in = 0;
    chain->n_descriptors = 0;
    chain->iov = chain->few;
}

void
ioq_chain_clear(IoqChain *chain)
{
    if (chain->iov != chain->few) {
        g_free(chain->iov);
    }
    chain->iov = NULL;
}

gboolean
ioq_chain_add(IoqQueue *queue, IoqChain *chain, guint64 address, guint32 length, gboolean is_in,
              GError **error)
{
    guint64 left = length;

    if (!is_in && chain->n_in > 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a descriptor to be read follows one to be written"));
        return FALSE;
    }
    while (left > 0) {
        guint n = chain->n_out + chain->n_in;
        guint64 contiguous;
        gpointer pointer = ioq_memory_guest(queue->memory, address, left, &contiguous);

        if (!pointer) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("a descriptor points to 0x%" PRIx64 ", which is no guest memory"),
                        address);
            return FALSE;
        }
        if (n == IOQ_CHAIN_MAX_IOV) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("a request of more than %d pieces"), IOQ_CHAIN_MAX_IOV);
            return FALSE;
        }
        if (n == IOQ_CHAIN_FEW_IOV && chain->iov == chain->few) {
            chain->iov = g_new(struct iovec, IOQ_CHAIN_MAX_IOV);
            memcpy(chain->iov, chain->few, sizeof(chain->few));
        }
        chain->iov[n] = (struct iovec){pointer, (gsize)contiguous};
        if (is_in) {
            chain->n_in++;
        } else {
            chain->n_out++;
        }
        address += contiguous;
        left -= contiguous;
    }
    return TRUE;
}

IoqFetch
ioq_queue_fetch(IoqQueue *queue, IoqChain *chain, GError **error)
{
    IoqFetch result;

    ioq_chain_begin(chain);
    if (queue->next_replay < queue->n_replay) {
        guint entry = queue->replay[queue->next_replay++].entry;

        result =
            queue->ops->replay(queue, entry, chain, error) ? IOQ_FETCH_CHAIN : IOQ_FETCH_BROKEN;
    } else {
        result = queue->ops->fetch(queue, chain, error);
    }
    if (result == IOQ_FETCH_CHAIN) {
        queue->n_in_flight++;
    } else {
        ioq_chain_clear(chain);
    }
    return result;
}

void
ioq_queue_log_written(IoqQueue *queue, const IoqMemory *memory, const struct iovec *iov,
                      guint n_iov)
{
    guint64 address;

    for (guint i = 0; queue->log && i < n_iov; i++) {
        if (ioq_memory_guest_address(memory, iov[i].iov_base, &address)) {
            ioq_log_mark(queue->log, address, iov[i].iov_len);
        }
    }
}

void
ioq_queue_log_ring(IoqQueue *queue, gconstpointer start, gsize length)
{
    const struct iovec iov = {(gpointer)start, length};

    ioq_queue_log_written(queue, queue->memory, &iov, 1);
}

void
ioq_queue_push(IoqQueue *queue, const IoqChain *chain, guint32 written)
{
    g_assert(queue->n_in_flight > 0);
    queue->n_in_flight--;
    queue->ops->push(queue, chain, written);
}

gboolean
ioq_queue_publish(IoqQueue *queue)
{
    return queue->ops->publish(queue);
}

gboolean
ioq_queue_sleep(IoqQueue *queue)
{
    if (ioq_queue_n_replay(queue) > 0) {
        return FALSE;
    }
    queue->ops->ask_for_kicks(queue, TRUE);
    /* The driver may have added a buffer before it could see that. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (queue->ops->is_empty(queue)) {
        return TRUE;
    }
    queue->ops->ask_for_kicks(queue, FALSE);
    return FALSE;
}

void
ioq_queue_wake(IoqQueue *queue)
{
    queue->ops->ask_for_kicks(queue, FALSE);
}

gboolean
ioq_queue_is_ready(IoqQueue *queue)
{
    return queue->next_replay < queue->n_replay || !queue->ops->is_empty(queue);
}

void
ioq_queue_abandon(IoqQueue *queue, IoqChain *chain)
{
    ioq_chain_clear(chain);
    queue->n_in_flight--;
}

guint
ioq_queue_size(const IoqQueue *queue)
{
    return queue->config.size;
}

guint
ioq_queue_n_in_flight(const IoqQueue *queue)
{
    return queue->n_in_flight;
}

guint
ioq_queue_n_replay(const IoqQueue *queue)
{
    return queue->n_replay - queue->next_replay;
}

guint32
ioq_queue_base(const IoqQueue *queue)
{
    return queue->ops->base(queue);
}
