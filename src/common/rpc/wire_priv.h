/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/un.h>

#include "common/rpc/rpc.h"

/* What client and server share: addresses, and messages as text. */

/* Deepest nesting of objects and arrays in a message. */
#define GANTRY_RPC_MAX_DEPTH 64

/**
 * gantry_rpc_message_parse:
 * @text: one line, without its newline; need not be NUL-terminated
 *
 * json-glib's parser recurses for each level of nesting and knows comments, single quotes and other
 * things that are not JSON; so the text is looked over before it is parsed.
 *
 * Returns: (transfer full): the message, a JSON object. NULL with GANTRY_ERROR_PROTOCOL (not JSON,
 * not one object) or GANTRY_ERROR_LIMIT (nested too deep).
 */
JsonNode *gantry_rpc_message_parse(const char *text, gsize length, GError **error);

/**
 * gantry_rpc_message_format:
 * @builder: holds a finished object
 *
 * Returns: (transfer full): one line with its newline. NULL with GANTRY_ERROR_LIMIT where it would
 * be longer than GANTRY_RPC_MAX_BYTES.
 */
GBytes *gantry_rpc_message_format(JsonBuilder *builder, GError **error);

/**
 * gantry_rpc_answer_read:
 * @line: what came back for the request @id, without its newline
 * @from: the socket's path, for errors
 *
 * Returns: (transfer full): the result, or NULL as gantry_rpc_call().
 */
JsonNode *gantry_rpc_answer_read(const char *line, gsize length, gint64 id, const char *from,
                                 GError **error);

/* The member if it is there and a string; else NULL. (json_object_get_string_member() trusts its
 * input.) */
const char *gantry_rpc_member_string(JsonObject *object, const char *name);

/* FALSE unless the member is there and an integer. */
gboolean gantry_rpc_member_int(JsonObject *object, const char *name, gint64 *ret_value);

/* FALSE with GANTRY_ERROR_INVALID where the path is too long for a socket's address. */
gboolean gantry_rpc_address(const char *path, struct sockaddr_un *ret_address, GError **error);
