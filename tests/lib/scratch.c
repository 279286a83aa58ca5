/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_with_parents(const char *root, const char *path);
static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk);

char *
scratch_new(void)
{
    g_autoptr(GError) error = NULL;
    char *root = g_dir_make_tmp("gantry-test-XXXXXX", &error);

    g_assert_no_error(error);
    return root;
}

void
scratch_remove(char *root)
{
    g_assert_cmpint(nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
    g_free(root);
}

void
scratch_write(const char *root, const char *path, const char *text)
{
    scratch_write_bytes(root, path, text, strlen(text));
}

void
scratch_write_bytes(const char *root, const char *path, const char *data, gsize length)
{
    g_autofree char *full = path_with_parents(root, path);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(full, data, (gssize)length, &error);
    g_assert_no_error(error);
    g_assert_no_errno(chmod(full, 0644));
}

void
scratch_mkdir(const char *root, const char *path)
{
    g_autofree char *full = path_with_parents(root, path);

    g_assert_no_errno(g_mkdir_with_parents(full, 0755));
}

void
scratch_link(const char *root, const char *path, const char *target)
{
    g_autofree char *full = path_with_parents(root, path);

    g_assert_no_errno(symlink(target, full));
}

char *
scratch_read(const char *root, const char *path)
{
    g_autofree char *full = g_build_filename(root, path, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(full, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

guint
scratch_count(const char *root, const char *path)
{
    g_autofree char *full = g_build_filename(root, path, NULL);
    g_autoptr(GDir) dir = g_dir_open(full, 0, NULL);
    guint count = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        count++;
    }
    return count;
}

static char *
path_with_parents(const char *root, const char *path)
{
    char *full = g_build_filename(root, path, NULL);
    g_autofree char *parent = g_path_get_dirname(full);

    g_assert_no_errno(g_mkdir_with_parents(parent, 0755));
    return full;
}

static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}
