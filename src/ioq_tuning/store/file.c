/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and block devices by io_uring. An operation that moved less than asked is continued; a read
 * that meets the end of a file which is not a whole number of sectors gives zeroes.
 *
 * Against two users of one image there are the locks that QEMU takes on images (its
 * block/file-posix.c), so that QEMU, qemu-img and we keep out each other, on one host and on those
 * that share a file system with locks. They are read locks on bytes of the file: byte 100 + p says
 * that its holder has permission p, byte 200 + p that he lets nobody else have it. Who wants p sets
 * his own marks first, and then looks whether there is somebody else's contrary one. They belong to
 * the open file, not to the process: a worker that dies does not give them up while gantry-ioqd
 * keeps the file open for the next one.
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

/* QEMU's: permissions, and where on the image they are marked. */
enum { PERMISSION_READ, PERMISSION_WRITE };
#define HELD_BASE     100
#define UNSHARED_BASE 200

typedef struct {
    IoqStore base;
    char *name; /* for messages */
    int buffered_fd;
    int direct_fd; /* -1: none */
    guint32 memory_align;
    guint32 offset_align;
} FileStore;

static const guint8 zeroes[64 * 1024]; /* for file systems that cannot make a range zero */

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

/* What is neither read, write nor flush is made of system calls that not all file systems have. */
static void
allocation_done(IoqIo *io, int result)
{
    FileStore *file = (FileStore *)io->store;

    if (result == -EOPNOTSUPP && io->kind == IOQ_IO_DISCARD) {
        result = 0; /* it is a hint */
    }
    if (result == -EOPNOTSUPP && io->stage == IOQ_STAGE_ASKED) {
        io->stage = IOQ_STAGE_ZEROING;
        start(file, io);
    } else if (result > 0 && io->transferred + (guint64)result < io->length) {
        io->transferred += (guint64)result;
        start(file, io);
    } else if (result >= 0 && io->durable && io->stage != IOQ_STAGE_SYNCING) {
        io->stage = IOQ_STAGE_SYNCING;
        start(file, io);
    } else {
        finish(io, MIN(result, 0));
    }
}

static void
operation_done(IoqEvent *event, int result, guint cqe_flags)
{
    IoqIo *io = (IoqIo *)(gpointer)((char *)event - G_STRUCT_OFFSET(IoqIo, event));

    if (result == -EAGAIN || result == -EINTR) {
        start((FileStore *)io->store, io);
    } else if (io->kind == IOQ_IO_DISCARD || io->kind == IOQ_IO_WRITE_ZEROES) {
        allocation_done(io, result);
    } else if (result < 0 || io->kind == IOQ_IO_FLUSH) {
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

    if (io->stage == IOQ_STAGE_ZEROING) {
        io_uring_prep_write(sqe, file->buffered_fd, zeroes,
                            (guint)MIN(io->length - io->transferred, sizeof(zeroes)), offset);
        ioq_loop_set_event(sqe, &io->event);
        return;
    }
    switch (io->stage == IOQ_STAGE_SYNCING ? IOQ_IO_FLUSH : io->kind) {
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
    io->stage = IOQ_STAGE_ASKED;
    io->event.done = operation_done;
    start((FileStore *)store, io);
}

static void
file_free(IoqStore *store)
{
    FileStore *file = (FileStore *)store;

    gantry_fd_clear(&file->buffered_fd);
    gantry_fd_clear(&file->direct_fd);
    g_free(file->name);
    g_free(file);
}

static gboolean
lock_byte(FileStore *file, int command, short type, off_t byte, short *ret_type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(file->buffered_fd, command, &lock) < 0) {
        return FALSE;
    }
    if (ret_type) {
        *ret_type = lock.l_type;
    }
    return TRUE;
}

/* Whether nobody else has the mark. */
static gboolean
is_unmarked(FileStore *file, off_t byte)
{
    short type;

    return lock_byte(file, F_OFD_GETLK, F_WRLCK, byte, &type) && type == F_UNLCK;
}

static gboolean
mark(FileStore *file, gboolean writes)
{
    return lock_byte(file, F_OFD_SETLK, F_RDLCK, HELD_BASE + PERMISSION_READ, NULL) &&
           (!writes || lock_byte(file, F_OFD_SETLK, F_RDLCK, HELD_BASE + PERMISSION_WRITE, NULL)) &&
           lock_byte(file, F_OFD_SETLK, F_RDLCK, UNSHARED_BASE + PERMISSION_WRITE, NULL);
}

static void
file_release(IoqStore *store)
{
    FileStore *file = (FileStore *)store;

    lock_byte(file, F_OFD_SETLK, F_UNLCK, HELD_BASE + PERMISSION_READ, NULL);
    lock_byte(file, F_OFD_SETLK, F_UNLCK, HELD_BASE + PERMISSION_WRITE, NULL);
    lock_byte(file, F_OFD_SETLK, F_UNLCK, UNSHARED_BASE + PERMISSION_WRITE, NULL);
}

static gboolean
file_acquire(IoqStore *store, GError **error)
{
    FileStore *file = (FileStore *)store;
    gboolean writes = !store->read_only;

    if (!mark(file, writes)) {
        int problem = errno;

        file_release(store);
        if (problem == ENOLCK || problem == EOPNOTSUPP || problem == EINVAL) {
            return TRUE; /* as QEMU: this file system has no locks */
        }
        if (problem != EAGAIN && problem != EACCES) {
            gantry_set_error_errno(error, problem, _("Cannot lock the image %s"), file->name);
            return FALSE;
        }
    } else if (is_unmarked(file, HELD_BASE + PERMISSION_WRITE) &&
               is_unmarked(file, UNSHARED_BASE + PERMISSION_READ) &&
               (!writes || is_unmarked(file, UNSHARED_BASE + PERMISSION_WRITE))) {
        return TRUE;
    } else {
        file_release(store);
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                _("the image %s is in use by another process, here or on another host: a VM, or "
                  "qemu-img; it must end first"),
                file->name);
    return FALSE;
}

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

static gboolean
file_refresh_size(IoqStore *store, GError **error)
{
    guint64 size;
    guint32 block_size;

    if (!read_size(((FileStore *)store)->buffered_fd, &size, &block_size, error) ||
        size == store->size) {
        return FALSE;
    }
    __atomic_store_n(&store->size, size, __ATOMIC_RELEASE);
    return TRUE;
}

static const IoqStoreOps file_ops = {
    .name = "file",
    .submit = file_submit,
    .free = file_free,
    .acquire = file_acquire,
    .release = file_release,
    .refresh_size = file_refresh_size,
};

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
    file->name = g_strdup(_("(unnamed)"));
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

void
ioq_store_file_set_name(IoqStore *store, const char *name)
{
    FileStore *file = (FileStore *)store;

    g_free(file->name);
    file->name = g_strdup(name);
}
