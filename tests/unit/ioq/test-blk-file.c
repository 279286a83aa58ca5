/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a file's store makes of requests: which calls it asks the kernel for, with which memory, and
 * what it does at the file's end. */
#include <unistd.h>

#include "blk-world.h"

/* What goes to the kernel: the linker puts this in front of the loop's own function. */
static struct {
    guint8 opcode;
    gint32 fd;
    gint32 rw_flags;
} asked[64];
static guint n_asked;

void __real_ioq_loop_set_event(struct io_uring_sqe *sqe, IoqEvent *event);
void __wrap_ioq_loop_set_event(struct io_uring_sqe *sqe, IoqEvent *event);

void
__wrap_ioq_loop_set_event(struct io_uring_sqe *sqe, IoqEvent *event)
{
    if (n_asked < G_N_ELEMENTS(asked)) {
        asked[n_asked].opcode = sqe->opcode;
        asked[n_asked].fd = sqe->fd;
        asked[n_asked++].rw_flags = (gint32)sqe->rw_flags;
    }
    __real_ioq_loop_set_event(sqe, event);
}

static void
do_and_watch(Disk *disk, guint32 type, gpointer data, gsize length)
{
    n_asked = 0;
    g_assert_cmpuint(disk_do(disk, type, 1, FALSE, data, length), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(n_asked, >, 0);
}

/* Write-through really goes through a file, too, and only where it must. */
static void
test_durable_file(Disk *disk, gconstpointer data)
{
    struct virtio_blk_discard_write_zeroes segment = {.sector = 1, .num_sectors = 1};
    char bytes[SECTOR];

    memset(bytes, 'D', sizeof(bytes));
    for (guint through = 0; through < 2; through++) {
        disk->blk.write_back = !through;
        do_and_watch(disk, VIRTIO_BLK_T_OUT, bytes, SECTOR);
        g_assert_cmpuint(n_asked, ==, 1);
        g_assert_cmpint(asked[0].opcode, ==, IORING_OP_WRITE);
        g_assert_cmpint(asked[0].rw_flags, ==, through ? RWF_DSYNC : 0);
        disk_assert(disk, SECTOR, 'D', SECTOR);

        do_and_watch(disk, VIRTIO_BLK_T_WRITE_ZEROES, &segment, sizeof(segment));
        g_assert_cmpint(asked[0].opcode, ==, IORING_OP_FALLOCATE);
        g_assert_cmpint(asked[n_asked - 1].opcode == IORING_OP_FSYNC, ==, through);
    }
    n_asked = 0;
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_FLUSH, 0, FALSE, NULL, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpint(asked[0].opcode, ==, IORING_OP_FSYNC);
    g_assert_cmpint(asked[0].rw_flags, ==, IORING_FSYNC_DATASYNC);
}

/* All data go one way, whatever the guest's memory is like. */
static void
test_one_way(Disk *disk, gconstpointer data)
{
    g_autofree char *bytes = g_malloc0(4 * 4096);
    char *aligned = bytes + (4096 - (gsize)bytes % 4096);

    do_and_watch(disk, VIRTIO_BLK_T_OUT, aligned, SECTOR);
    {
        int fd = asked[0].fd;

        do_and_watch(disk, VIRTIO_BLK_T_OUT, aligned + 1, SECTOR);
        g_assert_cmpint(asked[0].fd, ==, fd);
        do_and_watch(disk, VIRTIO_BLK_T_OUT, aligned + SECTOR + 4, 2 * SECTOR);
        g_assert_cmpint(asked[0].fd, ==, fd);
    }
}

/* Memory that has to be copied has a limit, and everybody gets his turn. */

typedef struct {
    IoqIo io;
    struct iovec iov;
    gboolean done;
} Large;

static void
large_done(IoqIo *io, int result)
{
    Large *large = (Large *)(gpointer)io;

    g_assert_cmpint(result, ==, 0);
    large->done = TRUE;
}

static void
test_bounce_budget(gconstpointer data)
{
    enum { N = 40, BYTES = 1 << 20, LIMIT = 8 << 20 };
    g_autofree Large *large = g_new0(Large, N);
    g_autofree char *memory = g_malloc0(N * (gsize)BYTES + 1);
    Disk disk = {0};
    guint n_done = 0;
    gsize most = 0;

    disk_open(&disk, disk_file_store(&disk, SECTOR, FALSE));
    g_assert_cmpint(truncate(disk.path, N * (off_t)BYTES), ==, 0);
    for (guint i = 0; i < N; i++) {
        large[i].iov = (struct iovec){memory + 1 + i * (gsize)BYTES, BYTES};
        large[i].io = (IoqIo){.kind = IOQ_IO_WRITE,
                              .offset = i * (guint64)BYTES,
                              .length = BYTES,
                              .iov = &large[i].iov,
                              .n_iov = 1,
                              .done = large_done};
        memset(large[i].iov.iov_base, 'a' + (int)(i % 26), BYTES);
        ioq_store_submit(disk.blk.store, disk.loop, &large[i].io);
        most = MAX(most, ioq_loop_bounce_budget(disk.loop)->used);
    }
    while (n_done < N) {
        ioq_loop_run(disk.loop, TRUE);
        most = MAX(most, ioq_loop_bounce_budget(disk.loop)->used);
        n_done = 0;
        for (guint i = 0; i < N; i++) {
            n_done += large[i].done;
        }
    }
    g_assert_cmpuint(most, <=, LIMIT);
    g_assert_cmpuint(ioq_loop_bounce_budget(disk.loop)->used, ==, 0);
    for (guint i = 0; i < N; i++) {
        disk_assert(&disk, i * (gsize)BYTES, (char)('a' + i % 26), SECTOR);
    }
    if (most == 0) {
        g_test_skip("no O_DIRECT here");
    }
    disk_tear_down(&disk, NULL);
}

/* A file that has lost its end under us reads as zeroes there. */
static void
test_short_file(Disk *disk, gconstpointer data)
{
    char bytes[4 * SECTOR];

    g_assert_cmpint(truncate(disk->path, 10 * SECTOR + 100), ==, 0);
    memset(bytes, '.', sizeof(bytes));
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_IN, 9, TRUE, bytes, sizeof(bytes)), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpint(bytes[0], ==, 'j');
    g_assert_cmpint(bytes[SECTOR + 99], ==, 'k');
    for (guint i = SECTOR + 100; i < sizeof(bytes); i++) {
        g_assert_cmpint(bytes[i], ==, 0);
    }
}

static void
test_refresh(Disk *disk, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(ioq_store_refresh_size(disk->blk.store, &error));
    g_assert_no_error(error);
    g_assert_cmpint(truncate(disk->path, 100 * SECTOR + 511), ==, 0);
    g_assert_true(ioq_store_refresh_size(disk->blk.store, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(ioq_store_size(disk->blk.store), ==, 101 * SECTOR); /* as for QEMU */
    g_assert_cmpint(truncate(disk->path, 0), ==, 0);
    g_assert_false(ioq_store_refresh_size(disk->blk.store, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
    g_assert_cmpuint(ioq_store_size(disk->blk.store), ==, 101 * SECTOR);
}

/* The rest of the last sector of a file reads as zeroes, and can be written. */
static void
test_odd_size(Disk *disk, gconstpointer data)
{
    char bytes[SECTOR];

    g_assert_cmpint(truncate(disk->path, 3 * SECTOR + 1), ==, 0);
    g_assert_true(ioq_store_refresh_size(disk->blk.store, NULL));
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_IN, 3, TRUE, bytes, SECTOR), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpint(bytes[0], ==, 'd');
    g_assert_cmpint(bytes[1], ==, 0);
    memset(bytes, 'Z', SECTOR);
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_OUT, 3, FALSE, bytes, SECTOR), ==, VIRTIO_BLK_S_OK);
    disk_assert(disk, 3 * SECTOR, 'Z', SECTOR);
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_IN, 4, TRUE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_IOERR);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, set_up_of, function) \
    g_test_add("/ioq/blk-file/" name, Disk, NULL, set_up_of, function, disk_tear_down)
    ADD("durable-file", disk_set_up, test_durable_file);
    ADD("one-way", disk_set_up, test_one_way);
    g_test_add_data_func("/ioq/blk-file/bounce-budget", NULL, test_bounce_budget);
    ADD("short-file", disk_set_up, test_short_file);
    ADD("refresh", disk_set_up, test_refresh);
    ADD("odd-size", disk_set_up, test_odd_size);
    return g_test_run();
}
