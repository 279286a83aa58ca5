/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/file.h"
#include "namespace.h"
#include "scratch.h"

typedef struct {
    char *root;
    int dirfd;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->root = scratch_new();
    fixture->dirfd = open(fixture->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(fixture->dirfd, >=, 0);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    gantry_fd_clear(&fixture->dirfd);
    scratch_remove(fixture->root);
}

static void
assert_content(Fixture *fixture, const char *path, const char *expected)
{
    g_autofree char *text = scratch_read(fixture->root, path);

    g_assert_cmpstr(text, ==, expected);
}

static void
test_read(Fixture *fixture, gconstpointer data)
{
    g_autofree char *text = NULL;
    g_autofree char *empty = NULL;
    g_autofree char *proc = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;

    scratch_write(fixture->root, "sub/file", "content\n");
    text = gantry_file_read(fixture->dirfd, "sub/file", 8, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, "content\n");
    g_assert_cmpuint(length, ==, 8);

    scratch_write(fixture->root, "empty", "");
    empty = gantry_file_read(fixture->dirfd, "empty", 0, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(length, ==, 0);

    /* Of unknown size: stat(2) says 0. */
    proc = gantry_file_read(AT_FDCWD, "/proc/self/status", 65536, &length, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(proc, "Name:"));
}

static void
assert_read_fails(Fixture *fixture, const char *path, GantryError code, const char *part)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_file_read(fixture->dirfd, path, 8, NULL, &error));
    g_assert_error(error, GANTRY_ERROR, (gint)code);
    g_assert_nonnull(strstr(error->message, path));
    g_assert_nonnull(strstr(error->message, part));
}

static void
test_read_errors(Fixture *fixture, gconstpointer data)
{
    scratch_write(fixture->root, "long", "123456789");
    scratch_mkdir(fixture->root, "folder");
    g_assert_no_errno(mkfifoat(fixture->dirfd, "fifo", 0600)); /* must not wait for a writer */
    assert_read_fails(fixture, "long", GANTRY_ERROR_LIMIT, "8 bytes");
    assert_read_fails(fixture, "absent", GANTRY_ERROR_NOT_FOUND, g_strerror(ENOENT));
    assert_read_fails(fixture, "folder", GANTRY_ERROR_INVALID, "not a regular file");
    assert_read_fails(fixture, "fifo", GANTRY_ERROR_INVALID, "not a regular file");
    assert_read_fails(fixture, "/dev/zero", GANTRY_ERROR_INVALID, "not a regular file");
    assert_read_fails(fixture, "long/x", GANTRY_ERROR_SYSTEM, g_strerror(ENOTDIR));
}

static void
write_atomic(Fixture *fixture, const char *path, const char *text, mode_t mode)
{
    g_autoptr(GError) error = NULL;

    gantry_file_write_atomic(fixture->dirfd, path, text, strlen(text), mode, &error);
    g_assert_no_error(error);
}

static void
test_write(Fixture *fixture, gconstpointer data)
{
    mode_t old_umask = umask(0077);
    struct stat status;

    write_atomic(fixture, "file", "one", 0644);
    assert_content(fixture, "file", "one");
    umask(old_umask);
    g_assert_no_errno(fstatat(fixture->dirfd, "file", &status, 0));
    g_assert_cmpuint(status.st_mode & 07777, ==, 0644);

    write_atomic(fixture, "file", "", 0600);
    assert_content(fixture, "file", "");
    g_assert_no_errno(fstatat(fixture->dirfd, "file", &status, 0));
    g_assert_cmpuint(status.st_mode & 07777, ==, 0600);

    scratch_mkdir(fixture->root, "sub");
    write_atomic(fixture, "sub/file", "two", 0644);
    assert_content(fixture, "sub/file", "two");
    g_assert_cmpuint(scratch_count(fixture->root, ""), ==, 2);
    g_assert_cmpuint(scratch_count(fixture->root, "sub"), ==, 1);
}

/* Who has the old file open reads the old content to its end. */
static void
test_write_leaves_readers_alone(Fixture *fixture, gconstpointer data)
{
    gantry_autofd reader = -1;
    g_autofree char *text = NULL;

    write_atomic(fixture, "file", "old content", 0644);
    reader = openat(fixture->dirfd, "file", O_RDONLY | O_CLOEXEC);
    write_atomic(fixture, "file", "new", 0644);
    text = gantry_fd_read_all(reader, 100, -1, NULL, NULL);
    g_assert_cmpstr(text, ==, "old content");
    assert_content(fixture, "file", "new");
}

/* A link is replaced, and what it points to is left alone. */
static void
test_write_over_link(Fixture *fixture, gconstpointer data)
{
    scratch_write(fixture->root, "victim", "keep");
    scratch_link(fixture->root, "link", "victim");
    write_atomic(fixture, "link", "new", 0644);
    assert_content(fixture, "victim", "keep");
    assert_content(fixture, "link", "new");
}

static void
test_write_errors(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(gantry_file_write_atomic(fixture->dirfd, "absent/file", "x", 1, 0644, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "absent/file"));
    g_clear_error(&error);

    scratch_write(fixture->root, "folder/inside", "x");
    g_assert_false(gantry_file_write_atomic(fixture->dirfd, "folder", "x", 1, 0644, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, "folder"));
    assert_content(fixture, "folder/inside", "x");
    g_assert_cmpuint(scratch_count(fixture->root, ""), ==, 1);
}

/* Some of the data fits, the rest does not. */
static void
assert_write_fails_half_way(Fixture *fixture, gsize length, int errno_value)
{
    g_autofree char *data = g_strnfill(length, 'n');
    g_autoptr(GError) error = NULL;

    g_assert_false(
        gantry_file_write_atomic(fixture->dirfd, "sub/file", data, length, 0644, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, "sub/file"));
    g_assert_nonnull(strstr(error->message, g_strerror(errno_value)));
    assert_content(fixture, "sub/file", "old");
    g_assert_cmpuint(scratch_count(fixture->root, "sub"), ==, 1);
}

static void
test_write_beyond_file_size_limit(Fixture *fixture, gconstpointer data)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old_action;
    struct rlimit old_limit;
    struct rlimit limit;

    scratch_write(fixture->root, "sub/file", "old");
    g_assert_no_errno(sigaction(SIGXFSZ, &ignore, &old_action));
    g_assert_no_errno(getrlimit(RLIMIT_FSIZE, &old_limit));
    limit = (struct rlimit){5000, old_limit.rlim_max};
    g_assert_no_errno(setrlimit(RLIMIT_FSIZE, &limit));
    assert_write_fails_half_way(fixture, 10000, EFBIG);
    g_assert_no_errno(setrlimit(RLIMIT_FSIZE, &old_limit));
    g_assert_no_errno(sigaction(SIGXFSZ, &old_action, NULL));
}

static void
test_disk_full(Fixture *fixture, gconstpointer data)
{
    g_autofree char *sub = g_build_filename(fixture->root, "sub", NULL);

    scratch_mkdir(fixture->root, "sub");
    if (g_test_subprocess()) {
        if (!namespace_enter() || mount("none", sub, "tmpfs", 0, "size=64k") < 0) {
            printf("unavailable: %s\n", g_strerror(errno));
            exit(77);
        }
        gantry_fd_clear(&fixture->dirfd); /* it leads into the old namespace */
        fixture->dirfd = open(fixture->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        scratch_write(fixture->root, "sub/file", "old");
        assert_write_fails_half_way(fixture, 1000000, ENOSPC);
        /* Control: the same file can be replaced once it fits. */
        write_atomic(fixture, "sub/file", "new", 0644);
        assert_content(fixture, "sub/file", "new");
        g_assert_no_errno(umount(sub));
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    if (g_test_trap_has_passed()) {
        return;
    }
    g_test_trap_assert_stdout("*unavailable*");
    g_test_skip("a tmpfs cannot be mounted here: no mount or user namespaces");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)
    ADD("/file/read", test_read);
    ADD("/file/read-errors", test_read_errors);
    ADD("/file/write", test_write);
    ADD("/file/write-leaves-readers-alone", test_write_leaves_readers_alone);
    ADD("/file/write-over-link", test_write_over_link);
    ADD("/file/write-errors", test_write_errors);
    ADD("/file/write-beyond-file-size-limit", test_write_beyond_file_size_limit);
    ADD("/file/disk-full", test_disk_full);
    return g_test_run();
}
