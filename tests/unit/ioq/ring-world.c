/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring-world.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/error.h"

#define SPLIT_STRIDE 4 /* of driver-ring.c */

static void
add_region(World *world, guint64 guest, gsize offset, gsize size)
{
    const VuMemoryRegion region = {guest, size, (guint64)(gsize)world->bytes + offset, offset};
    g_autoptr(GError) error = NULL;
    IoqMemory *larger = ioq_memory_with(world->memory, &region, world->fd, &error);

    g_assert_no_error(error);
    ioq_memory_unref(world->memory);
    world->memory = larger;
}

static void
chain_free(gpointer data)
{
    ioq_chain_clear(data);
    g_free(data);
}

World *
world_new(const WorldOptions *options)
{
    World *world = g_new0(World, 1);

    world->options = *options;
    world->ring_bytes = driver_ring_bytes(options->size);
    world->n_bytes = world->ring_bytes + 2 * (gsize)WORLD_BUFFER;
    world->fd = memfd_create("world", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(world->fd, (off_t)world->n_bytes), ==, 0);
    world->bytes = mmap(NULL, world->n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, world->fd, 0);
    g_assert_true(world->bytes != MAP_FAILED);
    world->memory = ioq_memory_new();
    add_region(world, WORLD_GUEST, 0, world->ring_bytes + WORLD_BUFFER);
    add_region(world, WORLD_GUEST + world->ring_bytes + WORLD_BUFFER,
               world->ring_bytes + WORLD_BUFFER, WORLD_BUFFER);
    if (options->tracked) {
        world->region_bytes = ioq_inflight_queue_bytes(options->packed, options->size);
        world->region = g_malloc0(world->region_bytes);
    }
    driver_ring_init(&world->ring, world->bytes, options->size, options->packed,
                     options->event_idx);
    world->chains = g_ptr_array_new_with_free_func(chain_free);
    return world;
}

void
world_free(World *world)
{
    world_drop(world);
    g_ptr_array_unref(world->chains);
    ioq_memory_unref(world->memory);
    munmap(world->bytes, world->n_bytes);
    close(world->fd);
    g_free(world->region);
    g_free(world);
}

guint64
world_address(const World *world, guint offset)
{
    return WORLD_GUEST + world->ring_bytes + offset;
}

char *
world_byte(const World *world, guint offset)
{
    return world->bytes + world->ring_bytes + offset;
}

IoqQueueConfig
world_config(const World *world)
{
    return (IoqQueueConfig){
        .size = world->options.size,
        .packed = world->options.packed,
        .event_idx = world->options.event_idx,
        .indirect = world->options.indirect,
        .address = {.descriptor = (guint64)(gsize)world->ring.desc,
                    .available = (guint64)(gsize)world->ring.avail,
                    .used = (guint64)(gsize)world->ring.used},
        .base = driver_ring_base(&world->ring),
        .inflight = world->region,
        .inflight_entries = world->region ? world->options.size : 0,
    };
}

void
world_start(World *world)
{
    const IoqQueueConfig config = world_config(world);
    g_autoptr(GError) error = NULL;

    g_assert_null(world->queue);
    world->queue = ioq_queue_start(&config, world->memory, &error);
    g_assert_no_error(error);
    g_assert_nonnull(world->queue);
}

void
world_drop(World *world)
{
    g_ptr_array_set_size(world->chains, 0);
    g_clear_pointer(&world->queue, ioq_queue_free);
}

void
world_add(World *world, guint16 id)
{
    const DriverPiece pieces[] = {
        {world_address(world, id), 1, FALSE},
        {world_address(world, 64 * (id + 1U)), 16, TRUE},
    };

    driver_ring_add(&world->ring, id, pieces, G_N_ELEMENTS(pieces), NULL, 0);
}

IoqChain *
world_fetch(World *world)
{
    IoqChain *chain = g_new0(IoqChain, 1);
    g_autoptr(GError) error = NULL;
    IoqFetch result;

    g_ptr_array_add(world->chains, chain);
    result = ioq_queue_fetch(world->queue, chain, &error);
    g_assert_no_error(error);
    if (result == IOQ_FETCH_NOTHING) {
        g_ptr_array_remove(world->chains, chain);
        return NULL;
    }
    g_assert_cmpint(result, ==, IOQ_FETCH_CHAIN);
    return chain;
}

guint
world_fetch_all(World *world)
{
    guint n = 0;

    while (world_fetch(world)) {
        n++;
    }
    return n;
}

void
world_end(World *world, IoqChain *chain, guint32 written)
{
    ioq_queue_push(world->queue, chain, written);
    g_assert_true(g_ptr_array_remove(world->chains, chain));
}

void
world_assert_broken(World *world, const char *text)
{
    g_autoptr(GError) error = NULL;
    IoqChain chain = {0};

    g_assert_cmpint(ioq_queue_fetch(world->queue, &chain, &error), ==, IOQ_FETCH_BROKEN);
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    if (!strstr(error->message, text)) {
        g_error("'%s' does not say '%s'", error->message, text);
    }
}

guint
world_id(const World *world, const IoqChain *chain)
{
    return world->options.packed ? chain->id : chain->id / SPLIT_STRIDE;
}
