/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test for a preset, with real workers. */
#include <linux/virtio_blk.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "ioq_tuning/front/front.h"
#include "ioq_tuning/tune/scratch_worker.h"
#include "ioq_tuning/tune/tune.h"
#include "scratch.h"

#define IMAGE_BYTES (1024 * 1024)
#define SECTOR      512

typedef struct {
    char *root;
    char *image;
    char *small; /* too small for one block */
    char *fifo;
} World;

static char *workers_root; /* folders of workers are made here, and are gone in the end */

static void
set_up(World *world, gconstpointer data)
{
    g_autofree char *content = g_strnfill(IMAGE_BYTES, 'x');

    world->root = scratch_new();
    world->image = g_build_filename(world->root, "image", NULL);
    scratch_write_bytes(world->root, "image", content, IMAGE_BYTES);
    world->small = g_build_filename(world->root, "small", NULL);
    scratch_write(world->root, "small", "x");
    world->fifo = g_build_filename(world->root, "fifo", NULL);
    g_assert_cmpint(mkfifo(world->fifo, 0600), ==, 0);
}

static void
tear_down(World *world, gconstpointer data)
{
    scratch_remove(world->root);
    g_free(world->image);
    g_free(world->small);
    g_free(world->fifo);
}

static void
assert_left_nothing(const World *world)
{
    g_autoptr(GDir) dir = g_dir_open(workers_root, 0, NULL);
    g_autofree char *content = NULL;
    gsize length;

    g_assert_null(g_dir_read_name(dir));
    g_assert_true(g_file_get_contents(world->image, &content, &length, NULL));
    g_assert_cmpuint(length, ==, IMAGE_BYTES);
    for (gsize i = 0; i < length; i++) {
        g_assert_cmpint(content[i], ==, 'x');
    }
}

static const char *
worker_program(void)
{
    const char *program = g_getenv("GANTRY_TEST_IOQ_WORKER");

    g_assert_nonnull(program);
    return program;
}

/* ceil(queues / k) threads, none with more than k queues, and each did something. */
static void
assert_row(const IoqTuneRow *row, guint n_queues)
{
    guint served = 0;

    g_assert_cmpuint(row->threads->len, ==,
                     (n_queues + row->queues_per_thread - 1) / row->queues_per_thread);
    for (guint i = 0; i < row->threads->len; i++) {
        const IoqTuneThread *thread = &g_array_index(row->threads, IoqTuneThread, i);

        g_assert_cmpuint(thread->n_queues, <=, row->queues_per_thread);
        g_assert_cmpfloat(thread->utilisation, >, 0);
        served += thread->n_queues;
    }
    g_assert_cmpuint(served, ==, n_queues);
    g_assert_cmpfloat(row->iops, >, 0);
    g_assert_cmpfloat(row->p50_usec, >, 0);
    g_assert_cmpfloat(row->p99_usec, >=, row->p50_usec);
    g_assert_cmpfloat(row->cpu_seconds, >, 0);
    g_assert_cmpfloat(row->iops_per_cpu, >, 0);
}

static guint n_told;

static void
count_progress(double share, gpointer data)
{
    g_assert_cmpfloat(share, >=, *(double *)data);
    g_assert_cmpfloat(share, <=, 1);
    *(double *)data = share;
    n_told++;
}

static void
test_each_candidate(World *world, gconstpointer data)
{
    const char *const images[] = {world->image, NULL};

    for (gsize i = 0; i < G_N_ELEMENTS(images); i++) {
        for (guint k = 1; k <= 3; k++) {
            double share = 0;
            const IoqTuneOptions options = {.worker = worker_program(),
                                            .image = images[i],
                                            .n_queues = 3,
                                            .depth = 8,
                                            .msec = 100,
                                            .progress = count_progress,
                                            .data = &share};
            g_autoptr(GError) error = NULL;
            g_autoptr(IoqTuneRow) row = NULL;

            n_told = 0;
            row = ioq_tune_measure(&options, k, &error);
            g_assert_no_error(error);
            assert_row(row, 3);
            g_assert_cmpuint(n_told, >, 0);
            g_assert_cmpfloat(share, ==, 1);
        }
    }
    assert_left_nothing(world);
}

static void
assert_fails(const IoqTuneOptions *options, int code, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(ioq_tune_measure(options, 1, &error));
    g_assert_nonnull(error);
    if (code >= 0) {
        g_assert_error(error, GANTRY_ERROR, code);
    }
    g_assert_nonnull(strstr(error->message, text));
}

static void
test_failures(World *world, gconstpointer data)
{
    IoqTuneOptions options = {
        .worker = worker_program(), .image = "/nope/image", .n_queues = 1, .depth = 1, .msec = 100};

    assert_fails(&options, GANTRY_ERROR_NOT_FOUND, "/nope/image");
    options.image = world->root;
    assert_fails(&options, GANTRY_ERROR_REFUSED, world->root); /* a folder, by its path */
    options.image = world->fifo;
    assert_fails(&options, GANTRY_ERROR_REFUSED, world->fifo);
    options.image = world->image;
    options.worker = "/nope/worker";
    assert_fails(&options, -1, "/nope/worker");
    options.worker = "/bin/false";
    assert_fails(&options, GANTRY_ERROR_UNAVAILABLE, "it has ended");
    options.worker = worker_program();
    options.image = world->small;
    assert_fails(&options, GANTRY_ERROR_REFUSED, "sectors");
    assert_left_nothing(world);
}

/* One request on a connected front end. Returns: its status byte. */
static guint8
do_request(Front *front, guint32 type)
{
    struct virtio_blk_outhdr *header = (gpointer)front->buffers;
    guint8 *status = (guint8 *)front->buffers + 32;
    char *block = front->buffers + 64;
    FrontQueue *queue = &front->queues[0];
    struct pollfd poll_fd = {.fd = queue->call_fd, .events = POLLIN};
    const DriverPiece pieces[] = {
        {front_guest_address(front, header), sizeof(*header), FALSE},
        {front_guest_address(front, block), SECTOR, type == VIRTIO_BLK_T_IN},
        {front_guest_address(front, status), 1, TRUE},
    };
    guint32 length;
    guint16 id;

    memset(block, 'y', SECTOR);
    *header = (struct virtio_blk_outhdr){type, 0, 0};
    *status = 0xff;
    driver_ring_want_notification(&queue->ring);
    driver_ring_add(&queue->ring, 0, pieces, G_N_ELEMENTS(pieces), NULL, 0);
    eventfd_write(queue->kick_fd, 1);
    while (!driver_ring_take_used(&queue->ring, &id, &length)) {
        eventfd_t value;

        g_assert_cmpint(poll(&poll_fd, 1, 20000), ==, 1);
        eventfd_read(queue->call_fd, &value);
    }
    return *status;
}

/* What is tuned is a VM's disk: whoever talks to the worker can read it, and no more. */
static void
test_image_cannot_be_written(World *world, gconstpointer data)
{
    const ScratchWorkerOptions options = {
        .program = worker_program(), .image = world->image, .n_queues = 1, .queues_per_thread = 1};
    g_autoptr(GError) error = NULL;
    ScratchWorker *worker = scratch_worker_start(&options, &error);
    g_autoptr(Front) front = NULL;
    FrontOptions front_options;

    g_assert_no_error(error);
    front_options = (FrontOptions){.socket = scratch_worker_socket(worker),
                                   .n_queues = 1,
                                   .queue_size = 16,
                                   .memory_bytes = 4096};
    front = front_new(&front_options, &error);
    g_assert_true(front_connect(front, &error));
    g_assert_cmpuint(do_request(front, VIRTIO_BLK_T_IN), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpint(front->buffers[64], ==, 'x');
    g_assert_cmpuint(do_request(front, VIRTIO_BLK_T_OUT), !=, VIRTIO_BLK_S_OK);
    scratch_worker_free(worker);
    assert_left_nothing(world);
}

int
main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    workers_root = scratch_new();
    g_setenv("TMPDIR", workers_root, TRUE);
    /* The search for leaks takes system calls that a worker is not let make. */
    g_setenv("ASAN_OPTIONS", "detect_leaks=0", TRUE);
    g_test_add("/ioq/tune/each-candidate", World, NULL, set_up, test_each_candidate, tear_down);
    g_test_add("/ioq/tune/failures", World, NULL, set_up, test_failures, tear_down);
    g_test_add("/ioq/tune/image-cannot-be-written", World, NULL, set_up,
               test_image_cannot_be_written, tear_down);
    status = g_test_run();
    scratch_remove(workers_root);
    return status;
}
