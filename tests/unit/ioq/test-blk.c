/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests as a driver lays them out, on a small file and on the null store. */
#include <sys/mman.h>
#include <linux/falloc.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "ioq_tuning/blk/blk.h"
#include "scratch.h"

#define SECTOR    512U
#define SECTORS   64U
#define NO_STATUS 0xaa

typedef struct {
    char *root;
    char *path;
    IoqLoop *loop;
    IoqBlk blk;
} Disk;

static void
disk_open(Disk *disk, IoqStore *store)
{
    g_autoptr(GError) error = NULL;

    disk->loop = ioq_loop_new(8, &error);
    g_assert_no_error(error);
    disk->blk = (IoqBlk){.store = store, .n_queues = 4, .queue_size = 128, .write_back = TRUE};
    memcpy(disk->blk.id, "serial-of-20-bytes-x", IOQ_BLK_ID_BYTES);
}

static IoqStore *
file_store(Disk *disk, gsize bytes, gboolean read_only)
{
    g_autofree char *content = g_malloc(bytes);
    g_autoptr(GError) error = NULL;
    int access = read_only ? O_RDONLY : O_RDWR;
    IoqStore *store;

    for (gsize i = 0; i < bytes; i++) {
        content[i] = (char)('a' + i / SECTOR % 26);
    }
    disk->root = scratch_new();
    disk->path = g_build_filename(disk->root, "image", NULL);
    scratch_write_bytes(disk->root, "image", content, bytes);
    store = ioq_store_file_new(open(disk->path, access | O_CLOEXEC),
                               open(disk->path, access | O_CLOEXEC | O_DIRECT), read_only, &error);
    g_assert_no_error(error);
    return store;
}

static void
set_up(Disk *disk, gconstpointer data)
{
    disk_open(disk, file_store(disk, SECTORS * SECTOR, FALSE));
}

static void
set_up_read_only(Disk *disk, gconstpointer data)
{
    disk_open(disk, file_store(disk, SECTORS * SECTOR, TRUE));
}

static void
set_up_null(Disk *disk, gconstpointer data)
{
    disk_open(disk, ioq_store_null_new(SECTORS * SECTOR));
}

static void
tear_down(Disk *disk, gconstpointer data)
{
    ioq_store_free(disk->blk.store);
    ioq_loop_free(disk->loop);
    if (disk->root) {
        scratch_remove(disk->root);
    }
    g_free(disk->path);
}

/* One request, as pieces that the caller cuts. */
typedef struct {
    IoqRequest request;
    struct iovec iov[16];
    gboolean done;
} Request;

static void
request_done(IoqRequest *request)
{
    ((Request *)request)->done = TRUE;
}

static void
add(Request *r, gboolean is_in, gpointer base, gsize length)
{
    IoqChain *chain = &r->request.chain;

    r->iov[chain->n_out + chain->n_in] = (struct iovec){base, length};
    if (is_in) {
        chain->n_in++;
    } else {
        chain->n_out++;
    }
}

static void
run(Disk *disk, Request *r)
{
    g_autoptr(GError) error = NULL;

    r->request.chain.iov = r->iov;
    g_assert_true(ioq_blk_start(&disk->blk, disk->loop, &r->request, request_done, &error));
    g_assert_no_error(error);
    while (!r->done) {
        ioq_loop_run(disk->loop, TRUE);
    }
}

/* The usual layout: header, data, status. Returns: status. */
static guint8
do_request(Disk *disk, guint32 type, guint64 sector, gboolean is_in, gpointer data, gsize length)
{
    struct virtio_blk_outhdr header = {.type = type, .sector = sector};
    guint8 status = NO_STATUS;
    Request r = {0};

    add(&r, FALSE, &header, sizeof(header));
    if (length > 0) {
        add(&r, is_in, data, length);
    }
    add(&r, TRUE, &status, 1);
    run(disk, &r);
    return status;
}

static void
assert_file(Disk *disk, gsize offset, char letter, gsize length)
{
    g_autofree char *content = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(disk->path, &content, &size, NULL));
    g_assert_cmpuint(offset + length, <=, size);
    for (gsize i = 0; i < length; i++) {
        g_assert_cmpint(content[offset + i], ==, letter);
    }
}

static void
test_read_and_write(Disk *disk, gconstpointer data)
{
    char bytes[4 * SECTOR];

    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_IN, 2, TRUE, bytes, sizeof(bytes)), ==,
                     VIRTIO_BLK_S_OK);
    for (guint i = 0; i < 4; i++) {
        g_assert_cmpint(bytes[i * SECTOR], ==, 'c' + (int)i);
        g_assert_cmpint(bytes[i * SECTOR + SECTOR - 1], ==, 'c' + (int)i);
    }
    memset(bytes, 'Z', sizeof(bytes));
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_OUT, 60, FALSE, bytes, sizeof(bytes)), ==,
                     VIRTIO_BLK_S_OK);
    assert_file(disk, 60 * SECTOR, 'Z', 4 * SECTOR);
    assert_file(disk, 59 * SECTOR, 'a' + 59 % 26, SECTOR);
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_FLUSH, 0, FALSE, NULL, 0), ==, VIRTIO_BLK_S_OK);
}

/* Memory that O_DIRECT does not take goes another way, with the same result. */
static void
test_alignments(Disk *disk, gconstpointer data)
{
    g_autofree char *bytes = g_malloc(8192 + 3 * SECTOR);

    for (guint shift = 0; shift < 8; shift++) {
        char *at = bytes + shift;

        memset(bytes, 0, 8192);
        g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_IN, shift, TRUE, at, 2 * SECTOR), ==,
                         VIRTIO_BLK_S_OK);
        g_assert_cmpint(at[0], ==, 'a' + (int)shift);
        g_assert_cmpint(at[2 * SECTOR - 1], ==, 'b' + (int)shift);
        memset(at, 'A' + (int)shift, SECTOR);
        g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_OUT, 20 + shift, FALSE, at, SECTOR), ==,
                         VIRTIO_BLK_S_OK);
        assert_file(disk, (20 + shift) * (gsize)SECTOR, (char)('A' + (int)shift), SECTOR);
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
        add(&write, FALSE, bytes, cut);
        add(&write, FALSE, bytes + cut, sizeof(out) - cut);
        add(&write, TRUE, &status, 1);
        run(disk, &write);
        g_assert_cmpuint(status, ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(write.request.written, ==, 1);
        assert_file(disk, 30 * SECTOR, (char)('A' + (int)cut), SECTOR);

        out.header.type = VIRTIO_BLK_T_IN;
        for (guint i = 0; i < 8; i++) {
            add(&read, FALSE, bytes + 2 * i, 2);
        }
        add(&read, TRUE, in.data, 100 + cut);
        add(&read, TRUE, in.data + 100 + cut, sizeof(in) - 100 - cut);
        run(disk, &read);
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
            add(&r, FALSE, &header, sizeof(header));
            break;
        case 1: /* half a header */
            add(&r, FALSE, &header, sizeof(header) - 1);
            add(&r, TRUE, &status, 1);
            break;
        case 2: /* no header */
            add(&r, TRUE, bytes, sizeof(bytes));
            add(&r, TRUE, &status, 1);
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
            g_assert_cmpuint(do_request(disk, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
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
        g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_GET_ID, 0, TRUE, bytes, lengths[i]), ==,
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
        g_assert_cmpuint(do_request(disk, types[i], 0, TRUE, bytes, sizeof(bytes)), ==,
                         VIRTIO_BLK_S_UNSUPP);
    }
}

static guint8
unmap(Disk *disk, guint32 type, guint64 sector, guint32 n_sectors, guint32 flags)
{
    struct virtio_blk_discard_write_zeroes segment = {sector, n_sectors, flags};

    return do_request(disk, type, 0, FALSE, &segment, sizeof(segment));
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
    assert_file(disk, 7 * SECTOR, 'h', SECTOR);
    assert_file(disk, 8 * SECTOR, 0, 8 * SECTOR);
    assert_file(disk, 16 * SECTOR, 'q', SECTOR);
    g_assert_cmpuint(
        unmap(disk, VIRTIO_BLK_T_WRITE_ZEROES, 32, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), ==,
        VIRTIO_BLK_S_OK);
    assert_file(disk, 32 * SECTOR, 0, 8 * SECTOR);
    /* To the very end, and the file stays as long as it was. */
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 1, 0), ==,
                     VIRTIO_BLK_S_OK);
    assert_file(disk, (SECTORS - 1) * SECTOR, 0, SECTOR);
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
    assert_file(disk, 8 * SECTOR, 0, 16 * SECTOR);
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
            g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, bytes, length), ==,
                             VIRTIO_BLK_S_UNSUPP);
        }
    }
    assert_file(disk, 0, 'a', SECTOR);
    assert_file(disk, (SECTORS - 1) * SECTOR, 'a' + 63 % 26, SECTOR);
}

static void
test_read_only(Disk *disk, gconstpointer data)
{
    char bytes[SECTOR] = {0};
    guint64 features = ioq_blk_features(&disk->blk);

    g_assert_true(features & 1U << VIRTIO_BLK_F_RO);
    g_assert_false(features & (1U << VIRTIO_BLK_F_DISCARD | 1U << VIRTIO_BLK_F_WRITE_ZEROES));
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_OUT, 0, FALSE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_DISCARD, 0, 1, 0), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(unmap(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_IN, 0, TRUE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpint(bytes[0], ==, 'a');
    assert_file(disk, 0, 'a', SECTOR);
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
        do_request(disk, VIRTIO_BLK_T_OUT, 0, FALSE, bytes, SECTOR);
        g_assert_cmpint(witness->durable, ==, through);
        do_request(disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, &segment, sizeof(segment));
        g_assert_cmpint(witness->durable, ==, through);
        do_request(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, FALSE, &segment, sizeof(segment));
        g_assert_cmpint(witness->durable, ==, through);
    }
}

static void
test_store_errors(Disk *disk, gconstpointer data)
{
    Witness *witness = (Witness *)disk->blk.store;
    char bytes[SECTOR] = {0};

    witness->result = -EIO;
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_OUT, 0, FALSE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_IOERR);
    witness->result = -ENOSPC;
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_FLUSH, 0, FALSE, NULL, 0), ==,
                     VIRTIO_BLK_S_IOERR);
    witness->result = -EOPNOTSUPP;
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_IN, 0, TRUE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_UNSUPP);
}

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
    g_assert_cmpuint(do_request(disk, type, 1, FALSE, data, length), ==, VIRTIO_BLK_S_OK);
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
        assert_file(disk, SECTOR, 'D', SECTOR);

        do_and_watch(disk, VIRTIO_BLK_T_WRITE_ZEROES, &segment, sizeof(segment));
        g_assert_cmpint(asked[0].opcode, ==, IORING_OP_FALLOCATE);
        g_assert_cmpint(asked[n_asked - 1].opcode == IORING_OP_FSYNC, ==, through);
    }
    n_asked = 0;
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_FLUSH, 0, FALSE, NULL, 0), ==, VIRTIO_BLK_S_OK);
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

    disk_open(&disk, file_store(&disk, SECTOR, FALSE));
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
        assert_file(&disk, i * (gsize)BYTES, (char)('a' + i % 26), SECTOR);
    }
    if (most == 0) {
        g_test_skip("no O_DIRECT here");
    }
    tear_down(&disk, NULL);
}

/* A file that has lost its end under us reads as zeroes there. */
static void
test_short_file(Disk *disk, gconstpointer data)
{
    char bytes[4 * SECTOR];

    g_assert_cmpint(truncate(disk->path, 10 * SECTOR + 100), ==, 0);
    memset(bytes, '.', sizeof(bytes));
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_IN, 9, TRUE, bytes, sizeof(bytes)), ==,
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
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_IN, 3, TRUE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpint(bytes[0], ==, 'd');
    g_assert_cmpint(bytes[1], ==, 0);
    memset(bytes, 'Z', SECTOR);
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_OUT, 3, FALSE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_OK);
    assert_file(disk, 3 * SECTOR, 'Z', SECTOR);
    g_assert_cmpuint(do_request(disk, VIRTIO_BLK_T_IN, 4, TRUE, bytes, SECTOR), ==,
                     VIRTIO_BLK_S_IOERR);
}

/* As virtio says: more than the configuration allows is an error. */
static void
test_unmap_limit(gconstpointer data)
{
    struct virtio_blk_discard_write_zeroes segment = {.num_sectors = IOQ_BLK_MAX_UNMAP_SECTORS};
    Disk disk = {0};

    disk_open(&disk, ioq_store_null_new(G_GUINT64_CONSTANT(1) << 42));
    g_assert_cmpuint(do_request(&disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, &segment, sizeof(segment)),
                     ==, VIRTIO_BLK_S_OK);
    segment.num_sectors++;
    g_assert_cmpuint(do_request(&disk, VIRTIO_BLK_T_DISCARD, 0, FALSE, &segment, sizeof(segment)),
                     ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(
        do_request(&disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, FALSE, &segment, sizeof(segment)), ==,
        VIRTIO_BLK_S_IOERR);
    tear_down(&disk, NULL);
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
    g_test_add("/ioq/blk/" name, Disk, NULL, set_up_of, function, tear_down)
    ADD("read-and-write", set_up, test_read_and_write);
    ADD("alignments", set_up, test_alignments);
    ADD("layouts", set_up, test_layouts);
    ADD("no-request", set_up, test_no_request);
    ADD("ranges", set_up, test_ranges);
    ADD("null/no-request", set_up_null, test_no_request);
    ADD("null/ranges", set_up_null, test_ranges);
    ADD("null/unknown-type", set_up_null, test_unknown_type);
    ADD("get-id", set_up, test_get_id);
    ADD("unknown-type", set_up, test_unknown_type);
    ADD("write-zeroes", set_up, test_write_zeroes);
    ADD("discard", set_up, test_discard);
    ADD("unmap-refusals", set_up, test_unmap_refusals);
    ADD("read-only", set_up_read_only, test_read_only);
    ADD("write-through", set_up_witness, test_write_through);
    ADD("store-errors", set_up_witness, test_store_errors);
    g_test_add_data_func("/ioq/blk/written-zeroes/durable", NULL, test_written_zeroes);
    g_test_add_data_func("/ioq/blk/written-zeroes/fast", "", test_written_zeroes);
    ADD("durable-file", set_up, test_durable_file);
    ADD("one-way", set_up, test_one_way);
    g_test_add_data_func("/ioq/blk/bounce-budget", NULL, test_bounce_budget);
    ADD("short-file", set_up, test_short_file);
    ADD("refresh", set_up, test_refresh);
    ADD("odd-size", set_up, test_odd_size);
    g_test_add_data_func("/ioq/blk/unmap-limit", NULL, test_unmap_limit);
    ADD("config", set_up, test_config);
    return g_test_run();
}
