/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"

#define LONG_MSEC 60000 /* never reached unless something is broken */

typedef struct {
    int fd;
    const char *data;
    gsize length;
} Writer;

static void
test_error_codes(void)
{
    static const struct {
        int errno_value;
        GantryError code;
    } cases[] = {
        {ENOENT, GANTRY_ERROR_NOT_FOUND},
        {ETIMEDOUT, GANTRY_ERROR_TIMEOUT},
        {ECONNREFUSED, GANTRY_ERROR_UNAVAILABLE},
        {EACCES, GANTRY_ERROR_SYSTEM},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *expected =
            g_strdup_printf("Cannot open x%%s: %s", g_strerror(cases[i].errno_value));
        g_autoptr(GError) error = NULL;

        gantry_set_error_errno(&error, cases[i].errno_value, "Cannot open %s", "x%s");
        g_assert_error(error, GANTRY_ERROR, (gint)cases[i].code);
        g_assert_cmpstr(error->message, ==, expected);
    }
    gantry_set_error_errno(NULL, EIO, "nobody asks");
}

static void
test_clear_and_steal(void)
{
    int fd = open("/dev/null", O_RDONLY);
    int number = fd;
    int stolen = gantry_fd_steal(&fd);

    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpint(stolen, ==, number);
    {
        gantry_autofd scoped = gantry_fd_steal(&stolen);

        g_assert_cmpint(fcntl(scoped, F_GETFD), >=, 0);
        errno = ENOTTY;
    }
    g_assert_cmpint(errno, ==, ENOTTY);
    g_assert_cmpint(fcntl(number, F_GETFD), ==, -1);
    gantry_fd_clear(&stolen);
    g_assert_cmpint(stolen, ==, -1);
}

static gpointer
write_thread(gpointer data)
{
    Writer *writer = data;

    g_assert_true(gantry_fd_write_all(writer->fd, writer->data, writer->length, NULL));
    close(writer->fd);
    return NULL;
}

static void
test_read_all(void)
{
    static const gsize lengths[] = {0, 1, 4095, 4096, 4097, 1000000};
    g_autofree char *data = g_strnfill(1000000, 'd');

    for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
        int ends[2];
        Writer writer;
        g_autofree char *content = NULL;
        g_autoptr(GError) error = NULL;
        GThread *thread;
        gsize length;

        g_assert_no_errno(pipe(ends));
        writer = (Writer){ends[1], data, lengths[i]};
        thread = g_thread_new("writer", write_thread, &writer);
        /* The limit is exactly what comes. */
        content = gantry_fd_read_all(ends[0], lengths[i], LONG_MSEC, &length, &error);
        g_thread_join(thread);
        close(ends[0]);
        g_assert_no_error(error);
        g_assert_cmpuint(length, ==, lengths[i]);
        g_assert_cmpuint(strlen(content), ==, lengths[i]);
    }
}

static void
test_read_limit(void)
{
    gantry_autofd zeroes = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    static const gsize limits[] = {0, 1, 4096, 100000};

    for (gsize i = 0; i < G_N_ELEMENTS(limits); i++) {
        g_autofree char *number = g_strdup_printf("%zu bytes", limits[i]);
        g_autoptr(GError) error = NULL;
        gsize length = 42;

        g_assert_null(gantry_fd_read_all(zeroes, limits[i], -1, &length, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
        g_assert_nonnull(strstr(error->message, number));
        g_assert_cmpuint(length, ==, 42);
    }
}

/* A writer that has sent something and then neither writes nor closes. */
static void
test_read_timeout(void)
{
    int ends[2];
    g_autoptr(GError) error = NULL;

    g_assert_no_errno(pipe(ends));
    g_assert_true(gantry_fd_write_all(ends[1], "half", 4, NULL));
    g_assert_null(gantry_fd_read_all(ends[0], 100, 20, NULL, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
    close(ends[0]);
    close(ends[1]);
}

static void
test_read_error(void)
{
    gantry_autofd directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_fd_read_all(directory, 100, -1, NULL, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, g_strerror(EISDIR)));
}

/* More than a socket holds, so that writes are short while the reader is slow. */
static void
test_write_all(void)
{
    g_autofree char *data = g_strnfill(1000000, 'w');
    g_autofree char *content = NULL;
    g_autoptr(GError) error = NULL;
    GThread *thread;
    Writer writer;
    int ends[2];
    int small = 4096;
    gsize length;

    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    g_assert_no_errno(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
    writer = (Writer){ends[1], data, 1000000};
    thread = g_thread_new("writer", write_thread, &writer);
    content = gantry_fd_read_all(ends[0], 1000000, -1, &length, &error);
    g_thread_join(thread);
    close(ends[0]);
    g_assert_no_error(error);
    g_assert_cmpstr(content, ==, data);
}

static void
test_write_error(void)
{
    gantry_autofd full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;

    g_assert_false(gantry_fd_write_all(full, "x", 1, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, g_strerror(ENOSPC)));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/codes", test_error_codes);
    g_test_add_func("/fd/clear-and-steal", test_clear_and_steal);
    g_test_add_func("/fd/read-all", test_read_all);
    g_test_add_func("/fd/read-limit", test_read_limit);
    g_test_add_func("/fd/read-timeout", test_read_timeout);
    g_test_add_func("/fd/read-error", test_read_error);
    g_test_add_func("/fd/write-all", test_write_all);
    g_test_add_func("/fd/write-error", test_write_error);
    return g_test_run();
}
