/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "tree.h"

static char *
read_text(Tree *tree, const char *path, GError **error)
{
    return gantry_host_read(tree->host, 100, error, "%s", path);
}

static void
test_open(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_host_open("/nonexistent/root", &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "/nonexistent/root");
    g_assert_null(gantry_host_open("/etc/passwd", &error));
    assert_failed(&error, GANTRY_ERROR_SYSTEM, g_strerror(ENOTDIR));
}

static void
test_read(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autofree char *again = NULL;

    scratch_write(tree->root, "sys/a/b", " value \n\n");
    text = read_text(tree, "sys/a/b", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, " value");
    again = gantry_host_read(tree->host, 100, &error, "/sys/%s/%c", "a", 'b');
    g_assert_no_error(error);
    g_assert_cmpstr(again, ==, " value");
}

static void
test_read_errors(Tree *tree, gconstpointer data)
{
    g_autofree char *fifo = g_build_filename(tree->root, "fifo", NULL);
    g_autofree char *data_101 = g_strnfill(101, 'x');
    g_autoptr(GError) error = NULL;

    scratch_write(tree->root, "long", data_101);
    scratch_write_bytes(tree->root, "nul", "a\0b", 3);
    scratch_mkdir(tree->root, "folder");
    g_assert_no_errno(mkfifo(fifo, 0600));
    g_assert_null(read_text(tree, "absent", &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "absent");
    g_assert_null(read_text(tree, "long", &error));
    assert_failed(&error, GANTRY_ERROR_LIMIT, "long");
    g_assert_null(read_text(tree, "nul", &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "nul");
    g_assert_null(read_text(tree, "folder", &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "folder");
    g_assert_null(read_text(tree, "fifo", &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "fifo");
}

/* Whatever stands in the tree, no path leads out of it. */
static void
test_no_escape(Tree *tree, gconstpointer data)
{
    static const char *const paths[] = {"secret",        "../secret", "a/../../secret",
                                        "absolute-link", "dot-link",  "/../../secret"};
    g_autofree char *outside = scratch_new();
    g_autofree char *inside = g_build_filename(outside, "inside", NULL);
    g_autofree char *target = g_build_filename(outside, "secret", NULL);
    g_autoptr(GantryHost) host = NULL;
    g_autoptr(GError) error = NULL;

    scratch_write(outside, "secret", "outside");
    scratch_mkdir(inside, "a");
    scratch_link(inside, "absolute-link", target);
    scratch_link(inside, "dot-link", "../secret");
    scratch_link(inside, "folder-link", "../..");
    host = gantry_host_open(inside, &error);
    g_assert_no_error(error);

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *full = g_build_filename(inside, paths[i], NULL);

        /* Control: most of these paths do lead to the file for who does not take care. */
        g_assert_cmpint(access(full, R_OK) == 0, ==, i != 0 && i != 5);
        g_assert_null(gantry_host_read(host, 100, &error, "%s", paths[i]));
        assert_failed(&error, GANTRY_ERROR_NOT_FOUND, paths[i]);
        g_assert_false(gantry_host_exists(host, "%s", paths[i]));
    }
    g_assert_null(gantry_host_list(host, &error, "folder-link/inside"));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "folder-link/inside");

    /* A link that stays within is followed as if the root were "/". */
    scratch_write(inside, "secret", "inside");
    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *text = NULL;

        if (!g_str_equal(paths[i], "absolute-link")) {
            text = gantry_host_read(host, 100, &error, "%s", paths[i]);
            g_assert_no_error(error);
            g_assert_cmpstr(text, ==, "inside");
        }
    }
    scratch_remove(g_steal_pointer(&outside));
}

static void
test_magic_links(void)
{
    gantry_autofd directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/proc/version", directory);
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryHost) host = gantry_host_open("/", &error);

    g_assert_no_error(error);
    g_assert_no_errno(access(path, R_OK)); /* control */
    g_assert_null(gantry_host_read(host, 4096, &error, "%s", path));
    assert_failed(&error, GANTRY_ERROR_SYSTEM, g_strerror(ELOOP));
}

static void
test_link_loop(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    scratch_link(tree->root, "loop", "loop");
    g_assert_null(read_text(tree, "loop", &error));
    assert_failed(&error, GANTRY_ERROR_SYSTEM, g_strerror(ELOOP));
}

static void
test_int(Tree *tree, gconstpointer data)
{
    static const char *const bad[] = {"", "x", "1 2", "0x1", "-2", "11", "99999999999999999999"};
    g_autoptr(GError) error = NULL;
    gint64 value = 42;

    scratch_write(tree->root, "n", "-1\n");
    g_assert_true(gantry_host_read_int(tree->host, -1, 10, &value, &error, "n"));
    g_assert_cmpint(value, ==, -1);
    value = 42;
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        scratch_write(tree->root, "n", bad[i]);
        g_assert_false(gantry_host_read_int(tree->host, -1, 10, &value, &error, "n"));
        assert_failed(&error, GANTRY_ERROR_INVALID, "n: '");
        g_assert_cmpint(value, ==, 42);
    }
}

static void
test_cpuset(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryCpuset) set = NULL;
    g_autoptr(GantryCpuset) empty = NULL;

    scratch_write(tree->root, "set", "0-3,8\n");
    set = gantry_host_read_cpuset(tree->host, &error, "set");
    g_assert_no_error(error);
    assert_cpus(set, "0-3,8");
    scratch_write(tree->root, "set", "\n");
    empty = gantry_host_read_cpuset(tree->host, &error, "set");
    g_assert_no_error(error);
    g_assert_true(gantry_cpuset_is_empty(empty));
    scratch_write(tree->root, "set", "0-\n");
    g_assert_null(gantry_host_read_cpuset(tree->host, &error, "set"));
    assert_failed(&error, GANTRY_ERROR_INVALID, "set: ");
}

static void
test_list(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) names = NULL;
    g_auto(GStrv) none = NULL;

    scratch_write(tree->root, "d/b", "");
    scratch_write(tree->root, "d/B", "");
    scratch_mkdir(tree->root, "d/.a");
    scratch_link(tree->root, "d/10", "nowhere");
    scratch_mkdir(tree->root, "empty");
    names = gantry_host_list(tree->host, &error, "d");
    g_assert_no_error(error);
    g_assert_cmpstrv(names, ((const char *const[]){".a", "10", "B", "b", NULL}));
    none = gantry_host_list(tree->host, &error, "empty");
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(none), ==, 0);
    g_assert_null(gantry_host_list(tree->host, &error, "absent"));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "absent");
    g_assert_null(gantry_host_list(tree->host, &error, "d/b"));
    assert_failed(&error, GANTRY_ERROR_SYSTEM, "d/b");
}

static void
test_link_name(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;

    scratch_link(tree->root, "driver", "../../../bus/pci/drivers/vfio-pci");
    scratch_write(tree->root, "file", "");
    name = gantry_host_link_name(tree->host, &error, "driver");
    g_assert_no_error(error);
    g_assert_cmpstr(name, ==, "vfio-pci");
    g_assert_null(gantry_host_link_name(tree->host, &error, "file"));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "file");
    g_assert_null(gantry_host_link_name(tree->host, &error, "absent"));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "absent");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host/open", test_open);
    TREE_TEST("/host/read", test_read);
    TREE_TEST("/host/read-errors", test_read_errors);
    TREE_TEST("/host/no-escape", test_no_escape);
    g_test_add_func("/host/magic-links", test_magic_links);
    TREE_TEST("/host/link-loop", test_link_loop);
    TREE_TEST("/host/int", test_int);
    TREE_TEST("/host/cpuset", test_cpuset);
    TREE_TEST("/host/list", test_list);
    TREE_TEST("/host/link-name", test_link_name);
    return g_test_run();
}
