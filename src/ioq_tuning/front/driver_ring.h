/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <linux/virtio_ring.h>

/*
 * The driver's side of a virtqueue, split or packed: what a guest does. Rings lie in
 * memory that the caller shares with the back end; buffers have an id below the ring's size, and
 * the caller knows which are in use.
 */
typedef struct {
    guint size;
    gboolean packed;
    gboolean event_idx;
    gboolean busy; /* the caller polls: no notifications are wanted */
    gpointer desc; /* 16 * size bytes; also of indirect tables: see driver_ring_indirect() */
    gpointer avail;
    gpointer used;
    /* split */
    guint16 avail_idx;
    guint16 used_idx;
    guint16 kicked_at;
    /* packed */
    gboolean avail_wrap;
    gboolean used_wrap;
    guint n_free;
    guint16 lengths[1024]; /* of buffer id, in descriptors */
    gboolean kicked_wrap;
} DriverRing;

typedef struct {
    guint64 address;
    guint32 length;
    gboolean is_in;
} DriverPiece;

/* Bytes that a ring of @size takes, and where its parts are from the start. */
gsize driver_ring_bytes(guint size);
void driver_ring_init(DriverRing *ring, gpointer memory, guint size, gboolean packed,
                      gboolean event_idx);

/* Adds a buffer of @n pieces. With @table (and its guest address) they go there, and one descriptor
 * into the ring. @id: split: its descriptors are 4 * id and on, so 4 * id + n must fit the ring. */
void driver_ring_add(DriverRing *ring, guint16 id, const DriverPiece *pieces, guint n,
                     gpointer table, guint64 table_address);

/* Whether the back end wants to be kicked for what was added since the last call. */
gboolean driver_ring_wants_kick(DriverRing *ring);

/* The next used buffer; its id is whatever the back end wrote. FALSE: none. */
gboolean driver_ring_take_used(DriverRing *ring, guint16 *ret_id, guint32 *ret_length);

/* Asks for a notification of the next used buffer. Returns: FALSE where there is one already. */
gboolean driver_ring_want_notification(DriverRing *ring);

/* What SET_VRING_BASE would say, counted from what is used: right after a clean stop, and what QEMU
 * says after a crash. */
guint32 driver_ring_base(const DriverRing *ring);
