/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/error.h"
#include "ioq_tuning/vhost_user/listen.h"
#include "scratch.h"

static void
test_only_sockets_are_replaced(void)
{
    char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "x.sock", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    struct stat status;
    int fd;

    scratch_write(folder, "x.sock", "keep");
    g_assert_cmpint(vu_listen(path, FALSE, &error), ==, -1);
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
    g_clear_error(&error);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "keep");

    g_assert_cmpint(unlink(path), ==, 0);
    fd = vu_listen(path, FALSE, &error);
    g_assert_no_error(error);
    close(fd);
    fd = vu_listen(path, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(lstat(path, &status), ==, 0);
    g_assert_cmpuint(status.st_mode, ==, S_IFSOCK | 0600);
    close(fd);
    scratch_remove(folder);
}

static void
test_whoever_listens_goes_on(void)
{
    char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "x.sock", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autoptr(GError) error = NULL;
    int fd = vu_listen(path, FALSE, &error);
    int front_end = socket(AF_UNIX, SOCK_STREAM, 0);

    g_assert_no_error(error);
    g_assert_cmpint(vu_listen(path, FALSE, &error), ==, -1);
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, path));
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(connect(front_end, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    close(front_end);
    close(fd);
    scratch_remove(folder);
}

/* An upgrade: the next one has the path while the one before still listens. */
static void
test_take_over(void)
{
    char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "x.sock", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autoptr(GError) error = NULL;
    int old = vu_listen(path, FALSE, &error);
    int next = vu_listen(path, TRUE, &error);
    int front_end = socket(AF_UNIX, SOCK_STREAM, 0);

    g_assert_no_error(error);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(connect(front_end, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(accept(old, NULL, NULL), ==, -1);
    g_assert_cmpint(accept(next, NULL, NULL), >=, 0);
    close(front_end);
    close(old);
    close(next);
    scratch_remove(folder);
}

/* Whatever whoever has started us lets others do, and from the first moment on. */
static void
test_mode(void)
{
    char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "x.sock", NULL);
    g_autoptr(GError) error = NULL;
    mode_t before = umask(0);
    struct stat status;
    int fd = vu_listen(path, FALSE, &error);

    umask(before);
    g_assert_no_error(error);
    g_assert_cmpint(lstat(path, &status), ==, 0);
    g_assert_cmpuint(status.st_mode, ==, S_IFSOCK | 0600);
    close(fd);
    scratch_remove(folder);
}

static void
test_too_long(void)
{
    g_autofree char *path = g_strnfill(108, '/');
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vu_listen(path, FALSE, &error), ==, -1);
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ioq/listen/only-sockets-are-replaced", test_only_sockets_are_replaced);
    g_test_add_func("/ioq/listen/whoever-listens-goes-on", test_whoever_listens_goes_on);
    g_test_add_func("/ioq/listen/take-over", test_take_over);
    g_test_add_func("/ioq/listen/mode", test_mode);
    g_test_add_func("/ioq/listen/too-long", test_too_long);
    return g_test_run();
}
