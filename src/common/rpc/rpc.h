/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <sys/types.h>

/**
 * Control sockets: JSON-RPC 2.0 (https://www.jsonrpc.org/specification), one message a line, over
 * unix stream sockets. No batches. Messages above GANTRY_RPC_MAX_BYTES, newline included, are
 * refused on both sides.
 */
#define GANTRY_RPC_MAX_BYTES (1024 * 1024)
#define GANTRY_RPC_RUN_DIR   "/run/gantry"

/* JSON-RPC error codes; the reserved ones by the specification, the rest ours. */
enum {
    GANTRY_RPC_PARSE_ERROR = -32700,
    GANTRY_RPC_INVALID_REQUEST = -32600,
    GANTRY_RPC_METHOD_NOT_FOUND = -32601,
    GANTRY_RPC_INVALID_PARAMS = -32602,
    GANTRY_RPC_INTERNAL_ERROR = -32603,
    GANTRY_RPC_REFUSED = 1, /* the daemon decided against it; message: why */
};

/**
 * gantry_rpc_call:
 * @socket_path: e.g. "/run/gantry/ioqd.sock"
 * @params: (transfer none) (nullable): object or array
 * @timeout_msec: for everything: connect, send, and the whole answer, however slowly it drips
 *
 * One call on a connection of its own, blocking. May be called from any thread.
 *
 * Returns: (transfer full): the result. NULL with GANTRY_ERROR_UNAVAILABLE (no socket, nobody
 * listening, or the daemon failed inside), _TIMEOUT, _LIMIT (request or answer too long, or nested
 * too deep), _PROTOCOL (not JSON-RPC, wrong id, closed early), _REFUSED (GANTRY_RPC_REFUSED; its
 * message is the daemon's, unchanged), _INVALID (-32602, or a path too long for a socket),
 * _NOT_FOUND (-32601), or _SYSTEM.
 */
JsonNode *gantry_rpc_call(const char *socket_path, const char *method, JsonNode *params,
                          guint timeout_msec, GError **error);

/* A request being served. Answer it exactly once, now or later, from the server's thread. */
typedef struct GantryRpcRequest GantryRpcRequest;

JsonNode *gantry_rpc_request_params(GantryRpcRequest *request); /* (transfer none) (nullable) */

/* Of the peer, by SO_PEERCRED at connect. */
uid_t gantry_rpc_request_uid(GantryRpcRequest *request);

void gantry_rpc_request_reply(GantryRpcRequest *request,
                              JsonNode *result /* transfer full, nullable: null */);
void gantry_rpc_request_fail(GantryRpcRequest *request, int code, const char *message);

typedef struct {
    const char *name; /* "hook/prepare" */
    void (*call)(GantryRpcRequest *request, gpointer user_data);
} GantryRpcMethod;

typedef struct GantryRpcServer GantryRpcServer;

/**
 * gantry_rpc_server_new:
 * @methods: ends with a NULL name; borrowed
 * @group: (nullable): besides root (and the server's own uid), members of this group may call: the
 * socket is root:@group 0660
 *
 * Listens on @socket_path (its directory is made, 0755; a stale socket that nobody serves is
 * replaced, a live one is GANTRY_ERROR_CONFLICT) and serves in the thread-default main context. A
 * peer's uid is checked by SO_PEERCRED; others are closed at once. At most 64 connections:
 * a further one takes the place of the one idle longest, or waits if all are at work. Idle ones are
 * closed after 60 s, and so is a connection that does not read an answer within 10 s. Requests of
 * one connection are served in order of arrival, the next after the answer to the one before.
 * Notifications (requests without an id) are served and not answered.
 */
GantryRpcServer *gantry_rpc_server_new(const char *socket_path, const GantryRpcMethod *methods,
                                       const char *group, gpointer user_data, GError **error);
void gantry_rpc_server_free(GantryRpcServer *server); /* closes everything, removes the socket */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryRpcServer, gantry_rpc_server_free)
