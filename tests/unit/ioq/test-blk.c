/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests as a driver lays them out, on a small file and on the null store. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk-world.h"

static void
test_read_and_write(Disk *disk, gconstpointer data)
{
    char bytes[4 * SECTOR];

    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_IN, 2, TRUE, bytes, sizeof(bytes)), ==,
                     VIRTIO_BLK_S_OK);
    for (guint i = 0; i < 4; i++) {
        g_assert_cmpint(bytes[i * SECTOR], ==, 'c' + (int)i);
        g_assert_cmpint(bytes[i * SECTOR + SECTOR - 1], ==, 'c' + (int)i);
    }
    memset(bytes, 'Z', sizeof(bytes));
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_OUT, 60, FALSE, bytes, sizeof(bytes)), ==,
                     VIRTIO_BLK_S_OK);
    disk_assert(disk, 60 * SECTOR, 'Z', 4 * SECTOR);
    disk_assert(disk, 59 * SECTOR, 'a' + 59 % 26, SECTOR);
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_FLUSH, 0, FALSE, NULL, 0), ==, VIRTIO_BLK_S_OK);
}

/* Memory that O_DIRECT does not take goes another way, with the same result. */
static void
test_alignments(Disk *disk, gconstpointer data)
{
    g_autofree char *bytes = g_malloc(8192 + 3 * SECTOR);

    for (guint shift = 0; shift < 8; shift++) {
        char *at = bytes + shift;

        memset(bytes, 0, 8192);
        g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_IN, shift, TRUE, at, 2 * SECTOR), ==,
                         VIRTIO_BLK_S_OK);
        g_assert_cmpint(at[0], ==, 'a' + (int)shift);
        g_assert_cmpint(at[2 * SECTOR - 1], ==, 'b' + (int)shift);
        memset(at, 'A' + (int)shift, SECTOR);
        g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_OUT, 20 + shift, FALSE, at, SECTOR), ==,
                         VIRTIO_BLK_S_OK);
        disk_assert(disk, (20 + shift) * (gsize)SECTOR, (char)('A' + (int)shift), SECTOR);
    }
}

/* However the driver cuts it: the header over pieces, with the data in one, the status with them.
 */
static void
test_layouts(Disk *disk, gconstpointer data)
{
    for (guint cut = 0; cut <= 16; cut++) {
        struct {
            struct virtio_blk_outhdr header;
            char data[SECTOR];
        } out = {.header = {.type = VIRTIO_BLK_T_OUT, .sector = 30}};
        struct {
            char data[SECTOR];
            guint8 status;
        } in = {.status = NO_STATUS};
        char *bytes = (char *)&out;
        guint8 status = NO_STATUS;
        Request write = {0};
        Request read = {0};

        memset(out.data, 'A' + (int)cut, SECTOR);
        request_add(&write, FALSE, bytes, cut);
        request_add(&write, FALSE, bytes + cut, sizeof(out) - cut);
        request_add(&write, TRUE, &status, 1);
        request_run(disk, &write);
        g_assert_cmpuint(status, ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(write.request.written, ==, 1);
        disk_assert(disk, 30 * SECTOR, (char)('A' + (int)cut), SECTOR);

        out.header.type = VIRTIO_BLK_T_IN;
        for (guint i = 0; i < 8; i++) {
            request_add(&read, FALSE, bytes + 2 * i, 2);
        }
        request_add(&read, TRUE, in.data, 100 + cut);
        request_add(&read, TRUE, in.data + 100 + cut, sizeof(in) - 100 - cut);
        request_run(disk, &read);
        g_assert_cmpuint(in.status, ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(read.request.written, ==, SECTOR + 1);
        g_assert_cmpmem(in.data, SECTOR, out.data, SECTOR);
    }
}

/* What is no request at all stops the queue. */
static void
test_no_request(Disk *disk, gconstpointer data)
{
    struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
    guint8 status = NO_STATUS;
    char bytes[SECTOR];

    for (guint i = 0; i < 4; i++) {
        Request r = {0};
        g_autoptr(GError) error = NULL;

        switch (i) {
        case 0: /* no status */
            request_add(&r, FALSE, &header, sizeof(header));
            break;
        case 1: /* half a header */
            request_add(&r, FALSE, &header, sizeof(header) - 1);
            request_add(&r, TRUE, &status, 1);
            break;
        case 2: /* no header */
            request_add(&r, TRUE, bytes, sizeof(bytes));
            request_add(&r, TRUE, &status, 1);
            break;
        default: /* nothing at all */
            break;
        }
        r.request.chain.iov = r.iov;
        g_assert_false(ioq_blk_start(&disk->blk, disk->loop, &r.request, request_done, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        g_assert_false(r.done);
        g_assert_cmpuint(status, ==, NO_STATUS);
    }
}

static void
test_ranges(Disk *disk, gconstpointer data)
{
    static const struct {
        guint64 sector;
        guint length;
        guint8 status;
    } cases[] = {
        {0, 0, VIRTIO_BLK_S_OK},
        {SECTORS - 1, SECTOR, VIRTIO_BLK_S_OK},
        {SECTORS, 0, VIRTIO_BLK_S_OK},
        {SECTORS - 1, 2 * SECTOR, VIRTIO_BLK_S_IOERR},
        {SECTORS, SECTOR, VIRTIO_BLK_S_IOERR},
        {SECTORS + 1, 0, VIRTIO_BLK_S_IOERR},
        {G_MAXUINT64, SECTOR, VIRTIO_BLK_S_IOERR},
        {G_MAXUINT64 / SECTOR, SECTOR, VIRTIO_BLK_S_IOERR},
        {G_MAXUINT64 / SECTOR + 1, SECTOR, VIRTIO_BLK_S_IOERR}, /* 0 if it were multiplied first */
        {0, 1, VIRTIO_BLK_S_IOERR},
        {0, SECTOR - 1, VIRTIO_BLK_S_IOERR},
        {0, SECTOR + 1, VIRTIO_BLK_S_IOERR},
    };
    char bytes[2 * SECTOR] = {0};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (guint write = 0; write < 2; write++) {
            g_assert_cmpuint(disk_do(disk, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
                                     cases[i].sector, !write, bytes, cases[i].length),
                             ==, cases[i].status);
        }
    }
}

static void
test_get_id(Disk *disk, gconstpointer data)
{
    static const gsize lengths[] = {0, 1, 19, 20, 21, 100};

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        char bytes[101];

        memset(bytes, '.', sizeof(bytes));
        g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_GET_ID, 0, TRUE, bytes, lengths[i]), ==,
                         VIRTIO_BLK_S_OK);
        g_assert_cmpmem(bytes, MIN(lengths[i], 20), "serial-of-20-bytes-x", MIN(lengths[i], 20));
        g_assert_cmpint(bytes[MIN(lengths[i], 20)], ==, '.');
    }
}

static void
test_unknown_type(Disk *disk, gconstpointer data)
{
    static const guint32 types[] = {2, 3, 9, 12, 14, 100, G_MAXINT32};
    char bytes[SECTOR];

    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpuint(disk_do(disk, types[i], 0, TRUE, bytes, sizeof(bytes)), ==,
                         VIRTIO_BLK_S_UNSUPP);
    }
}

static guint8
unmap(Disk *disk, guint32 type, guint64 sector, guint32 n_sectors, guint32 flags)
{
    struct virtio_blk_discard_write_zeroes segment = {sector, n_sectors, flags};

    return disk_do(disk, type, 0, FALSE, &segment, sizeof(segment));
}

static gint64
n_blocks(Disk *disk)
{
    struct stat status;

    g_assert_cmpint(stat(disk->path, &status), ==, 0);
    return status.st_blocks;
}

static void
test_write_zeroes(Disk *disk, gconstpointer data)
{
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 0), ==, VIRTIO_BLK_S_OK);
    disk_assert(disk, 7 * SECTOR, 'h', SECTOR);
    disk_assert(disk, 8 * SECTOR, 0, 8 * SECTOR);
    disk_assert(disk, 16 * SECTOR, 'q', SECTOR);
    g_assert_cmpuint(
        unmap(disk, VIRTIO_BLK_T_WRITE_ZEROES, 32, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), ==,
        VIRTIO_BLK_S_OK);
    disk_assert(disk, 32 * SECTOR, 0, 8 * SECTOR);
    /* To the very end, and the file stays as long as it was. */
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 1, 0), ==,
                     VIRTIO_BLK_S_OK);
    disk_assert(disk, (SECTORS - 1) * SECTOR, 0, SECTOR);
}

/* A file system that cannot make a range zero (tmpfs) has zeroes written, in parts. */
static void
test_written_zeroes(gconstpointer data)
{
    enum { N = 1000, FIRST = 3, LENGTH = N - 7 };
    Disk disk = {0};
    int fd = memfd_create("image", MFD_CLOEXEC);
    g_autofree char *bytes = g_malloc(N * SECTOR);
    g_autoptr(GError) error = NULL;

    memset(bytes, 'x', N * SECTOR);
    g_assert_cmpint(write(fd, bytes, N * SECTOR), ==, N * SECTOR);
    g_assert_cmpint(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, SECTOR), ==, -1);
    disk_open(&disk, ioq_store_file_new(dup(fd), -1, FALSE, &error));
    g_assert_no_error(error);
    disk.blk.write_back = data != NULL;
    g_assert_cmpuint(unmap(&disk, VIRTIO_BLK_T_WRITE_ZEROES, FIRST, LENGTH, 0), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpint(pread(fd, bytes, N * SECTOR, 0), ==, N * SECTOR);
    for (gsize i = 0; i < N * SECTOR; i++) {
        gboolean inside = i / SECTOR >= FIRST && i / SECTOR < FIRST + LENGTH;

        g_assert_cmpint(bytes[i], ==, inside ? 0 : 'x');
    }
    ioq_store_free(disk.blk.store);
    ioq_loop_free(disk.loop);
    close(fd);
}

static void
test_discard(Disk *disk, gconstpointer data)
{
    gint64 before;

    sync();
    before = n_blocks(disk);
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_DISCARD, 8, 16, 0), ==, VIRTIO_BLK_S_OK);
    disk_assert(disk, 8 * SECTOR, 0, 16 * SECTOR);
    g_assert_cmpint(n_blocks(disk), <, before);
}

static void
test_unmap_refusals(Disk *disk, gconstpointer data)
{
    static const struct {
        guint32 type;
        guint64 sector;
        guint32 n_sectors;
        guint32 flags;
        guint8 status;
    } cases[] = {
        {VIRTIO_BLK_T_DISCARD, SECTORS, 1, 0, VIRTIO_BLK_S_IOERR},
        {VIRTIO_BLK_T_DISCARD, SECTORS - 1, 2, 0, VIRTIO_BLK_S_IOERR},
        {VIRTIO_BLK_T_DISCARD, G_MAXUINT64, 1, 0, VIRTIO_BLK_S_IOERR},
        {VIRTIO_BLK_T_DISCARD, 0, G_MAXUINT32, 0, VIRTIO_BLK_S_IOERR},
        {VIRTIO_BLK_T_WRITE_ZEROES, 1, SECTORS, 0, VIRTIO_BLK_S_IOERR},
        /* Virtio 1.2, 5.2.6.2: unknown flags, and unmap for a discard, are not supported. */
        {VIRTIO_BLK_T_DISCARD, 0, 1, 1, VIRTIO_BLK_S_UNSUPP},
        {VIRTIO_BLK_T_DISCARD, 0, 1, 2, VIRTIO_BLK_S_UNSUPP},
        {VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2, VIRTIO_BLK_S_UNSUPP},
        {VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 1U << 31 | 1, VIRTIO_BLK_S_UNSUPP},
    };
    char bytes[64] = {0};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(
            unmap(disk, cases[i].type, cases[i].sector, cases[i].n_sectors, cases[i].flags), ==,
            cases[i].status);
    }
    for (gsize length = 0; length <= sizeof(bytes); length++) {
        if (length != sizeof(struct virtio_blk_discard_write_zeroes)) {
            g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, bytes, length), ==,
                             VIRTIO_BLK_S_UNSUPP);
        }
    }
    disk_assert(disk, 0, 'a', SECTOR);
    disk_assert(disk, (SECTORS - 1) * SECTOR, 'a' + 63 % 26, SECTOR);
}

static void
test_read_only(Disk *disk, gconstpointer data)
{
    char bytes[SECTOR] = {0};
    guint64 features = ioq_blk_features(&disk->blk);

    g_assert_true(features & 1U << VIRTIO_BLK_F_RO);
    g_assert_false(features & (1U << VIRTIO_BLK_F_DISCARD | 1U << VIRTIO_BLK_F_WRITE_ZEROES));
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_OUT, 0, FALSE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_DISCARD, 0, 1, 0), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_IN, 0, TRUE, bytes, SECTOR), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpint(bytes[0], ==, 'a');
    disk_assert(disk, 0, 'a', SECTOR);
}

/* A store that only looks at what comes. */

typedef struct {
    IoqStore base;
    gboolean durable;
    int result;
} Witness;

static void
witness_submit(IoqStore *store, IoqLoop *loop, IoqIo *io)
{
    Witness *witness = (Witness *)store;

    witness->durable = io->durable;
    io->done(io, witness->result);
}

static void
witness_free(IoqStore *store)
{
    g_free(store);
}

static const IoqStoreOps witness_ops = {"witness", witness_submit, witness_free};

static void
set_up_witness(Disk *disk, gconstpointer data)
{
    Witness *witness = g_new0(Witness, 1);

    witness->base = (IoqStore){
        .ops = &witness_ops, .size = SECTORS * SECTOR, .block_size = SECTOR, .can_unmap = TRUE};
    disk_open(disk, &witness->base);
}

static void
test_write_through(Disk *disk, gconstpointer data)
{
    Witness *witness = (Witness *)disk->blk.store;
    struct virtio_blk_discard_write_zeroes segment = {.num_sectors = 1};
    char bytes[SECTOR] = {0};

    for (guint through = 0; through < 2; through++) {
        disk->blk.write_back = !through;
        disk_do(disk, VIRTIO_BLK_T_OUT, 0, FALSE, bytes, SECTOR);
        g_assert_cmpint(witness->durable, ==, through);
        disk_do(disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, &segment, sizeof(segment));
        g_assert_cmpint(witness->durable, ==, through);
        disk_do(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, FALSE, &segment, sizeof(segment));
        g_assert_cmpint(witness->durable, ==, through);
    }
}

static void
test_store_errors(Disk *disk, gconstpointer data)
{
    Witness *witness = (Witness *)disk->blk.store;
    char bytes[SECTOR] = {0};

    witness->result = -EIO;
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_OUT, 0, FALSE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_IOERR);
    witness->result = -ENOSPC;
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_FLUSH, 0, FALSE, NULL, 0), ==, VIRTIO_BLK_S_IOERR);
    witness->result = -EOPNOTSUPP;
    g_assert_cmpuint(disk_do(disk, VIRTIO_BLK_T_IN, 0, TRUE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_UNSUPP);
}

/* As virtio says: more than the configuration allows is an error. */
static void
test_unmap_limit(gconstpointer data)
{
    struct virtio_blk_discard_write_zeroes segment = {.num_sectors = IOQ_BLK_MAX_UNMAP_SECTORS};
    Disk disk = {0};

    disk_open(&disk, ioq_store_null_new(G_GUINT64_CONSTANT(1) << 42));
    g_assert_cmpuint(disk_do(&disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, &segment, sizeof(segment)), ==,
                     VIRTIO_BLK_S_OK);
    segment.num_sectors++;
    g_assert_cmpuint(disk_do(&disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, &segment, sizeof(segment)), ==,
                     VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(disk_do(&disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, FALSE, &segment, sizeof(segment)),
                     ==, VIRTIO_BLK_S_IOERR);
    disk_tear_down(&disk, NULL);
}

/* Configuration space */

static void
test_config(Disk *disk, gconstpointer data)
{
    union {
        struct virtio_blk_config config;
        guint8 bytes[256];
    } whole;
    guint8 part[256];

    g_assert_true(ioq_blk_config_read(&disk->blk, 0, sizeof(whole.bytes), whole.bytes));
    g_assert_cmpuint(whole.config.capacity, ==, SECTORS);
    g_assert_cmpuint(whole.config.blk_size, ==, SECTOR);
    g_assert_cmpuint(whole.config.seg_max, ==, 126);
    g_assert_cmpuint(whole.config.num_queues, ==, 4);
    g_assert_cmpuint(whole.config.wce, ==, 1);
    for (guint offset = 0; offset <= 256; offset++) {
        for (guint length = 0; length <= 256 - offset; length++) {
            memset(part, 0xaa, sizeof(part));
            g_assert_true(ioq_blk_config_read(&disk->blk, offset, length, part));
            g_assert_cmpmem(part, length, whole.bytes + offset, length);
            g_assert_true(length == 256 || part[length] == 0xaa);
        }
        g_assert_false(ioq_blk_config_read(&disk->blk, offset, 257 - offset, part));
    }
    g_assert_false(ioq_blk_config_read(&disk->blk, 257, 0, part));
    g_assert_false(ioq_blk_config_read(&disk->blk, G_MAXUINT32, 1, part));
    g_assert_false(ioq_blk_config_read(&disk->blk, 1, G_MAXUINT32, part));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, set_up_of, function) \
    g_test_add("/ioq/blk/" name, Disk, NULL, set_up_of, function, disk_tear_down)
    ADD("read-and-write", disk_set_up, test_read_and_write);
    ADD("alignments", disk_set_up, test_alignments);
    ADD("layouts", disk_set_up, test_layouts);
    ADD("no-request", disk_set_up, test_no_request);
    ADD("ranges", disk_set_up, test_ranges);
    ADD("null/no-request", disk_set_up_null, test_no_request);
    ADD("null/ranges", disk_set_up_null, test_ranges);
    ADD("null/unknown-type", disk_set_up_null, test_unknown_type);
    ADD("get-id", disk_set_up, test_get_id);
    ADD("unknown-type", disk_set_up, test_unknown_type);
    ADD("write-zeroes", disk_set_up, test_write_zeroes);
    ADD("discard", disk_set_up, test_discard);
    ADD("unmap-refusals", disk_set_up, test_unmap_refusals);
    ADD("read-only", disk_set_up_read_only, test_read_only);
    ADD("write-through", set_up_witness, test_write_through);
    ADD("store-errors", set_up_witness, test_store_errors);
    g_test_add_data_func("/ioq/blk/written-zeroes/durable", NULL, test_written_zeroes);
    g_test_add_data_func("/ioq/blk/written-zeroes/fast", "", test_written_zeroes);
    g_test_add_data_func("/ioq/blk/unmap-limit", NULL, test_unmap_limit);
    ADD("config", disk_set_up, test_config);
    return g_test_run();
}
