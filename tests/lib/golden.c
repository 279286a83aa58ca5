/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "golden.h"

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

GStrv
golden_cases(const char *directory, const char *suffix)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(directory, 0, &error);
    GPtrArray *names = g_ptr_array_new();
    const char *name;

    g_assert_no_error(error);
    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, suffix)) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_assert_cmpuint(names->len, >, 0);
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (GStrv)g_ptr_array_free(names, FALSE);
}

void
golden_compare(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = NULL;

    if (g_strcmp0(g_getenv("GANTRY_TEST_REGENERATE"), "1") == 0) {
        g_assert_true(g_file_set_contents(path, text, -1, &error));
        return;
    }
    g_assert_true(g_file_get_contents(path, &expected, NULL, &error));
    if (!g_str_equal(expected, text)) {
        g_test_message("%s: expected:\n%s\nbut got:\n%s", path, expected, text);
        g_test_fail_printf("%s differs", path);
    }
}
