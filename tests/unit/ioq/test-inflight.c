/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery. The queue's code is built here with its crash points, and a crash point that is wanted
 * jumps out of it: the queue object is dropped where it stands, as if the process had died there,
 * and another one is started on the same ring and region.
 */
#include <setjmp.h>
#include <string.h>

#include "common/base/error.h"
#include "ioq_tuning/virtqueue/crash_point.h"
#include "ring-world.h"

#define SIZE    16U
#define HOSTILE 4000U /* random regions */

static int wanted_point = -1;
static guint wanted_hits;
static jmp_buf crash;
static int control_off = -1;

void
ioq_crash_point(IoqCrashPoint point)
{
    if ((int)point == wanted_point && --wanted_hits == 0) {
        wanted_point = -1;
        longjmp(crash, 1);
    }
}

int
ioq_control_is_off(IoqControl control)
{
    return (int)control == control_off;
}

static const WorldOptions split_options = {.size = SIZE, .tracked = TRUE};
static const WorldOptions packed_options = {.size = SIZE, .packed = TRUE, .tracked = TRUE};

static World *
started(gboolean packed)
{
    World *world = world_new(packed ? &packed_options : &split_options);

    world_start(world);
    return world;
}

static IoqInflightSplit *
split_region(World *world)
{
    return world->region;
}

static IoqInflightPacked *
packed_region(World *world)
{
    return world->region;
}

static guint
n_marked(World *world)
{
    guint n = 0;

    for (guint i = 0; i < SIZE; i++) {
        n += world->options.packed ? packed_region(world)->desc[i].inflight
                                   : split_region(world)->desc[i].inflight;
    }
    return n;
}

static void
end_id(World *world, guint id)
{
    for (guint i = 0; i < world->chains->len; i++) {
        IoqChain *chain = world->chains->pdata[i];

        if (world_id(world, chain) == id) {
            world_end(world, chain, id);
            return;
        }
    }
    g_assert_not_reached();
}

/* The ids that are fetched now, in their order, as a text. */
static char *
fetch_ids(World *world)
{
    GString *ids = g_string_new(NULL);
    IoqChain *chain;

    while ((chain = world_fetch(world))) {
        g_string_append_printf(ids, "%u", world_id(world, chain));
    }
    return g_string_free(ids, FALSE);
}

/* The ids that the driver finds used now. */
static char *
take_used(World *world)
{
    GString *ids = g_string_new(NULL);
    guint16 id;
    guint32 length;

    while (driver_ring_take_used(&world->ring, &id, &length)) {
        g_assert_cmpuint(length, ==, id);
        g_string_append_printf(ids, "%u", id);
    }
    return g_string_free(ids, FALSE);
}

static void
assert_ids(char *ids, const char *expected)
{
    g_assert_cmpstr(ids, ==, expected);
    g_free(ids);
}

/* The region itself */

static void
test_split_format(void)
{
    g_autoptr(World) world = started(FALSE);
    IoqInflightSplit *region = split_region(world);

    g_assert_cmpuint(region->version, ==, 1);
    g_assert_cmpuint(region->desc_num, ==, SIZE);
    g_assert_cmpuint(region->used_idx, ==, 0);
    g_assert_cmpuint(n_marked(world), ==, 0);
    g_assert_cmpuint(ioq_inflight_queue_bytes(FALSE, SIZE) % IOQ_INFLIGHT_ALIGN, ==, 0);
    g_assert_cmpuint(ioq_inflight_queue_bytes(FALSE, SIZE), >=, 16 + 16 * SIZE);
}

static void
test_packed_format(void)
{
    g_autoptr(World) world = started(TRUE);
    IoqInflightPacked *region = packed_region(world);

    g_assert_cmpuint(region->version, ==, 1);
    g_assert_cmpuint(region->desc_num, ==, SIZE);
    g_assert_cmpuint(region->free_head, ==, 0);
    g_assert_cmpuint(region->old_free_head, ==, 0);
    g_assert_cmpuint(region->used_wrap_counter, ==, 1);
    g_assert_cmpuint(region->old_used_wrap_counter, ==, 1);
    for (guint i = 0; i < SIZE; i++) {
        g_assert_cmpuint(region->desc[i].next, ==, i + 1);
    }
    g_assert_cmpuint(n_marked(world), ==, 0);
    g_assert_cmpuint(ioq_inflight_queue_bytes(TRUE, SIZE), >=, 32 + 32 * SIZE);
}

static void
test_marks(gconstpointer packed)
{
    g_autoptr(World) world = started(packed != NULL);

    for (guint16 id = 0; id < 3; id++) {
        world_add(world, id);
    }
    g_assert_cmpuint(n_marked(world), ==, 0);
    world_fetch_all(world);
    g_assert_cmpuint(n_marked(world), ==, 3);
    end_id(world, 1);
    ioq_queue_publish(world->queue);
    g_assert_cmpuint(n_marked(world), ==, 2);
    end_id(world, 2);
    end_id(world, 0);
    ioq_queue_publish(world->queue);
    g_assert_cmpuint(n_marked(world), ==, 0);
    if (packed) {
        g_assert_cmpuint(packed_region(world)->used_idx, ==, 6);
    } else {
        g_assert_cmpuint(split_region(world)->used_idx, ==, 3);
    }
}

/* Replay */

static void
make_available_descending(World *world)
{
    world_add(world, 2);
    world_add(world, 1);
    world_add(world, 0);
}

/* In the order in which they were made available; with the control in another one. */
static void
test_split_replay_order(void)
{
    g_autoptr(World) world = started(FALSE);

    make_available_descending(world);
    g_assert_cmpuint(world_fetch_all(world), ==, 3);
    world_drop(world);
    world_start(world);
    g_assert_cmpuint(ioq_queue_n_replay(world->queue), ==, 3);
    g_assert_true(ioq_queue_is_ready(world->queue));
    g_assert_false(ioq_queue_sleep(world->queue));
    assert_ids(fetch_ids(world), "210");
    g_assert_cmpuint(ioq_queue_n_replay(world->queue), ==, 0);
    world_drop(world);

    control_off = IOQ_CONTROL_COUNTER;
    world_start(world);
    assert_ids(fetch_ids(world), "012");
    control_off = -1;
}

/* A packed region's entries are given out from a list, so an order of its own comes by itself once
 * requests have ended out of order. */
static void
test_packed_replay_order(void)
{
    for (guint off = 0; off < 2; off++) {
        g_autoptr(World) world = started(TRUE);

        world_add(world, 0);
        world_add(world, 1);
        world_fetch_all(world);
        end_id(world, 0);
        end_id(world, 1);
        ioq_queue_publish(world->queue);
        assert_ids(take_used(world), "01");
        world_add(world, 2); /* into the entries that 1 had, which are behind those of 0 */
        world_add(world, 0);
        world_fetch_all(world);
        world_drop(world);
        control_off = off ? IOQ_CONTROL_COUNTER : -1;
        world_start(world);
        control_off = -1;
        assert_ids(fetch_ids(world), off ? "02" : "20");
    }
}

/* What was replayed keeps its place before what is new, also over a second crash. */
static void
test_replay_twice(gconstpointer packed)
{
    g_autoptr(World) world = started(packed != NULL);

    make_available_descending(world);
    g_assert_nonnull(world_fetch(world));
    g_assert_nonnull(world_fetch(world));
    world_drop(world);
    world_start(world);
    assert_ids(fetch_ids(world), "210");
    world_drop(world);
    world_start(world);
    g_assert_cmpuint(ioq_queue_n_replay(world->queue), ==, 3);
    assert_ids(fetch_ids(world), "210");
    end_id(world, 1);
    ioq_queue_publish(world->queue);
    assert_ids(take_used(world), "1");
    world_drop(world);
    world_start(world);
    assert_ids(fetch_ids(world), "20");
}

/* The next available index comes from the region, whatever the base says. */
static void
test_base_is_not_believed(gconstpointer packed)
{
    static const guint32 bases[] = {0, 1, 5, 15, 0x80008000, 0xffffffff};

    for (guint i = 0; i < G_N_ELEMENTS(bases); i++) {
        g_autoptr(World) world = started(packed != NULL);
        IoqQueueConfig config;
        g_autoptr(GError) error = NULL;

        make_available_descending(world);
        g_assert_nonnull(world_fetch(world));
        g_assert_nonnull(world_fetch(world));
        end_id(world, 1); /* out of order */
        ioq_queue_publish(world->queue);
        world_drop(world);
        config = world_config(world);
        config.base = bases[i];
        world->queue = ioq_queue_start(&config, world->memory, &error);
        g_assert_no_error(error);
        assert_ids(fetch_ids(world), "20");
        end_id(world, 0);
        end_id(world, 2);
        ioq_queue_publish(world->queue);
        assert_ids(take_used(world), "102");
    }
}

/* Crashes */

typedef struct {
    const char *name;
    gboolean packed;
    int point;
    guint hits;
    gboolean in_fetch;
    const char *used;     /* what the driver has seen when it is over */
    const char *replayed; /* of what was fetched */
} Crash;

/*
 * Buffers 2, 1, 0; the crash comes while they are fetched, or while 1 and 0 are ended in one batch.
 * What is not marked yet is fetched anew, so "replayed" is what comes first and needs no ring.
 */
static const Crash crashes[] = {
    {"split/fetched", FALSE, IOQ_CRASH_FETCHED, 2, TRUE, "", "2"},
    {"split/marked", FALSE, IOQ_CRASH_MARKED, 2, TRUE, "", "21"},
    {"split/completed-first", FALSE, IOQ_CRASH_COMPLETED, 1, FALSE, "", "210"},
    {"split/listed-first", FALSE, IOQ_CRASH_LISTED, 1, FALSE, "", "210"},
    {"split/completed-second", FALSE, IOQ_CRASH_COMPLETED, 2, FALSE, "", "210"},
    {"split/listed-second", FALSE, IOQ_CRASH_LISTED, 2, FALSE, "", "210"},
    {"split/used", FALSE, IOQ_CRASH_USED, 1, FALSE, "10", "2"},
    {"split/wiped", FALSE, IOQ_CRASH_WIPED, 1, FALSE, "10", "2"},
    /* Each push of a packed ring is a batch of its own. */
    {"packed/fetched", TRUE, IOQ_CRASH_FETCHED, 2, TRUE, "", "2"},
    {"packed/marked", TRUE, IOQ_CRASH_MARKED, 2, TRUE, "", "21"},
    {"packed/completed-first", TRUE, IOQ_CRASH_COMPLETED, 1, FALSE, "", "210"},
    {"packed/listed-first", TRUE, IOQ_CRASH_LISTED, 1, FALSE, "", "210"},
    {"packed/used-first", TRUE, IOQ_CRASH_USED, 1, FALSE, "1", "20"},
    {"packed/wiped-first", TRUE, IOQ_CRASH_WIPED, 1, FALSE, "1", "20"},
    {"packed/completed-second", TRUE, IOQ_CRASH_COMPLETED, 2, FALSE, "1", "20"},
    {"packed/listed-second", TRUE, IOQ_CRASH_LISTED, 2, FALSE, "1", "20"},
    {"packed/used-second", TRUE, IOQ_CRASH_USED, 2, FALSE, "10", "2"},
    {"packed/wiped-second", TRUE, IOQ_CRASH_WIPED, 2, FALSE, "10", "2"},
};

static void
run_until_crash(World *world, const Crash *plan)
{
    make_available_descending(world);
    if (!plan->in_fetch) {
        world_fetch_all(world);
    }
    if (setjmp(crash) == 0) {
        wanted_hits = plan->hits;
        wanted_point = plan->point;
        if (plan->in_fetch) {
            world_fetch_all(world);
        }
        end_id(world, 1);
        end_id(world, 0);
        ioq_queue_publish(world->queue);
        g_assert_not_reached();
    }
    wanted_point = -1;
    world_drop(world);
}

static void
finish_and_go_on(World *world, const Crash *plan)
{
    g_autofree char *used = NULL;

    assert_ids(fetch_ids(world), plan->used[0] == '\0' ? "210" : plan->replayed);
    while (world->chains->len > 0) {
        IoqChain *chain = world->chains->pdata[0];

        world_end(world, chain, world_id(world, chain));
    }
    ioq_queue_publish(world->queue);
    used = take_used(world);
    g_assert_cmpuint(strlen(used), ==, 3 - strlen(plan->used));
    g_assert_cmpuint(n_marked(world), ==, 0);
    g_assert_cmphex(ioq_queue_base(world->queue), ==, driver_ring_base(&world->ring));
    for (guint i = 0; i < 2 * SIZE; i++) {
        make_available_descending(world);
        assert_ids(fetch_ids(world), "210");
        end_id(world, 2);
        end_id(world, 0);
        end_id(world, 1);
        ioq_queue_publish(world->queue);
        assert_ids(take_used(world), "201");
    }
}

/* At each place in the ring, since the packed protocol depends on the lap. */
static void
test_crash(gconstpointer data)
{
    const Crash *plan = data;

    for (guint before = 0; before < 2 * SIZE; before++) {
        g_autoptr(World) world = started(plan->packed);

        for (guint i = 0; i < before; i++) {
            world_add(world, 0);
            world_fetch_all(world);
            end_id(world, 0);
            ioq_queue_publish(world->queue);
            assert_ids(take_used(world), "0");
        }
        run_until_crash(world, plan);
        assert_ids(take_used(world), plan->used);
        world_start(world);
        g_assert_cmpuint(ioq_queue_n_replay(world->queue), ==, strlen(plan->replayed));
        /* Dying once more before anything is done changes nothing. */
        world_drop(world);
        world_start(world);
        g_assert_cmpuint(ioq_queue_n_replay(world->queue), ==, strlen(plan->replayed));
        finish_and_go_on(world, plan);
    }
}

/* Control: without the last batch made whole, what the driver has got is done again. */
static void
test_batch_control(void)
{
    static const Crash plan = {"", FALSE, IOQ_CRASH_USED, 1, FALSE, "10", "2"};
    g_autoptr(World) world = started(FALSE);

    run_until_crash(world, &plan);
    assert_ids(take_used(world), "10");
    control_off = IOQ_CONTROL_BATCH;
    world_start(world);
    control_off = -1;
    g_assert_cmpuint(ioq_queue_n_replay(world->queue), ==, 3);
}

/* A region of a ring of another size, as firmware leaves it. */

static void
test_packed_other_size(void)
{
    static const WorldOptions large_options = {.size = 4 * SIZE, .packed = TRUE, .tracked = TRUE};
    g_autoptr(World) large = world_new(&large_options);
    g_autoptr(World) world = world_new(&packed_options);
    IoqQueueConfig config;
    g_autoptr(GError) error = NULL;

    world_start(large);
    for (guint16 id = 0; id < 20; id++) {
        world_add(large, id);
    }
    world_fetch_all(large);
    for (guint16 id = 0; id < 20; id++) { /* the last that ends is the head of the free list */
        end_id(large, id);
    }
    ioq_queue_publish(large->queue);
    world_drop(large);
    g_assert_cmpuint(packed_region(large)->free_head, >, SIZE);

    for (guint i = 0; i < 2; i++) { /* the second start finds what the first has made */
        config = world_config(world);
        config.inflight = large->region;
        config.inflight_entries = 4 * SIZE;
        world->queue = ioq_queue_start(&config, world->memory, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(ioq_queue_n_replay(world->queue), ==, 0);
        if (i == 0) {
            world_drop(world);
        }
    }
    make_available_descending(world);
    assert_ids(fetch_ids(world), "210");
}

/* Regions that no back end has written */

static void
test_versions(gconstpointer packed)
{
    static const guint16 versions[] = {2, 0x100, G_MAXUINT16};

    for (guint i = 0; i < G_N_ELEMENTS(versions); i++) {
        g_autoptr(World) world = started(packed != NULL);
        IoqQueueConfig config = world_config(world);
        g_autoptr(GError) error = NULL;

        *(packed ? &packed_region(world)->version : &split_region(world)->version) = versions[i];
        world_drop(world);
        g_assert_null(ioq_queue_start(&config, world->memory, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    }
}

/* Starts on what is in the region. If it starts, it is driven until it stops by itself. */
static gboolean
survive(World *world)
{
    IoqQueueConfig config = world_config(world);
    g_autoptr(GError) error = NULL;
    g_autoptr(IoqQueue) queue = ioq_queue_start(&config, world->memory, &error);
    IoqFetch result = IOQ_FETCH_CHAIN;
    guint n = 0;

    g_assert_true(!queue == !!error);
    if (!queue) {
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        return FALSE;
    }
    while (result == IOQ_FETCH_CHAIN) {
        IoqChain chain = {0};

        g_clear_error(&error);
        result = ioq_queue_fetch(queue, &chain, &error);
        g_assert_true((result == IOQ_FETCH_BROKEN) == !!error);
        if (result == IOQ_FETCH_CHAIN) {
            ioq_queue_push(queue, &chain, 1);
            ioq_queue_publish(queue);
            ioq_chain_clear(&chain);
        }
        g_assert_cmpuint(n++, <=, 2 * SIZE);
    }
    return TRUE;
}

static void
test_hostile_bytes(gconstpointer packed)
{
    guint n_started = 0;

    for (guint i = 0; i < HOSTILE; i++) {
        g_autoptr(World) world = world_new(packed ? &packed_options : &split_options);
        guint8 *bytes = world->region;
        guint kind = (guint)g_test_rand_int_range(0, 3);

        for (guint k = 0; k < world->region_bytes; k++) {
            guint8 random = (guint8)g_test_rand_int_range(0, 256);

            /* Any bytes; small numbers; few of them. */
            bytes[k] = kind == 0 ? random : kind == 1 ? random % 17 : random % 17 * (random < 32);
        }
        *(packed ? &packed_region(world)->version : &split_region(world)->version) = 1;
        if (packed && i % 2) {
            IoqInflightPacked *region = world->region;

            region->desc_num = SIZE;
            region->used_idx %= SIZE;
            region->old_used_idx %= SIZE;
        }
        n_started += survive(world);
    }
    g_test_message("%u of %u started", n_started, HOSTILE);
    g_assert_cmpuint(n_started, >, 0);
}

static IoqInflightPacked *
used_region(World *world)
{
    IoqInflightPacked *region = world->region;

    make_available_descending(world);
    world_fetch_all(world);
    world_drop(world);
    return region;
}

static void
assert_refused(World *world)
{
    IoqQueueConfig config = world_config(world);
    g_autoptr(GError) error = NULL;

    g_assert_null(ioq_queue_start(&config, world->memory, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "contradicts itself"));
}

static void
test_packed_contradictions(void)
{
    for (guint i = 0; i < 8; i++) {
        g_autoptr(World) world = started(TRUE);
        IoqInflightPacked *region = used_region(world);

        switch (i) {
        case 0: /* a loop in the free list */
            region->desc[SIZE - 1].next = 6;
            break;
        case 1: /* the free list goes through a chain */
            region->desc[SIZE - 1].next = 0;
            region->desc[0].next = 1;
            break;
        case 2: /* a chain that is longer than its list */
            region->desc[0].num = 3;
            break;
        case 3:
            region->desc[0].num = G_MAXUINT16;
            break;
        case 4:
            region->desc[0].num = 0;
            break;
        case 5: /* an end that is never met */
            region->desc[0].last = G_MAXUINT16;
            break;
        case 6: /* a chain through another one */
            region->desc[2].next = 0;
            region->desc[2].last = 1;
            region->desc[2].num = 3;
            break;
        default:
            region->old_used_idx = SIZE;
            break;
        }
        assert_refused(world);
    }
}

static void
test_split_batch_loop(void)
{
    g_autoptr(World) world = started(FALSE);
    IoqInflightSplit *region = split_region(world);

    region->last_batch_head = 3;
    region->desc[3].next = 3;
    region->used_idx = 0x8000; /* as if half of all had been used */
    world_drop(world);
    g_assert_true(survive(world));
    world_start(world);
    region->last_batch_head = G_MAXUINT16;
    region->used_idx = 1;
    world_drop(world);
    g_assert_true(survive(world));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc function;
    } both[] = {
        {"marks", test_marks},
        {"replay-twice", test_replay_twice},
        {"base-is-not-believed", test_base_is_not_believed},
        {"versions", test_versions},
        {"hostile-bytes", test_hostile_bytes},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(both); i++) {
        g_autofree char *split = g_strdup_printf("/ioq/inflight/split/%s", both[i].name);
        g_autofree char *packed = g_strdup_printf("/ioq/inflight/packed/%s", both[i].name);

        g_test_add_data_func(split, NULL, both[i].function);
        g_test_add_data_func(packed, "", both[i].function);
    }
    for (guint i = 0; i < G_N_ELEMENTS(crashes); i++) {
        g_autofree char *path = g_strdup_printf("/ioq/inflight/crash/%s", crashes[i].name);

        g_test_add_data_func(path, &crashes[i], test_crash);
    }
    g_test_add_func("/ioq/inflight/split/format", test_split_format);
    g_test_add_func("/ioq/inflight/packed/format", test_packed_format);
    g_test_add_func("/ioq/inflight/split/replay-order", test_split_replay_order);
    g_test_add_func("/ioq/inflight/packed/replay-order", test_packed_replay_order);
    g_test_add_func("/ioq/inflight/split/batch-control", test_batch_control);
    g_test_add_func("/ioq/inflight/packed/other-size", test_packed_other_size);
    g_test_add_func("/ioq/inflight/packed/contradictions", test_packed_contradictions);
    g_test_add_func("/ioq/inflight/split/batch-loop", test_split_batch_loop);
    return g_test_run();
}
