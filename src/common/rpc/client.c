/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One call, one connection, one deadline, in the calling thread.
 *
 * The deadline is a point in time taken at the start; every wait gets what is left of it, so an
 * answer that drips a byte at a time does not gain any. Connecting is done on the plain descriptor:
 * a GSocket's descriptor is always non-blocking, and a non-blocking connect(2) to a unix socket
 * whose backlog is full (its daemon is stopped) fails at once with nothing to poll for, whereas a
 * blocking one waits for room as long as SO_SNDTIMEO says.
 */
#include "common/rpc/rpc.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/rpc/wire_priv.h"

typedef struct {
    const char *path;
    guint timeout_msec;
    gint64 deadline_usec; /* g_get_monotonic_time() */
    GSocket *socket;
} Call;

static gint64 call_left_usec(const Call *call);
static gboolean call_connect(Call *call, GError **error);
static gboolean call_send(Call *call, GBytes *request, GError **error);
static GByteArray *call_receive(Call *call, GError **error);

JsonNode *
gantry_rpc_call(const char *socket_path, const char *method, JsonNode *params, guint timeout_msec,
                GError **error)
{
    static gint last_id;
    gint64 id = g_atomic_int_add(&last_id, 1) + 1;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(GBytes) request = NULL;
    g_autoptr(GByteArray) line = NULL;
    Call call = {
        .path = socket_path,
        .timeout_msec = timeout_msec,
        .deadline_usec = g_get_monotonic_time() + (gint64)timeout_msec * 1000,
    };

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "jsonrpc");
    json_builder_add_string_value(builder, "2.0");
    json_builder_set_member_name(builder, "id");
    json_builder_add_int_value(builder, id);
    json_builder_set_member_name(builder, "method");
    json_builder_add_string_value(builder, method);
    if (params) {
        json_builder_set_member_name(builder, "params");
        json_builder_add_value(builder, json_node_copy(params));
    }
    json_builder_end_object(builder);
    request = gantry_rpc_message_format(builder, error);

    if (request && call_connect(&call, error) && call_send(&call, request, error)) {
        line = call_receive(&call, error);
    }
    g_clear_object(&call.socket); /* closes it */
    return line
               ? gantry_rpc_answer_read((const char *)line->data, line->len, id, socket_path, error)
               : NULL;
}

static gint64
call_left_usec(const Call *call)
{
    return MAX(call->deadline_usec - g_get_monotonic_time(), 0);
}

static gboolean
call_timed_out(const Call *call, GError **error)
{
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT, _("no answer from %1$s within %2$u ms"),
                call->path, call->timeout_msec);
    return FALSE;
}

static gboolean
call_connect(Call *call, GError **error)
{
    struct sockaddr_un address;
    gantry_autofd fd = -1;

    if (!gantry_rpc_address(call->path, &address, error)) {
        return FALSE;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        gantry_set_error_errno(error, errno, _("cannot make a socket"));
        return FALSE;
    }
    for (;;) {
        gint64 left = call_left_usec(call);
        struct timeval wait = {.tv_sec = left / G_USEC_PER_SEC, .tv_usec = left % G_USEC_PER_SEC};

        if (left == 0) {
            return call_timed_out(call, error); /* and a timeval of 0 would mean no limit */
        }
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0) {
            gantry_set_error_errno(error, errno, _("cannot set a socket's time limit"));
            return FALSE;
        }
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
            break;
        }
        if (errno != EINTR && errno != EAGAIN) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE,
                        _("cannot connect to %1$s: %2$s; is its daemon running?"), call->path,
                        g_strerror(errno));
            return FALSE;
        }
    }
    call->socket = g_socket_new_from_fd(fd, error);
    if (!call->socket) {
        return FALSE;
    }
    gantry_fd_steal(&fd);
    g_socket_set_blocking(call->socket, FALSE);
    return TRUE;
}

/* FALSE: the deadline passed. Any other trouble is left for the next send or receive to report. */
static gboolean
call_wait(Call *call, GIOCondition condition, GError **error)
{
    gint64 left = call_left_usec(call);

    if (left == 0) {
        return call_timed_out(call, error);
    }
    g_socket_condition_timed_wait(call->socket, condition, left, NULL, NULL);
    return TRUE;
}

static gboolean
call_send(Call *call, GBytes *request, GError **error)
{
    gsize length;
    const char *data = g_bytes_get_data(request, &length);

    while (length > 0) {
        g_autoptr(GError) local = NULL;
        gssize sent = g_socket_send(call->socket, data, length, NULL, &local);

        if (sent >= 0) {
            data += sent;
            length -= (gsize)sent;
        } else if (g_error_matches(local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
            if (!call_wait(call, G_IO_OUT, error)) {
                return FALSE;
            }
        } else {
            return TRUE; /* the peer hung up; it may have said why */
        }
    }
    return TRUE;
}

/* The first line, without its newline. */
static GByteArray *
call_receive(Call *call, GError **error)
{
    g_autoptr(GByteArray) line = g_byte_array_new();
    guint8 part[16 * 1024];

    for (;;) {
        g_autoptr(GError) local = NULL;
        gssize got;
        const guint8 *end;

        if (!call_wait(call, G_IO_IN, error)) {
            return NULL;
        }
        got = g_socket_receive(call->socket, (char *)part, sizeof(part), NULL, &local);
        if (got < 0 && g_error_matches(local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
            continue;
        }
        if (got <= 0) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                        _("%s closed the connection before a whole answer; see its daemon's log"),
                        call->path);
            return NULL;
        }
        end = memchr(part, '\n', (gsize)got);
        g_byte_array_append(line, part, end ? (guint)(end - part) : (guint)got);
        if (line->len >= GANTRY_RPC_MAX_BYTES) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                        _("the answer from %1$s is longer than the %2$d bytes allowed"), call->path,
                        GANTRY_RPC_MAX_BYTES);
            return NULL;
        }
        if (end) {
            return g_steal_pointer(&line);
        }
    }
}

/* Turns a JSON-RPC error object into @error. A daemon's refusal is its own sentence, with nothing
 * added. */
static void
take_error(const char *from, JsonNode *node, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *text = object ? gantry_rpc_member_string(object, "message") : NULL;
    gint64 code;

    if (!text || !gantry_rpc_member_int(object, "code", &code)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("%s answered an error without code or message"), from);
        return;
    }
    switch (code) {
    case GANTRY_RPC_REFUSED:
        g_set_error_literal(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, text);
        break;
    case GANTRY_RPC_INVALID_PARAMS:
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s does not accept the call: %2$s"), from, text);
        break;
    case GANTRY_RPC_METHOD_NOT_FOUND:
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                    _("%1$s does not know the call: %2$s"), from, text);
        break;
    case GANTRY_RPC_PARSE_ERROR:
    case GANTRY_RPC_INVALID_REQUEST:
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("%1$s does not understand us: %2$s"), from, text);
        break;
    default:
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE, _("%1$s could not do it: %2$s"),
                    from, text);
        break;
    }
}

JsonNode *
gantry_rpc_answer_read(const char *line, gsize length, gint64 id, const char *from, GError **error)
{
    g_autoptr(JsonNode) root = NULL;
    JsonObject *answer;
    JsonNode *result, *failure;
    gint64 got_id;

    root = gantry_rpc_message_parse(line, length, error);
    if (!root) {
        g_prefix_error(error, _("answer from %s: "), from);
        return NULL;
    }
    answer = json_node_get_object(root);
    result = json_object_get_member(answer, "result");
    failure = json_object_get_member(answer, "error");
    if (g_strcmp0(gantry_rpc_member_string(answer, "jsonrpc"), "2.0") != 0 || !result == !failure) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("%s answered something that is not JSON-RPC 2.0"), from);
        return NULL;
    }
    if (!gantry_rpc_member_int(answer, "id", &got_id) || got_id != id) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("%s answered another call than the one made"), from);
        return NULL;
    }
    if (failure) {
        take_error(from, failure, error);
        return NULL;
    }
    return json_node_copy(result);
}
