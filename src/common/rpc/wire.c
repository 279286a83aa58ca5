/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/rpc/wire_priv.h"

#include <string.h>
#include <sys/socket.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

static gboolean look_over(const char *text, gsize length, GError **error);
static gsize escape_length(const char *text, gsize length);
static gsize number_length(const char *text, gsize length);

JsonNode *
gantry_rpc_message_parse(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = NULL;
    g_autoptr(GError) local = NULL;

    if (!look_over(text, length, error)) {
        return NULL;
    }
    parser = json_parser_new_immutable();
    if (!json_parser_load_from_data(parser, text, (gssize)length, &local)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL, _("not JSON: %s"), local->message);
        return NULL;
    }
    return json_parser_steal_root(parser);
}

GBytes *
gantry_rpc_message_format(JsonBuilder *builder, GError **error)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    GString *line = g_string_new(NULL);

    json_generator_set_root(generator, root);
    json_generator_to_gstring(generator, line);
    g_string_append_c(line, '\n');
    if (line->len > GANTRY_RPC_MAX_BYTES) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                    _("a message of %1$zu bytes is longer than the %2$d allowed"), line->len,
                    GANTRY_RPC_MAX_BYTES);
        g_string_free(line, TRUE);
        return NULL;
    }
    return g_string_free_to_bytes(line);
}

const char *
gantry_rpc_member_string(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

gboolean
gantry_rpc_member_int(JsonObject *object, const char *name, gint64 *ret_value)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || json_node_get_value_type(node) != G_TYPE_INT64) {
        return FALSE;
    }
    *ret_value = json_node_get_int(node);
    return TRUE;
}

gboolean
gantry_rpc_address(const char *path, struct sockaddr_un *ret_address, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("socket path '%1$s' is longer than %2$d bytes; choose a shorter one"), path,
                    (int)sizeof(address.sun_path) - 1);
        return FALSE;
    }
    *ret_address = address;
    return TRUE;
}

/* Exactly one object, nested no deeper than allowed, and outside of strings only what JSON has
 * there. */
static gboolean
look_over(const char *text, gsize length, GError **error)
{
    guint depth = 0;
    gboolean in_string = FALSE;
    gboolean ended = FALSE;

    for (gsize i = 0; i < length; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\') {
                gsize n = escape_length(text + i, length - i);

                if (n == 0) {
                    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                                _("not JSON: bad escape in a string at offset %zu"), i);
                    return FALSE;
                }
                i += n - 1;
            } else if (c == '"') {
                in_string = FALSE;
            }
            continue;
        }
        if (c == ' ' || c == '\t' || c == '\r') {
            continue;
        }
        if (ended || (depth == 0 && c != '{') || !c ||
            !strchr("{}[]\",:+-.0123456789eEtrufalsn", c)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                        _("not one JSON object: unexpected byte 0x%1$02x at offset %2$zu"),
                        (guchar)c, i);
            return FALSE;
        }
        if (c == '-' || g_ascii_isdigit(c)) {
            gsize n = number_length(text + i, length - i);

            if (n == 0) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                            _("the number at offset %zu is too large or too long"), i);
                return FALSE;
            }
            i += n - 1;
        } else if (c == '"') {
            in_string = TRUE;
        } else if (c == '{' || c == '[') {
            if (++depth > GANTRY_RPC_MAX_DEPTH) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                            _("JSON nested deeper than the %d levels allowed"),
                            GANTRY_RPC_MAX_DEPTH);
                return FALSE;
            }
        } else if (c == '}' || c == ']') {
            ended = --depth == 0;
        }
    }
    if (!ended) {
        g_set_error_literal(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                            _("not one JSON object: it is cut off, or there is none"));
        return FALSE;
    }
    return TRUE;
}

/* The code unit that "\\uXXXX" at the start of @text stands for; -1: it is no such thing. */
static int
code_unit(const char *text, gsize length)
{
    int unit = 0;

    if (length < 6 || text[0] != '\\' || text[1] != 'u') {
        return -1;
    }
    for (gsize i = 2; i < 6; i++) {
        if (!g_ascii_isxdigit(text[i])) {
            return -1;
        }
        unit = unit * 16 + g_ascii_xdigit_value(text[i]);
    }
    return unit;
}

/*
 * Bytes of the escape sequence that @text begins with; 0: it is none, or stands for what no string
 * can hold (half a surrogate pair, which json-glib makes invalid UTF-8 of, or NUL).
 */
static gsize
escape_length(const char *text, gsize length)
{
    int unit = code_unit(text, length);

    if (length >= 2 && text[1] != 'u') {
        return text[1] && strchr("\"\\/bfnrt", text[1]) ? 2 : 0;
    }
    if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return 0;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        int low = code_unit(text + 6, length - 6);

        return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
    }
    return 6;
}

/*
 * Bytes of the number that @text begins with; 0: json-glib would make another one of it. It reads
 * 1e999 as infinity and an integer beyond 64 bits as -1, and writes 1e121 as 1e+121.0.
 */
static gsize
number_length(const char *text, gsize length)
{
    char number[64];
    char written[G_ASCII_DTOSTR_BUF_SIZE];
    gsize n = 0;

    while (n < length && text[n] && strchr("0123456789+-.eE", text[n])) {
        if (n == sizeof(number) - 1) {
            return 0;
        }
        number[n] = text[n];
        n++;
    }
    number[n] = '\0';
    if (!strpbrk(number, ".eE")) {
        return g_ascii_string_to_signed(number, 10, G_MININT64, G_MAXINT64, NULL, NULL) ? n : 0;
    }
    g_ascii_dtostr(written, sizeof(written), g_ascii_strtod(number, NULL));
    return strpbrk(written, "in") || (strchr(written, 'e') && !strchr(written, '.')) ? 0 : n;
}
