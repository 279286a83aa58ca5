/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "silent-server.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct SilentServer {
    SilentServerManner manner;
    int listener;
    char *directory; /* of the unix socket; NULL: TCP */
    char *path;
    char *uri;
    GThread *thread;
    GMutex lock;
    GCond changed;
    guint n_seen;
    GArray *connections;
};

static gpointer
serve(gpointer data)
{
    SilentServer *server = data;
    int fd;

    while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        g_mutex_lock(&server->lock);
        if (server->manner == SILENT_SERVER_HANGS_UP) {
            close(fd);
        } else {
            g_array_append_val(server->connections, fd);
        }
        server->n_seen++;
        g_cond_broadcast(&server->changed);
        g_mutex_unlock(&server->lock);
    }
    return NULL;
}

static SilentServer *
server_new(SilentServerManner manner, int family, const struct sockaddr *address,
           socklen_t n_address)
{
    SilentServer *server = g_new0(SilentServer, 1);

    server->manner = manner;
    server->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(server->listener, >=, 0);
    g_assert_no_errno(bind(server->listener, address, n_address));
    g_assert_no_errno(listen(server->listener, 16));
    g_mutex_init(&server->lock);
    g_cond_init(&server->changed);
    server->connections = g_array_new(FALSE, FALSE, sizeof(int));
    server->thread = g_thread_new("silent-server", serve, server);
    return server;
}

SilentServer *
silent_server_new_tcp(SilentServerManner manner)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n_address = sizeof(address);
    SilentServer *server;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server = server_new(manner, AF_INET, (struct sockaddr *)&address, sizeof(address));
    g_assert_no_errno(getsockname(server->listener, (struct sockaddr *)&address, &n_address));
    server->uri = g_strdup_printf("qemu+tcp://127.0.0.1:%u/system", ntohs(address.sin_port));
    return server;
}

SilentServer *
silent_server_new_unix(SilentServerManner manner)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autofree char *directory = g_dir_make_tmp("silent-server-XXXXXX", NULL);
    g_autofree char *path = NULL;
    SilentServer *server;

    g_assert_nonnull(directory);
    path = g_build_filename(directory, "sock", NULL);
    g_assert_cmpuint(g_strlcpy(address.sun_path, path, sizeof(address.sun_path)), <,
                     sizeof(address.sun_path));
    server = server_new(manner, AF_UNIX, (struct sockaddr *)&address, sizeof(address));
    server->uri = g_strdup_printf("qemu+unix:///system?socket=%s", path);
    server->directory = g_steal_pointer(&directory);
    server->path = g_steal_pointer(&path);
    return server;
}

void
silent_server_free(SilentServer *server)
{
    shutdown(server->listener, SHUT_RDWR);
    g_thread_join(server->thread);
    close(server->listener);
    for (guint i = 0; i < server->connections->len; i++) {
        close(g_array_index(server->connections, int, i));
    }
    g_array_unref(server->connections);
    if (server->directory) {
        g_unlink(server->path);
        g_rmdir(server->directory);
    }
    g_free(server->directory);
    g_free(server->path);
    g_free(server->uri);
    g_mutex_clear(&server->lock);
    g_cond_clear(&server->changed);
    g_free(server);
}

const char *
silent_server_uri(const SilentServer *server)
{
    return server->uri;
}

void
silent_server_wait_for(SilentServer *server, guint n)
{
    g_mutex_lock(&server->lock);
    while (server->n_seen < n) {
        g_cond_wait(&server->changed, &server->lock);
    }
    g_mutex_unlock(&server->lock);
}
