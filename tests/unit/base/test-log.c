/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define GANTRY_LOG_MODULE "testmodule"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "scratch.h"

/* The test program itself logs to a file; what stderr and stdout get is seen in subprocesses. */
typedef struct {
    char *root;
    char *path;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->root = scratch_new();
    fixture->path = g_build_filename(fixture->root, "log", NULL);
    gantry_log_init("prog");
    gantry_log_set_file(fixture->path, &error);
    g_assert_no_error(error);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_assert_true(gantry_log_set_levels("notice", NULL));
    g_assert_true(gantry_log_set_file(NULL, NULL));
    scratch_remove(fixture->root);
    g_free(fixture->path);
}

/* The log's lines without time, program and process id. */
static GStrv
read_lines(Fixture *fixture)
{
    g_autofree char *text = scratch_read(fixture->root, "log");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    g_autofree char *tag = g_strdup_printf(" prog[%d]: ", (int)getpid());
    guint n = g_strv_length(lines);

    g_assert_cmpstr(n ? lines[n - 1] : "", ==, ""); /* ends with a newline */
    for (guint i = 0; i + 1 < n; i++) {
        char *message = strstr(lines[i], tag);

        g_assert_nonnull(message);
        g_ptr_array_add(messages, g_strdup(message + strlen(tag)));
    }
    g_ptr_array_add(messages, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&messages), FALSE);
}

#define ASSERT_LINES(fixture, ...) \
    G_STMT_START \
    { \
        g_auto(GStrv) lines_ = read_lines(fixture); \
        g_assert_cmpstrv(lines_, ((const char *const[]){__VA_ARGS__, NULL})); \
    } \
    G_STMT_END

static void
log_all(void)
{
    gantry_err("an %s", "err");
    gantry_warn("a warn");
    gantry_notice("a notice");
    gantry_info("an info");
    gantry_dbg("a debug");
}

static void
test_levels(Fixture *fixture, gconstpointer data)
{
    log_all();
    ASSERT_LINES(fixture, "error: an err", "warning: a warn", "a notice");

    g_assert_no_errno(truncate(fixture->path, 0));
    g_assert_true(gantry_log_set_levels("debug", NULL));
    log_all();
    ASSERT_LINES(fixture, "error: an err", "warning: a warn", "a notice", "an info",
                 "debug: testmodule: a debug");

    g_assert_no_errno(truncate(fixture->path, 0));
    g_assert_true(gantry_log_set_levels("err", NULL));
    log_all();
    ASSERT_LINES(fixture, "error: an err");
}

static void
test_module_levels(Fixture *fixture, gconstpointer data)
{
    g_assert_true(gantry_log_set_levels("warn, testmodule=debug ,other=info", NULL));
    gantry_dbg("mine");
    gantry_log_full(G_LOG_LEVEL_INFO, "other", "f.c", 1, "f", NULL, "other's info");
    gantry_log_full(G_LOG_LEVEL_DEBUG, "other", "f.c", 1, "f", NULL, "other's debug");
    gantry_log_full(G_LOG_LEVEL_MESSAGE, "third", "f.c", 1, "f", NULL, "third's notice");
    gantry_log_full(G_LOG_LEVEL_WARNING, "third", "f.c", 1, "f", NULL, "third's warning");
    /* A module may be quieter than the rest. */
    g_assert_true(gantry_log_set_levels("debug,testmodule=err", NULL));
    gantry_warn("mine again");
    gantry_log_full(G_LOG_LEVEL_DEBUG, "other", "f.c", 1, "f", NULL, "loud");
    ASSERT_LINES(fixture, "debug: testmodule: mine", "other's info", "warning: third's warning",
                 "debug: other: loud");
}

static void
test_bad_levels(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *levels;
        const char *word;
    } cases[] = {
        {"loud", "'loud'"},    {"", "''"},
        {"debug,hook=", "''"}, {"debug,=info", "=info"},
        {"info,", "''"},       {"hook=debug=x", "'debug=x'"},
        {"DEBUG", "'DEBUG'"},  {"debug warn", "'debug warn'"},
    };

    g_assert_true(gantry_log_set_levels("err", NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(gantry_log_set_levels(cases[i].levels, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, cases[i].word));
    }
    log_all();
    ASSERT_LINES(fixture, "error: an err");
}

/* A name that a guest or tenant chose cannot forge a line, drive a terminal, or hide text. */
static void
test_escaping(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *name;
        const char *logged;
    } cases[] = {
        {"vm\nprog[1]: error: forged", "vm\\x0aprog[1]: error: forged"},
        {"a\rb\tc", "a\\x0db\\x09c"},
        {"\033]0;title\007\033[31m", "\\x1b]0;title\\x07\\x1b[31m"},
        {"\177", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\u{009b}31m"}, /* C1: another way to write ESC [ */
        {"\xe2\x80\xae"
         "evil",
         "\\u{202e}evil"},             /* right-to-left override */
        {"\xe2\x80\xa8", "\\u{2028}"}, /* line separator */
        {"\xff\xfe", "\\xff\\xfe"},    /* not UTF-8 */
        {"\xe2\x82", "\\xe2\\x82"},    /* cut off */
        {"gr\xc3\xbc\xc3\x9f %s \\n", "gr\xc3\xbc\xc3\x9f %s \\n"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_no_errno(truncate(fixture->path, 0));
        gantry_notice("%s", cases[i].name);
        ASSERT_LINES(fixture, cases[i].logged);
    }
}

static void
test_long_message(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *logged = NULL;

    for (int i = 0; i < 100000; i++) {
        g_string_append(text, "\xe2\x82\xac"); /* 3 bytes each: may not be cut within */
    }
    gantry_notice("%s", text->str);
    logged = scratch_read(fixture->root, "log");
    g_assert_cmpuint(strlen(logged), <=, 4096);
    g_assert_cmpuint(strlen(logged), >, 4000);
    g_assert_true(g_str_has_suffix(logged, "\xe2\x82\xac...\n"));
    g_assert_true(g_utf8_validate(logged, -1, NULL));
}

static void
test_fields(Fixture *fixture, gconstpointer data)
{
    const char *const fields[] = {"DOMAIN_UUID", "1234", NULL};

    gantry_log_full(G_LOG_LEVEL_MESSAGE, "m", "f.c", 1, "f", fields, "with a field");
    ASSERT_LINES(fixture, "with a field");
}

static void
test_file(Fixture *fixture, gconstpointer data)
{
    g_autofree char *absent = g_build_filename(fixture->root, "absent", "log", NULL);
    g_autoptr(GError) error = NULL;
    struct stat status;

    gantry_notice("one");
    g_assert_no_errno(stat(fixture->path, &status));
    g_assert_cmpuint(status.st_mode & 0777 & ~0640, ==, 0);
    /* A file that cannot be opened leaves the old one in use. */
    g_assert_false(gantry_log_set_file(absent, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, absent));
    gantry_notice("two");
    /* Opened again, as after a rotation, it is appended to. */
    g_assert_true(gantry_log_set_file(fixture->path, NULL));
    gantry_notice("three");
    ASSERT_LINES(fixture, "one", "two", "three");
}

#define N_PROCESSES 8
#define N_LINES     500

static void
write_many(int number)
{
    g_autofree char *text = g_strnfill(200, (char)('a' + number));

    for (int i = 0; i < N_LINES; i++) {
        gantry_notice("%s", text);
    }
}

/* Lines of several processes neither mix nor overwrite one another. */
static void
test_several_processes(Fixture *fixture, gconstpointer data)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    pid_t pids[N_PROCESSES];
    int seen[N_PROCESSES] = {0};

    for (int i = 0; i < N_PROCESSES; i++) {
        pids[i] = fork();
        g_assert_cmpint(pids[i], >=, 0);
        if (pids[i] == 0) {
            _exit(gantry_log_set_file(fixture->path, NULL) ? (write_many(i), 0) : 1);
        }
    }
    for (int i = 0; i < N_PROCESSES; i++) {
        int status;

        g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
        g_assert_cmpint(status, ==, 0);
    }
    text = scratch_read(fixture->root, "log");
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, N_PROCESSES * N_LINES + 1);
    for (guint i = 0; i < N_PROCESSES * N_LINES; i++) {
        const char *message = strstr(lines[i], "]: ");
        g_autofree char *expected = NULL;

        g_assert_nonnull(message);
        expected = g_strnfill(200, message[3]);
        g_assert_cmpstr(message + 3, ==, expected);
        g_assert_cmpint(message[3], >=, 'a');
        g_assert_cmpint(message[3], <, 'a' + N_PROCESSES);
        seen[message[3] - 'a']++;
    }
    for (int i = 0; i < N_PROCESSES; i++) {
        g_assert_cmpint(seen[i], ==, N_LINES);
    }
}

static gpointer
log_thread(gpointer data)
{
    for (int i = 0; i < N_LINES; i++) {
        gantry_notice("x");
        gantry_dbg("sometimes");
    }
    return NULL;
}

static void
test_threads(Fixture *fixture, gconstpointer data)
{
    GThread *threads[4];
    g_auto(GStrv) lines = NULL;
    guint n_notices = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("log", log_thread, NULL);
    }
    for (int i = 0; i < N_LINES; i++) {
        g_assert_true(gantry_log_set_levels(i % 2 ? "notice" : "notice,testmodule=debug", NULL));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    lines = read_lines(fixture);
    for (gsize i = 0; lines[i]; i++) {
        gboolean is_notice = g_str_equal(lines[i], "x");

        g_assert_true(is_notice || g_str_equal(lines[i], "debug: testmodule: sometimes"));
        n_notices += is_notice;
    }
    g_assert_cmpuint(n_notices, ==, N_LINES * G_N_ELEMENTS(threads));
}

/* Runs the calling test again in a subprocess, with GANTRY_LOG set to @levels. */
static void
run_subprocess(const char *levels)
{
    if (levels) {
        g_setenv("GANTRY_LOG", levels, TRUE);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_unsetenv("GANTRY_LOG");
    g_test_trap_assert_passed();
}

static void
test_stderr(void)
{
    if (g_test_subprocess()) {
        gantry_log_init("prog");
        log_all();
        return;
    }
    run_subprocess("debug");
    g_test_trap_assert_stderr("prog: error: an err\n"
                              "prog: warning: a warn\n"
                              "prog: a notice\n"
                              "prog: an info\n"
                              "prog: debug: testmodule: a debug\n");
    g_test_trap_assert_stdout_unmatched("*an info*");
    g_test_trap_assert_stdout_unmatched("*prog*");
    run_subprocess(NULL);
    g_test_trap_assert_stderr("prog: error: an err\nprog: warning: a warn\nprog: a notice\n");
}

static void
test_bad_environment(void)
{
    if (g_test_subprocess()) {
        gantry_log_init("prog");
        log_all();
        return;
    }
    run_subprocess("loudly");
    g_test_trap_assert_stderr("prog: warning: *GANTRY_LOG*'loudly'*\nprog: error: an err\n*"
                              "prog: a notice\n");
}

/* Before gantry_log_init() stdout is spared too. */
static void
test_stderr_before_init(void)
{
    if (g_test_subprocess()) {
        g_assert_true(gantry_log_set_levels("debug", NULL));
        log_all();
        return;
    }
    run_subprocess(NULL);
    g_test_trap_assert_stderr("gantry: error: an err\n*gantry: an info\n*");
    g_test_trap_assert_stdout_unmatched("*an info*");
}

/* GLib's own messages, and those of libraries on it, come the same way... */
static void
test_foreign_messages(void)
{
    if (g_test_subprocess()) {
        gantry_log_init("prog");
        g_log("Foreign", G_LOG_LEVEL_INFO, "in\nfo");
        g_log("Foreign", G_LOG_LEVEL_DEBUG, "debug");
        g_log_structured("Foreign", G_LOG_LEVEL_MESSAGE, "MESSAGE", "structured");
        return;
    }
    run_subprocess("notice,Foreign=info");
    g_test_trap_assert_stderr("prog: in\\x0afo\nprog: structured\n");
    g_test_trap_assert_stdout_unmatched("*in?fo*");
}

/* ... and the control: without our writer GLib does print on stdout. */
static void
test_foreign_messages_control(void)
{
    if (g_test_subprocess()) {
        g_setenv("G_MESSAGES_DEBUG", "all", TRUE);
        g_log("Foreign", G_LOG_LEVEL_INFO, "info on stdout");
        return;
    }
    run_subprocess(NULL);
    g_test_trap_assert_stdout("*info on stdout*");
}

/* An error that we log is not a crash, whatever GLib thinks of its level. */
static void
test_not_fatal(void)
{
    if (g_test_subprocess()) {
        g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
        gantry_log_init("prog");
        log_all();
        return;
    }
    run_subprocess(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)
    ADD("/log/levels", test_levels);
    ADD("/log/module-levels", test_module_levels);
    ADD("/log/bad-levels", test_bad_levels);
    ADD("/log/escaping", test_escaping);
    ADD("/log/long-message", test_long_message);
    ADD("/log/fields", test_fields);
    ADD("/log/file", test_file);
    ADD("/log/several-processes", test_several_processes);
    g_test_add_func("/log/stderr", test_stderr);
    g_test_add_func("/log/bad-environment", test_bad_environment);
    g_test_add_func("/log/stderr-before-init", test_stderr_before_init);
    g_test_add_func("/log/foreign-messages", test_foreign_messages);
    g_test_add_func("/log/foreign-messages-control", test_foreign_messages_control);
    g_test_add_func("/log/not-fatal", test_not_fatal);
    /* Last: the environment may not change once there were threads. */
    ADD("/log/threads", test_threads);
    return g_test_run();
}
