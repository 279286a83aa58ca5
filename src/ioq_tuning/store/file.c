/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and block devices by io_uring. An operation that moved less than asked is continued; a read
 * that meets the end of a file which is not a whole number of sectors gives zeroes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/store/store.h"

#define SECTOR 512

typedef struct {
    IoqStore base;
    int buffered_fd;
    int direct_fd; /* -1: none */
    guint32 memory_align;
    guint32 offset_align;
} FileStore;

static void start(FileStore *file, IoqIo *io);

/* Takes @bytes off the front of what is left to do; the caller's pieces stay as they are. */
static void
consume(IoqIo *io, guint64 bytes)
{
    if (!io->rest) {
        io->rest = g_memdup2(io->iov, io->n_iov * sizeof(*io->iov));
        io->iov = io->rest;
    }
    io->transferred += bytes;
    while (bytes > 0 && io->n_iov > 0) {
        guint64 step = MIN(bytes, io->iov->iov_len);

        io->iov->iov_base = (char *)io->iov->iov_base + step;
        io->iov->iov_len -= (gsize)step;
        bytes -= step;
        if (io->iov->iov_len == 0) {
            io->iov++;
            io->n_iov--;
        }
    }
}

static void
finish(IoqIo *io, int result)
{
    g_clear_pointer(&io->rest, g_free);
    io->done(io, result);
}

static void
fill_with_zeroes(IoqIo *io)
{
    for (guint i = 0; i < io->n_iov; i++) {
        memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
    }
}

static void
operation_done(IoqEvent *event, int result, guint cqe_flags)
{
    IoqIo *io = (IoqIo *)(gpointer)((char *)event - G_STRUCT_OFFSET(IoqIo, event));
    gboolean moves_data = io->kind == IOQ_IO_READ || io->kind == IOQ_IO_WRITE;

    if (result == -EAGAIN || result == -EINTR) {
        start((FileStore *)io->store, io);
        return;
    }
    if (result < 0 || !moves_data) {
        finish(io, MIN(result, 0));
    } else if (io->transferred + (guint64)result >= io->length) {
        finish(io, 0);
    } else if (result > 0) {
        consume(io, (guint64)result);
        start((FileStore *)io->store, io);
    } else if (io->kind == IOQ_IO_READ) {
        fill_with_zeroes(io);
        finish(io, 0);
    } else {
        finish(io, -EIO);
    }
}

static gboolean
fits_direct(const FileStore *file, const IoqIo *io)
{
    if (file->direct_fd < 0 || (io->offset + io->transferred) % file->offset_align != 0) {
        return FALSE;
    }
    for (guint i = 0; i < io->n_iov; i++) {
        if ((gsize)io->iov[i].iov_base % file->memory_align != 0 ||
            io->iov[i].iov_len % file->offset_align != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

static void
start(FileStore *file, IoqIo *io)
{
    struct io_uring_sqe *sqe = ioq_loop_sqe(io->loop);
    guint64 offset = io->offset + io->transferred;
    int fd;

    switch (io->kind) {
    case IOQ_IO_READ:
        fd = fits_direct(file, io) ? file->direct_fd : file->buffered_fd;
        if (io->n_iov == 1) {
            io_uring_prep_read(sqe, fd, io->iov->iov_base, (guint)io->iov->iov_len, offset);
        } else {
            io_uring_prep_readv(sqe, fd, io->iov, io->n_iov, offset);
        }
        break;
    case IOQ_IO_WRITE:
        fd = fits_direct(file, io) ? file->direct_fd : file->buffered_fd;
        if (io->n_iov == 1) {
            io_uring_prep_write(sqe, fd, io->iov->iov_base, (guint)io->iov->iov_len, offset);
        } else {
            io_uring_prep_writev(sqe, fd, io->iov, io->n_iov, offset);
        }
        sqe->rw_flags = io->durable ? RWF_DSYNC : 0;
        break;
    case IOQ_IO_FLUSH:
        io_uring_prep_fsync(sqe, file->buffered_fd, IORING_FSYNC_DATASYNC);
        break;
    case IOQ_IO_DISCARD:
        io_uring_prep_fallocate(sqe, file->buffered_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)offset, (off_t)io->length);
        break;
    case IOQ_IO_WRITE_ZEROES:
        io_uring_prep_fallocate(sqe, file->buffered_fd,
                                (io->may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
                                    FALLOC_FL_KEEP_SIZE,
                                (off_t)offset, (off_t)io->length);
        break;
    }
    ioq_loop_set_event(sqe, &io->event);
}

static void
file_submit(IoqStore *store, IoqLoop *loop, IoqIo *io)
{
    io->store = store;
    io->loop = loop;
    io->transferred = 0;
    io->event.done = operation_done;
    start((FileStore *)store, io);
}

static void
file_free(IoqStore *store)
{
    FileStore *file = (FileStore *)store;

    gantry_fd_clear(&file->buffered_fd);
    gantry_fd_clear(&file->direct_fd);
    g_free(file);
}

static const IoqStoreOps file_ops = {.name = "file", .submit = file_submit, .free = file_free};

static gboolean
read_size(int fd, guint64 *ret_size, guint32 *ret_block_size, GError **error)
{
    struct stat status;

    if (fstat(fd, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot examine the image"));
        return FALSE;
    }
    if (S_ISREG(status.st_mode)) {
        *ret_size = (guint64)status.st_size / SECTOR * SECTOR;
        *ret_block_size = SECTOR;
        return TRUE;
    }
    if (S_ISBLK(status.st_mode)) {
        int block_size;

        if (ioctl(fd, BLKGETSIZE64, ret_size) == 0 && ioctl(fd, BLKSSZGET, &block_size) == 0) {
            *ret_block_size = (guint32)block_size;
            return TRUE;
        }
        gantry_set_error_errno(error, errno, _("Cannot ask a block device for its size"));
        return FALSE;
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("the image is neither a file nor a block device"));
    return FALSE;
}

/* Linux 6.1 says what O_DIRECT asks for; before that a page is always enough. */
static void
read_alignment(FileStore *file)
{
    struct statx status = {0};

    file->memory_align = file->offset_align = 4096;
#ifdef STATX_DIOALIGN
    if (syscall(SYS_statx, file->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
        (status.stx_mask & STATX_DIOALIGN)) {
        if (status.stx_dio_offset_align == 0) {
            gantry_fd_clear(&file->direct_fd); /* this file system has no O_DIRECT after all */
            return;
        }
        file->memory_align = MAX(status.stx_dio_mem_align, 1);
        file->offset_align = status.stx_dio_offset_align;
    }
#endif
}

IoqStore *
ioq_store_file_new(int buffered_fd, int direct_fd, gboolean read_only, GError **error)
{
    FileStore *file = g_new0(FileStore, 1);

    file->base.ops = &file_ops;
    file->base.read_only = read_only;
    file->base.can_unmap = !read_only;
    file->buffered_fd = buffered_fd;
    file->direct_fd = direct_fd;
    if (!read_size(buffered_fd, &file->base.size, &file->base.block_size, error)) {
        file_free(&file->base);
        return NULL;
    }
    if (direct_fd >= 0) {
        read_alignment(file);
    }
    return &file->base;
}

gboolean
ioq_store_file_refresh_size(IoqStore *store, GError **error)
{
    guint64 size;
    guint32 block_size;

    if (store->ops != &file_ops ||
        !read_size(((FileStore *)store)->buffered_fd, &size, &block_size, error) ||
        size == store->size) {
        return FALSE;
    }
    __atomic_store_n(&store->size, size, __ATOMIC_RELEASE);
    return TRUE;
}
