/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/rpc/rpc.h"
#include "common/rpc/wire_priv.h"
#include "tests/lib/fake-daemon.h"

/* A deadline that is to be met, and one that is to pass. */
enum { PLENTY = 20000, SOON = 60 };

typedef struct {
    char *directory;
    char *socket;
} World;

static void
world_set_up(World *world, gconstpointer data)
{
    world->directory = g_dir_make_tmp("gantry-rpc-XXXXXX", NULL);
    g_assert_nonnull(world->directory);
    world->socket = g_build_filename(world->directory, "d.sock", NULL);
}

static void
world_tear_down(World *world, gconstpointer data)
{
    unlink(world->socket);
    g_assert_cmpint(rmdir(world->directory), ==, 0);
    g_free(world->directory);
    g_free(world->socket);
}

static void
test_result(World *world, gconstpointer data)
{
    G_GNUC_UNUSED g_autoptr(FakeDaemon) daemon = fake_daemon_start(
        world->socket, FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":[7,\"x\\ny\"]}\n");
    g_autoptr(JsonNode) params = json_from_string("{\"a\":1}", NULL);
    g_autoptr(JsonNode) result = NULL;
    g_autoptr(JsonNode) request = NULL;
    g_autoptr(GError) error = NULL;
    JsonObject *object;

    result = gantry_rpc_call(world->socket, "hook/prepare", params, PLENTY, &error);
    g_assert_no_error(error);
    g_assert_cmpint(json_array_get_int_element(json_node_get_array(result), 0), ==, 7);
    g_assert_cmpstr(json_array_get_string_element(json_node_get_array(result), 1), ==, "x\ny");

    request = json_from_string(fake_daemon_wait(daemon, 1), NULL);
    object = json_node_get_object(request);
    g_assert_cmpstr(json_object_get_string_member(object, "jsonrpc"), ==, "2.0");
    g_assert_cmpstr(json_object_get_string_member(object, "method"), ==, "hook/prepare");
    g_assert_cmpint(
        json_object_get_int_member(json_object_get_object_member(object, "params"), "a"), ==, 1);
}

static void
test_null_result(World *world, gconstpointer data)
{
    G_GNUC_UNUSED g_autoptr(FakeDaemon) daemon = fake_daemon_start(
        world->socket, FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":null}\nmore");
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) result = gantry_rpc_call(world->socket, "m", NULL, PLENTY, &error);

    g_assert_no_error(error);
    g_assert_true(JSON_NODE_HOLDS_NULL(result));
}

/* What the peer does, and the error that is due. */
typedef struct {
    const char *name;
    FakeMode mode;
    const char *answer;
    guint timeout_msec;
    int code;
    const char *text; /* in the message; NULL: the socket's path is */
} Case;

#define ERROR_ANSWER(code, message) \
    "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"error\":{\"code\":" code ",\"message\":" message "}}\n"

static const Case cases[] = {
    {"refusing", FAKE_GONE, NULL, PLENTY, GANTRY_ERROR_UNAVAILABLE, "is its daemon running?"},
    {"full", FAKE_FULL, NULL, SOON, GANTRY_ERROR_TIMEOUT, "within 60 ms"},
    {"silent", FAKE_SILENT, NULL, SOON, GANTRY_ERROR_TIMEOUT, "within 60 ms"},
    {"drip", FAKE_DRIP, NULL, SOON, GANTRY_ERROR_TIMEOUT, "within 60 ms"},
    {"closed", FAKE_HANG_UP, NULL, PLENTY, GANTRY_ERROR_PROTOCOL, "before a whole answer"},
    {"cut-off", FAKE_HANG_UP, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":1}", PLENTY,
     GANTRY_ERROR_PROTOCOL, "before a whole answer"},
    {"truncated", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"resu\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, "cut off"},
    {"empty-line", FAKE_ANSWER, "\n", PLENTY, GANTRY_ERROR_PROTOCOL, "cut off"},
    {"garbage", FAKE_ANSWER, "HTTP/1.1 400 Bad Request\r\n\r\n", PLENTY, GANTRY_ERROR_PROTOCOL,
     "0x48"},
    {"not-utf8", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":\"\xff\"}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, "not JSON"},
    {"array", FAKE_ANSWER, "[1]\n", PLENTY, GANTRY_ERROR_PROTOCOL, "not one JSON object"},
    {"infinite", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":[{\"a\":-1e999}]}\n",
     PLENTY, GANTRY_ERROR_PROTOCOL, "too large"},
    {"exponent", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":[1e121]}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, "too large"},
    {"integer", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":9223372036854775808}\n",
     PLENTY, GANTRY_ERROR_PROTOCOL, "too large"},
    {"two", FAKE_ANSWER, "{}{}\n", PLENTY, GANTRY_ERROR_PROTOCOL, "not one JSON object"},
    {"wrong-id", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":1@ID@,\"result\":1}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, "another call"},
    {"text-id", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":\"@ID@\",\"result\":1}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, "another call"},
    {"object-id", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":1}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, "another call"},
    {"no-version", FAKE_ANSWER, "{\"id\":@ID@,\"result\":1}\n", PLENTY, GANTRY_ERROR_PROTOCOL,
     NULL},
    {"object-version", FAKE_ANSWER, "{\"jsonrpc\":{},\"id\":@ID@,\"result\":1}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, NULL},
    {"neither", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@}\n", PLENTY, GANTRY_ERROR_PROTOCOL,
     NULL},
    {"both", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":1,\"error\":{}}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, NULL},
    {"bare-error", FAKE_ANSWER, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"error\":\"no\"}\n", PLENTY,
     GANTRY_ERROR_PROTOCOL, "without code"},
    {"odd-error", FAKE_ANSWER, ERROR_ANSWER("\"1\"", "{}"), PLENTY, GANTRY_ERROR_PROTOCOL,
     "without code"},
    {"refused", FAKE_ANSWER, ERROR_ANSWER("1", "\"the pool is full\""), PLENTY,
     GANTRY_ERROR_REFUSED, "the pool is full"},
    {"bad-params", FAKE_ANSWER, ERROR_ANSWER("-32602", "\"no uuid\""), PLENTY, GANTRY_ERROR_INVALID,
     "no uuid"},
    {"no-method", FAKE_ANSWER, ERROR_ANSWER("-32601", "\"what?\""), PLENTY, GANTRY_ERROR_NOT_FOUND,
     "what?"},
    {"internal", FAKE_ANSWER, ERROR_ANSWER("-32603", "\"ouch\""), PLENTY, GANTRY_ERROR_UNAVAILABLE,
     "ouch"},
    {"not-understood", FAKE_ANSWER, ERROR_ANSWER("-32700", "\"eh\""), PLENTY, GANTRY_ERROR_PROTOCOL,
     "eh"},
};

static void
test_case(World *world, gconstpointer data)
{
    const Case *c = data;
    G_GNUC_UNUSED g_autoptr(FakeDaemon) daemon =
        fake_daemon_start(world->socket, c->mode, c->answer);
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_rpc_call(world->socket, "m", NULL, c->timeout_msec, &error));
    g_assert_error(error, GANTRY_ERROR, c->code);
    g_assert_nonnull(strstr(error->message, c->text ? c->text : world->socket));
}

static void
test_missing(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_rpc_call(world->socket, "m", NULL, PLENTY, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, world->socket));
}

/* A regular file where the socket should be. */
static void
test_file(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(world->socket, "x", 1, NULL));
    g_assert_null(gantry_rpc_call(world->socket, "m", NULL, PLENTY, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE);
}

static void
test_long_path(World *world, gconstpointer data)
{
    g_autofree char *path = g_strnfill(108, 'a');
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_rpc_call(path, "m", NULL, PLENTY, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    path[107] = 0; /* the longest that fits */
    g_clear_error(&error);
    g_assert_null(gantry_rpc_call(path, "m", NULL, PLENTY, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE);
}

/* 2 MiB, one with a newline at its end and one without; and the longest answer that is allowed. */
static void
test_big(World *world, gconstpointer data)
{
    const char *head = "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":\"";
    struct {
        gsize length;
        const char *tail;
        int code;
    } sizes[] = {
        {2 * GANTRY_RPC_MAX_BYTES, "\"}\n", GANTRY_ERROR_LIMIT},
        {2 * GANTRY_RPC_MAX_BYTES, "", GANTRY_ERROR_LIMIT},
        {GANTRY_RPC_MAX_BYTES - 64, "\"}\n", -1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *filling = g_strnfill(sizes[i].length, 'x');
        g_autofree char *answer = g_strconcat(head, filling, sizes[i].tail, NULL);
        G_GNUC_UNUSED g_autoptr(FakeDaemon) daemon =
            fake_daemon_start(world->socket, FAKE_ANSWER, answer);
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) result = gantry_rpc_call(world->socket, "m", NULL, PLENTY, &error);

        if (sizes[i].code < 0) {
            g_assert_no_error(error);
            g_assert_cmpuint(strlen(json_node_get_string(result)), ==, sizes[i].length);
        } else {
            g_assert_null(result);
            g_assert_error(error, GANTRY_ERROR, sizes[i].code);
        }
    }
}

static void
test_big_request(World *world, gconstpointer data)
{
    g_autofree char *filling = g_strnfill(GANTRY_RPC_MAX_BYTES, 'x');
    g_autoptr(JsonNode) params = json_from_string("[\"\"]", NULL);
    g_autoptr(GError) error = NULL;

    json_array_add_string_element(json_node_get_array(params), filling);
    g_assert_null(gantry_rpc_call(world->socket, "m", params, PLENTY, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
}

/* A request that does not fit into the socket's buffer, and a peer that does not read it. */
static void
test_deaf(World *world, gconstpointer data)
{
    G_GNUC_UNUSED g_autoptr(FakeDaemon) daemon = fake_daemon_start(world->socket, FAKE_DEAF, NULL);
    g_autofree char *filling = g_strnfill(GANTRY_RPC_MAX_BYTES - 128, 'x');
    g_autoptr(JsonNode) params = json_from_string("[\"\"]", NULL);
    g_autoptr(GError) error = NULL;

    json_array_add_string_element(json_node_get_array(params), filling);
    g_assert_null(gantry_rpc_call(world->socket, "m", params, SOON, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
}

/* json-glib's parser recurses: 1 MiB of '[' overflows its stack unless we look first. */
static void
test_deep(World *world, gconstpointer data)
{
    g_autofree char *deep = g_strnfill(GANTRY_RPC_MAX_BYTES - 64, '[');
    /* Bytes that json-glib skips as a comment and that we must not take for the start of a string.
     */
    const char *heads[] = {
        "{\"jsonrpc\":\"2.0\",\"result\":",
        "{/*\"*/\"result\":",
        "{'\"':",
    };
    const int codes[] = {GANTRY_ERROR_LIMIT, GANTRY_ERROR_PROTOCOL, GANTRY_ERROR_PROTOCOL};

    for (gsize i = 0; i < G_N_ELEMENTS(heads); i++) {
        g_autofree char *answer = g_strconcat(heads[i], deep, "\n", NULL);
        G_GNUC_UNUSED g_autoptr(FakeDaemon) daemon =
            fake_daemon_start(world->socket, FAKE_ANSWER, answer);
        g_autoptr(GError) error = NULL;

        g_assert_null(gantry_rpc_call(world->socket, "m", NULL, PLENTY, &error));
        g_assert_error(error, GANTRY_ERROR, codes[i]);
    }
}

static void
test_depth_limit(void)
{
    for (int depth = GANTRY_RPC_MAX_DEPTH - 1; depth <= GANTRY_RPC_MAX_DEPTH; depth++) {
        g_autofree char *open = g_strnfill((gsize)depth, '[');
        g_autofree char *close = g_strnfill((gsize)depth, ']');
        g_autofree char *text = g_strconcat("{\"a\":", open, close, "}", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = gantry_rpc_message_parse(text, strlen(text), &error);

        if (depth < GANTRY_RPC_MAX_DEPTH) {
            g_assert_no_error(error);
            g_assert_nonnull(node);
        } else {
            g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
            g_assert_null(node);
        }
    }
}

/* Bytes of a string are nobody's structure. */
static void
test_strings(void)
{
    /* json-glib alone makes invalid UTF-8 of some of these, and cuts others short. */
    const struct {
        const char *text;
        const char *value; /* NULL: refused */
    } escapes[] = {
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u00e4\\uD83D\\ude00", "\xc3\xa4\xf0\x9f\x98\x80"},
        {"\\ud83d", NULL},
        {"\\ud83dx", NULL},
        {"\\ud83d\\u0041", NULL},
        {"\\ude00", NULL},
        {"\\u0000", NULL},
        {"\\u12", NULL},
        {"\\u12g4", NULL},
        {"\\x", NULL},
        {"\\", NULL},
    };
    const char *text = "{\"a\\\"]}{[\":\"\\\\\",\"b\":[\"/*\",\"'\"]}";
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = gantry_rpc_message_parse(text, strlen(text), &error);

    g_assert_no_error(error);
    g_assert_cmpstr(json_object_get_string_member(json_node_get_object(node), "a\"]}{["), ==, "\\");
    g_clear_pointer(&node, json_node_unref);

    for (gsize i = 0; i < G_N_ELEMENTS(escapes); i++) {
        g_autofree char *one = g_strdup_printf("{\"a\":\"%s\"}", escapes[i].text);

        node = gantry_rpc_message_parse(one, strlen(one), &error);
        if (escapes[i].value) {
            g_assert_no_error(error);
            g_assert_cmpstr(json_object_get_string_member(json_node_get_object(node), "a"), ==,
                            escapes[i].value);
        } else {
            g_assert_null(node);
            g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL);
        }
        g_clear_error(&error);
        g_clear_pointer(&node, json_node_unref);
    }
    g_assert_null(gantry_rpc_message_parse("{\"a\":\"\0\"}", 9, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL);
}

#define ADD(path, function) g_test_add(path, World, NULL, world_set_up, function, world_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/rpc/client/result", test_result);
    ADD("/rpc/client/null-result", test_null_result);
    ADD("/rpc/client/missing", test_missing);
    ADD("/rpc/client/file", test_file);
    ADD("/rpc/client/long-path", test_long_path);
    ADD("/rpc/client/big", test_big);
    ADD("/rpc/client/big-request", test_big_request);
    ADD("/rpc/client/deaf", test_deaf);
    ADD("/rpc/client/deep", test_deep);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/rpc/client/", cases[i].name, NULL);

        g_test_add(path, World, &cases[i], world_set_up, test_case, world_tear_down);
    }
    g_test_add_func("/rpc/wire/depth-limit", test_depth_limit);
    g_test_add_func("/rpc/wire/strings", test_strings);
    return g_test_run();
}
