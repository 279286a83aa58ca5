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
#include "ioq_tuning/store/bounce.h"
#include "ioq_tuning/store/image_lock.h"
#include "ioq_tuning/virtqueue/crash_point.h"

#define SECTOR 512

typedef struct {
    IoqStore base;
    char *name; /* for messages */
    int buffered_fd;
    int direct_fd; /* -1: none */
    int data_fd;   /* that of the two by which all data go */
    guint32 memory_align;
    gboolean unlocked;
} FileStore;

/* For file systems that cannot make a range zero. */
static const guint8 zeroes[64 * 1024] __attribute__((aligned(4096)));

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
    ioq_bounce_give(io);
    io->done(io, result);
}

/* What is left of a read that came to the end of the file. */
static void
fill_with_zeroes(IoqIo *io)
{
    if (!io->bytes) {
        for (guint i = 0; i < io->n_iov; i++) {
            memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
        }
        return;
    }
    memset(io->bytes, 0, io->bounce_bytes);
    for (; io->transferred < io->length; io->transferred += io->chunk) {
        io->chunk = MIN(io->length - io->transferred, io->bounce_bytes);
        ioq_bounce_copy_out(io);
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

/* So many bytes of a read or write are done. */
static void
count(IoqIo *io, guint64 bytes)
{
    if (!io->bytes) {
        consume(io, bytes);
        return;
    }
    io->chunk = bytes;
    if (io->kind == IOQ_IO_READ) {
        ioq_bounce_copy_out(io);
    }
    io->transferred += bytes;
}

static void
transfer_done(IoqIo *io, guint64 bytes)
{
    gboolean at_end = io->kind == IOQ_IO_READ && bytes % SECTOR != 0;

    if (!io->bytes && io->transferred + bytes >= io->length) {
        finish(io, 0); /* nearly always */
        return;
    }
    count(io, bytes);
    if (io->transferred >= io->length) {
        finish(io, 0);
    } else if (bytes > 0 && !at_end) {
        start((FileStore *)io->store, io);
    } else if (io->kind == IOQ_IO_READ) {
        fill_with_zeroes(io);
        finish(io, 0);
    } else {
        finish(io, -EIO);
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
    } else {
        transfer_done(io, (guint64)result);
    }
}

/* Offsets and lengths always are: a file is only used directly where whole sectors are enough. */
static gboolean
is_aligned(const FileStore *file, const IoqIo *io)
{
    for (guint i = 0; i < io->n_iov; i++) {
        if ((gsize)io->iov[i].iov_base % file->memory_align != 0 ||
            io->iov[i].iov_len % SECTOR != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

/* In the control that tests run, what is not aligned goes through the page cache. */
static int
fd_for(const FileStore *file, const IoqIo *io)
{
    return ioq_control_is_off(IOQ_CONTROL_ONE_WAY) && !is_aligned(file, io) ? file->buffered_fd
                                                                            : file->data_fd;
}

static void
prepare_transfer(const FileStore *file, IoqIo *io, struct io_uring_sqe *sqe)
{
    gboolean reads = io->kind == IOQ_IO_READ;
    int fd = fd_for(file, io);
    guint64 offset = io->offset + io->transferred;
    gpointer bytes = io->bytes ? io->bytes : io->iov->iov_base;
    guint length = (guint)io->iov->iov_len;

    if (io->bytes) {
        io->chunk = MIN(io->length - io->transferred, io->bounce_bytes);
        length = (guint)io->chunk;
        if (!reads) {
            ioq_bounce_copy_in(io);
        }
    }
    if (!io->bytes && io->n_iov > 1) {
        if (reads) {
            io_uring_prep_readv(sqe, fd, io->iov, io->n_iov, offset);
        } else {
            io_uring_prep_writev(sqe, fd, io->iov, io->n_iov, offset);
        }
    } else if (reads) {
        io_uring_prep_read(sqe, fd, bytes, length, offset);
    } else {
        io_uring_prep_write(sqe, fd, bytes, length, offset);
    }
    sqe->rw_flags = !reads && io->durable ? RWF_DSYNC : 0;
}

static void
start(FileStore *file, IoqIo *io)
{
    struct io_uring_sqe *sqe = ioq_loop_sqe(io->loop);
    guint64 offset = io->offset + io->transferred;

    if (io->stage == IOQ_STAGE_ZEROING) {
        io_uring_prep_write(sqe, file->data_fd, zeroes,
                            (guint)MIN(io->length - io->transferred, sizeof(zeroes)), offset);
        ioq_loop_set_event(sqe, &io->event);
        return;
    }
    switch (io->stage == IOQ_STAGE_SYNCING ? IOQ_IO_FLUSH : io->kind) {
    case IOQ_IO_READ:
    case IOQ_IO_WRITE:
        prepare_transfer(file, io, sqe);
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
start_later(IoqIo *io)
{
    start((FileStore *)io->store, io);
}

static void
file_submit(IoqStore *store, IoqLoop *loop, IoqIo *io)
{
    FileStore *file = (FileStore *)store;
    gboolean moves_data = io->kind == IOQ_IO_READ || io->kind == IOQ_IO_WRITE;

    io->store = store;
    io->loop = loop;
    io->transferred = 0;
    io->bytes = NULL;
    io->stage = IOQ_STAGE_ASKED;
    io->event.done = operation_done;
    if (!moves_data || file->data_fd != file->direct_fd || is_aligned(file, io) ||
        ioq_control_is_off(IOQ_CONTROL_ONE_WAY) ||
        ioq_bounce_take(io, (gsize)MIN(io->length, IOQ_BOUNCE_CHUNK), start_later)) {
        start(file, io);
    }
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
file_acquire(IoqStore *store, GError **error)
{
    FileStore *file = (FileStore *)store;

    if (file->unlocked) {
        return TRUE;
    }
    if (!ioq_image_lock(file->buffered_fd, file->name, !store->read_only, error) ||
        (file->data_fd == file->direct_fd && !store->read_only &&
         !ioq_control_is_off(IOQ_CONTROL_FENCE) &&
         !ioq_image_fence(file->direct_fd, file->name, error))) {
        return FALSE;
    }
    /* What this host remembers of it may be older than what another host wrote. */
    if (!ioq_control_is_off(IOQ_CONTROL_SETTLE)) {
        posix_fadvise(file->buffered_fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    return TRUE;
}

static void
file_release(IoqStore *store)
{
    FileStore *file = (FileStore *)store;

    if (file->direct_fd >= 0) {
        ioq_image_open_fence(file->direct_fd);
    }
    ioq_image_unlock(file->buffered_fd);
}

static gboolean
file_settle(IoqStore *store, GError **error)
{
    FileStore *file = (FileStore *)store;

    if (ioq_control_is_off(IOQ_CONTROL_SETTLE)) {
        return TRUE;
    }
    if (fdatasync(file->buffered_fd) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot write the cached data of the image %s"),
                               file->name);
        return FALSE;
    }
    posix_fadvise(file->buffered_fd, 0, 0, POSIX_FADV_DONTNEED);
    return TRUE;
}
static gboolean
set_empty(GError **error)
{
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, _("the image is empty"));
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
        /* The last sector counts if any of it is there, as for QEMU. */
        *ret_size = ((guint64)status.st_size + SECTOR - 1) / SECTOR * SECTOR;
        *ret_block_size = SECTOR;
        return *ret_size > 0 || set_empty(error);
    }
    if (S_ISBLK(status.st_mode)) {
        int block_size;

        if (ioctl(fd, BLKGETSIZE64, ret_size) == 0 && ioctl(fd, BLKSSZGET, &block_size) == 0) {
            *ret_block_size = (guint32)block_size;
            return *ret_size > 0 || set_empty(error);
        }
        gantry_set_error_errno(error, errno, _("Cannot ask a block device for its size"));
        return FALSE;
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
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
    .settle = file_settle,
    .refresh_size = file_refresh_size,
};

/* Where the kernel does not say what O_DIRECT asks for, it is tried, as QEMU does. */
static gboolean
try_direct(int fd, guint32 memory_align)
{
    static guint8 bytes[4096 + SECTOR] __attribute__((aligned(4096)));

    return pread(fd, bytes + memory_align % 4096, SECTOR, 0) >= 0;
}

/* Whether O_DIRECT takes whole sectors wherever they are; fills memory_align. */
static gboolean
can_be_direct(FileStore *file)
{
    struct statx status = {0};

#ifdef STATX_DIOALIGN
    if (syscall(SYS_statx, file->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
        (status.stx_mask & STATX_DIOALIGN)) {
        file->memory_align = MAX(status.stx_dio_mem_align, 1);
        return status.stx_dio_offset_align > 0 && status.stx_dio_offset_align <= SECTOR;
    }
#endif
    file->memory_align = try_direct(file->direct_fd, SECTOR) ? SECTOR : 4096;
    return try_direct(file->direct_fd, file->memory_align);
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
    file->data_fd = direct_fd >= 0 && can_be_direct(file) ? direct_fd : buffered_fd;
    return &file->base;
}

void
ioq_store_file_set_name(IoqStore *store, const char *name)
{
    FileStore *file = (FileStore *)store;

    g_free(file->name);
    file->name = g_strdup(name);
}

void
ioq_store_file_set_unlocked(IoqStore *store)
{
    ((FileStore *)store)->unlocked = TRUE;
}
