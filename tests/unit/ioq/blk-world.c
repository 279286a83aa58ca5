/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blk-world.h"

#include <fcntl.h>

#include "scratch.h"

void
disk_open(Disk *disk, IoqStore *store)
{
    g_autoptr(GError) error = NULL;

    disk->loop = ioq_loop_new(8, &error);
    g_assert_no_error(error);
    disk->blk = (IoqBlk){.store = store, .n_queues = 4, .queue_size = 128, .write_back = TRUE};
    memcpy(disk->blk.id, "serial-of-20-bytes-x", IOQ_BLK_ID_BYTES);
}

IoqStore *
disk_file_store(Disk *disk, gsize bytes, gboolean read_only)
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

void
disk_set_up(Disk *disk, gconstpointer data)
{
    disk_open(disk, disk_file_store(disk, SECTORS * SECTOR, FALSE));
}

void
disk_set_up_read_only(Disk *disk, gconstpointer data)
{
    disk_open(disk, disk_file_store(disk, SECTORS * SECTOR, TRUE));
}

void
disk_set_up_null(Disk *disk, gconstpointer data)
{
    disk_open(disk, ioq_store_null_new(SECTORS * SECTOR));
}

void
disk_tear_down(Disk *disk, gconstpointer data)
{
    ioq_store_free(disk->blk.store);
    ioq_loop_free(disk->loop);
    if (disk->root) {
        scratch_remove(disk->root);
    }
    g_free(disk->path);
}

void
request_done(IoqRequest *request)
{
    ((Request *)request)->done = TRUE;
}

void
request_add(Request *r, gboolean is_in, gpointer base, gsize length)
{
    IoqChain *chain = &r->request.chain;

    r->iov[chain->n_out + chain->n_in] = (struct iovec){base, length};
    if (is_in) {
        chain->n_in++;
    } else {
        chain->n_out++;
    }
}

void
request_run(Disk *disk, Request *r)
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
guint8
disk_do(Disk *disk, guint32 type, guint64 sector, gboolean is_in, gpointer data, gsize length)
{
    struct virtio_blk_outhdr header = {.type = type, .sector = sector};
    guint8 status = NO_STATUS;
    Request r = {0};

    request_add(&r, FALSE, &header, sizeof(header));
    if (length > 0) {
        request_add(&r, is_in, data, length);
    }
    request_add(&r, TRUE, &status, 1);
    request_run(disk, &r);
    return status;
}

void
disk_assert(Disk *disk, gsize offset, char letter, gsize length)
{
    g_autofree char *content = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(disk->path, &content, &size, NULL));
    g_assert_cmpuint(offset + length, <=, size);
    for (gsize i = 0; i < length; i++) {
        g_assert_cmpint(content[offset + i], ==, letter);
    }
}
