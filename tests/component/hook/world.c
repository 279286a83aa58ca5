/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/component/hook/world.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *
world_path(const World *world, const char *path)
{
    return g_build_filename(world->directory, path, NULL);
}

void
world_write(const World *world, const char *path, const char *text)
{
    g_autofree char *full = world_path(world, path);
    g_autofree char *directory = g_path_get_dirname(full);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
    g_file_set_contents(full, text, -1, &error);
    g_assert_no_error(error);
}

char *
world_read(const World *world, const char *path)
{
    g_autofree char *full = world_path(world, path);
    char *text = NULL;

    return g_file_get_contents(full, &text, NULL, NULL) ? text : g_strdup("");
}

void
world_replace_engine(const World *world, const char *script)
{
    g_autofree char *engine = world_path(world, "libexec/gantry-hook-engine");

    g_assert_cmpint(unlink(engine), ==, 0);
    if (script) {
        g_autofree char *text = g_strconcat("#!/bin/sh\n", script, "\n", NULL);

        world_write(world, "libexec/gantry-hook-engine", text);
        g_assert_cmpint(chmod(engine, 0755), ==, 0);
    }
}

void
world_set_up(World *world, gconstpointer data)
{
    g_autofree char *engine = NULL;
    g_autofree char *run = NULL;

    world->directory = g_dir_make_tmp("gantry-hook-XXXXXX", NULL);
    g_assert_nonnull(world->directory);
    world->front = g_strdup(g_getenv("GANTRY_TEST_HOOK"));
    g_assert_nonnull(world->front);
    world_write(world, "etc/gantry/hook.conf", "[hook]\ncall_timeout=2s\nhook_timeout=4s\n");
    world_write(world, "sys/devices/system/cpu/online", "0-15\n");
    world_write(world, "libexec/gantry-hook-engine", "");
    engine = world_path(world, "libexec/gantry-hook-engine");
    g_assert_cmpint(unlink(engine), ==, 0);
    g_assert_cmpint(symlink(g_getenv("GANTRY_TEST_HOOK_ENGINE"), engine), ==, 0);
    run = world_path(world, "run/gantry");
    g_assert_cmpint(g_mkdir_with_parents(run, 0755), ==, 0);
}

/* Removes a file or a folder with all that is in it; follows no link. */
static void
remove_tree(const char *path)
{
    g_autoptr(GDir) directory = NULL;
    const char *name;

    if (g_file_test(path, G_FILE_TEST_IS_SYMLINK) || !(directory = g_dir_open(path, 0, NULL))) {
        g_assert_cmpint(unlink(path), ==, 0);
        return;
    }
    while ((name = g_dir_read_name(directory))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_assert_cmpint(rmdir(path), ==, 0);
}

void
world_tear_down(World *world, gconstpointer data)
{
    remove_tree(world->directory);
    g_free(world->directory);
    g_free(world->front);
}

void
outcome_clear(Outcome *outcome)
{
    g_free(outcome->output);
    g_free(outcome->errors);
}

static char *
text_of(GBytes *bytes)
{
    return bytes && g_bytes_get_size(bytes) > 0
               ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes))
               : g_strdup("");
}

void
world_run_argv(const World *world, const char *const *argv, const char *xml, gsize length,
               Outcome *ret_outcome)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                  G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_autoptr(GSubprocess) process = NULL;
    g_autoptr(GBytes) input = g_bytes_new_static(xml, length);
    g_autoptr(GBytes) output = NULL;
    g_autoptr(GBytes) errors = NULL;
    g_autoptr(GError) error = NULL;
    const char *const environment[] = {"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
                                       /* of a sanitizer build: a leak is a failure here, too */
                                       "ASAN_OPTIONS=exitcode=99", "UBSAN_OPTIONS=halt_on_error=1",
                                       NULL};

    g_subprocess_launcher_set_cwd(launcher, world->directory);
    g_subprocess_launcher_set_environ(launcher, (char **)environment);
    process = g_subprocess_launcher_spawnv(launcher, argv, &error);
    g_assert_no_error(error);
    /* A program that has had enough may close its stdin before the end. */
    if (!g_subprocess_communicate(process, input, NULL, &output, &errors, &error)) {
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
    }
    g_subprocess_wait(process, NULL, NULL);
    *ret_outcome = (Outcome){0};
    ret_outcome->status =
        g_subprocess_get_if_exited(process) ? g_subprocess_get_exit_status(process) : -1;
    ret_outcome->output = text_of(output);
    ret_outcome->errors = text_of(errors);
    ret_outcome->n_output = output ? g_bytes_get_size(output) : 0;
}

void
world_run(const World *world, const char *operation, const char *sub_operation, const char *xml,
          gsize length, Outcome *ret_outcome)
{
    const char *const argv[] = {world->front, "g1", operation, sub_operation, "-", NULL};

    world_run_argv(world, argv, xml, length, ret_outcome);
}

char *
world_domain(const char *name, const char *metadata)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", "hook", name, NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) parts = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    parts = g_strsplit(text, "<metadata>", 2);
    g_assert_nonnull(parts[1]);
    return g_strconcat(parts[0], "<metadata>", metadata, parts[1], NULL);
}
