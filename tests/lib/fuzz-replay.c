/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-replay - the main() of a fuzz target where libFuzzer is not used: gives each file of a
 * corpus folder to the target, as one TAP subtest each. No file, no success.
 */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *
list_files(const char *directory)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(directory, 0, &error);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    if (!dir) {
        printf("Bail out! %s\n", error->message);
        exit(EXIT_FAILURE);
    }
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, compare_names);
    return names;
}

static void
replay(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    uint8_t *exact;
    gsize length;

    if (!g_file_get_contents(path, &text, &length, &error)) {
        printf("Bail out! %s\n", error->message);
        exit(EXIT_FAILURE);
    }
    /* Without the NUL that GLib adds, so that ASAN sees a read beyond the end; as from libFuzzer,
     * an address even if there are no bytes, which GLib would not give. */
    exact = malloc(length);
    g_assert_nonnull(exact);
    memcpy(exact, text, length);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) names = NULL;

    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    names = list_files(argv[1]);
    if (names->len == 0) {
        printf("Bail out! %s is empty\n", argv[1]);
        return EXIT_FAILURE;
    }
    printf("1..%u\n", names->len);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = g_build_filename(argv[1], name, NULL);

        printf("# %s\n", name); /* the last one named before a crash is the cause */
        fflush(stdout);
        replay(path);
        printf("ok %u %s\n", i + 1, name);
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}
