/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/front/driver_ring.h"

#include <string.h>

#define PART         4096
#define ROUND(n)     (((n) + PART - 1) / PART * PART)
#define AVAIL_FLAG   (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED_FLAG    (1U << VRING_PACKED_DESC_F_USED)
#define WRAP_BIT     (1U << VRING_PACKED_EVENT_F_WRAP_CTR)
#define SPLIT_STRIDE 4 /* descriptors of a buffer */
#define FENCE()      __atomic_thread_fence(__ATOMIC_SEQ_CST)

gsize
driver_ring_bytes(guint size)
{
    return ROUND(16 * (gsize)size) + ROUND(6 + 2 * (gsize)size) + ROUND(6 + 8 * (gsize)size);
}

void
driver_ring_init(DriverRing *ring, gpointer memory, guint size, gboolean packed, gboolean event_idx)
{
    memset(ring, 0, sizeof(*ring));
    ring->size = size;
    ring->packed = packed;
    ring->event_idx = event_idx;
    ring->desc = memory;
    ring->avail = (char *)ring->desc + ROUND(16 * (gsize)size);
    ring->used = (char *)ring->avail + ROUND(6 + 2 * (gsize)size);
    ring->avail_wrap = ring->used_wrap = ring->kicked_wrap = TRUE;
    ring->n_free = size;
}

static void
split_add(DriverRing *ring, guint16 id, const DriverPiece *pieces, guint n, gpointer table,
          guint64 table_address)
{
    struct vring_avail *avail = ring->avail;
    guint16 first = table ? 0 : (guint16)(id * SPLIT_STRIDE);
    struct vring_desc *desc = table ? table : ring->desc;
    guint16 head = (guint16)(id * SPLIT_STRIDE);

    for (guint i = 0; i < n; i++) {
        desc[first + i] = (struct vring_desc){pieces[i].address, pieces[i].length,
                                              (guint16)((i + 1 < n ? VRING_DESC_F_NEXT : 0) |
                                                        (pieces[i].is_in ? VRING_DESC_F_WRITE : 0)),
                                              (guint16)(first + i + 1)};
    }
    if (table) {
        ((struct vring_desc *)ring->desc)[head] = (struct vring_desc){
            table_address, n * (guint32)sizeof(*desc), VRING_DESC_F_INDIRECT, 0};
    }
    avail->ring[ring->avail_idx % ring->size] = head;
    ring->avail_idx++;
    __atomic_store_n(&avail->idx, ring->avail_idx, __ATOMIC_RELEASE);
}

static guint16
next_slot(const DriverRing *ring, guint16 slot, gboolean *wrap)
{
    if (slot + 1U == ring->size) {
        *wrap = !*wrap;
        return 0;
    }
    return (guint16)(slot + 1);
}

static void
packed_add(DriverRing *ring, guint16 id, const DriverPiece *pieces, guint n, gpointer table,
           guint64 table_address)
{
    struct vring_packed_desc *desc = ring->desc;
    guint16 head = ring->avail_idx;
    guint16 slot = head;
    guint n_slots = table ? 1 : n;
    gboolean wrap = ring->avail_wrap;
    guint16 head_flags = 0;

    g_assert(ring->n_free >= n_slots);
    if (table) {
        struct vring_packed_desc *inner = table;

        for (guint i = 0; i < n; i++) {
            inner[i] = (struct vring_packed_desc){pieces[i].address, pieces[i].length, 0,
                                                  pieces[i].is_in ? VRING_DESC_F_WRITE : 0};
        }
    }
    for (guint i = 0; i < n_slots; i++) {
        guint flags = wrap ? AVAIL_FLAG : USED_FLAG;

        flags |= i + 1 < n_slots ? VRING_DESC_F_NEXT : 0;
        if (table) {
            flags |= VRING_DESC_F_INDIRECT;
            desc[slot].addr = table_address;
            desc[slot].len = n * (guint32)sizeof(*desc);
        } else {
            flags |= pieces[i].is_in ? VRING_DESC_F_WRITE : 0;
            desc[slot].addr = pieces[i].address;
            desc[slot].len = pieces[i].length;
        }
        desc[slot].id = id;
        if (i == 0) {
            head_flags = (guint16)flags;
        } else {
            __atomic_store_n(&desc[slot].flags, (guint16)flags, __ATOMIC_RELAXED);
        }
        slot = next_slot(ring, slot, &wrap);
    }
    __atomic_store_n(&desc[head].flags, head_flags, __ATOMIC_RELEASE);
    ring->lengths[id] = (guint16)n_slots;
    ring->n_free -= n_slots;
    ring->avail_idx = slot;
    ring->avail_wrap = wrap;
}

void
driver_ring_add(DriverRing *ring, guint16 id, const DriverPiece *pieces, guint n, gpointer table,
                guint64 table_address)
{
    (ring->packed ? packed_add : split_add)(ring, id, pieces, n, table, table_address);
}

static gboolean
packed_wants_kick(DriverRing *ring)
{
    struct vring_packed_desc_event *event = ring->used;
    guint flags = __atomic_load_n(&event->flags, __ATOMIC_RELAXED) & 3;
    guint off_wrap = __atomic_load_n(&event->off_wrap, __ATOMIC_RELAXED);
    guint16 old = ring->kicked_at;
    guint16 at = (guint16)(off_wrap & ~WRAP_BIT);

    if (flags != VRING_PACKED_EVENT_FLAG_DESC) {
        ring->kicked_at = ring->avail_idx;
        ring->kicked_wrap = ring->avail_wrap;
        return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
    }
    if (((off_wrap & WRAP_BIT) != 0) != ring->avail_wrap) {
        at = (guint16)(at - ring->size);
    }
    if (ring->kicked_wrap != ring->avail_wrap) {
        old = (guint16)(old - ring->size);
    }
    ring->kicked_at = ring->avail_idx;
    ring->kicked_wrap = ring->avail_wrap;
    return vring_need_event(at, ring->avail_idx, old);
}

gboolean
driver_ring_wants_kick(DriverRing *ring)
{
    struct vring_used *used = ring->used;
    guint16 old = ring->kicked_at;

    FENCE();
    if (ring->packed) {
        return packed_wants_kick(ring);
    }
    ring->kicked_at = ring->avail_idx;
    if (ring->event_idx) {
        return vring_need_event(
            __atomic_load_n((guint16 *)(gpointer)&used->ring[ring->size], __ATOMIC_RELAXED),
            ring->avail_idx, old);
    }
    return !(__atomic_load_n(&used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY);
}

static gboolean
is_used(const DriverRing *ring)
{
    const struct vring_packed_desc *desc = ring->desc;
    guint flags;

    if (!ring->packed) {
        return __atomic_load_n(&((struct vring_used *)ring->used)->idx, __ATOMIC_ACQUIRE) !=
               ring->used_idx;
    }
    flags = __atomic_load_n(&desc[ring->used_idx].flags, __ATOMIC_ACQUIRE);
    return ((flags & AVAIL_FLAG) != 0) == ring->used_wrap &&
           ((flags & USED_FLAG) != 0) == ring->used_wrap;
}

gboolean
driver_ring_take_used(DriverRing *ring, guint16 *ret_id, guint32 *ret_length)
{
    if (!is_used(ring)) {
        return FALSE;
    }
    if (ring->packed) {
        const struct vring_packed_desc *desc =
            (struct vring_packed_desc *)ring->desc + ring->used_idx;
        guint n;

        *ret_id = desc->id;
        *ret_length = desc->len;
        /* Whose id is none of ours is the caller's to see; one descriptor is skipped for it. */
        n = *ret_id < G_N_ELEMENTS(ring->lengths) ? ring->lengths[*ret_id] : 1;
        ring->n_free += n;
        if (ring->used_idx + n >= ring->size) {
            ring->used_wrap = !ring->used_wrap;
        }
        ring->used_idx = (guint16)((ring->used_idx + n) % ring->size);
    } else {
        const struct vring_used_elem *element =
            &((struct vring_used *)ring->used)->ring[ring->used_idx % ring->size];

        *ret_id = (guint16)(element->id / SPLIT_STRIDE);
        *ret_length = element->len;
        ring->used_idx++;
    }
    return TRUE;
}

gboolean
driver_ring_want_notification(DriverRing *ring)
{
    if (ring->packed) {
        struct vring_packed_desc_event *event = ring->avail;

        if (ring->busy) {
            __atomic_store_n(&event->flags, VRING_PACKED_EVENT_FLAG_DISABLE, __ATOMIC_RELAXED);
        } else if (ring->event_idx) {
            __atomic_store_n(&event->off_wrap,
                             (guint16)(ring->used_idx | (ring->used_wrap ? WRAP_BIT : 0)),
                             __ATOMIC_RELAXED);
            __atomic_store_n(&event->flags, VRING_PACKED_EVENT_FLAG_DESC, __ATOMIC_RELEASE);
        }
    } else {
        struct vring_avail *avail = ring->avail;

        if (ring->event_idx) {
            __atomic_store_n(&avail->ring[ring->size],
                             ring->busy ? (guint16)(ring->used_idx - 1) : ring->used_idx,
                             __ATOMIC_RELAXED);
        } else {
            __atomic_store_n(&avail->flags, ring->busy ? VRING_AVAIL_F_NO_INTERRUPT : 0,
                             __ATOMIC_RELAXED);
        }
    }
    FENCE();
    return !is_used(ring);
}

guint32
driver_ring_base(const DriverRing *ring)
{
    guint32 half;

    if (!ring->packed) {
        return __atomic_load_n(&((struct vring_used *)ring->used)->idx, __ATOMIC_ACQUIRE);
    }
    half = ring->used_idx | (ring->used_wrap ? 1U << 15 : 0);
    return half | half << 16;
}
