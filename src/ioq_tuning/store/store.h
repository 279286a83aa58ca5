/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "ioq_tuning/store/loop.h"

/**
 * IoqStore: where a disk's data are. One a disk, used by all of its threads: what a request needs
 * is in the IoqIo, and a store without a lock is one whose file descriptors do the work.
 */
typedef struct IoqStore IoqStore;

typedef enum {
    IOQ_IO_READ,
    IOQ_IO_WRITE,
    IOQ_IO_FLUSH,
    IOQ_IO_DISCARD,
    IOQ_IO_WRITE_ZEROES,
} IoqIoKind;

/* One operation, from submit to done. */
typedef struct IoqIo IoqIo;
struct IoqIo {
    IoqIoKind kind;
    gboolean durable;   /* what changes data: on the medium before it is done */
    gboolean may_unmap; /* write zeroes: holes are fine */
    guint64 offset;     /* bytes */
    guint64 length;
    struct iovec *iov; /* read, write: @length in all; what it points to stays as it is */
    guint n_iov;
    void (*done)(IoqIo *io, int result); /* 0 or -errno; in the thread that submitted */
    /* The store's own: */
    IoqEvent event;
    IoqStore *store;
    IoqLoop *loop;
    guint64 transferred;
    enum { IOQ_STAGE_ASKED, IOQ_STAGE_ZEROING, IOQ_STAGE_SYNCING } stage;
    struct iovec *rest; /* a copy, for what was done in part */
    struct __kernel_timespec delay;
    guint64 chunk;  /* bytes that are on their way, of what is left */
    gpointer bytes; /* bounce.h; NULL: the caller's memory will do */
    gsize bounce_bytes;
    void (*resume)(IoqIo *io);
    int result;
    IoqIo *next;
};

typedef struct {
    const char *name;
    void (*submit)(IoqStore *store, IoqLoop *loop, IoqIo *io);
    void (*free)(IoqStore *store);
    /* NULL: there is nobody to keep out. See ioq_store_acquire(). */
    gboolean (*acquire)(IoqStore *store, GError **error);
    void (*release)(IoqStore *store);
    /* NULL: nothing is kept here that others would not see. Blocks; any thread. */
    gboolean (*settle)(IoqStore *store, GError **error);
    /* NULL: it never changes. FALSE with @error, or without: it has not changed. */
    gboolean (*refresh_size)(IoqStore *store, GError **error);
} IoqStoreOps;

struct IoqStore {
    const IoqStoreOps *ops;
    guint64 size;       /* bytes; atomic: a disk may be resized */
    guint32 block_size; /* what reads and writes should be multiples of */
    gboolean read_only;
    gboolean can_unmap; /* discard, write-zeroes */
};

static inline void
ioq_store_submit(IoqStore *store, IoqLoop *loop, IoqIo *io)
{
    store->ops->submit(store, loop, io);
}

void ioq_store_free(IoqStore *store); /* NULL is fine */

guint64 ioq_store_size(IoqStore *store); /* any thread */

/* Looks for a new size. Returns: whether it has changed; FALSE with @error where it cannot be
 * known. */
gboolean ioq_store_refresh_size(IoqStore *store, GError **error);

/**
 * ioq_store_acquire:
 *
 * Before the first request: keeps others from the data until ioq_store_release(). One thread.
 * Returns: FALSE with GANTRY_ERROR_REFUSED where somebody else has them.
 */
gboolean ioq_store_acquire(IoqStore *store, GError **error);
void ioq_store_release(IoqStore *store); /* may be called without having acquired */

/**
 * ioq_store_settle:
 *
 * After the last request and before ioq_store_release(): what caches of this host hold is on the
 * medium, and forgotten here, so that another host may go on. Blocks for as long as storage needs.
 * Any thread.
 */
gboolean ioq_store_settle(IoqStore *store, GError **error);
gboolean ioq_store_must_settle(const IoqStore *store);

/**
 * ioq_store_file_new:
 * @buffered_fd: of a regular file or a block device; owned by the store from now on
 * @direct_fd: the same with O_DIRECT, or -1; owned
 *
 * io_uring on it. All data goes by O_DIRECT, or, where that would ask more of a guest than whole
 * sectors, all through the page cache: mixed, a write of the one can undo one of the other beside
 * it. Memory that is not aligned is copied (bounce.h).
 */
IoqStore *ioq_store_file_new(int buffered_fd, int direct_fd, gboolean read_only, GError **error);

/* What messages call it: a path. */
void ioq_store_file_set_name(IoqStore *store, const char *name);

/* It takes no locks: for who reads what others may write. */
void ioq_store_file_set_unlocked(IoqStore *store);

/* Does nothing, at once: what everything but storage costs. Reads give what was in the buffer. */
IoqStore *ioq_store_null_new(guint64 size);

#define IOQ_NBD_MAX_CONNECTIONS 16

typedef struct {
    const char *name;   /* for messages */
    const char *export; /* NULL: the server's default */
    gboolean read_only;
    guint timeout_msec; /* for the server's greeting */
    /* From a queue's thread: a connection has ended, with requests on it that nobody knows the fate
     * of. If it returns, they fail with -EIO. */
    void (*lost)(const char *name, const char *why);
} IoqNbdOptions;

/**
 * ioq_store_nbd_new:
 * @fds: stream sockets connected to an NBD server; owned by the store from now on
 * @ret_n_connections: how many threads can be served, each by a connection of its own: 1 where the
 * server does not promise that its connections see the same data
 *
 * Every write is on the server's medium before it is done, whatever the request asks for: a server
 * may die at any time, and the guest would not know that writes since its last flush are gone.
 */
IoqStore *ioq_store_nbd_new(int *fds, guint n_fds, const IoqNbdOptions *options,
                            guint *ret_n_connections, GError **error);

/**
 * ioq_store_delay_new:
 * @below: (transfer full)
 * @max_usec: each operation waits for a random time up to this, so that they end out of order
 */
IoqStore *ioq_store_delay_new(IoqStore *below, guint max_usec);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoqStore, ioq_store_free)
