/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What split and packed rings must both do, and what of a broken driver each must refuse. */
#include <linux/virtio_ring.h>
#include <string.h>

#include "common/base/error.h"
#include "ring-world.h"

#define SIZE 16U
#define LAPS 5

typedef struct {
    const char *name;
    WorldOptions options;
} Kind;

static const Kind kinds[] = {
    {"split", {.size = SIZE, .indirect = TRUE}},
    {"split-event", {.size = SIZE, .indirect = TRUE, .event_idx = TRUE}},
    {"split-tracked", {.size = SIZE, .indirect = TRUE, .tracked = TRUE}},
    {"packed", {.size = SIZE, .packed = TRUE, .indirect = TRUE}},
    {"packed-event", {.size = SIZE, .packed = TRUE, .indirect = TRUE, .event_idx = TRUE}},
    {"packed-tracked", {.size = SIZE, .packed = TRUE, .indirect = TRUE, .tracked = TRUE}},
    /* A lap that is no whole number of buffers. */
    {"packed-odd", {.size = 7, .packed = TRUE, .indirect = TRUE, .event_idx = TRUE}},
};

static World *
started(gconstpointer data)
{
    World *world = world_new(&((const Kind *)data)->options);

    world_start(world);
    return world;
}

static void
assert_used(World *world, guint id, guint32 length)
{
    guint16 got_id;
    guint32 got_length;

    g_assert_true(driver_ring_take_used(&world->ring, &got_id, &got_length));
    g_assert_cmpuint(got_id, ==, id);
    g_assert_cmpuint(got_length, ==, length);
}

static void
assert_nothing_used(World *world)
{
    guint16 id;
    guint32 length;

    g_assert_false(driver_ring_take_used(&world->ring, &id, &length));
}

/* One buffer through the whole ring. */
static void
pass_one(World *world, guint16 id, guint32 written)
{
    world_add(world, id);
    world_end(world, world_fetch(world), written);
    ioq_queue_publish(world->queue);
    assert_used(world, id, written);
}

static void
test_laps(gconstpointer data)
{
    g_autoptr(World) world = started(data);

    for (guint i = 0; i < LAPS * SIZE; i++) {
        guint16 id = i % 3;
        IoqChain *chain;

        *world_byte(world, id) = (char)i;
        world_add(world, id);
        chain = world_fetch(world);
        g_assert_cmpuint(world_id(world, chain), ==, id);
        g_assert_cmpuint(chain->n_out, ==, 1);
        g_assert_cmpuint(chain->n_in, ==, 1);
        g_assert_cmpint(*(char *)chain->iov[0].iov_base, ==, (char)i);
        g_assert_cmpuint(chain->iov[1].iov_len, ==, 16);
        memset(chain->iov[1].iov_base, (int)i, 16);
        g_assert_null(world_fetch(world));
        g_assert_cmpuint(ioq_queue_n_in_flight(world->queue), ==, 1);
        world_end(world, chain, i);
        ioq_queue_publish(world->queue);
        assert_used(world, id, i);
        assert_nothing_used(world);
        g_assert_cmpint(*world_byte(world, 64 * (id + 1U) + 15), ==, (char)i);
    }
    g_assert_cmpuint(ioq_queue_n_in_flight(world->queue), ==, 0);
}

/* As many as fit, ended in another order than they came, in two batches. */
static void
test_out_of_order(gconstpointer data)
{
    g_autoptr(World) world = started(data);

    for (guint lap = 0; lap < LAPS; lap++) {
        static const guint order[] = {2, 0, 1};

        for (guint16 id = 0; id < 3; id++) {
            world_add(world, id);
        }
        g_assert_cmpuint(world_fetch_all(world), ==, 3);
        {
            IoqChain *chains[3];

            for (guint i = 0; i < 3; i++) {
                chains[i] = world->chains->pdata[i];
            }
            world_end(world, chains[order[0]], 10);
            world_end(world, chains[order[1]], 11);
            ioq_queue_publish(world->queue);
            assert_used(world, order[0], 10);
            assert_used(world, order[1], 11);
            assert_nothing_used(world);
            world_end(world, chains[order[2]], 12);
        }
        ioq_queue_publish(world->queue);
        assert_used(world, order[2], 12);
    }
}

static void
test_split_is_hidden_until_published(void)
{
    static const Kind kind = {"", {.size = SIZE}};
    g_autoptr(World) world = started(&kind);

    world_add(world, 0);
    world_end(world, world_fetch(world), 1);
    assert_nothing_used(world);
    g_assert_true(ioq_queue_publish(world->queue));
    assert_used(world, 0, 1);
    g_assert_false(ioq_queue_publish(world->queue));
}

/* Chains of each length that fits, with each number of pieces to be written. */
static void
test_lengths(gconstpointer data)
{
    g_autoptr(World) world = started(data);
    guint longest = world->options.size;

    for (guint n = 1; n <= longest; n++) {
        for (guint n_in = 0; n_in <= n; n_in++) {
            DriverPiece pieces[SIZE];
            IoqChain *chain;

            for (guint i = 0; i < n; i++) {
                pieces[i] = (DriverPiece){world_address(world, 32 * i), i + 1, i >= n - n_in};
            }
            driver_ring_add(&world->ring, 0, pieces, n, NULL, 0);
            chain = world_fetch(world);
            g_assert_cmpuint(chain->n_out, ==, n - n_in);
            g_assert_cmpuint(chain->n_in, ==, n_in);
            for (guint i = 0; i < n; i++) {
                guint64 address;

                g_assert_cmpuint(chain->iov[i].iov_len, ==, i + 1);
                g_assert_true(
                    ioq_memory_guest_address(world->memory, chain->iov[i].iov_base, &address));
                g_assert_cmpuint(address, ==, pieces[i].address);
            }
            world_end(world, chain, n_in);
            ioq_queue_publish(world->queue);
            assert_used(world, 0, n_in);
        }
    }
}

#define TABLE 0x1000U /* of indirect descriptors, in the caller's memory */

static void
add_indirect(World *world, guint n, guint n_in)
{
    g_autofree DriverPiece *pieces = g_new(DriverPiece, n);

    for (guint i = 0; i < n; i++) {
        pieces[i] = (DriverPiece){world_address(world, i), 1, i >= n - n_in};
    }
    driver_ring_add(&world->ring, 1, pieces, n, world_byte(world, TABLE),
                    world_address(world, TABLE));
}

static void
test_indirect(gconstpointer data)
{
    static const guint lengths[] = {1, IOQ_CHAIN_FEW_IOV, IOQ_CHAIN_FEW_IOV + 1, 100,
                                    IOQ_CHAIN_MAX_IOV};
    g_autoptr(World) world = started(data);

    for (guint i = 0; i < LAPS * G_N_ELEMENTS(lengths); i++) {
        guint n = lengths[i % G_N_ELEMENTS(lengths)];
        IoqChain *chain;

        add_indirect(world, n, 1);
        chain = world_fetch(world);
        g_assert_cmpuint(chain->n_out, ==, n - 1);
        g_assert_cmpuint(chain->n_in, ==, 1);
        world_end(world, chain, 0);
        ioq_queue_publish(world->queue);
        assert_used(world, 1, 0);
    }
    add_indirect(world, IOQ_CHAIN_MAX_IOV + 1, 1);
    world_assert_broken(world, "more than 258 pieces");
}

/* One descriptor over the edge of two regions is two pieces. */
static void
test_spanning(gconstpointer data)
{
    g_autoptr(World) world = started(data);
    const DriverPiece piece = {world_address(world, WORLD_BUFFER - 10), 30, FALSE};
    const DriverPiece tail = {world_address(world, 2 * WORLD_BUFFER - 1), 1, TRUE};
    const DriverPiece pieces[] = {piece, tail};
    IoqChain *chain;

    memcpy(world_byte(world, WORLD_BUFFER - 10), "0123456789abcdefghijklmnopqrst", 30);
    driver_ring_add(&world->ring, 0, pieces, 2, NULL, 0);
    chain = world_fetch(world);
    g_assert_cmpuint(chain->n_out, ==, 2);
    g_assert_cmpmem(chain->iov[0].iov_base, chain->iov[0].iov_len, "0123456789", 10);
    g_assert_cmpmem(chain->iov[1].iov_base, chain->iov[1].iov_len, "abcdefghijklmnopqrst", 20);
    g_assert_cmpuint(chain->n_in, ==, 1);
}

static void
test_empty_piece(gconstpointer data)
{
    g_autoptr(World) world = started(data);
    const DriverPiece pieces[] = {{0, 0, FALSE}, {world_address(world, 0), 1, TRUE}};
    IoqChain *chain;

    driver_ring_add(&world->ring, 0, pieces, 2, NULL, 0);
    chain = world_fetch(world);
    g_assert_cmpuint(chain->n_out, ==, 0);
    g_assert_cmpuint(chain->n_in, ==, 1);
}

/* Kicks are off but while the device sleeps, at each place in the ring. */
static void
test_kicks(gconstpointer data)
{
    g_autoptr(World) world = started(data);

    for (guint i = 0; i < LAPS * SIZE; i++) {
        g_assert_true(ioq_queue_sleep(world->queue));
        world_add(world, 0);
        g_assert_true(driver_ring_wants_kick(&world->ring));
        ioq_queue_wake(world->queue);
        g_assert_true(ioq_queue_is_ready(world->queue));
        world_add(world, 1);
        g_assert_false(driver_ring_wants_kick(&world->ring));
        while (world_fetch(world)) {
            world_end(world, world->chains->pdata[0], 0);
            ioq_queue_publish(world->queue);
        }
        assert_used(world, 0, 0);
        assert_used(world, 1, 0);
        g_assert_false(ioq_queue_is_ready(world->queue));
    }
}

/* What comes before the driver can have seen that kicks are on is seen by the device. */
static void
test_sleep_race(gconstpointer data)
{
    g_autoptr(World) world = started(data);

    for (guint i = 0; i < LAPS * SIZE; i++) {
        world_add(world, 0);
        driver_ring_wants_kick(&world->ring);
        g_assert_false(ioq_queue_sleep(world->queue));
        world_add(world, 1);
        /* Kicks are off again. A split ring's event index is left where it is, and has passed. */
        if (world->options.packed || !world->options.event_idx) {
            g_assert_false(driver_ring_wants_kick(&world->ring));
        }
        while (world_fetch(world)) {
            world_end(world, world->chains->pdata[0], 0);
            ioq_queue_publish(world->queue);
        }
        assert_used(world, 0, 0);
        assert_used(world, 1, 0);
    }
}

/* A driver that asks is told, at each place in the ring. */
static void
test_notifications(gconstpointer data)
{
    g_autoptr(World) world = started(data);

    for (guint i = 0; i < LAPS * SIZE; i++) {
        g_assert_true(driver_ring_want_notification(&world->ring));
        world_add(world, 0);
        world_end(world, world_fetch(world), 0);
        g_assert_true(ioq_queue_publish(world->queue));
        g_assert_false(driver_ring_want_notification(&world->ring)); /* there is one already */
        assert_used(world, 0, 0);
    }
}

/* One that polls is not told; but for the first of a lap, where rather one too many than none. */
static void
test_no_notifications(gconstpointer data)
{
    g_autoptr(World) world = started(data);
    guint told = 0;

    world->ring.busy = TRUE;
    for (guint i = 0; i < LAPS * SIZE; i++) {
        driver_ring_want_notification(&world->ring);
        world_add(world, 0);
        world_end(world, world_fetch(world), 0);
        told += ioq_queue_publish(world->queue);
        assert_used(world, 0, 0);
    }
    g_assert_cmpuint(told, <=, world->options.event_idx && !world->options.packed ? 1 : 0);
}

/* With an event index a driver that does not ask again is told once. */
static void
test_told_once(gconstpointer data)
{
    g_autoptr(World) world = started(data);
    guint told = 0;

    driver_ring_want_notification(&world->ring);
    pass_one(world, 0, 0);
    driver_ring_want_notification(&world->ring);
    for (guint i = 0; i < 2; i++) {
        world_add(world, 0);
        world_end(world, world_fetch(world), 0);
        told += ioq_queue_publish(world->queue);
        assert_used(world, 0, 0);
    }
    g_assert_cmpuint(told, ==, world->options.event_idx ? 1 : 2);
}

static void
test_base(gconstpointer data)
{
    g_autoptr(World) world = started(data);

    for (guint i = 0; i < LAPS * SIZE; i++) {
        pass_one(world, 0, 0);
        g_assert_cmphex(ioq_queue_base(world->queue), ==, driver_ring_base(&world->ring));
        if (i % 3 == 0) {
            world_drop(world);
            world_start(world);
        }
    }
}

/* A table without the ring is refused, and all goes on with the old one. */
static void
test_set_memory(gconstpointer data)
{
    g_autoptr(World) world = started(data);
    g_autoptr(IoqMemory) empty = ioq_memory_new();
    g_autoptr(GError) error = NULL;

    pass_one(world, 0, 0);
    g_assert_false(ioq_queue_set_memory(world->queue, empty, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    pass_one(world, 0, 0);
    g_clear_error(&error);
    g_assert_true(ioq_queue_set_memory(world->queue, world->memory, &error));
    g_assert_no_error(error);
    pass_one(world, 0, 0);
}

/* What ioq_queue_start() refuses */

typedef void (*Spoil)(IoqQueueConfig *config);

static void
spoil_size_zero(IoqQueueConfig *config)
{
    config->size = 0;
}

static void
spoil_size_large(IoqQueueConfig *config)
{
    config->size = 2048;
}

static void
spoil_descriptor(IoqQueueConfig *config)
{
    config->address.descriptor = 0;
}

static void
spoil_available(IoqQueueConfig *config)
{
    config->address.available = G_MAXUINT64;
}

static void
spoil_used(IoqQueueConfig *config)
{
    config->address.used += 1U << 30;
}

static void
spoil_alignment(IoqQueueConfig *config)
{
    config->address.descriptor += 8;
}

static void
spoil_used_alignment(IoqQueueConfig *config)
{
    config->address.used += 2;
}

static void
spoil_entries(IoqQueueConfig *config)
{
    config->inflight = GSIZE_TO_POINTER(64); /* is not looked at */
    config->inflight_entries = config->size - 1U;
}

static void
test_start_refusals(gconstpointer data)
{
    static const Spoil spoils[] = {spoil_size_zero,      spoil_size_large, spoil_descriptor,
                                   spoil_available,      spoil_used,       spoil_alignment,
                                   spoil_used_alignment, spoil_entries};
    g_autoptr(World) world = world_new(&((const Kind *)data)->options);

    for (guint i = 0; i < G_N_ELEMENTS(spoils); i++) {
        IoqQueueConfig config = world_config(world);
        g_autoptr(GError) error = NULL;

        spoils[i](&config);
        g_assert_null(ioq_queue_start(&config, world->memory, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    }
}

static void
test_start_refusals_by_kind(void)
{
    g_autoptr(World) split = world_new(&kinds[0].options);
    g_autoptr(World) packed = world_new(&kinds[3].options);
    IoqQueueConfig config = world_config(split);
    g_autoptr(GError) error = NULL;

    config.size = 12;
    g_assert_null(ioq_queue_start(&config, split->memory, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    for (guint half = 0; half <= 16; half += 16) {
        g_clear_error(&error);
        config = world_config(packed);
        config.base = SIZE << half;
        g_assert_null(ioq_queue_start(&config, packed->memory, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    }
}

/* Broken drivers, of either kind */

static void
test_outside(gconstpointer data)
{
    static const struct {
        guint64 address;
        guint32 length;
    } cases[] = {
        {0, 1},           {WORLD_GUEST - 1, 2},       {G_MAXUINT64, 1},
        {G_MAXUINT64, 2}, {WORLD_GUEST, G_MAXUINT32},
    };

    for (guint i = 0; i <= G_N_ELEMENTS(cases); i++) {
        g_autoptr(World) world = started(data);
        DriverPiece piece = {world_address(world, 2 * WORLD_BUFFER - 1), 2, TRUE}; /* the end */

        if (i < G_N_ELEMENTS(cases)) {
            piece.address = cases[i].address;
            piece.length = cases[i].length;
        }
        driver_ring_add(&world->ring, 0, &piece, 1, NULL, 0);
        world_assert_broken(world, "no guest memory");
    }
}

static void
test_in_before_out(gconstpointer data)
{
    g_autoptr(World) world = started(data);
    const DriverPiece pieces[] = {{world_address(world, 0), 1, TRUE},
                                  {world_address(world, 1), 1, FALSE}};

    driver_ring_add(&world->ring, 0, pieces, 2, NULL, 0);
    world_assert_broken(world, "follows one to be written");
}

/* The only descriptor in the ring is indirect, with these values. */
static void
set_indirect(World *world, guint64 address, guint32 length)
{
    if (world->options.packed) {
        struct vring_packed_desc *desc = world->ring.desc;

        desc->addr = address;
        desc->len = length;
    } else {
        struct vring_desc *desc = (struct vring_desc *)world->ring.desc + 4; /* of id 1 */

        desc->addr = address;
        desc->len = length;
    }
}

static void
test_indirect_table(gconstpointer data)
{
    static const guint32 lengths[] = {0, 1, 15, 17, 16 * 1025, G_MAXUINT32 - 15};

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(World) world = started(data);

        add_indirect(world, 2, 1);
        set_indirect(world, world_address(world, TABLE), lengths[i]);
        world_assert_broken(world, "is not valid here");
    }
    {
        g_autoptr(World) world = started(data);

        add_indirect(world, 2, 1);
        set_indirect(world, 0, 32);
        world_assert_broken(world, "not in guest memory");
    }
    {
        g_autoptr(World) world = started(data);

        add_indirect(world, 2, 1);
        set_indirect(world, world_address(world, 2 * WORLD_BUFFER - 16), 32);
        world_assert_broken(world, "not in guest memory");
    }
}

static void
test_indirect_not_negotiated(gconstpointer data)
{
    WorldOptions options = ((const Kind *)data)->options;
    g_autoptr(World) world = NULL;

    options.indirect = FALSE;
    world = world_new(&options);
    world_start(world);
    add_indirect(world, 2, 1);
    world_assert_broken(world, "is not valid here");
}

static void
test_indirect_in_indirect(gconstpointer data)
{
    g_autoptr(World) world = started(data);

    add_indirect(world, 2, 1);
    if (world->options.packed) {
        ((struct vring_packed_desc *)(gpointer)world_byte(world, TABLE))->flags |=
            VRING_DESC_F_INDIRECT;
        world_assert_broken(world, "inside another");
    } else {
        *(struct vring_desc *)(gpointer)world_byte(world, TABLE) =
            (struct vring_desc){world_address(world, TABLE), 16, VRING_DESC_F_INDIRECT, 0};
        world_assert_broken(world, "is not valid here");
    }
}

/* Broken split rings */

static World *
split_world(gboolean tracked)
{
    const Kind kind = {"", {.size = SIZE, .indirect = TRUE, .tracked = tracked}};

    return started(&kind);
}

static void
test_split_head(void)
{
    g_autoptr(World) world = split_world(FALSE);

    world_add(world, 0);
    ((struct vring_avail *)world->ring.avail)->ring[0] = SIZE;
    world_assert_broken(world, "the next at 16, in a ring of 16");
}

static void
test_split_next(void)
{
    g_autoptr(World) world = split_world(FALSE);

    world_add(world, 0);
    ((struct vring_desc *)world->ring.desc)[0].next = SIZE;
    world_assert_broken(world, "descriptor 16 of a table of 16");
}

static void
test_split_loop(void)
{
    g_autoptr(World) world = split_world(FALSE);
    struct vring_desc *desc = world->ring.desc;

    world_add(world, 0);
    desc[1].flags |= VRING_DESC_F_NEXT;
    desc[0].flags |= VRING_DESC_F_WRITE;
    desc[1].next = 0;
    world_assert_broken(world, "has a loop");
}

static void
test_split_indirect_loop(void)
{
    g_autoptr(World) world = split_world(FALSE);
    struct vring_desc *table = (gpointer)world_byte(world, TABLE);

    add_indirect(world, 2, 2);
    table[1].flags |= VRING_DESC_F_NEXT;
    table[1].next = 1;
    world_assert_broken(world, "has a loop");
}

static void
test_split_indirect_next(void)
{
    g_autoptr(World) world = split_world(FALSE);
    struct vring_desc *table = (gpointer)world_byte(world, TABLE);

    add_indirect(world, 2, 1);
    table[0].next = 2;
    world_assert_broken(world, "descriptor 2 of a table of 2");
}

static void
test_split_indirect_with_next(void)
{
    g_autoptr(World) world = split_world(FALSE);

    add_indirect(world, 2, 1);
    ((struct vring_desc *)world->ring.desc)[4].flags |= VRING_DESC_F_NEXT;
    world_assert_broken(world, "is not valid here");
}

static void
test_split_available(void)
{
    g_autoptr(World) world = split_world(FALSE);
    struct vring_avail *avail = world->ring.avail;

    world_add(world, 0);
    g_assert_nonnull(world_fetch(world));
    /* One is ours, so SIZE more are one too many. */
    avail->idx = (guint16)(avail->idx + SIZE);
    world_assert_broken(world, "16 available buffers");
    avail->idx--;
    g_assert_nonnull(world_fetch(world));
    avail->idx = (guint16)(avail->idx - SIZE);
    world_assert_broken(world, "available buffers");
}

static void
test_split_twice(void)
{
    g_autoptr(World) tracked = split_world(TRUE);
    g_autoptr(World) plain = split_world(FALSE);

    world_add(tracked, 1);
    world_add(tracked, 1);
    g_assert_nonnull(world_fetch(tracked));
    world_assert_broken(tracked, "while it is in flight");

    /* Without a region nobody keeps count of heads; but no more are taken than the ring has. */
    for (guint i = 0; i < SIZE; i++) {
        world_add(plain, 1);
    }
    g_assert_cmpuint(world_fetch_all(plain), ==, SIZE);
    world_add(plain, 1);
    world_assert_broken(plain, "1 available buffers");
    while (plain->chains->len > 0) {
        world_end(plain, plain->chains->pdata[0], 0);
    }
    g_assert_true(ioq_queue_publish(plain->queue));
}

/* Broken packed rings */

static void
test_packed_endless(gconstpointer data)
{
    const Kind kind = {"", {.size = SIZE, .packed = TRUE, .tracked = data != NULL}};
    g_autoptr(World) world = started(&kind);
    struct vring_packed_desc *desc = world->ring.desc;

    for (guint i = 0; i < SIZE; i++) {
        desc[i] = (struct vring_packed_desc){world_address(world, 0), 1, 0,
                                             VRING_DESC_F_NEXT | 1U << VRING_PACKED_DESC_F_AVAIL};
    }
    world_assert_broken(world, "more descriptors are available");
}

static void
test_packed_more_than_the_ring(gconstpointer data)
{
    const Kind kind = {"", {.size = SIZE, .packed = TRUE, .tracked = data != NULL}};
    g_autoptr(World) world = started(&kind);
    struct vring_packed_desc *desc = world->ring.desc;

    for (guint i = 0; i < SIZE; i++) {
        desc[i] = (struct vring_packed_desc){world_address(world, 0), 1, (guint16)i,
                                             1U << VRING_PACKED_DESC_F_AVAIL};
    }
    g_assert_cmpuint(world_fetch_all(world), ==, SIZE);
    desc[0].flags = 1U << VRING_PACKED_DESC_F_USED; /* available in the next lap */
    world_assert_broken(world, "more descriptors are available");
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc function;
    } tests[] = {
        {"laps", test_laps},
        {"out-of-order", test_out_of_order},
        {"lengths", test_lengths},
        {"indirect", test_indirect},
        {"spanning", test_spanning},
        {"empty-piece", test_empty_piece},
        {"kicks", test_kicks},
        {"sleep-race", test_sleep_race},
        {"notifications", test_notifications},
        {"no-notifications", test_no_notifications},
        {"told-once", test_told_once},
        {"base", test_base},
        {"set-memory", test_set_memory},
        {"start-refusals", test_start_refusals},
        {"outside", test_outside},
        {"in-before-out", test_in_before_out},
        {"indirect-table", test_indirect_table},
        {"indirect-not-negotiated", test_indirect_not_negotiated},
        {"indirect-in-indirect", test_indirect_in_indirect},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path =
                g_strdup_printf("/ioq/ring/%s/%s", kinds[k].name, tests[i].name);

            g_test_add_data_func(path, &kinds[k], tests[i].function);
        }
    }
    g_test_add_func("/ioq/ring/start-refusals-by-kind", test_start_refusals_by_kind);
    g_test_add_func("/ioq/ring/split/hidden-until-published", test_split_is_hidden_until_published);
    g_test_add_func("/ioq/ring/split/head", test_split_head);
    g_test_add_func("/ioq/ring/split/next", test_split_next);
    g_test_add_func("/ioq/ring/split/loop", test_split_loop);
    g_test_add_func("/ioq/ring/split/indirect-loop", test_split_indirect_loop);
    g_test_add_func("/ioq/ring/split/indirect-next", test_split_indirect_next);
    g_test_add_func("/ioq/ring/split/indirect-with-next", test_split_indirect_with_next);
    g_test_add_func("/ioq/ring/split/available", test_split_available);
    g_test_add_func("/ioq/ring/split/twice", test_split_twice);
    g_test_add_data_func("/ioq/ring/packed/endless", NULL, test_packed_endless);
    g_test_add_data_func("/ioq/ring/packed/endless-tracked", "", test_packed_endless);
    g_test_add_data_func("/ioq/ring/packed/more", NULL, test_packed_more_than_the_ring);
    g_test_add_data_func("/ioq/ring/packed/more-tracked", "", test_packed_more_than_the_ring);
    return g_test_run();
}
