/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Split rings: virtio 1.2, section 2.7; in-flight protocol: vhost-user, "split virtqueue". Fields
 * that the driver writes are read once each, into locals, and checked there.
 */
#include <linux/virtio_ring.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "ioq_tuning/virtqueue/crash_point.h"
#include "ioq_tuning/virtqueue/queue_priv.h"

#define LOAD(field)         __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

/* The next step of the in-flight protocol must not become visible before the last one. */
#define STEP() __atomic_thread_fence(__ATOMIC_RELEASE)

static guint16 *
used_event(const IoqQueue *queue)
{
    return &queue->ring.split.avail->ring[queue->config.size];
}

/* Unaligned by nature of the structure, which has it behind an array of 8-byte elements: 2 at
 * least. */
static guint16 *
avail_event(const IoqQueue *queue)
{
    return (guint16 *)(gpointer)&queue->ring.split.used->ring[queue->config.size];
}

static gboolean
split_map(IoqQueue *queue, const IoqMemory *memory, GError **error)
{
    const VuVringAddr *address = &queue->config.address;
    guint size = queue->config.size;
    gpointer desc = ioq_memory_user(memory, address->descriptor, 16 * (guint64)size);
    gpointer avail = ioq_memory_user(memory, address->available, 6 + 2 * (guint64)size);
    gpointer used = ioq_memory_user(memory, address->used, 6 + 8 * (guint64)size);

    if (!desc || !avail || !used || (gsize)desc % 16 || (gsize)avail % 2 || (gsize)used % 4) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a ring is not in guest memory, or not aligned"));
        return FALSE;
    }
    queue->ring.split.desc = desc;
    queue->ring.split.avail = avail;
    queue->ring.split.used = used;
    return TRUE;
}

/* What a dead back end left between moving the used index and copying it is made whole. */
static void
finish_last_batch(IoqSplit *ring, guint size, guint16 used_idx)
{
    guint16 n = (guint16)(used_idx - LOAD(ring->region->used_idx));
    guint16 head = LOAD(ring->region->last_batch_head);

    for (guint i = 0; i < n && i < size && head < size; i++) {
        STORE(ring->region->desc[head].inflight, 0);
        head = LOAD(ring->region->desc[head].next);
    }
    STEP();
    STORE(ring->region->used_idx, used_idx);
}

static gboolean
split_recover(IoqQueue *queue, GError **error)
{
    IoqSplit *ring = &queue->ring.split;
    guint size = queue->config.size;
    guint16 used_idx = LOAD(ring->used->idx);

    ring->batch = g_new(guint16, size);
    ring->region = queue->config.inflight;
    ring->next_avail = (guint16)queue->config.base;
    ring->next_used = used_idx;
    ring->published = used_idx;
    if (!ring->region) {
        return TRUE;
    }
    if (LOAD(ring->region->version) == 0) { /* new: all zero */
        STORE(ring->region->desc_num, (guint16)queue->config.inflight_entries);
        STORE(ring->region->used_idx, used_idx);
        STEP();
        STORE(ring->region->version, IOQ_INFLIGHT_VERSION);
        return TRUE;
    }
    if (LOAD(ring->region->version) != IOQ_INFLIGHT_VERSION) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("the in-flight region is of version %u, which is not known"),
                    LOAD(ring->region->version));
        return FALSE;
    }
    if (!ioq_control_is_off(IOQ_CONTROL_BATCH)) {
        finish_last_batch(ring, size, used_idx);
    }
    ring->batch_head = LOAD(ring->region->last_batch_head);
    for (guint i = 0; i < size; i++) {
        if (LOAD(ring->region->desc[i].inflight)) {
            queue->replay[queue->n_replay++] =
                (IoqReplay){LOAD(ring->region->desc[i].counter), (guint16)i};
        }
    }
    /* All that was fetched is either used or in flight, and was fetched in order. */
    ring->next_avail = (guint16)(used_idx + queue->n_replay);
    return TRUE;
}

/* @table of @n descriptors, from @index. A chain cannot be longer than its table, or it has a loop.
 */
static gboolean
read_table(IoqQueue *queue, const struct vring_desc *table, guint n, guint index, IoqChain *chain,
           gboolean is_indirect, GError **error)
{
    for (guint i = 0; i < n; i++) {
        struct vring_desc desc;

        if (index >= n) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("descriptor %1$u of a table of %2$u"), index, n);
            return FALSE;
        }
        memcpy(&desc, &table[index], sizeof(desc));
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* checked is what was copied */
        if (desc.flags & VRING_DESC_F_INDIRECT) {
            guint64 contiguous;
            gpointer inner;

            if (is_indirect || !queue->config.indirect || (desc.flags & VRING_DESC_F_NEXT) ||
                desc.len == 0 || desc.len % sizeof(desc) != 0 ||
                desc.len / sizeof(desc) > IOQ_QUEUE_MAX_SIZE) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                            _("an indirect descriptor of %u bytes is not valid here"), desc.len);
                return FALSE;
            }
            inner = ioq_memory_guest(queue->memory, desc.addr, desc.len, &contiguous);
            if (!inner || contiguous < desc.len) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                            _("a table of indirect descriptors is not in guest memory"));
                return FALSE;
            }
            return read_table(queue, inner, (guint)(desc.len / sizeof(desc)), 0, chain, TRUE,
                              error);
        }
        if (!ioq_chain_add(queue, chain, desc.addr, desc.len, desc.flags & VRING_DESC_F_WRITE,
                           error)) {
            return FALSE;
        }
        if (!(desc.flags & VRING_DESC_F_NEXT)) {
            return TRUE;
        }
        index = desc.next;
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("a chain of more than %u descriptors has a loop"), n);
    return FALSE;
}

static gboolean
split_replay(IoqQueue *queue, guint entry, IoqChain *chain, GError **error)
{
    chain->id = (guint16)entry;
    return read_table(queue, queue->ring.split.desc, queue->config.size, entry, chain, FALSE,
                      error);
}

static IoqFetch
split_fetch(IoqQueue *queue, IoqChain *chain, GError **error)
{
    IoqSplit *ring = &queue->ring.split;
    guint16 available =
        (guint16)(__atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE) - ring->next_avail);
    guint16 head;

    g_assert(ring->n_batch == 0);
    if (available == 0) {
        return IOQ_FETCH_NOTHING;
    }
    head = LOAD(ring->avail->ring[ring->next_avail & (queue->config.size - 1)]);
    if ((guint16)(ring->next_avail - ring->next_used) + available > queue->config.size ||
        head >= queue->config.size) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$u available buffers, the next at %2$u, in a ring of %3$u"), available,
                    head, queue->config.size);
        return IOQ_FETCH_BROKEN;
    }
    ioq_crash_point(IOQ_CRASH_FETCHED);
    if (ring->region) {
        if (LOAD(ring->region->desc[head].inflight)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("buffer %u is made available while it is in flight"), head);
            return IOQ_FETCH_BROKEN;
        }
        STORE(ring->region->desc[head].counter, queue->counter);
        queue->counter++;
        STEP();
        STORE(ring->region->desc[head].inflight, 1);
    }
    ring->next_avail++;
    ioq_crash_point(IOQ_CRASH_MARKED);
    return split_replay(queue, head, chain, error) ? IOQ_FETCH_CHAIN : IOQ_FETCH_BROKEN;
}

static void
split_push(IoqQueue *queue, const IoqChain *chain, guint32 written)
{
    IoqSplit *ring = &queue->ring.split;
    struct vring_used_elem *element = &ring->used->ring[ring->next_used & (queue->config.size - 1)];

    ioq_crash_point(IOQ_CRASH_COMPLETED);
    if (ring->region) {
        STORE(ring->region->desc[chain->id].next, ring->batch_head);
        STEP();
        STORE(ring->region->last_batch_head, chain->id);
        ring->batch_head = chain->id;
    }
    ring->batch[ring->n_batch++] = chain->id;
    STORE(element->id, chain->id);
    STORE(element->len, written);
    ring->next_used++;
    ioq_crash_point(IOQ_CRASH_LISTED);
    ioq_queue_log_ring(queue, element, sizeof(*element));
}

/* Section 2.7.7.2: whether the driver wants to know of the step from @before to @after. */
static gboolean
wants_notification(IoqQueue *queue, guint16 before, guint16 after)
{
    IoqSplit *ring = &queue->ring.split;
    gboolean first = !ring->ever_signalled;
    guint16 event;

    ring->ever_signalled = TRUE;
    ring->signalled = after;
    if (!queue->config.event_idx) {
        return !(LOAD(ring->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
    }
    event = LOAD(*used_event(queue));
    return first || vring_need_event(event, after, before);
}

static gboolean
split_publish(IoqQueue *queue)
{
    IoqSplit *ring = &queue->ring.split;

    if (ring->n_batch == 0) {
        return FALSE;
    }
    __atomic_store_n(&ring->used->idx, ring->next_used, __ATOMIC_RELEASE);
    ring->published = ring->next_used;
    ioq_crash_point(IOQ_CRASH_USED);
    if (ring->region) {
        STEP();
        for (guint i = 0; i < ring->n_batch; i++) {
            STORE(ring->region->desc[ring->batch[i]].inflight, 0);
        }
        ioq_crash_point(IOQ_CRASH_WIPED);
        STEP();
        STORE(ring->region->used_idx, ring->next_used);
    }
    ring->n_batch = 0;
    ioq_queue_log_ring(queue, &ring->used->idx, sizeof(ring->used->idx));
    /* The driver sets what it wants before it looks at the index, we the other way round. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return wants_notification(queue, ring->signalled, ring->next_used);
}

static gboolean
split_is_empty(IoqQueue *queue)
{
    return __atomic_load_n(&queue->ring.split.avail->idx, __ATOMIC_ACQUIRE) ==
           queue->ring.split.next_avail;
}

static void
split_ask_for_kicks(IoqQueue *queue, gboolean on)
{
    IoqSplit *ring = &queue->ring.split;

    if (!queue->config.event_idx) {
        STORE(ring->used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY);
    } else if (on) {
        STORE(*avail_event(queue), ring->next_avail);
    }
    /* Without one: an event index that has passed asks for nothing. */
}

static guint32
split_base(const IoqQueue *queue)
{
    return queue->ring.split.next_avail;
}

const IoqRingOps ioq_split_ops = {
    .map = split_map,
    .recover = split_recover,
    .fetch = split_fetch,
    .replay = split_replay,
    .push = split_push,
    .publish = split_publish,
    .is_empty = split_is_empty,
    .ask_for_kicks = split_ask_for_kicks,
    .base = split_base,
};
