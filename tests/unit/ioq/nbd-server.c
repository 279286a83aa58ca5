/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd-server.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPTION_GO        7
#define REPLY_ACK        1U
#define REPLY_INFO       3U
#define REPLY_UNSUP      (1U << 31 | 1)
#define INFO_EXPORT      0
#define INFO_BLOCK_SIZES 3

typedef struct {
    NbdServer *server;
    int fd;
    guint index;
} Connection;

static gboolean
take(int fd, gpointer bytes, gsize length)
{
    return length == 0 || recv(fd, bytes, length, MSG_WAITALL) == (gssize)length;
}

static void
say(int fd, gconstpointer bytes, gsize length)
{
    /* A client that has gone is noticed when the next command is read. */
    (void)!send(fd, bytes, length, MSG_NOSIGNAL);
}

static void
say_option(int fd, guint32 option, guint32 type, gconstpointer data, guint32 length)
{
    const guint64 magic = GUINT64_TO_BE(G_GUINT64_CONSTANT(0x3e889045565a9));
    const guint32 rest[] = {GUINT32_TO_BE(option), GUINT32_TO_BE(type), GUINT32_TO_BE(length)};

    say(fd, &magic, sizeof(magic));
    say(fd, rest, sizeof(rest));
    say(fd, data, length);
}

static void
say_export(const Connection *connection)
{
    const NbdBehaviour *behaviour = &connection->server->behaviour;
    guint8 info[12] = {0, INFO_EXPORT};
    guint8 sizes[14] = {0, INFO_BLOCK_SIZES};
    guint64 bytes = GUINT64_TO_BE(NBD_DISK_BYTES);
    guint16 flags = GUINT16_TO_BE(behaviour->flags | 1);
    guint32 three[] = {GUINT32_TO_BE(behaviour->smallest),
                       GUINT32_TO_BE(MAX(behaviour->smallest, 4096)),
                       GUINT32_TO_BE(behaviour->largest)};

    memcpy(info + 2, &bytes, 8);
    memcpy(info + 10, &flags, 2);
    say_option(connection->fd, OPTION_GO, REPLY_INFO, info, sizeof(info));
    if (behaviour->smallest > 0) {
        memcpy(sizes + 2, three, sizeof(three));
        say_option(connection->fd, OPTION_GO, REPLY_INFO, sizes, sizeof(sizes));
    }
    say_option(connection->fd, OPTION_GO, REPLY_ACK, NULL, 0);
}

static gboolean
greet(const Connection *connection)
{
    static const char greeting[] = "NBDMAGICIHAVEOPT\0\3";
    guint32 client, option[2];
    guint64 magic;

    say(connection->fd, greeting, 18);
    if (!take(connection->fd, &client, sizeof(client))) {
        return FALSE;
    }
    while (take(connection->fd, &magic, sizeof(magic)) &&
           take(connection->fd, option, sizeof(option))) {
        g_autofree char *data = g_malloc(GUINT32_FROM_BE(option[1]) + 1);

        if (!take(connection->fd, data, GUINT32_FROM_BE(option[1]))) {
            return FALSE;
        }
        if (GUINT32_FROM_BE(option[0]) == OPTION_GO) {
            say_export(connection);
            return TRUE;
        }
        say_option(connection->fd, GUINT32_FROM_BE(option[0]), REPLY_UNSUP, NULL, 0);
    }
    return FALSE;
}

typedef struct {
    NbdCommand command;
    guint64 cookie;
    guint8 *data;
} Held;

static gboolean
read_command(const Connection *connection, Held *held)
{
    guint8 bytes[28];
    guint16 half[2];
    guint32 length;

    if (!take(connection->fd, bytes, sizeof(bytes))) {
        return FALSE;
    }
    memcpy(half, bytes + 4, 4);
    memcpy(&held->cookie, bytes + 8, 8);
    memcpy(&held->command.offset, bytes + 16, 8);
    memcpy(&length, bytes + 24, 4);
    held->command.flags = GUINT16_FROM_BE(half[0]);
    held->command.type = GUINT16_FROM_BE(half[1]);
    held->command.offset = GUINT64_FROM_BE(held->command.offset);
    held->command.length = GUINT32_FROM_BE(length);
    held->command.connection = connection->index;
    held->data = g_malloc0(held->command.length + 1);
    return held->command.type != NBD_CMD_WRITE ||
           take(connection->fd, held->data, held->command.length);
}

static void
answer(const Connection *connection, Held *held)
{
    NbdServer *server = connection->server;
    const NbdCommand *command = &held->command;
    guint32 head[] = {GUINT32_TO_BE(0x67446698), GUINT32_TO_BE(server->behaviour.error)};

    g_mutex_lock(&server->lock);
    if (command->type == NBD_CMD_READ) {
        memcpy(held->data, server->disk + command->offset, command->length);
    } else if (command->type == NBD_CMD_WRITE) {
        memcpy(server->disk + command->offset, held->data, command->length);
    } else if (command->type == NBD_CMD_ZEROES) {
        memset(server->disk + command->offset, 0, command->length);
    }
    g_mutex_unlock(&server->lock);
    say(connection->fd, head, sizeof(head));
    say(connection->fd, &held->cookie, sizeof(held->cookie));
    if (command->type == NBD_CMD_READ && server->behaviour.error == 0) {
        say(connection->fd, held->data, command->length);
    }
}

static gpointer
serve(gpointer data)
{
    g_autofree Connection *connection = data;
    NbdServer *server = connection->server;
    guint most = MAX(server->behaviour.hold, 1), n = 0, number = 0;
    g_autofree Held *held = g_new0(Held, most);

    while (server->behaviour.silent) {
        char byte;

        if (!take(connection->fd, &byte, 1)) {
            close(connection->fd);
            return NULL;
        }
    }
    if (greet(connection)) {
        while (read_command(connection, &held[n])) {
            if (held[n].command.type == NBD_CMD_DISC || ++number == server->behaviour.drop) {
                break;
            }
            g_mutex_lock(&server->lock);
            g_array_append_val(server->commands, held[n].command);
            g_mutex_unlock(&server->lock);
            if (++n == most) {
                while (n > 0) {
                    answer(connection, &held[--n]);
                    g_clear_pointer(&held[n].data, g_free);
                }
            }
        }
    }
    for (guint i = 0; i < most; i++) {
        g_free(held[i].data);
    }
    close(connection->fd);
    return NULL;
}

NbdServer *
nbd_server_new(const NbdBehaviour *behaviour)
{
    NbdServer *server = g_new0(NbdServer, 1);

    server->behaviour = *behaviour;
    g_mutex_init(&server->lock);
    server->commands = g_array_new(FALSE, FALSE, sizeof(NbdCommand));
    server->threads = g_ptr_array_new();
    server->disk = g_malloc(NBD_DISK_BYTES);
    for (guint i = 0; i < NBD_DISK_BYTES; i++) {
        server->disk[i] = (guint8)(i / 512 + i);
    }
    return server;
}

int
nbd_server_connect(NbdServer *server)
{
    Connection *connection = g_new0(Connection, 1);
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    connection->server = server;
    connection->fd = pair[1];
    connection->index = server->threads->len;
    g_ptr_array_add(server->threads, g_thread_new("nbd-server", serve, connection));
    return pair[0];
}

guint
nbd_server_count(NbdServer *server, guint16 type)
{
    guint n = 0;

    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->commands->len; i++) {
        n += g_array_index(server->commands, NbdCommand, i).type == type;
    }
    g_mutex_unlock(&server->lock);
    return n;
}

void
nbd_server_free(NbdServer *server)
{
    for (guint i = 0; i < server->threads->len; i++) {
        g_thread_join(server->threads->pdata[i]);
    }
    g_ptr_array_unref(server->threads);
    g_array_unref(server->commands);
    g_mutex_clear(&server->lock);
    g_free(server->disk);
    g_free(server);
}
