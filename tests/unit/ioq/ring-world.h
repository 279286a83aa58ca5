/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "ioq_tuning/virtqueue/inflight.h"
#include "ioq_tuning/virtqueue/queue.h"
#include "ioq_tuning/front/driver_ring.h"

/*
 * Both ends of one queue in one process: a driver's ring in memory that is shared as a front end
 * shares it, and the device's side of it. The caller's memory is two regions, which are neighbours
 * for the guest and are mapped apart.
 */
typedef struct {
    guint16 size;
    gboolean packed;
    gboolean event_idx;
    gboolean indirect;
    gboolean tracked; /* with an in-flight region */
} WorldOptions;

typedef struct {
    WorldOptions options;
    DriverRing ring;
    int fd;
    char *bytes; /* the ring, then the caller's memory */
    gsize n_bytes;
    gsize ring_bytes;
    IoqMemory *memory;
    gpointer region; /* in-flight; NULL: none */
    gsize region_bytes;
    IoqQueue *queue;   /* NULL: not started */
    GPtrArray *chains; /* of IoqChain: what fetch gave and was not ended */
} World;

#define WORLD_GUEST  G_GUINT64_CONSTANT(0x200000000)
#define WORLD_BUFFER 0x4000U /* bytes of the caller's memory in each of its two regions */

World *world_new(const WorldOptions *options);
void world_free(World *world);

/* Guest address of a byte of the caller's memory, and the byte. */
guint64 world_address(const World *world, guint offset);
char *world_byte(const World *world, guint offset);

/* What SET_VRING_* would say. */
IoqQueueConfig world_config(const World *world);

/* Starts the device's side; it must work. */
void world_start(World *world);

/* Ends it as a dying process does: nothing that is out is finished. */
void world_drop(World *world);

/* Makes one buffer available: one byte to be read at @id, 16 to be written at 64 * (@id + 1). */
void world_add(World *world, guint16 id);

/* The next chain; NULL: nothing is available. It is in @world->chains until world_end(). */
IoqChain *world_fetch(World *world);
guint world_fetch_all(World *world);

/* Pushes @chain with @written bytes; it is gone then. */
void world_end(World *world, IoqChain *chain, guint32 written);

/* Fetches; the queue must call the ring broken, with @text in the message. */
void world_assert_broken(World *world, const char *text);

/* The driver's id of a chain. */
guint world_id(const World *world, const IoqChain *chain);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)
