/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever a peer sends. To the client, as an answer: a result, or an error of our domain. To the
 * server, as a stream of requests: it answers nothing but JSON objects, a line each, ends the
 * connection when the peer has, and calls the method only for what is a request.
 */
#include <gio/gio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/rpc/rpc.h"
#include "common/rpc/server_priv.h"
#include "common/rpc/wire_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static GantryRpcServer *server;
static char *socket_path;

static void
call_echo(GantryRpcRequest *request, gpointer data)
{
    JsonNode *params = gantry_rpc_request_params(request);

    gantry_rpc_request_reply(request, params ? json_node_copy(params) : NULL);
}

static const GantryRpcMethod methods[] = {{"echo", call_echo}, {NULL, NULL}};

static void
clean_up(void)
{
    g_autofree char *directory = g_path_get_dirname(socket_path);

    gantry_rpc_server_free(server);
    rmdir(directory);
    g_free(socket_path);
}

static void
set_up(void)
{
    g_autofree char *directory = g_dir_make_tmp("gantry-fuzz-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;

    socket_path = g_build_filename(directory, "d.sock", NULL);
    server = gantry_rpc_server_new(socket_path, methods, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(atexit(clean_up), ==, 0);
}

static void
answer(const char *text, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) result = gantry_rpc_answer_read(text, length, 1, "test", &error);

    g_assert_true(!result == !!error);
    g_assert_true(!error || error->domain == GANTRY_ERROR);
}

static void
check_output(const char *text, gsize length)
{
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = NULL;

        g_assert_nonnull(end);
        node = gantry_rpc_message_parse(text, (gsize)(end - text), &error);
        g_assert_no_error(error);
        g_assert_true(JSON_NODE_HOLDS_OBJECT(node));
        length -= (gsize)(end + 1 - text);
        text = end + 1;
    }
}

static void
serve(const char *text, gsize length)
{
    g_autoptr(GByteArray) output = g_byte_array_new();
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gboolean shut = FALSE;

    g_assert_true(gantry_rpc_address(socket_path, &address, NULL));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    for (;;) {
        guint8 part[4096];
        ssize_t n = length > 0 ? send(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

        if (n > 0) {
            text += n;
            length -= (gsize)n;
        }
        if (length == 0 && !shut) {
            shutdown(fd, SHUT_WR);
            shut = TRUE;
        }
        while (g_main_context_iteration(NULL, FALSE)) {
            /* on */
        }
        n = recv(fd, part, sizeof(part), MSG_DONTWAIT);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            g_byte_array_append(output, part, (guint)n);
        }
    }
    close(fd);
    check_output((const char *)output->data, output->len);
    g_assert_cmpuint(gantry_rpc_server_n_connections(server), ==, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server) {
        set_up();
    }
    answer((const char *)data, size);
    serve((const char *)data, size);
    return 0;
}
