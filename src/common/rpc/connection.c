/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection of a control socket's server.
 *
 * It is a little machine, connection_run(): send what is to be sent; else, unless a request is
 * being served, take the next whole line and serve it; else read. So there is at most one request
 * and one answer at a time, which keeps the order, bounds memory (one message each way), and makes
 * a client that does not read its answers stop itself. At most one request is served a turn, so
 * that a client with many does not starve the others.
 *
 * A connection lives as long as the server's list or a request refers to it. Closing takes it off
 * the list and clears connection->server; an answer that comes later is dropped.
 */
#include <string.h>

#define GANTRY_LOG_MODULE "rpc"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/rpc/server_priv.h"
#include "common/rpc/wire_priv.h"

enum { READ_BYTES = 64 * 1024 };

struct GantryRpcRequest {
    GantryRpcConnection *connection;
    JsonNode *message;
    JsonNode *id; /* in @message; NULL: a notification, which gets no answer */
};

static void connection_run(GantryRpcConnection *connection);
static GantryRpcConnection *connection_ref(GantryRpcConnection *connection);
static void connection_unref(GantryRpcConnection *connection);
static void connection_disarm(GantryRpcConnection *connection);
static gboolean connection_serve_next(GantryRpcConnection *connection);
static gboolean connection_flush(GantryRpcConnection *connection);
static gboolean connection_read(GantryRpcConnection *connection);
static void connection_answer(GantryRpcConnection *connection, JsonNode *id, JsonNode *result,
                              int code, const char *message);

void
gantry_rpc_connection_open(GantryRpcServer *server, GSocket *socket, uid_t uid)
{
    GantryRpcConnection *connection = g_new0(GantryRpcConnection, 1);

    g_socket_set_blocking(socket, FALSE);
    connection->n_refs = 1;
    connection->server = server;
    connection->socket = socket;
    connection->uid = uid;
    connection->in = g_byte_array_new();
    connection->active_usec = g_get_monotonic_time();
    g_queue_push_tail(&server->connections, connection);
    connection_run(connection);
}

void
gantry_rpc_connection_close(GantryRpcConnection *connection)
{
    GantryRpcServer *server = connection->server;

    if (!server) {
        return;
    }
    connection_disarm(connection);
    connection->server = NULL;
    g_socket_close(connection->socket, NULL);
    g_queue_remove(&server->connections, connection);
    gantry_rpc_server_resume(server);
    connection_unref(connection);
}

JsonNode *
gantry_rpc_request_params(GantryRpcRequest *request)
{
    return json_object_get_member(json_node_get_object(request->message), "params");
}

uid_t
gantry_rpc_request_uid(GantryRpcRequest *request)
{
    return request->connection->uid;
}

static void
request_finish(GantryRpcRequest *request, JsonNode *result, int code, const char *message)
{
    GantryRpcConnection *connection = request->connection;

    connection->busy = FALSE;
    connection->active_usec = g_get_monotonic_time();
    if (request->id && connection->server) {
        connection_answer(connection, request->id, result, code, message);
    }
    if (!connection->running) {
        connection_run(connection);
    }
    g_clear_pointer(&result, json_node_unref);
    json_node_unref(request->message);
    connection_unref(connection);
    g_free(request);
}

void
gantry_rpc_request_reply(GantryRpcRequest *request, JsonNode *result)
{
    request_finish(request, result ? result : json_node_new(JSON_NODE_NULL), 0, NULL);
}

void
gantry_rpc_request_fail(GantryRpcRequest *request, int code, const char *message)
{
    request_finish(request, NULL, code, message);
}

static GantryRpcConnection *
connection_ref(GantryRpcConnection *connection)
{
    connection->n_refs++;
    return connection;
}

static void
connection_unref(GantryRpcConnection *connection)
{
    if (--connection->n_refs > 0) {
        return;
    }
    g_byte_array_unref(connection->in);
    g_clear_pointer(&connection->out, g_bytes_unref);
    g_object_unref(connection->socket);
    g_free(connection);
}

static void
connection_disarm(GantryRpcConnection *connection)
{
    GSource **sources[] = {&connection->io_source, &connection->timer_source};

    for (gsize i = 0; i < G_N_ELEMENTS(sources); i++) {
        if (*sources[i]) {
            g_source_destroy(*sources[i]);
            g_clear_pointer(sources[i], g_source_unref);
        }
    }
}

static gboolean
connection_io(GSocket *socket G_GNUC_UNUSED, GIOCondition condition, gpointer data)
{
    GantryRpcConnection *connection = data;

    if (connection->busy && (condition & (G_IO_HUP | G_IO_ERR))) {
        gantry_rpc_connection_close(connection); /* nobody is there to take the answer */
    } else {
        connection_run(connection);
    }
    return G_SOURCE_REMOVE; /* whoever goes on waiting has armed a new source */
}

static gboolean
connection_continue(gpointer data)
{
    connection_run(data);
    return G_SOURCE_REMOVE;
}

static gboolean
connection_timeout(gpointer data)
{
    GantryRpcConnection *connection = data;

    gantry_dbg("%s: closing a connection that %s", connection->server->path,
               connection->out ? "does not take its answer" : "has been idle");
    gantry_rpc_connection_close(connection);
    return G_SOURCE_REMOVE;
}

/* Waits for @condition; with @timeout_msec for at most so long after @since_usec. 0: for ever. */
static void
connection_arm(GantryRpcConnection *connection, GIOCondition condition, gint64 since_usec,
               guint timeout_msec)
{
    GMainContext *context = connection->server->context;

    connection_disarm(connection);
    connection->io_source = g_socket_create_source(connection->socket, condition, NULL);
    g_source_set_callback(connection->io_source, G_SOURCE_FUNC(connection_io), connection, NULL);
    g_source_attach(connection->io_source, context);
    if (timeout_msec > 0) {
        connection->timer_source = g_timeout_source_new(timeout_msec);
        g_source_set_ready_time(connection->timer_source, since_usec + (gint64)timeout_msec * 1000);
        g_source_set_callback(connection->timer_source, connection_timeout, connection, NULL);
        g_source_attach(connection->timer_source, context);
    }
}

/* Comes back to connection_run() after the other sources had their turn. */
static void
connection_yield(GantryRpcConnection *connection)
{
    connection_disarm(connection);
    connection->io_source = g_idle_source_new();
    g_source_set_priority(connection->io_source, G_PRIORITY_DEFAULT);
    g_source_set_callback(connection->io_source, connection_continue, connection, NULL);
    g_source_attach(connection->io_source, connection->server->context);
}

/* Puts the answer into connection->out. @id: NULL for what could not be read as a request. */
static void
connection_answer(GantryRpcConnection *connection, JsonNode *id, JsonNode *result, int code,
                  const char *message)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(GError) error = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "jsonrpc");
    json_builder_add_string_value(builder, "2.0");
    json_builder_set_member_name(builder, "id");
    if (id) {
        json_builder_add_value(builder, json_node_copy(id));
    } else {
        json_builder_add_null_value(builder);
    }
    if (result) {
        json_builder_set_member_name(builder, "result");
        json_builder_add_value(builder, json_node_copy(result));
    } else {
        json_builder_set_member_name(builder, "error");
        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "code");
        json_builder_add_int_value(builder, code);
        json_builder_set_member_name(builder, "message");
        json_builder_add_string_value(builder, message);
        json_builder_end_object(builder);
    }
    json_builder_end_object(builder);
    connection->out = gantry_rpc_message_format(builder, &error);
    if (!connection->out) {
        /* Too long. An id that is a number cannot be what makes it so. */
        gboolean is_number = id && json_node_get_value_type(id) == G_TYPE_INT64;

        connection_answer(connection, is_number ? id : NULL, NULL, GANTRY_RPC_INTERNAL_ERROR,
                          error->message);
    }
}

/* FALSE: not all could be sent now; armed, or closed. */
static gboolean
connection_flush(GantryRpcConnection *connection)
{
    while (connection->out) {
        gsize length;
        const char *data = g_bytes_get_data(connection->out, &length);
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) rest = NULL;
        gssize sent = g_socket_send(connection->socket, data, length, NULL, &error);

        if (sent < 0) {
            if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
                connection_arm(connection, G_IO_OUT, connection->active_usec,
                               connection->server->limits.write_msec);
            } else {
                gantry_rpc_connection_close(connection);
            }
            return FALSE;
        }
        if ((gsize)sent < length) {
            rest = g_bytes_new_from_bytes(connection->out, (gsize)sent, length - (gsize)sent);
        }
        g_bytes_unref(connection->out);
        connection->out = g_steal_pointer(&rest);
    }
    return TRUE;
}

static void
connection_serve(GantryRpcConnection *connection, const char *line, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) message = gantry_rpc_message_parse(line, length, &error);
    GantryRpcRequest *request;
    JsonObject *object;
    JsonNode *id, *params;
    const char *method;
    gboolean id_ok;

    if (!message) {
        connection_answer(connection, NULL, NULL, GANTRY_RPC_PARSE_ERROR, error->message);
        return;
    }
    object = json_node_get_object(message);
    id = json_object_get_member(object, "id");
    method = gantry_rpc_member_string(object, "method");
    params = json_object_get_member(object, "params");
    id_ok = !id || JSON_NODE_HOLDS_NULL(id) || JSON_NODE_HOLDS_VALUE(id);
    if (!id_ok || !method || g_strcmp0(gantry_rpc_member_string(object, "jsonrpc"), "2.0") != 0 ||
        (params && !JSON_NODE_HOLDS_OBJECT(params) && !JSON_NODE_HOLDS_ARRAY(params))) {
        connection_answer(connection, id_ok ? id : NULL, NULL, GANTRY_RPC_INVALID_REQUEST,
                          _("not a JSON-RPC 2.0 request"));
        return;
    }
    for (const GantryRpcMethod *known = connection->server->methods; known->name; known++) {
        if (g_str_equal(known->name, method)) {
            request = g_new0(GantryRpcRequest, 1);
            request->connection = connection_ref(connection);
            request->id = id;
            request->message = g_steal_pointer(&message);
            connection->busy = TRUE;
            known->call(request, connection->server->user_data);
            return;
        }
    }
    if (id) {
        g_autofree char *text = g_strdup_printf(_("no method '%s'"), method);

        connection_answer(connection, id, NULL, GANTRY_RPC_METHOD_NOT_FOUND, text);
    }
}

/* Takes one whole line off connection->in and serves it. FALSE: there is none. */
static gboolean
connection_serve_next(GantryRpcConnection *connection)
{
    GByteArray *in = connection->in;
    const guint8 *end = NULL;
    gsize length;

    if (in->len > connection->n_searched) {
        end = memchr(in->data + connection->n_searched, '\n', in->len - connection->n_searched);
    }
    if (!end && in->len < GANTRY_RPC_MAX_BYTES) {
        connection->n_searched = in->len;
        return FALSE;
    }
    connection->active_usec = g_get_monotonic_time();
    length = end ? (gsize)(end - in->data) : in->len;
    if (length >= GANTRY_RPC_MAX_BYTES) {
        connection->last =
            TRUE; /* where the next message begins is not known, or not worth waiting for */
        connection_answer(connection, NULL, NULL, GANTRY_RPC_INVALID_REQUEST,
                          _("a message longer than allowed"));
        return TRUE;
    }
    connection_serve(connection, (const char *)in->data, length);
    g_byte_array_remove_range(in, 0, (guint)length + 1);
    connection->n_searched = 0;
    return TRUE;
}

/* FALSE: nothing to read now. */
static gboolean
connection_read(GantryRpcConnection *connection)
{
    g_autoptr(GError) error = NULL;
    guint old = connection->in->len;
    gssize got;

    g_byte_array_set_size(connection->in, old + READ_BYTES);
    got = g_socket_receive(connection->socket, (char *)connection->in->data + old, READ_BYTES, NULL,
                           &error);
    g_byte_array_set_size(connection->in, old + (guint)MAX(got, 0));
    if (got < 0 && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
        return FALSE;
    }
    connection->eof = got <= 0;
    return TRUE;
}

static void
connection_run_steps(GantryRpcConnection *connection)
{
    for (;;) {
        if (!connection->server || !connection_flush(connection)) {
            return;
        }
        if (connection->last) {
            gantry_rpc_connection_close(connection);
            return;
        }
        if (connection->busy) {
            connection_arm(connection, G_IO_HUP | G_IO_ERR, 0, 0);
            return;
        }
        if (connection_serve_next(connection)) {
            if (connection->server && connection_flush(connection) && !connection->busy) {
                connection_yield(connection);
                return;
            }
            continue;
        }
        if (connection->eof) {
            gantry_rpc_connection_close(connection);
            return;
        }
        if (!connection_read(connection)) {
            connection_arm(connection, G_IO_IN, connection->active_usec,
                           connection->server->limits.idle_msec);
            gantry_rpc_server_resume(connection->server); /* it is idle: one that can make room */
            return;
        }
    }
}

static void
connection_run(GantryRpcConnection *connection)
{
    connection_ref(connection);
    connection->running = TRUE;
    connection_run_steps(connection);
    connection->running = FALSE;
    connection_unref(connection);
}
