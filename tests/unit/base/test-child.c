/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/child.h"
#include "common/base/error.h"

#define LONG_MSEC 60000 /* never reached unless something is broken */

#define DEATH_MSEC 10000 /* likewise */

/* The shell is the test's actor here; gantry_child_run() itself uses none. */
#define SCRIPT(text) \
    (const char *const[]) \
    { \
        "/bin/sh", "-c", (text), NULL \
    }

static void
run(const char *script, const char *input, GantryChildResult *ret_result)
{
    g_autoptr(GError) error = NULL;

    gantry_child_run(SCRIPT(script), input, input ? strlen(input) : 0, 4096, LONG_MSEC, ret_result,
                     &error);
    g_assert_no_error(error);
}

static void
test_output(void)
{
    g_auto(GantryChildResult) result = {0};

    run("printf out; printf err >&2; exit 3", NULL, &result);
    g_assert_cmpstr(result.output, ==, "out");
    g_assert_cmpstr(result.error_output, ==, "err");
    g_assert_true(WIFEXITED(result.exit_status));
    g_assert_cmpint(WEXITSTATUS(result.exit_status), ==, 3);
}

static void
test_killed_by_signal(void)
{
    g_auto(GantryChildResult) result = {0};

    run("kill -TERM $$", NULL, &result);
    g_assert_true(WIFSIGNALED(result.exit_status));
    g_assert_cmpint(WTERMSIG(result.exit_status), ==, SIGTERM);
}

static void
test_input(void)
{
    g_autofree char *long_input = g_strnfill(1024 * 1024, 'x');
    g_auto(GantryChildResult) echo = {0};
    g_auto(GantryChildResult) count = {0};
    g_auto(GantryChildResult) unread = {0};
    g_auto(GantryChildResult) none = {0};

    run("cat", "a\nb", &echo);
    g_assert_cmpstr(echo.output, ==, "a\nb");
    /* Longer than a pipe holds, read and not read. */
    run("wc -c", long_input, &count);
    g_assert_cmpstr(g_strstrip(count.output), ==, "1048576");
    run("exit 0", long_input, &unread);
    g_assert_cmpint(unread.exit_status, ==, 0);
    run("cat", NULL, &none);
    g_assert_cmpstr(none.output, ==, "");
}

static void
test_arguments_are_not_interpreted(void)
{
    const char *const argv[] = {"/usr/bin/printf", "%s|", "$HOME; `id`", "a b", "", "*", NULL};
    g_auto(GantryChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    gantry_child_run(argv, NULL, 0, 4096, LONG_MSEC, &result, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(result.output, ==, "$HOME; `id`|a b||*|");
}

static void
test_clean_environment(void)
{
    g_auto(GantryChildResult) result = {0};
    g_auto(GStrv) lines = NULL;
    const char *const argv[] = {"/usr/bin/env", NULL};
    g_autoptr(GError) error = NULL;

    g_setenv("GANTRY_TEST_SECRET", "1", TRUE);
    gantry_child_run(argv, NULL, 0, 4096, LONG_MSEC, &result, &error);
    g_assert_no_error(error);
    lines = g_strsplit(g_strstrip(result.output), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 2);
    g_assert_true(g_str_has_prefix(lines[0], "PATH=/"));
    g_assert_cmpstr(lines[1], ==, "LC_ALL=C.UTF-8");
}

/* The signal mask that a line of /proc/PID/status shows. */
static guint64
status_mask(const char *status, const char *name)
{
    const char *line = strstr(status, name);

    g_assert_nonnull(line);
    return g_ascii_strtoull(line + strlen(name), NULL, 16);
}

static void
test_clean_descriptors_and_signals(void)
{
    int leak = open("/dev/null", O_RDONLY);
    g_autofree char *script = g_strdup_printf("test -e /proc/self/fd/%d && echo leaked; "
                                              "grep ^Sig /proc/self/status",
                                              leak);
    g_auto(GantryChildResult) result = {0};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old_action;
    sigset_t blocked;
    sigset_t before;

    g_assert_cmpint(leak, >, 2);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigaction(SIGPIPE, &ignore, &old_action);
    run(script, NULL, &result);
    sigaction(SIGPIPE, &old_action, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(leak);
    g_assert_null(strstr(result.output, "leaked"));
    g_assert_cmphex(status_mask(result.output, "SigBlk:"), ==, 0);
    g_assert_cmphex(status_mask(result.output, "SigIgn:") & (1 << (SIGPIPE - 1)), ==, 0);
}

static void
test_not_found(void)
{
    const char *const argv[] = {"/nonexistent/program", NULL};
    g_auto(GantryChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    g_assert_false(gantry_child_run(argv, NULL, 0, 1, LONG_MSEC, &result, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "/nonexistent/program"));
    g_assert_null(result.output);
}

static void
test_not_executable(void)
{
    const char *const argv[] = {"/etc/passwd", NULL};
    g_auto(GantryChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    g_assert_false(gantry_child_run(argv, NULL, 0, 1, LONG_MSEC, &result, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, g_strerror(EACCES)));
}

static void
test_output_limit(void)
{
    g_auto(GantryChildResult) exact = {0};
    g_auto(GantryChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    gantry_child_run(SCRIPT("printf 12345678"), NULL, 0, 8, LONG_MSEC, &exact, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(exact.output, ==, "12345678");

    g_assert_false(
        gantry_child_run(SCRIPT("printf 123456789"), NULL, 0, 8, LONG_MSEC, &result, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
    g_assert_nonnull(strstr(error->message, "8 bytes"));
    g_clear_error(&error);

    /* One that would never stop by itself. */
    g_assert_false(gantry_child_run((const char *const[]){"/usr/bin/yes", NULL}, NULL, 0, 100000,
                                    LONG_MSEC, &result, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
    g_assert_null(result.output);
}

static void
test_error_output_is_cut(void)
{
    g_auto(GantryChildResult) result = {0};

    run("head -c 1000000 /dev/zero | tr '\\0' e >&2", NULL, &result);
    g_assert_cmpuint(strlen(result.error_output), ==, 64 * 1024);
    g_assert_cmpint(result.exit_status, ==, 0);
}

/* Dead, or dying: a signal that was sent is not yet one that was obeyed. */
static void
assert_dies(const char *pid_file)
{
    g_autofree char *text = NULL;
    struct pollfd watch = {.events = POLLIN};
    guint64 pid;

    g_assert_true(g_file_get_contents(pid_file, &text, NULL, NULL));
    g_assert_true(g_ascii_string_to_unsigned(g_strstrip(text), 10, 2, G_MAXINT, &pid, NULL));
    watch.fd = pidfd_open((pid_t)pid, 0);
    if (watch.fd < 0) {
        g_assert_cmpint(errno, ==, ESRCH);
        return;
    }
    if (poll(&watch, 1, DEATH_MSEC) == 0) {
        kill((pid_t)pid, SIGKILL);
        g_error("process %d lives", (int)pid);
    }
    close(watch.fd);
}

/* The deadline reaches the grandchild too, and the child is reaped. */
static void
test_timeout(void)
{
    g_autofree char *directory = g_dir_make_tmp("gantry-child-XXXXXX", NULL);
    g_autofree char *pid_file = g_build_filename(directory, "pid", NULL);
    g_autofree char *script = g_strdup_printf(
        "trap '' TERM; sleep 1000 & echo $! > %s; mkfifo %s/never; read x < %s/never", pid_file,
        directory, directory);
    g_autofree char *fifo = g_build_filename(directory, "never", NULL);
    g_auto(GantryChildResult) result = {0};

    /* Long enough for the script to come to its last line, however slow the machine. */
    for (guint msec = 250; !g_file_test(fifo, G_FILE_TEST_EXISTS); msec *= 2) {
        g_autofree char *named = g_strdup_printf("within %u ms", msec);
        g_autoptr(GError) error = NULL;

        g_assert_false(gantry_child_run(SCRIPT(script), NULL, 0, 4096, msec, &result, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
        g_assert_nonnull(strstr(error->message, named));
        g_assert_null(result.output);
    }
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    assert_dies(pid_file);
    g_assert_cmpint(unlink(pid_file), ==, 0);
    g_assert_cmpint(unlink(fifo), ==, 0);
    g_assert_cmpint(rmdir(directory), ==, 0);
}

/* A child that closes its outputs is still waited for. */
static void
test_closed_outputs(void)
{
    g_auto(GantryChildResult) result = {0};

    run("exec >&- 2>&-; exit 5", NULL, &result);
    g_assert_cmpint(WEXITSTATUS(result.exit_status), ==, 5);
}

/* What stays behind and holds the pipes does not hold us. */
static void
test_daemon_left_behind(void)
{
    g_auto(GantryChildResult) result = {0};
    pid_t pid;

    run("setsid sleep 1000 & echo $!; exit 0", NULL, &result);
    g_assert_cmpint(result.exit_status, ==, 0);
    pid = (pid_t)g_ascii_strtoll(result.output, NULL, 10);
    g_assert_cmpint(pid, >, 1);
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/child/output", test_output);
    g_test_add_func("/child/killed-by-signal", test_killed_by_signal);
    g_test_add_func("/child/input", test_input);
    g_test_add_func("/child/arguments-are-not-interpreted", test_arguments_are_not_interpreted);
    g_test_add_func("/child/clean-environment", test_clean_environment);
    g_test_add_func("/child/clean-descriptors-and-signals", test_clean_descriptors_and_signals);
    g_test_add_func("/child/not-found", test_not_found);
    g_test_add_func("/child/not-executable", test_not_executable);
    g_test_add_func("/child/output-limit", test_output_limit);
    g_test_add_func("/child/error-output-is-cut", test_error_output_is_cut);
    g_test_add_func("/child/timeout", test_timeout);
    g_test_add_func("/child/closed-outputs", test_closed_outputs);
    g_test_add_func("/child/daemon-left-behind", test_daemon_left_behind);
    return g_test_run();
}
