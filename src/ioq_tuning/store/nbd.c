/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. Each queue thread has a connection of its own, which it takes with its first
 * request and gives back when its loop ends; so no handle of libnbd is ever used by two threads.
 * The connection's socket is polled in the thread's io_uring, and libnbd's state machine is moved
 * on when that has something. What libnbd completes is collected and handed on after it has
 * returned, since its callbacks run under its lock, and since the end of a connection completes
 * everything with an error that the guest must not see.
 *
 * A connection that has ended is never replaced here: the sandbox lets nobody connect, and only who
 * can end the server knows when the old connection's requests have ended. The worker's owner is
 * told (IoqNbdOptions.lost).
 */
#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/store/bounce.h"
#include "ioq_tuning/virtqueue/crash_point.h"

#define SECTOR            512
#define MAX_BLOCK         4096               /* that guests can be told of */
#define MAX_PAYLOAD       (32 * 1024 * 1024) /* what every server takes that says nothing else */
#define MAX_UNMAP         (1U << 30)
#define NEXT_TIMEOUT_MSEC 1000 /* for another greeting of a server that has given one */
#define REPLIES_A_EVENT   64   /* before the queues are looked at again */

typedef struct {
    IoqStore base;
    char *name;
    void (*lost)(const char *name, const char *why);
    guint64 max_payload;
    guint32 write_flags;
    gboolean must_flush; /* there is no FUA */
    gboolean can_flush;
    gboolean can_trim;
    GMutex lock;
    GPtrArray *idle; /* by lock: of Connection; those that no thread has */
} NbdStore;

typedef struct {
    NbdStore *store;
    struct nbd_handle *handle;
    IoqLoop *loop;
    IoqEvent readable;
    IoqEvent writable;
    gboolean waits_to_read;
    gboolean waits_to_write;
    gboolean settling;
    gboolean lost;
    IoqIo *ended; /* oldest first */
    IoqIo **ended_end;
} Connection;

static void settle(Connection *connection);

static void
add_ended(Connection *connection, IoqIo *io, int result)
{
    io->result = result;
    io->next = NULL;
    *connection->ended_end = io;
    connection->ended_end = &io->next;
}

/* Called by libnbd, which must not be called from here. */
static int
on_completed(gpointer data, int *error)
{
    IoqIo *io = data;

    add_ended(ioq_loop_guest(io->loop), io, -*error);
    return 1; /* libnbd may forget it */
}

static void issue(Connection *connection, IoqIo *io);

/* There is memory for it now. */
static void
issue_later(IoqIo *io)
{
    issue(ioq_loop_guest(io->loop), io);
}

/* One command for the next part of it. */
static void
issue(Connection *connection, IoqIo *io)
{
    NbdStore *store = connection->store;
    struct nbd_handle *handle = connection->handle;
    const nbd_completion_callback done = {.callback = on_completed, .user_data = io};
    gboolean moves_data = io->kind == IOQ_IO_READ || io->kind == IOQ_IO_WRITE;
    guint64 offset = io->offset + io->transferred;
    guint64 most = !moves_data      ? MAX_UNMAP
                   : io->n_iov == 1 ? store->max_payload
                                    : MIN(store->max_payload, IOQ_BOUNCE_CHUNK);
    gint64 cookie = -1;
    char *bytes;

    io->chunk = MIN(io->length - io->transferred, most);
    if (moves_data && io->n_iov > 1 && !io->bytes &&
        !ioq_bounce_take(io, (gsize)io->chunk, issue_later)) {
        return;
    }
    bytes = moves_data && io->n_iov == 1 ? (char *)io->iov->iov_base + io->transferred : io->bytes;
    switch (io->kind) {
    case IOQ_IO_READ:
        cookie = nbd_aio_pread(handle, bytes, (gsize)io->chunk, offset, done, 0);
        break;
    case IOQ_IO_WRITE:
        if (io->bytes) {
            ioq_bounce_copy_in(io);
        }
        cookie = nbd_aio_pwrite(handle, bytes, (gsize)io->chunk, offset, done, store->write_flags);
        break;
    case IOQ_IO_FLUSH:
        cookie = nbd_aio_flush(handle, done, 0);
        break;
    case IOQ_IO_DISCARD:
        cookie = nbd_aio_trim(handle, io->chunk, offset, done, store->write_flags);
        break;
    case IOQ_IO_WRITE_ZEROES:
        cookie = nbd_aio_zero(handle, io->chunk, offset, done,
                              store->write_flags | (io->may_unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE));
        break;
    }
    if (cookie < 0) { /* also where it is no whole number of blocks, of which the guest was told */
        add_ended(connection, io, -(nbd_get_errno() ? nbd_get_errno() : EIO));
    }
}

static void
issue_flush(Connection *connection, IoqIo *io)
{
    const nbd_completion_callback done = {.callback = on_completed, .user_data = io};

    io->chunk = 0;
    if (nbd_aio_flush(connection->handle, done, 0) < 0) {
        add_ended(connection, io, -(nbd_get_errno() ? nbd_get_errno() : EIO));
    }
}

static void
lose(Connection *connection, const char *why)
{
    if (!connection->lost) {
        connection->lost = TRUE;
        connection->store->lost(connection->store->name, why ? why : _("it has ended"));
    }
}

/* A command has ended: goes on with the next one of the request, or ends that. */
static void
advance(Connection *connection, IoqIo *io)
{
    int result = connection->lost ? -EIO : io->result;

    if (result == 0) {
        if (io->kind == IOQ_IO_READ && io->bytes) {
            ioq_bounce_copy_out(io);
        }
        io->transferred += io->chunk;
        if (io->transferred < io->length) {
            issue(connection, io);
            return;
        }
        if (io->durable) {
            io->durable = FALSE;
            issue_flush(connection, io);
            return;
        }
    }
    ioq_bounce_give(io);
    io->done(io, result);
}

static void
wait_for_socket(Connection *connection)
{
    unsigned direction = nbd_aio_get_direction(connection->handle);
    int fd = nbd_aio_get_fd(connection->handle);
    struct io_uring_sqe *sqe;

    /* Each poll comes once: it is asked for again when the socket's state is known. */
    if ((direction & LIBNBD_AIO_DIRECTION_READ) && !connection->waits_to_read) {
        connection->waits_to_read = TRUE;
        sqe = ioq_loop_sqe(connection->loop);
        io_uring_prep_poll_add(sqe, fd, POLLIN);
        ioq_loop_set_event(sqe, &connection->readable);
    }
    if ((direction & LIBNBD_AIO_DIRECTION_WRITE) && !connection->waits_to_write) {
        connection->waits_to_write = TRUE;
        sqe = ioq_loop_sqe(connection->loop);
        io_uring_prep_poll_add(sqe, fd, POLLOUT);
        ioq_loop_set_event(sqe, &connection->writable);
    }
}

static gboolean
is_over(Connection *connection)
{
    return nbd_aio_is_dead(connection->handle) || nbd_aio_is_closed(connection->handle);
}

/* After each call of libnbd. */
static void
settle(Connection *connection)
{
    if (connection->settling) {
        return; /* a request's end has begun another */
    }
    connection->settling = TRUE;
    do {
        IoqIo *io = connection->ended;

        if (is_over(connection)) {
            lose(connection, nbd_get_error());
        }
        if (!io) {
            break;
        }
        connection->ended = io->next;
        if (!connection->ended) {
            connection->ended_end = &connection->ended;
        }
        /* A server that is about to end says so to what it has not done. */
        if (io->result == -ESHUTDOWN) {
            lose(connection, _("it is shutting down"));
        }
        advance(connection, io);
    } while (TRUE);
    connection->settling = FALSE;
    if (!is_over(connection)) {
        wait_for_socket(connection);
    }
}

static void
on_readable(IoqEvent *event, int result, guint cqe_flags)
{
    Connection *connection =
        (Connection *)(gpointer)((char *)event - G_STRUCT_OFFSET(Connection, readable));
    struct pollfd again = {.events = POLLIN};

    connection->waits_to_read = FALSE;
    if (result < 0 || is_over(connection)) {
        return;
    }
    again.fd = nbd_aio_get_fd(connection->handle);
    /* Each call takes one reply; one where nothing is to be read would make libnbd wait for the
     * rest of a reply before it sends anything. */
    for (guint i = 0; i < REPLIES_A_EVENT; i++) {
        nbd_aio_notify_read(connection->handle);
        if (is_over(connection) ||
            !(nbd_aio_get_direction(connection->handle) & LIBNBD_AIO_DIRECTION_READ) ||
            poll(&again, 1, 0) <= 0) {
            break;
        }
    }
    settle(connection);
}

static void
on_writable(IoqEvent *event, int result, guint cqe_flags)
{
    Connection *connection =
        (Connection *)(gpointer)((char *)event - G_STRUCT_OFFSET(Connection, writable));

    connection->waits_to_write = FALSE;
    if (result < 0 || is_over(connection)) {
        return;
    }
    if (nbd_aio_get_direction(connection->handle) & LIBNBD_AIO_DIRECTION_WRITE) {
        nbd_aio_notify_write(connection->handle);
    }
    settle(connection);
}

/* The loop ends, and its polls with it. */
static void
give_back(gpointer data)
{
    Connection *connection = data;
    NbdStore *store = connection->store;

    connection->loop = NULL;
    connection->waits_to_read = connection->waits_to_write = FALSE;
    g_mutex_lock(&store->lock);
    g_ptr_array_add(store->idle, connection);
    g_mutex_unlock(&store->lock);
}

static Connection *
connection_of(NbdStore *store, IoqLoop *loop)
{
    Connection *connection = ioq_loop_guest(loop);

    if (!connection) {
        g_mutex_lock(&store->lock);
        if (store->idle->len > 0) {
            connection = g_ptr_array_steal_index_fast(store->idle, store->idle->len - 1);
        }
        g_mutex_unlock(&store->lock);
        if (connection) {
            connection->loop = loop;
            ioq_loop_set_guest(loop, connection, give_back);
        }
    }
    return connection;
}

static void
nbd_submit(IoqStore *base, IoqLoop *loop, IoqIo *io)
{
    NbdStore *store = (NbdStore *)base;
    Connection *connection = connection_of(store, loop);
    gboolean writes =
        io->kind == IOQ_IO_WRITE || io->kind == IOQ_IO_WRITE_ZEROES || io->kind == IOQ_IO_DISCARD;

    if (!connection || connection->lost) {
        io->done(io, -EIO);
        return;
    }
    if (io->kind == IOQ_IO_FLUSH ? !store->can_flush : io->length == 0) {
        io->done(io, 0);
        return;
    }
    if (io->kind == IOQ_IO_DISCARD && !store->can_trim) {
        io->done(io, 0); /* it is a hint only */
        return;
    }
    io->store = base;
    io->loop = loop;
    io->transferred = 0;
    io->bytes = NULL;
    io->durable = writes && store->must_flush;
    issue(connection, io);
    settle(connection);
}

static void
connection_free(gpointer data)
{
    Connection *connection = data;

    if (connection->handle) {
        nbd_aio_disconnect(connection->handle, 0); /* as far as it goes without waiting */
        nbd_close(connection->handle);
    }
    g_free(connection);
}

static void
nbd_free(IoqStore *base)
{
    NbdStore *store = (NbdStore *)base;

    g_ptr_array_unref(store->idle);
    g_mutex_clear(&store->lock);
    g_free(store->name);
    g_free(store);
}

static const IoqStoreOps nbd_ops = {.name = "nbd", .submit = nbd_submit, .free = nbd_free};

static gboolean
set_nbd_error(GError **error, const char *name, const char *why)
{
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM, _("NBD server %1$s: %2$s"), name,
                why ? why : _("it has ended the connection"));
    return FALSE;
}

/* Up to the server's greeting. */
static gboolean
greet(Connection *connection, int *fd, const IoqNbdOptions *options, GError **error)
{
    gboolean is_first = connection->store->idle->len == 1;
    gint64 deadline = g_get_monotonic_time() +
                      (is_first ? options->timeout_msec : NEXT_TIMEOUT_MSEC) * (gint64)1000;
    struct nbd_handle *handle = connection->handle = nbd_create();

    if (!handle || (options->export && nbd_set_export_name(handle, options->export) < 0) ||
        nbd_set_pread_initialize(handle, false) < 0 ||
        nbd_aio_connect_socket(handle, gantry_fd_steal(fd)) < 0) {
        return set_nbd_error(error, options->name, nbd_get_error());
    }
    while (nbd_aio_is_connecting(handle)) {
        gint64 left = deadline - g_get_monotonic_time();

        if (left <= 0) {
            return set_nbd_error(error, options->name, _("it does not answer"));
        }
        if (nbd_poll(handle, (int)(left / 1000) + 1) < 0) {
            return set_nbd_error(error, options->name, nbd_get_error());
        }
    }
    return nbd_aio_is_ready(handle) || set_nbd_error(error, options->name, nbd_get_error());
}

/* What the server has to offer. */
static gboolean
read_export(NbdStore *store, struct nbd_handle *handle, const IoqNbdOptions *options,
            GError **error)
{
    gint64 size = nbd_get_size(handle);
    gint64 smallest = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
    gint64 largest = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
    gboolean can_fua = nbd_can_fua(handle) > 0;
    gboolean is_durable = !ioq_control_is_off(IOQ_CONTROL_DURABLE);

    if (size < 0) {
        return set_nbd_error(error, options->name, nbd_get_error());
    }
    if (nbd_is_read_only(handle) > 0 && !options->read_only) {
        return set_nbd_error(error, options->name,
                             _("it serves this for reading only, and the disk is not <readonly/>"));
    }
    if (smallest > MAX_BLOCK || (smallest > SECTOR && (smallest & (smallest - 1)) != 0)) {
        return set_nbd_error(error, options->name, _("its blocks are larger than 4096 bytes"));
    }
    store->base.block_size = (guint32)MAX(smallest, SECTOR);
    store->base.size = (guint64)size / store->base.block_size * store->base.block_size;
    store->base.read_only = options->read_only;
    store->base.can_unmap = !options->read_only && nbd_can_zero(handle) > 0;
    store->can_trim = nbd_can_trim(handle) > 0;
    store->can_flush = nbd_can_flush(handle) > 0;
    store->must_flush = is_durable && !can_fua && store->can_flush;
    store->write_flags = is_durable && can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
    store->max_payload = largest > 0 ? MIN((guint64)largest, MAX_PAYLOAD) : MAX_PAYLOAD;
    store->max_payload -= store->max_payload % store->base.block_size;
    if (store->max_payload == 0) {
        return set_nbd_error(error, options->name, _("it takes no request of a whole block"));
    }
    return TRUE;
}

static gboolean
add_connection(NbdStore *store, int *fd, const IoqNbdOptions *options, GError **error)
{
    Connection *connection = g_new0(Connection, 1);

    connection->store = store;
    connection->readable.done = on_readable;
    connection->writable.done = on_writable;
    connection->ended_end = &connection->ended;
    g_ptr_array_add(store->idle, connection);
    if (!greet(connection, fd, options, error)) {
        return FALSE;
    }
    if (store->idle->len == 1) {
        return read_export(store, connection->handle, options, error);
    }
    return (guint64)nbd_get_size(connection->handle) >= store->base.size ||
           set_nbd_error(error, options->name, _("its connections differ in size"));
}

/* Whether what is flushed on one connection is flushed for all. */
static gboolean
can_multi_conn(NbdStore *store)
{
    const Connection *connection = store->idle->pdata[0];

    return nbd_can_multi_conn(connection->handle) > 0;
}

IoqStore *
ioq_store_nbd_new(int *fds, guint n_fds, const IoqNbdOptions *options, guint *ret_n_connections,
                  GError **error)
{
    NbdStore *store = g_new0(NbdStore, 1);
    gboolean ok = TRUE;
    guint n = n_fds;

    store->base.ops = &nbd_ops;
    store->name = g_strdup(options->name);
    store->lost = options->lost;
    store->idle = g_ptr_array_new_with_free_func(connection_free);
    g_mutex_init(&store->lock);
    for (guint i = 0; i < n && ok; i++) {
        /* A server may serve fewer than it lets connect. */
        ok = add_connection(store, &fds[i], options, i == 0 ? error : NULL);
        if (!ok && i > 0) {
            g_ptr_array_remove_index(store->idle, i);
            n = i;
            ok = TRUE;
        } else if (ok && i == 0 && !options->read_only && !can_multi_conn(store)) {
            n = 1;
        }
    }
    for (guint i = 0; i < n_fds; i++) {
        gantry_fd_clear(&fds[i]);
    }
    if (!ok) {
        nbd_free(&store->base);
        return NULL;
    }
    *ret_n_connections = n;
    return &store->base;
}
