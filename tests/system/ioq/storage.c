/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What only storage with a life of its own shows: storage COMMAND IMAGE [ARGUMENT...]. test-storage
 * makes the storage, and says what a control leaves out. Exit status: 0: as it should be; 1: not.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "tests/component/ioq/worker-world.h"

#define BYTES  4096U
#define DATA   0x10000U
#define SECTOR 512U

static void
fill(Front *front, char letter)
{
    memset(front->buffers + DATA, letter, BYTES);
}

static char
read_letter(Front *front)
{
    fill(front, '?');
    worker_do(front, 0, VIRTIO_BLK_T_IN, 0, BYTES, DATA);
    return front->buffers[DATA];
}

static void
write_letter(Front *front, char letter)
{
    fill(front, letter);
    worker_do(front, 0, VIRTIO_BLK_T_OUT, 0, BYTES, DATA);
}

static guint
in_flight(const Worker *worker)
{
    g_autoptr(JsonObject) status = worker_status(worker);
    JsonArray *queues = json_object_get_array_member(status, "queues");

    return (guint)json_object_get_int_member(json_array_get_object_element(queues, 0), "in_flight");
}

/* Storage holds a write back, its worker is killed, and another takes its place: it is not let at
 * the image as long as the write can still come. @holder: a folder of the file system under the
 * image, which freezing stops. */
static int
late_write(const char *image, const char *holder)
{
    Worker worker = {0};
    gantry_autofd fd = open(holder, O_RDONLY | O_CLOEXEC);
    Front *front;
    gboolean let_in;
    guint n_tries = 0;

    worker_start(&worker, &(const WorkerOptions){.image = image, .direct = TRUE});
    front = worker_front(&worker, &(const FrontOptions){.inflight = TRUE});
    write_letter(front, 'o');
    g_assert_cmpint(ioctl(fd, FIFREEZE, 0), ==, 0);
    fill(front, 'a');
    worker_submit(front, 0, 0, VIRTIO_BLK_T_OUT, 0, BYTES, DATA);
    while (in_flight(&worker) == 0) {
        /* it comes */
    }
    worker_kill(&worker);
    let_in = front_connect(front, NULL);
    g_assert_cmpint(ioctl(fd, FITHAW, 0), ==, 0);
    for (; !let_in && n_tries < 1000000 && !front_connect(front, NULL); n_tries++) {
        /* until the write has come */
    }
    if (!let_in) {
        guint16 id;

        g_assert_cmpuint(worker_finish(front, 0, &id), ==, VIRTIO_BLK_S_OK);
        write_letter(front, 'b');
        g_assert_cmpint(read_letter(front), ==, 'b');
    }
    front_free(front);
    worker_stop(&worker);
    return let_in ? 1 : 0;
}

static char
letter_of(const char *path)
{
    gantry_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    char letter = '?';

    g_assert_cmpint(pread(fd, &letter, 1, 0), ==, 1);
    return letter;
}

static void
write_behind(const char *path, char letter)
{
    gantry_autofd fd = open(path, O_WRONLY | O_CLOEXEC);
    char bytes[BYTES];

    memset(bytes, letter, sizeof(bytes));
    g_assert_cmpint(pwrite(fd, bytes, sizeof(bytes), 0), ==, sizeof(bytes));
    g_assert_cmpint(fsync(fd), ==, 0);
}

/* A disk that another host has, too, as in a migration: when a queue has stopped, what was written
 * is there, and when it starts again, what the other host wrote is seen. @medium: the device's
 * backing file, which other hosts would see. Without O_DIRECT, which has no caches to begin with.
 */
static int
hand_over(const char *image, const char *medium)
{
    Worker worker = {0};
    Front *front;
    gboolean is_out;
    gboolean is_seen;

    worker_start(&worker, &(const WorkerOptions){.image = image});
    front = worker_front(&worker, &(const FrontOptions){.inflight = TRUE});
    write_letter(front, 'a');
    g_assert_true(front_stop_queue(front, 0, NULL, NULL));
    is_out = letter_of(medium) == 'a';
    write_behind(medium, 'b');
    g_assert_true(front_start_queue(front, 0, NULL));
    is_seen = read_letter(front) == 'b';
    front_free(front);
    worker_stop(&worker);
    g_print("# %s, %s\n", is_out ? "written" : "not written", is_seen ? "seen" : "not seen");
    return is_out && is_seen ? 0 : 1;
}

/* Two queues write to sectors beside each other, one from memory that fits O_DIRECT and one from
 * memory that does not: nothing may be lost. Ends with the first loss. */
static int
neighbours(const char *image, guint n_rounds)
{
    enum {
        PAIRS = 15,
        OTHERS = BYTES - SECTOR,
        ODD = (1 << 20) + 256,
        EVEN = 2 << 20,
        ALL = 3 << 20
    };
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    Worker worker = {0};
    Front *front;
    guint n_lost = 0;
    guint round;

    worker_start(&worker, &(const WorkerOptions){.image = image, .direct = TRUE});
    front = worker_front(
        &worker, &(const FrontOptions){.inflight = TRUE, .n_queues = 2, .memory_bytes = 4 << 20});
    for (round = 0; round < n_rounds && n_lost == 0; round++) {
        guint first = (guint)g_rand_int_range(random, 0, 80);

        for (guint i = 0; i < PAIRS; i++) {
            guint64 sector = (first + i * 17) * (guint64)(BYTES / SECTOR);

            memset(front->buffers + ODD + i * BYTES, (int)(round + i) & 0xff, SECTOR);
            memset(front->buffers + EVEN + i * BYTES, (int)(round + i + 1) & 0xff, OTHERS);
            worker_submit(front, 1, (guint16)i, VIRTIO_BLK_T_OUT, sector + 1, OTHERS,
                          EVEN + i * BYTES);
            worker_submit(front, 0, (guint16)i, VIRTIO_BLK_T_OUT, sector, SECTOR, ODD + i * BYTES);
        }
        for (guint i = 0; i < 2 * PAIRS; i++) {
            guint16 id;

            g_assert_cmpuint(worker_finish(front, i % 2, &id), ==, VIRTIO_BLK_S_OK);
        }
        for (guint i = 0; i < PAIRS; i++) {
            const char *all = front->buffers + ALL;

            worker_do(front, 0, VIRTIO_BLK_T_IN, (first + i * 17) * (guint64)(BYTES / SECTOR),
                      BYTES, ALL);
            n_lost += memcmp(all, front->buffers + ODD + i * BYTES, SECTOR) != 0 ? 1 : 0;
            n_lost += memcmp(all + SECTOR, front->buffers + EVEN + i * BYTES, OTHERS) != 0 ? 1 : 0;
        }
    }
    front_free(front);
    worker_stop(&worker);
    g_print("# %u lost in %u rounds of %d pairs\n", n_lost, round, PAIRS);
    return n_lost == 0 ? 0 : 1;
}

/* Storage that is full: the guest is told, and so is the operator. */
static int
full(const char *image)
{
    Worker worker = {0};
    Front *front;
    guint8 status = VIRTIO_BLK_S_OK;
    guint16 id;
    gint64 n_errors;

    worker_start(&worker, &(const WorkerOptions){.image = image});
    front = worker_front(&worker, &(const FrontOptions){.inflight = TRUE});
    /* A file system keeps a little back. */
    for (guint64 sector = 0; status == VIRTIO_BLK_S_OK; sector += BYTES / SECTOR) {
        g_assert_cmpuint(sector, <, front->capacity);
        worker_submit(front, 0, 0, VIRTIO_BLK_T_OUT, sector, BYTES, DATA);
        status = worker_finish(front, 0, &id);
    }
    g_assert_cmpuint(status, ==, VIRTIO_BLK_S_IOERR);
    {
        g_autoptr(JsonObject) told = worker_status(&worker);
        JsonArray *queues = json_object_get_array_member(told, "queues");

        n_errors = json_object_get_int_member(json_array_get_object_element(queues, 0), "errors");
    }
    front_free(front);
    worker_stop(&worker);
    return n_errors == 1 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    g_assert_cmpint(argc, ==, 4);
    if (strcmp(argv[1], "late-write") == 0) {
        return late_write(argv[2], argv[3]);
    }
    if (strcmp(argv[1], "hand-over") == 0) {
        return hand_over(argv[2], argv[3]);
    }
    if (strcmp(argv[1], "full") == 0) {
        return full(argv[2]);
    }
    g_assert_cmpstr(argv[1], ==, "neighbours");
    return neighbours(argv[2], (guint)g_ascii_strtoull(argv[3], NULL, 10));
}
