/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server runs in the test's own main loop, which each test drives only until what it waits for
 * has happened. Clients are raw sockets, or gantry_rpc_call() in a thread.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/rpc/rpc.h"
#include "common/rpc/server_priv.h"
#include "common/rpc/wire_priv.h"
#include "tests/lib/fake-daemon.h"

enum { PLENTY = 20000 };

typedef struct {
    char *directory;
    char *socket;
    GantryRpcServer *server;
    GString *order;            /* what methods were called with */
    GantryRpcRequest *pending; /* of "later" */
} World;

static void
call_echo(GantryRpcRequest *request, gpointer data)
{
    World *world = data;
    JsonNode *params = gantry_rpc_request_params(request);
    g_autofree char *text = params ? json_to_string(params, FALSE) : g_strdup("-");

    g_string_append(world->order, text);
    gantry_rpc_request_reply(request, params ? json_node_copy(params) : NULL);
}

static void
call_later(GantryRpcRequest *request, gpointer data)
{
    World *world = data;

    g_assert_null(world->pending);
    world->pending = request;
}

static void
call_refuse(GantryRpcRequest *request, gpointer data)
{
    gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, "the pool is full");
}

/* An answer of two thirds of a message, more than a socket's buffer takes. */
static void
call_big(GantryRpcRequest *request, gpointer data)
{
    g_autofree char *text = g_strnfill(GANTRY_RPC_MAX_BYTES / 3 * 2, 'x');
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    json_node_set_string(node, text);
    gantry_rpc_request_reply(request, node);
}

static void
call_too_big(GantryRpcRequest *request, gpointer data)
{
    g_autofree char *text = g_strnfill(GANTRY_RPC_MAX_BYTES, 'x');
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    json_node_set_string(node, text);
    gantry_rpc_request_reply(request, node);
}

static void
call_uid(GantryRpcRequest *request, gpointer data)
{
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    json_node_set_int(node, gantry_rpc_request_uid(request));
    gantry_rpc_request_reply(request, node);
}

/* A handler may end the server that called it. */
static void
call_quit(GantryRpcRequest *request, gpointer data)
{
    World *world = data;

    g_clear_pointer(&world->server, gantry_rpc_server_free);
    gantry_rpc_request_reply(request, NULL);
}

static const GantryRpcMethod methods[] = {
    {"echo", call_echo},       {"later", call_later}, {"refuse", call_refuse}, {"big", call_big},
    {"too-big", call_too_big}, {"uid", call_uid},     {"quit", call_quit},     {NULL, NULL},
};

static void
world_set_up(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    world->directory = g_dir_make_tmp("gantry-rpc-XXXXXX", NULL);
    world->socket = g_build_filename(world->directory, "run", "d.sock", NULL);
    world->order = g_string_new(NULL);
    world->server = gantry_rpc_server_new(world->socket, methods, data, world, &error);
    g_assert_no_error(error);
}

static void
world_tear_down(World *world, gconstpointer data)
{
    g_autofree char *run = g_path_get_dirname(world->socket);

    g_clear_pointer(&world->server, gantry_rpc_server_free);
    /* A server that has ended leaves nothing, neither socket nor lock. */
    g_assert_cmpint(rmdir(run), ==, 0);
    g_assert_cmpint(rmdir(world->directory), ==, 0);
    g_free(world->directory);
    g_free(world->socket);
    g_string_free(world->order, TRUE);
}

static gboolean
give_up(gpointer data)
{
    g_error("waited 20 s for: %s", (const char *)data);
    return G_SOURCE_REMOVE;
}

#define RUN_UNTIL(condition) \
    do { \
        guint guard_ = g_timeout_add(PLENTY, give_up, (gpointer) #condition); \
        while (!(condition)) { \
            g_main_context_iteration(NULL, TRUE); \
        } \
        g_source_remove(guard_); \
    } while (0)

/* Lets the server do all that it can do now. */
static void
settle(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
        /* on */
    }
}

static int
raw_connect(const World *world)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_true(gantry_rpc_address(world->socket, &address, NULL));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

static void
raw_send(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

typedef struct {
    int fd;
    GString *text;
    gboolean ended; /* the server closed the connection */
} Reader;

static void
reader_poll(Reader *reader)
{
    char part[65536];
    ssize_t n = recv(reader->fd, part, sizeof(part), MSG_DONTWAIT);

    if (n > 0) {
        g_string_append_len(reader->text, part, n);
    } else if (n == 0 || errno != EAGAIN) {
        reader->ended = TRUE;
    }
}

static gboolean
reader_tick(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

/* Reads while the server runs, until @n lines have come or the connection ends. */
static char *
raw_receive(int fd, guint n, gboolean *ret_ended)
{
    Reader reader = {fd, g_string_new(NULL), FALSE};
    guint tick = g_timeout_add(1, reader_tick, NULL);
    guint lines = 0;

    RUN_UNTIL(({
        reader_poll(&reader);
        lines = 0;
        for (const char *p = reader.text->str; (p = strchr(p, '\n')); p++) {
            lines++;
        }
        lines >= n || reader.ended;
    }));
    g_source_remove(tick);
    if (ret_ended) {
        *ret_ended = reader.ended;
    }
    return g_string_free(reader.text, FALSE);
}

#define REQUEST(id, method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" params "}\n"

typedef struct {
    const World *world;
    const char *method;
    JsonNode *result;
    GError *error;
    gint done;
} Call;

static gpointer
call_thread(gpointer data)
{
    Call *call = data;

    call->result = gantry_rpc_call(call->world->socket, call->method, NULL, PLENTY, &call->error);
    g_atomic_int_set(&call->done, 1);
    g_main_context_wakeup(NULL);
    return NULL;
}

static void
call_run(Call *call)
{
    GThread *thread = g_thread_new("call", call_thread, call);

    RUN_UNTIL(g_atomic_int_get(&call->done));
    g_thread_join(thread);
}

static void
test_calls(World *world, gconstpointer data)
{
    struct {
        const char *method;
        int code; /* -1: succeeds */
        const char *text;
    } cases[] = {
        {"echo", -1, "null"},
        {"refuse", GANTRY_ERROR_REFUSED, "the pool is full"},
        {"nothing", GANTRY_ERROR_NOT_FOUND, "no method 'nothing'"},
        {"too-big", GANTRY_ERROR_UNAVAILABLE, "longer than"},
        {"quit", GANTRY_ERROR_PROTOCOL, "closed"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        Call call = {.world = world, .method = cases[i].method};

        call_run(&call);
        if (cases[i].code < 0) {
            g_autofree char *text = NULL;

            g_assert_no_error(call.error);
            text = json_to_string(call.result, FALSE);
            g_assert_cmpstr(text, ==, cases[i].text);
        } else {
            g_assert_error(call.error, GANTRY_ERROR, cases[i].code);
            g_assert_nonnull(strstr(call.error->message, cases[i].text));
        }
        g_clear_error(&call.error);
        g_clear_pointer(&call.result, json_node_unref);
    }
}

static void
test_uid(World *world, gconstpointer data)
{
    Call call = {.world = world, .method = "uid"};

    call_run(&call);
    g_assert_no_error(call.error);
    g_assert_cmpint(json_node_get_int(call.result), ==, getuid());
    json_node_unref(call.result);
}

/* Three requests in one write, the second answered late: the third waits for it. */
static void
test_order(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);
    g_autofree char *answers = NULL;

    raw_send(fd,
             REQUEST("1", "echo", "[1]") REQUEST("2", "later", "[2]") REQUEST("3", "echo", "[3]"));
    RUN_UNTIL(world->pending);
    settle();
    g_assert_cmpstr(world->order->str, ==, "[1]");
    gantry_rpc_request_reply(g_steal_pointer(&world->pending), NULL);
    answers = raw_receive(fd, 3, NULL);
    g_assert_cmpstr(world->order->str, ==, "[1][3]");
    g_assert_cmpstr(answers, ==,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[1]}\n"
                    "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":null}\n"
                    "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":[3]}\n");
}

/* A client that shuts its sending side has all its requests answered; then the server closes. */
static void
test_half_closed(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);
    g_autofree char *answers = NULL;
    gboolean ended;

    raw_send(fd, REQUEST("1", "echo", "[1]") REQUEST("2", "echo", "[2]"));
    shutdown(fd, SHUT_WR);
    answers = raw_receive(fd, 99, &ended);
    g_assert_true(ended);
    g_assert_cmpstr(answers, ==,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[1]}\n"
                    "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[2]}\n");
}

/* What is not a request is answered with the code that the specification gives, and the connection
 * lives. */
static void
test_malformed(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);
    g_autofree char *answers = NULL;
    g_auto(GStrv) lines = NULL;
    struct {
        const char *text;
        int code;
    } cases[] = {
        {"{\n", GANTRY_RPC_PARSE_ERROR},
        {"\n", GANTRY_RPC_PARSE_ERROR},
        {"GET / HTTP/1.0\n", GANTRY_RPC_PARSE_ERROR},
        {"["
         "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]\n",
         GANTRY_RPC_PARSE_ERROR},
        {"{}\n", GANTRY_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}\n", GANTRY_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":{},\"id\":1,\"method\":\"echo\"}\n", GANTRY_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":[]}\n", GANTRY_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"echo\"}\n", GANTRY_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":1}\n",
         GANTRY_RPC_INVALID_REQUEST},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        raw_send(fd, cases[i].text);
    }
    raw_send(fd, REQUEST("\"x\"", "echo", "[]"));
    answers = raw_receive(fd, G_N_ELEMENTS(cases) + 1, NULL);
    lines = g_strsplit(answers, "\n", -1);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonNode) node = json_from_string(lines[i], NULL);
        JsonObject *failure = json_object_get_object_member(json_node_get_object(node), "error");

        g_assert_cmpint(json_object_get_int_member(failure, "code"), ==, cases[i].code);
    }
    g_assert_cmpstr(lines[G_N_ELEMENTS(cases)], ==,
                    "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":[]}");
}

static void
test_notification(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);
    g_autofree char *answers = NULL;

    raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":[1]}\n"
                 "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}\n" REQUEST("2", "echo", "[2]"));
    answers = raw_receive(fd, 1, NULL);
    g_assert_cmpstr(answers, ==, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[2]}\n");
    g_assert_cmpstr(world->order->str, ==, "[1][2]");
}

/* A message without end is refused, and the connection with it. */
static void
test_endless(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);
    g_autofree char *part = g_strnfill(64 * 1024, 'x');
    g_autofree char *answer = NULL;
    gboolean ended;

    for (int sent = 0; sent < 2 * GANTRY_RPC_MAX_BYTES;) {
        ssize_t n = send(fd, part, 64 * 1024, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN) {
            break; /* it has closed */
        }
        sent += (int)MAX(n, 0);
        settle();
    }
    answer = raw_receive(fd, 99, &ended);
    g_assert_true(ended);
    g_assert_nonnull(strstr(answer, "\"code\":-32600"));
    g_assert_cmpuint(gantry_rpc_server_n_connections(world->server), ==, 0);
}

static void
test_deep(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);
    g_autofree char *deep = g_strnfill(100 * 1024, '[');
    g_autofree char *text = g_strconcat("{\"jsonrpc\":\"2.0\",\"params\":", deep, "\n", NULL);
    g_autofree char *answer = NULL;

    raw_send(fd, text);
    answer = raw_receive(fd, 1, NULL);
    g_assert_nonnull(strstr(answer, "\"code\":-32700"));
    g_assert_nonnull(strstr(answer, "nested"));
}

/* A client that asks and asks and never reads is closed; one beside it is served all the time. */
static void
test_never_reads(World *world, gconstpointer data)
{
    const GantryRpcLimits limits = {.n_connections = 64, .idle_msec = PLENTY, .write_msec = 50};
    gantry_autofd fd = raw_connect(world);
    Call call = {.world = world, .method = "echo"};

    gantry_rpc_server_set_limits(world->server, &limits);
    raw_send(fd, REQUEST("1", "big", "[]") REQUEST("2", "big", "[]") REQUEST("3", "big", "[]"));
    call_run(&call);
    g_assert_no_error(call.error);
    json_node_unref(call.result);
    RUN_UNTIL(gantry_rpc_server_n_connections(world->server) == 0);
}

/* The control of the one above: who reads, however late, gets all of it. */
static void
test_big_answers(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);
    g_autofree char *answers = NULL;

    raw_send(fd, REQUEST("1", "big", "[]") REQUEST("2", "big", "[]"));
    settle();
    answers = raw_receive(fd, 2, NULL);
    g_assert_cmpuint(strlen(answers), >, GANTRY_RPC_MAX_BYTES);
}

static void
test_idle(World *world, gconstpointer data)
{
    const GantryRpcLimits limits = {.n_connections = 64, .idle_msec = 30, .write_msec = PLENTY};
    gantry_autofd idle = -1;
    gantry_autofd half = -1;
    gantry_autofd waiting = -1;
    g_autofree char *answer = NULL;

    gantry_rpc_server_set_limits(world->server, &limits);
    idle = raw_connect(world);
    half = raw_connect(world);
    raw_send(half, "{\"jsonrpc\":");
    waiting = raw_connect(world);
    raw_send(waiting, REQUEST("1", "later", "[]"));
    RUN_UNTIL(world->pending && gantry_rpc_server_n_connections(world->server) == 1);
    /* Waiting for its answer is not being idle. */
    gantry_rpc_request_reply(g_steal_pointer(&world->pending), NULL);
    answer = raw_receive(waiting, 1, NULL);
    g_assert_cmpstr(answer, ==, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n");
}

/* An answer to somebody who has gone is dropped. */
static void
test_gone_client(World *world, gconstpointer data)
{
    int fd = raw_connect(world);

    raw_send(fd, REQUEST("1", "later", "[]"));
    RUN_UNTIL(world->pending);
    close(fd);
    RUN_UNTIL(gantry_rpc_server_n_connections(world->server) == 0);
    gantry_rpc_request_reply(g_steal_pointer(&world->pending), NULL);
}

/* As above, but it is the server that has gone. */
static void
test_gone_server(World *world, gconstpointer data)
{
    gantry_autofd fd = raw_connect(world);

    raw_send(fd, REQUEST("1", "later", "[]"));
    RUN_UNTIL(world->pending);
    g_clear_pointer(&world->server, gantry_rpc_server_free);
    gantry_rpc_request_fail(g_steal_pointer(&world->pending), GANTRY_RPC_INTERNAL_ERROR, "ending");
}

/* More clients than connections: idle ones make room, the longest idle first; all are served. */
static void
test_many(World *world, gconstpointer data)
{
    const GantryRpcLimits limits = {.n_connections = 4, .idle_msec = PLENTY, .write_msec = PLENTY};
    int fds[10];
    g_autofree char *last = NULL;
    g_autofree char *first = NULL;
    gboolean ended;

    gantry_rpc_server_set_limits(world->server, &limits);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = raw_connect(world);
        settle();
        g_assert_cmpuint(gantry_rpc_server_n_connections(world->server), <=, 4);
    }
    raw_send(fds[9], REQUEST("1", "echo", "[]"));
    last = raw_receive(fds[9], 1, &ended);
    g_assert_false(ended);
    first = raw_receive(fds[0], 1, &ended);
    g_assert_true(ended);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
    }
}

/* All connections at work: a further client waits, and is served when one is free. */
static void
all_busy(World *world, gboolean closes)
{
    const GantryRpcLimits limits = {
        .n_connections = 1, .idle_msec = 2 * PLENTY, .write_msec = PLENTY};
    gantry_autofd busy = -1;
    gantry_autofd next = -1;
    g_autofree char *busy_answer = NULL;
    g_autofree char *next_answer = NULL;

    gantry_rpc_server_set_limits(world->server, &limits);
    busy = raw_connect(world);
    raw_send(busy, REQUEST("1", "later", "[]"));
    RUN_UNTIL(world->pending);
    next = raw_connect(world);
    raw_send(next, REQUEST("2", "echo", "[]"));
    settle();
    g_assert_cmpstr(world->order->str, ==, "");
    gantry_rpc_request_reply(g_steal_pointer(&world->pending), NULL);
    busy_answer = raw_receive(busy, 1, NULL);
    g_assert_cmpstr(busy_answer, ==, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n");
    if (closes) {
        close(gantry_fd_steal(&busy));
    }
    next_answer = raw_receive(next, 1, NULL);
    g_assert_cmpstr(next_answer, ==, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[]}\n");
}

static void
test_all_busy(World *world, gconstpointer data)
{
    all_busy(world, TRUE);
}

/* Who has its answer and stays makes room, too, long before it has been idle for too long. */
static void
test_all_busy_then_idle(World *world, gconstpointer data)
{
    all_busy(world, FALSE);
}

static void
test_live_conflict(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *foreign = g_build_filename(world->directory, "foreign.sock", NULL);
    FakeDaemon *daemon = fake_daemon_start(foreign, FAKE_FULL, NULL);

    g_assert_null(gantry_rpc_server_new(world->socket, methods, NULL, world, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
    g_assert_true(g_file_test(world->socket, G_FILE_TEST_EXISTS));
    g_clear_error(&error);

    /* Served by one that knows nothing of our lock, and is busy besides. */
    g_assert_null(gantry_rpc_server_new(foreign, methods, NULL, world, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
    g_assert_true(g_file_test(foreign, G_FILE_TEST_EXISTS));
    fake_daemon_stop(daemon);
}

static void
test_stale(World *world, gconstpointer data)
{
    g_autofree char *path = g_build_filename(world->directory, "stale.sock", NULL);
    g_autofree char *file = g_build_filename(world->directory, "file.sock", NULL);
    g_autoptr(GError) error = NULL;
    FakeDaemon *daemon = fake_daemon_start(path, FAKE_GONE, NULL);
    GantryRpcServer *server = gantry_rpc_server_new(path, methods, NULL, world, &error);

    g_assert_no_error(error);
    gantry_rpc_server_free(server);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    fake_daemon_stop(daemon);

    /* What is not a socket is not ours to remove. */
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    g_assert_null(gantry_rpc_server_new(file, methods, NULL, world, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
    g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
    unlink(file);
}

static void
test_no_group(World *world, gconstpointer data)
{
    g_autofree char *path = g_build_filename(world->directory, "x.sock", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_rpc_server_new(path, methods, "no-such-group", world, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "no-such-group"));
}

/* A call as somebody else, in a child process. Exit status: 0 answered, 1 turned away, 2 could not
 * connect. */
static int
call_as(const World *world, uid_t uid, gid_t gid, const gid_t *extra, gsize n_extra)
{
    struct sockaddr_un address;
    const char *text = REQUEST("1", "echo", "[]");
    int status;
    pid_t pid;

    g_assert_true(gantry_rpc_address(world->socket, &address, NULL));
    pid = fork();
    if (pid == 0) {
        char answer[256];
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        if (setgroups(n_extra, extra) < 0 || setgid(gid) < 0 || setuid(uid) < 0) {
            _exit(9);
        }
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
            _exit(2);
        }
        if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
            _exit(1);
        }
        _exit(recv(fd, answer, sizeof(answer), 0) > 0 ? 0 : 1);
    }
    g_assert_cmpint(pid, >, 0);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        guint tick = g_timeout_add(1, reader_tick, NULL);

        g_main_context_iteration(NULL, TRUE);
        g_source_remove(tick);
    }
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
test_peers(World *world, gconstpointer data)
{
    const gid_t group = getgrnam(data)->gr_gid;
    struct stat info;

    g_assert_cmpint(stat(world->socket, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0660);
    g_assert_cmpint(info.st_gid, ==, group);
    if (getuid() != 0) {
        g_test_skip("takes root: it calls as other users");
        return;
    }
    g_assert_cmpint(chmod(world->directory, 0755), ==, 0);
    g_assert_cmpint(call_as(world, 0, 0, NULL, 0), ==, 0);
    g_assert_cmpint(call_as(world, 4242, 4242, NULL, 0), ==, 2);
    g_assert_cmpint(call_as(world, 4242, group, NULL, 0), ==, 0);
    g_assert_cmpint(call_as(world, 4242, 4242, &group, 1), ==, 0);
    /* The mode of the file is one lock, the credentials are another. */
    g_assert_cmpint(chmod(world->socket, 0666), ==, 0);
    g_assert_cmpint(call_as(world, 4242, 4242, NULL, 0), ==, 1);
}

static void
test_private(World *world, gconstpointer data)
{
    struct stat info;

    g_assert_cmpint(stat(world->socket, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0600);
}

#define ADD(path, group, function) \
    g_test_add(path, World, group, world_set_up, function, world_tear_down)

int
main(int argc, char **argv)
{
    /* Root may give the socket to a group that nobody here is in; others only to their own. */
    const char *group = getuid() == 0 ? "nogroup" : getgrgid(getgid())->gr_name;

    g_test_init(&argc, &argv, NULL);
    ADD("/rpc/server/calls", NULL, test_calls);
    ADD("/rpc/server/uid", NULL, test_uid);
    ADD("/rpc/server/order", NULL, test_order);
    ADD("/rpc/server/half-closed", NULL, test_half_closed);
    ADD("/rpc/server/malformed", NULL, test_malformed);
    ADD("/rpc/server/notification", NULL, test_notification);
    ADD("/rpc/server/endless", NULL, test_endless);
    ADD("/rpc/server/deep", NULL, test_deep);
    ADD("/rpc/server/never-reads", NULL, test_never_reads);
    ADD("/rpc/server/big-answers", NULL, test_big_answers);
    ADD("/rpc/server/idle", NULL, test_idle);
    ADD("/rpc/server/gone-client", NULL, test_gone_client);
    ADD("/rpc/server/gone-server", NULL, test_gone_server);
    ADD("/rpc/server/many", NULL, test_many);
    ADD("/rpc/server/all-busy", NULL, test_all_busy);
    ADD("/rpc/server/all-busy-then-idle", NULL, test_all_busy_then_idle);
    ADD("/rpc/server/live-conflict", NULL, test_live_conflict);
    ADD("/rpc/server/stale", NULL, test_stale);
    ADD("/rpc/server/no-group", NULL, test_no_group);
    ADD("/rpc/server/peers", group, test_peers);
    ADD("/rpc/server/private", NULL, test_private);
    return g_test_run();
}
