/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packed rings: virtio 1.2, section 2.8; in-flight protocol: vhost-user, "packed virtqueue".
 *
 * Used descriptors overwrite available ones, so the region keeps a copy of each chain, in entries
 * that form a free list. A push is committed by the flags of one used descriptor, and each push is
 * committed by itself: were several left to the flags of the first, a crash before that would leave
 * the others' flags in the ring, and the driver would take them for used once it gets that far.
 */
#include <linux/virtio_ring.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "ioq_tuning/virtqueue/crash_point.h"
#include "ioq_tuning/virtqueue/queue_priv.h"

#define LOAD(field)         __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define STEP()              __atomic_thread_fence(__ATOMIC_RELEASE)

#define AVAIL_FLAG (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED_FLAG  (1U << VRING_PACKED_DESC_F_USED)
#define WRAP_BIT   (1U << VRING_PACKED_EVENT_F_WRAP_CTR)

static gboolean
packed_map(IoqQueue *queue, const IoqMemory *memory, GError **error)
{
    const VuVringAddr *address = &queue->config.address;
    gpointer desc = ioq_memory_user(memory, address->descriptor, 16 * (guint64)queue->config.size);
    gpointer driver = ioq_memory_user(memory, address->available, 4);
    gpointer device = ioq_memory_user(memory, address->used, 4);

    if (!desc || !driver || !device || (gsize)desc % 16 || (gsize)driver % 4 || (gsize)device % 4) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a ring is not in guest memory, or not aligned"));
        return FALSE;
    }
    queue->ring.packed.desc = desc;
    queue->ring.packed.driver_event = driver;
    queue->ring.packed.device_event = device;
    return TRUE;
}

/*
 * The indices and wrap counters of the region lie in one aligned word, and are written as one: the
 * specification has them as steps of their own, but a back end that dies between the old index and
 * its wrap counter would be recovered into the wrong lap.
 */
static void
store_indices(IoqInflightPacked *region, guint16 used, gboolean wrap, guint16 old_used,
              gboolean old_wrap)
{
    union {
        struct {
            guint16 used_idx;
            guint16 old_used_idx;
            guint8 used_wrap_counter;
            guint8 old_used_wrap_counter;
            guint16 padding;
        } fields;
        guint64 word;
    } indices = {{used, old_used, (guint8)wrap, (guint8)old_wrap, 0}};

    __atomic_store_n((guint64 *)(gpointer)&region->used_idx, indices.word, __ATOMIC_RELEASE);
}

static guint
available_flags(gboolean wrap)
{
    return wrap ? AVAIL_FLAG : USED_FLAG;
}

/* Moves an index by @n slots round the ring. */
static void
advance(const IoqQueue *queue, guint16 *index, gboolean *wrap, guint n)
{
    guint next = *index + n;

    if (next >= queue->config.size) {
        next -= queue->config.size;
        *wrap = !*wrap;
    }
    *index = (guint16)next;
}

static void
format_region(IoqPacked *ring, guint size)
{
    IoqInflightPacked *region = ring->region;

    for (guint i = 0; i < size; i++) {
        STORE(region->desc[i].next, (guint16)(i + 1));
    }
    STORE(region->free_head, ring->free_head);
    STORE(region->old_free_head, ring->free_head);
    STORE(region->desc_num, (guint16)size);
    store_indices(region, ring->next_used, ring->used_wrap, ring->next_used, ring->used_wrap);
    STEP();
    STORE(region->version, IOQ_INFLIGHT_VERSION);
}

/* A dead back end's last step is either made whole, where the driver can have seen it, or taken
 * back. */
static void
settle_last_step(IoqQueue *queue)
{
    IoqPacked *ring = &queue->ring.packed;
    IoqInflightPacked *region = ring->region;
    guint16 used = LOAD(region->used_idx);
    gboolean wrap = LOAD(region->used_wrap_counter) != 0;
    guint16 old_used = LOAD(region->old_used_idx);
    gboolean old_wrap = LOAD(region->old_used_wrap_counter) != 0;

    if ((used != old_used || wrap != old_wrap) && old_used < queue->config.size &&
        (LOAD(ring->desc[old_used].flags) & (AVAIL_FLAG | USED_FLAG)) !=
            available_flags(old_wrap)) {
        STORE(region->old_free_head, LOAD(region->free_head));
        store_indices(region, used, wrap, used, wrap);
    } else {
        STORE(region->free_head, LOAD(region->old_free_head));
        store_indices(region, old_used, old_wrap, old_used, old_wrap);
    }
}

/* Reads the free list into our copy, and unmarks what is on it. */
static gboolean
load_free_list(IoqQueue *queue, guint8 *is_free)
{
    IoqPacked *ring = &queue->ring.packed;
    guint entry = LOAD(ring->region->free_head);

    ring->free_head = (guint16)entry;
    for (guint i = 0; entry < queue->config.size; i++) {
        if (is_free[entry]) {
            return FALSE; /* a loop */
        }
        is_free[entry] = TRUE;
        STORE(ring->region->desc[entry].inflight, 0);
        ring->next_free[entry] = LOAD(ring->region->desc[entry].next);
        entry = ring->next_free[entry];
    }
    return TRUE;
}

/* A chain's entries follow each other by next, from its head to its last, num of them. Returns:
 * num; 0: they do not. */
static guint
load_chain(IoqQueue *queue, guint head, guint8 *is_taken)
{
    IoqPacked *ring = &queue->ring.packed;
    guint last = LOAD(ring->region->desc[head].last);
    guint num = LOAD(ring->region->desc[head].num);
    guint entry = head;

    for (guint i = 0; i < num; i++) {
        if (entry >= queue->config.size || is_taken[entry]) {
            return 0;
        }
        is_taken[entry] = TRUE;
        ring->next_free[entry] = LOAD(ring->region->desc[entry].next);
        if (entry == last) {
            ring->last_entry[head] = (guint16)last;
            return i + 1 == num ? num : 0;
        }
        entry = ring->next_free[entry];
    }
    return 0;
}

static gboolean
load_region(IoqQueue *queue)
{
    IoqPacked *ring = &queue->ring.packed;
    IoqInflightPacked *region = ring->region;
    g_autofree guint8 *is_taken = g_new0(guint8, queue->config.size);
    guint outstanding = 0;

    settle_last_step(queue);
    /* Read once: the front end may write it at any time. */
    ring->next_used = LOAD(region->used_idx);
    ring->used_wrap = LOAD(region->used_wrap_counter) != 0;
    if (ring->next_used >= queue->config.size || !load_free_list(queue, is_taken)) {
        return FALSE;
    }
    for (guint i = 0; i < queue->config.size; i++) {
        if (!is_taken[i] && LOAD(region->desc[i].inflight)) {
            guint num = load_chain(queue, i, is_taken);

            if (num == 0) {
                return FALSE;
            }
            outstanding += num;
            queue->replay[queue->n_replay++] =
                (IoqReplay){LOAD(region->desc[i].counter), (guint16)i};
        }
    }
    ring->next_avail = ring->next_used;
    ring->avail_wrap = ring->used_wrap;
    advance(queue, &ring->next_avail, &ring->avail_wrap, outstanding);
    ring->n_outstanding = outstanding;
    return TRUE;
}

/* Of a ring of another size, as firmware's, with nothing in flight: made anew. */
static gboolean
is_stale(const IoqInflightPacked *region, guint size)
{
    guint entries = LOAD(region->desc_num);

    for (guint i = 0; i < size; i++) {
        if (LOAD(region->desc[i].inflight)) {
            return FALSE;
        }
    }
    return entries != size;
}

static gboolean
packed_recover(IoqQueue *queue, GError **error)
{
    IoqPacked *ring = &queue->ring.packed;
    guint size = queue->config.size;
    guint32 base = queue->config.base;

    ring->next_free = g_new(guint16, size);
    ring->last_entry = g_new(guint16, size);
    for (guint i = 0; i < size; i++) {
        ring->next_free[i] = (guint16)(i + 1);
    }
    ring->region = queue->config.inflight;
    if (ring->region && LOAD(ring->region->version) != 0 && !is_stale(ring->region, size)) {
        if (LOAD(ring->region->version) != IOQ_INFLIGHT_VERSION || !load_region(queue)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("the in-flight region contradicts itself, or is not for a queue of %u "
                          "entries"),
                        size);
            return FALSE;
        }
        return TRUE;
    }
    /* The two halves of SET_VRING_BASE: available and used, each with its wrap counter on top. */
    ring->next_avail = (guint16)(base & 0x7fff);
    ring->avail_wrap = (base >> 15) & 1;
    ring->next_used = (guint16)((base >> 16) & 0x7fff);
    ring->used_wrap = (base >> 31) & 1;
    if (ring->next_avail >= size || ring->next_used >= size) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a base of 0x%1$x for a ring of %2$u entries"), base, size);
        return FALSE;
    }
    if (ring->region) {
        format_region(ring, size);
    }
    return TRUE;
}

/* Takes the next free entry for a descriptor of the chain that is being fetched. */
static void
remember(IoqQueue *queue, const struct vring_packed_desc *desc, guint16 *entry)
{
    IoqPacked *ring = &queue->ring.packed;

    *entry = ring->free_head;
    if (ring->region) {
        IoqInflightPackedEntry *e = &ring->region->desc[*entry];

        STORE(e->addr, desc->addr);
        STORE(e->len, desc->len);
        STORE(e->flags, desc->flags);
        STORE(e->id, desc->id);
        STEP();
        STORE(ring->region->free_head, ring->next_free[*entry]);
    }
    ring->free_head = ring->next_free[*entry];
}

static gboolean
read_indirect(IoqQueue *queue, guint64 address, guint32 length, IoqChain *chain, GError **error)
{
    guint n = (guint)(length / sizeof(struct vring_packed_desc));
    const struct vring_packed_desc *table;
    guint64 contiguous;

    if (!queue->config.indirect || n == 0 || length % sizeof(*table) != 0 ||
        n > IOQ_QUEUE_MAX_SIZE) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("an indirect descriptor of %u bytes is not valid here"), length);
        return FALSE;
    }
    table = ioq_memory_guest(queue->memory, address, length, &contiguous);
    if (!table || contiguous < length) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a table of indirect descriptors is not in guest memory"));
        return FALSE;
    }
    for (guint i = 0; i < n; i++) {
        struct vring_packed_desc desc;

        memcpy(&desc, &table[i], sizeof(desc));
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (desc.flags & VRING_DESC_F_INDIRECT) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("a table of indirect descriptors inside another"));
            return FALSE;
        }
        if (!ioq_chain_add(queue, chain, desc.addr, desc.len, desc.flags & VRING_DESC_F_WRITE,
                           error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
add_descriptor(IoqQueue *queue, const struct vring_packed_desc *desc, IoqChain *chain,
               GError **error)
{
    if (!(desc->flags & VRING_DESC_F_INDIRECT)) {
        return ioq_chain_add(queue, chain, desc->addr, desc->len, desc->flags & VRING_DESC_F_WRITE,
                             error);
    }
    return read_indirect(queue, desc->addr, desc->len, chain, error);
}

static IoqFetch
packed_fetch(IoqQueue *queue, IoqChain *chain, GError **error)
{
    IoqPacked *ring = &queue->ring.packed;
    guint16 at = ring->next_avail;
    gboolean wrap = ring->avail_wrap;
    guint flags = __atomic_load_n(&ring->desc[at].flags, __ATOMIC_ACQUIRE);
    guint16 head = ring->free_head;
    guint16 entry = head;
    struct vring_packed_desc desc;

    g_assert(!ring->pushed);
    if ((flags & (AVAIL_FLAG | USED_FLAG)) != available_flags(wrap)) {
        return IOQ_FETCH_NOTHING;
    }
    ioq_crash_point(IOQ_CRASH_FETCHED);
    if (ring->region && head < queue->config.size) {
        STORE(ring->region->desc[head].num, 0);
        STORE(ring->region->desc[head].counter, queue->counter);
        queue->counter++;
        STEP();
        STORE(ring->region->desc[head].inflight, 1);
    }
    do {
        if (ring->n_outstanding == queue->config.size || ring->free_head >= queue->config.size) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("more descriptors are available than the ring of %u has"),
                        queue->config.size);
            return IOQ_FETCH_BROKEN;
        }
        memcpy(&desc, &ring->desc[at], sizeof(desc));
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        remember(queue, &desc, &entry);
        chain->n_descriptors++;
        ring->n_outstanding++;
        if (ring->region) {
            STORE(ring->region->desc[head].num, chain->n_descriptors);
        }
        if (!add_descriptor(queue, &desc, chain, error)) {
            return IOQ_FETCH_BROKEN;
        }
        advance(queue, &at, &wrap, 1);
    } while (desc.flags & VRING_DESC_F_NEXT);
    chain->id = desc.id;
    chain->entry = head;
    ring->last_entry[head] = entry;
    if (ring->region) {
        STORE(ring->region->desc[head].last, entry);
        STEP();
        STORE(ring->region->old_free_head, ring->free_head); /* from here it is in flight */
    }
    ring->next_avail = at;
    ring->avail_wrap = wrap;
    ioq_crash_point(IOQ_CRASH_MARKED);
    return IOQ_FETCH_CHAIN;
}

static gboolean
packed_replay(IoqQueue *queue, guint head, IoqChain *chain, GError **error)
{
    IoqPacked *ring = &queue->ring.packed;
    guint entry = head;

    for (guint last = ring->last_entry[head];; entry = ring->next_free[entry]) {
        const IoqInflightPackedEntry *e = &ring->region->desc[entry];
        const struct vring_packed_desc desc = {LOAD(e->addr), LOAD(e->len), LOAD(e->id),
                                               LOAD(e->flags)};

        chain->n_descriptors++;
        chain->id = desc.id;
        if (!add_descriptor(queue, &desc, chain, error)) {
            return FALSE;
        }
        if (entry == last) {
            break;
        }
    }
    chain->entry = (guint16)head;
    return TRUE;
}

static void
packed_push(IoqQueue *queue, const IoqChain *chain, guint32 written)
{
    IoqPacked *ring = &queue->ring.packed;
    IoqInflightPacked *region = ring->region;
    struct vring_packed_desc *desc = &ring->desc[ring->next_used];
    guint16 last = ring->last_entry[chain->entry];
    guint16 old_used = ring->next_used;
    gboolean old_wrap = ring->used_wrap;
    guint flags =
        (ring->used_wrap ? AVAIL_FLAG | USED_FLAG : 0) | (written > 0 ? VRING_DESC_F_WRITE : 0);

    ioq_crash_point(IOQ_CRASH_COMPLETED);
    STORE(desc->id, chain->id);
    STORE(desc->len, written);
    if (region) {
        STORE(region->desc[last].next, ring->free_head);
        STORE(region->free_head, chain->entry);
    }
    ring->next_free[last] = ring->free_head;
    ring->free_head = chain->entry;
    advance(queue, &ring->next_used, &ring->used_wrap, chain->n_descriptors);
    ring->n_outstanding -= chain->n_descriptors;
    if (ring->used_wrap != old_wrap) {
        ring->ever_signalled = FALSE; /* what was signalled is of another lap */
    }
    if (region) {
        store_indices(region, ring->next_used, ring->used_wrap, old_used, old_wrap);
    }
    ioq_crash_point(IOQ_CRASH_LISTED);
    __atomic_store_n(&desc->flags, (guint16)flags, __ATOMIC_RELEASE);
    ioq_crash_point(IOQ_CRASH_USED);
    if (region) {
        STEP();
        STORE(region->desc[chain->entry].inflight, 0);
        ioq_crash_point(IOQ_CRASH_WIPED);
        STEP();
        STORE(region->old_free_head, ring->free_head);
        STEP();
        store_indices(region, ring->next_used, ring->used_wrap, ring->next_used, ring->used_wrap);
    }
    ring->pushed = TRUE;
    ioq_queue_log_ring(queue, desc, sizeof(*desc));
}

static gboolean
packed_publish(IoqQueue *queue)
{
    IoqPacked *ring = &queue->ring.packed;
    guint16 before = ring->signalled;
    gboolean first = !ring->ever_signalled;
    guint flags, off_wrap;
    guint16 event;

    if (!ring->pushed) {
        return FALSE;
    }
    ring->pushed = FALSE;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    flags = LOAD(ring->driver_event->flags) & 3;
    off_wrap = LOAD(ring->driver_event->off_wrap);
    ring->signalled = ring->next_used;
    ring->ever_signalled = TRUE;
    if (flags != VRING_PACKED_EVENT_FLAG_DESC || !queue->config.event_idx) {
        return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
    }
    event = (guint16)(off_wrap & ~WRAP_BIT);
    if (((off_wrap & WRAP_BIT) != 0) != ring->used_wrap) {
        event = (guint16)(event - queue->config.size);
    }
    return first || vring_need_event(event, ring->next_used, before);
}

static gboolean
packed_is_empty(IoqQueue *queue)
{
    IoqPacked *ring = &queue->ring.packed;
    guint flags = __atomic_load_n(&ring->desc[ring->next_avail].flags, __ATOMIC_ACQUIRE);

    return (flags & (AVAIL_FLAG | USED_FLAG)) != available_flags(ring->avail_wrap);
}

static void
packed_ask_for_kicks(IoqQueue *queue, gboolean on)
{
    IoqPacked *ring = &queue->ring.packed;

    if (on && queue->config.event_idx) {
        STORE(ring->device_event->off_wrap,
              (guint16)(ring->next_avail | (ring->avail_wrap ? WRAP_BIT : 0)));
        STEP();
        STORE(ring->device_event->flags, VRING_PACKED_EVENT_FLAG_DESC);
    } else {
        STORE(ring->device_event->flags,
              on ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE);
    }
}

static guint32
packed_base(const IoqQueue *queue)
{
    const IoqPacked *ring = &queue->ring.packed;

    return ring->next_avail | (ring->avail_wrap ? 1U << 15 : 0) | (guint32)ring->next_used << 16 |
           (ring->used_wrap ? 1U << 31 : 0);
}

const IoqRingOps ioq_packed_ops = {
    .map = packed_map,
    .recover = packed_recover,
    .fetch = packed_fetch,
    .replay = packed_replay,
    .push = packed_push,
    .publish = packed_publish,
    .is_empty = packed_is_empty,
    .ask_for_kicks = packed_ask_for_kicks,
    .base = packed_base,
};
