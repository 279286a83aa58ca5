/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's end of a control socket.
 *
 * One thread, the one whose main context was the default when the server was made. This file has
 * the listening side; connection.c has what happens on each connection.
 *
 * Who may serve a path: the holder of a lock on PATH.lock. Only the holder may remove a stale
 * socket, so two daemons that start together cannot both win. The socket gets its owner and mode
 * between bind(2) and listen(2), while nobody can connect.
 */
#include "common/rpc/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <grp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "rpc"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/rpc/wire_priv.h"
#include "common/rpc/server_priv.h"

enum {
    ACCEPT_RETRY_MSEC = 1000, /* after accept(2) failed for want of descriptors or memory */
    BACKLOG = 64,
};

static gboolean server_claim_path(GantryRpcServer *server, GError **error);
static gboolean server_listen(GantryRpcServer *server, GError **error);
static void server_start_accepting(GantryRpcServer *server, guint delay_msec);

GantryRpcServer *
gantry_rpc_server_new(const char *socket_path, const GantryRpcMethod *methods, const char *group,
                      gpointer user_data, GError **error)
{
    g_autoptr(GantryRpcServer) server = g_new0(GantryRpcServer, 1);
    g_autofree char *directory = g_path_get_dirname(socket_path);

    server->path = g_strdup(socket_path);
    server->lock_fd = -1;
    server->methods = methods;
    server->user_data = user_data;
    server->limits =
        (GantryRpcLimits){.n_connections = 64, .idle_msec = 60000, .write_msec = 10000};
    server->context = g_main_context_ref_thread_default();
    g_queue_init(&server->connections);

    if (group) {
        const struct group *entry = getgrnam(group);

        if (!entry) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                        _("there is no group '%s'; create it with groupadd"), group);
            return NULL;
        }
        server->has_group = TRUE;
        server->group = entry->gr_gid;
    }
    if (g_mkdir_with_parents(directory, 0755) < 0) {
        gantry_set_error_errno(error, errno, _("cannot make the directory %s"), directory);
        return NULL;
    }
    if (!server_claim_path(server, error) || !server_listen(server, error)) {
        return NULL;
    }
    server_start_accepting(server, 0);
    return g_steal_pointer(&server);
}

void
gantry_rpc_server_free(GantryRpcServer *server)
{
    GantryRpcConnection *connection;

    if (!server) {
        return;
    }
    while ((connection = g_queue_peek_head(&server->connections))) {
        gantry_rpc_connection_close(connection);
    }
    if (server->accept_source) { /* closing connections may have started it again */
        g_source_destroy(server->accept_source);
        g_source_unref(server->accept_source);
    }
    g_clear_object(&server->listener);
    if (server->bound) {
        unlink(server->path);
    }
    if (server->lock_fd >= 0) {
        g_autofree char *lock_path = g_strconcat(server->path, ".lock", NULL);

        unlink(lock_path); /* before the lock goes: see server_claim_path() */
        gantry_fd_clear(&server->lock_fd);
    }
    g_main_context_unref(server->context);
    g_free(server->path);
    g_free(server);
}

void
gantry_rpc_server_set_limits(GantryRpcServer *server, const GantryRpcLimits *limits)
{
    server->limits = *limits;
}

void
gantry_rpc_server_resume(GantryRpcServer *server)
{
    server_start_accepting(server, 0);
}

guint
gantry_rpc_server_n_connections(const GantryRpcServer *server)
{
    return server->connections.length;
}

/*
 * Takes PATH.lock. A server that ends unlinks it before it lets go, so what we have locked may no
 * longer be what stands at the path: then begin again.
 */
static gboolean
server_lock(GantryRpcServer *server, GError **error)
{
    g_autofree char *lock_path = g_strconcat(server->path, ".lock", NULL);

    for (;;) {
        struct stat mine, there;

        gantry_fd_clear(&server->lock_fd);
        server->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (server->lock_fd < 0) {
            gantry_set_error_errno(error, errno, _("cannot open %s"), lock_path);
            return FALSE;
        }
        if (flock(server->lock_fd, LOCK_EX | LOCK_NB) < 0) {
            int saved = errno;

            gantry_fd_clear(&server->lock_fd);
            if (saved == EWOULDBLOCK) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                            _("another process serves %s; stop it first"), server->path);
            } else {
                gantry_set_error_errno(error, saved, _("cannot lock %s"), lock_path);
            }
            return FALSE;
        }
        if (fstat(server->lock_fd, &mine) == 0 && stat(lock_path, &there) == 0 &&
            mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) {
            return TRUE;
        }
    }
}

/* Makes sure that nothing stands at the path, or says why that cannot be. */
static gboolean
server_claim_path(GantryRpcServer *server, GError **error)
{
    struct sockaddr_un address;
    gantry_autofd probe = -1;
    struct stat info;

    if (!gantry_rpc_address(server->path, &address, error) || !server_lock(server, error)) {
        return FALSE;
    }
    if (lstat(server->path, &info) < 0) {
        if (errno == ENOENT) {
            return TRUE;
        }
        gantry_set_error_errno(error, errno, _("cannot look at %s"), server->path);
        return FALSE;
    }
    if (!S_ISSOCK(info.st_mode)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("%s exists and is not a socket; move it away"), server->path);
        return FALSE;
    }
    /* Non-blocking: a full backlog (EAGAIN) means that somebody serves it, if slowly. */
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        gantry_set_error_errno(error, errno, _("cannot make a socket"));
        return FALSE;
    }
    if (connect(probe, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
        errno != ECONNREFUSED) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("another process serves %s; stop it first"), server->path);
        return FALSE;
    }
    gantry_dbg("replacing the stale socket %s", server->path);
    if (unlink(server->path) < 0) {
        gantry_set_error_errno(error, errno, _("cannot remove the stale socket %s"), server->path);
        return FALSE;
    }
    return TRUE;
}

static gboolean
server_listen(GantryRpcServer *server, GError **error)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(server->path);

    server->listener =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
    if (!server->listener) {
        return FALSE;
    }
    g_socket_set_blocking(server->listener, FALSE);
    g_socket_set_listen_backlog(server->listener, BACKLOG);
    if (!g_socket_bind(server->listener, address, FALSE, error)) {
        return FALSE;
    }
    server->bound = TRUE;
    if ((server->has_group && chown(server->path, (uid_t)-1, server->group) < 0) ||
        chmod(server->path, server->has_group ? 0660 : 0600) < 0) {
        gantry_set_error_errno(error, errno, _("cannot set owner and mode of %s"), server->path);
        return FALSE;
    }
    return g_socket_listen(server->listener, error);
}

/* Root, the server's own user, and members of the group, by their credentials when they connected.
 */
static gboolean
server_admits(const GantryRpcServer *server, int fd, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    gid_t groups[1024];
    socklen_t groups_length = sizeof(groups);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
        return FALSE;
    }
    *ret_uid = peer.uid;
    if (peer.uid == 0 || peer.uid == geteuid()) {
        return TRUE;
    }
    if (!server->has_group) {
        return FALSE;
    }
    if (peer.gid == server->group) {
        return TRUE;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_length) < 0) {
        return FALSE;
    }
    for (gsize i = 0; i < groups_length / sizeof(*groups); i++) {
        if (groups[i] == server->group) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Makes room by closing the connection that has been idle longest. FALSE: all are at work. */
static gboolean
server_make_room(GantryRpcServer *server)
{
    GantryRpcConnection *longest = NULL;

    if (server->connections.length < server->limits.n_connections) {
        return TRUE;
    }
    for (GList *link = server->connections.head; link; link = link->next) {
        GantryRpcConnection *connection = link->data;

        if (!connection->busy && !connection->out &&
            (!longest || connection->active_usec < longest->active_usec)) {
            longest = connection;
        }
    }
    if (!longest) {
        return FALSE;
    }
    gantry_dbg("%s: closing an idle connection to make room", server->path);
    gantry_rpc_connection_close(longest);
    return TRUE;
}

static gboolean
server_accept(GSocket *listener G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
    GantryRpcServer *server = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket = NULL;
    uid_t uid;

    if (!server_make_room(server)) {
        g_clear_pointer(&server->accept_source, g_source_unref);
        return G_SOURCE_REMOVE; /* gantry_rpc_server_resume() starts it again; clients wait in the
                                 * backlog
                                 */
    }
    socket = g_socket_accept(server->listener, NULL, &error);
    if (!socket) {
        if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
            gantry_dbg("%s: cannot accept: %s", server->path, error->message);
            g_clear_pointer(&server->accept_source, g_source_unref);
            server_start_accepting(server, ACCEPT_RETRY_MSEC);
            return G_SOURCE_REMOVE;
        }
        return G_SOURCE_CONTINUE;
    }
    if (!server_admits(server, g_socket_get_fd(socket), &uid)) {
        gantry_dbg("%s: turned away a peer that is neither root nor in the group", server->path);
        return G_SOURCE_CONTINUE;
    }
    gantry_rpc_connection_open(server, g_steal_pointer(&socket), uid);
    return G_SOURCE_CONTINUE;
}

static gboolean
server_accept_later(gpointer data)
{
    GantryRpcServer *server = data;

    g_clear_pointer(&server->accept_source, g_source_unref);
    server_start_accepting(server, 0);
    return G_SOURCE_REMOVE;
}

static void
server_start_accepting(GantryRpcServer *server, guint delay_msec)
{
    if (server->accept_source) {
        return;
    }
    if (delay_msec > 0) {
        server->accept_source = g_timeout_source_new(delay_msec);
        g_source_set_callback(server->accept_source, server_accept_later, server, NULL);
    } else {
        server->accept_source = g_socket_create_source(server->listener, G_IO_IN, NULL);
        g_source_set_callback(server->accept_source, G_SOURCE_FUNC(server_accept), server, NULL);
    }
    g_source_attach(server->accept_source, server->context);
}
