/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "libvirt_hooks/host_config.h"
#include "libvirt_hooks/hook_config.h"

typedef struct {
    char *directory;
    char *file;
} World;

static void
world_set_up(World *world, gconstpointer data)
{
    world->directory = g_dir_make_tmp("gantry-hook-XXXXXX", NULL);
    world->file = g_build_filename(world->directory, "x.conf", NULL);
}

static void
world_tear_down(World *world, gconstpointer data)
{
    unlink(world->file);
    g_assert_cmpint(rmdir(world->directory), ==, 0);
    g_free(world->directory);
    g_free(world->file);
}

static HookHostConfig *
load(const World *world, const char *text, GError **error)
{
    g_assert_true(g_file_set_contents(world->file, text, -1, NULL));
    return hook_host_config_load(world->file, error);
}

static const char layout[] =
    "# a comment\n"
    "[cpu-class fast]\ncpus = 8-11\nelsewhere = 0-3; 16-19,32-35\n"
    "[cpu-class bulk]\ncpus = 12,14\nelsewhere = 4-7\n"
    "[cpu-class here only]\ncpus = 40\n"
    "[paths]\n/srv/vm = /mnt/vm/\n/srv/vm/gold = /gold\n/srv/keep = /srv/keep\n"
    "/a b/\xc3\xa4 = /c d\n";

static void
test_cpus(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HookHostConfig) config = load(world, layout, &error);
    g_autoptr(GantryCpuset) online = gantry_cpuset_parse("0-43", NULL);
    struct {
        const char *from;
        const char *to; /* NULL: as it was */
    } cases[] = {
        {"0", "8"},       {"3,1", "9,11"},    {"0-3", "8-11"}, {"16-18", "8-10"}, {"4-7", "12,14"},
        {"4-5", "12,14"}, {"0-7", "8-12,14"}, {"8-11", NULL},  {"9", NULL},       {"0,8", "8"},
        {"20-23", NULL},  {"0,20", "8,20"},   {"40", NULL},
    };

    g_assert_no_error(error);
    g_assert_true(hook_host_config_has_cpus(config));
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *mapped = NULL;
        g_autofree char *again = NULL;

        g_assert_true(
            hook_host_config_map_cpus(config, cases[i].from, online, "<x>", &mapped, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(mapped, ==, cases[i].to);
        /* Idempotent: what came out stays. */
        g_assert_true(hook_host_config_map_cpus(config, mapped ? mapped : cases[i].from, online,
                                                "<x>", &again, &error));
        g_assert_null(again);
    }
}

static void
test_cpus_refused(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HookHostConfig) config = load(world, layout, &error);
    g_autoptr(GantryCpuset) online = gantry_cpuset_parse("0-10,12-39", NULL);
    struct {
        const char *cpus;
        int code;
        const char *text;
    } cases[] = {
        {"33", GANTRY_ERROR_CONFLICT, "number 6 of the class 'fast', which has only 4"},
        {"6", GANTRY_ERROR_CONFLICT, "number 3 of the class 'bulk', which has only 2"},
        {"3", GANTRY_ERROR_CONFLICT, "CPU 11 is not online on this host (0-10,12-39 are)"},
        {"50", GANTRY_ERROR_CONFLICT, "CPU 50 is not online"},
        {"0-3,^2", GANTRY_ERROR_INVALID, "^2"},
        {"", GANTRY_ERROR_INVALID, "<vcpupin vcpu='1'>"},
        {"99999", GANTRY_ERROR_INVALID, "99999"},
    };

    g_assert_no_error(error);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *mapped = NULL;

        g_assert_false(hook_host_config_map_cpus(config, cases[i].cpus, online,
                                                 "<vcpupin vcpu='1'>", &mapped, &error));
        g_assert_error(error, GANTRY_ERROR, cases[i].code);
        g_assert_nonnull(strstr(error->message, cases[i].text));
        g_assert_true(g_str_has_prefix(error->message, "<vcpupin vcpu='1'>: "));
        g_assert_null(mapped);
        g_clear_error(&error);
    }
}

static void
test_paths(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HookHostConfig) config = load(world, layout, &error);
    struct {
        const char *from;
        const char *to; /* NULL: as it was */
    } cases[] = {
        {"/srv/vm/a.img", "/mnt/vm/a.img"},
        {"/srv/vm", "/mnt/vm"},
        {"/srv/vm2/a.img", NULL},
        {"/srv/vm/gold/b", "/gold/b"},
        {"/srv/vm/golden/b", "/mnt/vm/golden/b"},
        {"/srv", NULL},
        {"/srv/keep/x", "/srv/keep/x"},
        {"/a b/\xc3\xa4/e", "/c d/e"},
        {"/mnt/vm/a.img", NULL},
        {"", NULL},
        {"relative", NULL},
    };

    g_assert_no_error(error);
    g_assert_true(hook_host_config_has_paths(config));
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *mapped = hook_host_config_map_path(config, cases[i].from);

        g_assert_cmpstr(mapped, ==, cases[i].to);
    }
}

static void
test_host_conf_refused(World *world, gconstpointer data)
{
    struct {
        const char *text;
        int code;
        const char *message; /* part of it; the file's name is always there */
    } cases[] = {
        {"[cpu-clas fast]\ncpus=1\n", GANTRY_ERROR_INVALID, "[cpu-clas fast]"},
        {"[path]\n/a=/b\n", GANTRY_ERROR_INVALID, "did you mean paths"},
        {"[cpu-class fast]\ncpus=1\nelswhere=2\n", GANTRY_ERROR_INVALID, "did you mean elsewhere"},
        {"[cpu-class fast]\nelsewhere=2\n", GANTRY_ERROR_INVALID,
         "[cpu-class fast] has no key 'cpus'"},
        {"[cpu-class fast]\ncpus=1-\n", GANTRY_ERROR_INVALID, "[cpu-class fast] cpus"},
        {"[cpu-class fast]\ncpus=1\nelsewhere=2;;3\n", GANTRY_ERROR_INVALID, "elsewhere"},
        {"[cpu-class a]\ncpus=0-3\nelsewhere=3\n", GANTRY_ERROR_CONFLICT,
         "CPU 3 stands in two sets"},
        {"[cpu-class a]\ncpus=0\n[cpu-class b]\ncpus=1\nelsewhere=0\n", GANTRY_ERROR_CONFLICT,
         "the classes 'a' and 'b'"},
        {"[paths]\nsrv=/mnt\n", GANTRY_ERROR_INVALID, "[paths] srv"},
        {"[paths]\n/srv=mnt\n", GANTRY_ERROR_INVALID, "[paths] /srv"},
        {"[paths]\n/srv=/a/../b\n", GANTRY_ERROR_INVALID, "/a/../b"},
        {"[paths]\n/=/b\n", GANTRY_ERROR_INVALID, "'/' cannot be mapped"},
        {"[paths]\n/srv=/b\n/srv/=/c\n", GANTRY_ERROR_CONFLICT, "given twice"},
        {"[paths]\n/a=/b\n/b=/c\n", GANTRY_ERROR_CONFLICT, "would be mapped again"},
        {"[paths]\n/a=/a/b\n", GANTRY_ERROR_CONFLICT, "would be mapped again"},
        {"[paths]\n/a=/b\n/b/c=/d\n", GANTRY_ERROR_CONFLICT, "/b/c would be mapped again"},
        {"no ini\n", GANTRY_ERROR_INVALID, ""},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(load(world, cases[i].text, &error));
        g_assert_error(error, GANTRY_ERROR, cases[i].code);
        g_assert_nonnull(strstr(error->message, world->file));
        if (!strstr(error->message, cases[i].message)) {
            g_error("'%s' does not say '%s'", error->message, cases[i].message);
        }
    }
}

static void
test_host_conf_missing(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(hook_host_config_load(world->file, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
}

static void
test_hook_conf(World *world, gconstpointer data)
{
    g_auto(HookConfig) defaults = {0};
    g_auto(HookConfig) config = {0};
    g_auto(HookConfig) broken = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(hook_config_load(world->file, &defaults, &error));
    g_assert_cmpuint(defaults.call_timeout_msec, ==, 3000);
    g_assert_cmpuint(defaults.hook_timeout_msec, ==, 5000);
    g_assert_cmpstr(defaults.log_levels, ==, "notice");
    g_assert_null(defaults.log_file);

    g_assert_true(g_file_set_contents(
        world->file, "[hook]\ncall_timeout=250ms\n[log]\nlevel=debug\nfile=stderr\n", -1, NULL));
    g_assert_true(hook_config_load(world->file, &config, &error));
    g_assert_cmpuint(config.call_timeout_msec, ==, 250);
    g_assert_cmpstr(config.log_levels, ==, "debug");
    g_assert_cmpstr(config.log_file, ==, "stderr");

    /* With a mistake in it the defaults are there all the same. */
    g_assert_true(
        g_file_set_contents(world->file, "[hook]\ncall_timeout=1s\ncal_timeout=1s\n", -1, NULL));
    g_assert_false(hook_config_load(world->file, &broken, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, world->file));
    g_assert_nonnull(strstr(error->message, "cal_timeout"));
    g_assert_cmpuint(broken.call_timeout_msec, ==, 3000);
}

static char *
read_source(const char *folder, const char *name)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", folder, name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* The example shows every key with its default, and can be loaded; the man page names every key and
 * default. */
static void
test_examples(World *world, gconstpointer data)
{
    g_autofree char *example_path =
        g_test_build_filename(G_TEST_DIST, "..", "data", "hook.conf.example", NULL);
    g_autofree char *host_path =
        g_test_build_filename(G_TEST_DIST, "..", "data", "host.conf.example", NULL);
    g_autofree char *example = read_source("data", "hook.conf.example");
    g_autofree char *page = read_source("docs/man", "gantry-hook.conf.5.rst");
    g_auto(HookConfig) config = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(HookHostConfig) host = NULL;

    g_assert_true(hook_config_load(example_path, &config, &error));
    g_assert_no_error(error);
    for (const GantryOption *option = hook_options; option->name; option++) {
        g_autofree char *key = g_strdelimit(g_strdup(option->name), "-", '_');
        const char *value =
            option->fallback ? option->fallback : "/var/log/gantry/hook.log"; /* engine_main.c */
        g_autofree char *line = g_strdup_printf("\n%s = %s\n", key, value);
        g_autofree char *entry = g_strdup_printf("\n**%s** = *%s*\n", key, option->metavar);
        g_autofree char *fallback = g_strdup_printf("Default: %s", value);
        const char *place = strstr(page, entry);

        g_assert_nonnull(strstr(example, line));
        g_assert_nonnull(place);
        g_assert_nonnull(strstr(place, fallback));
    }
    host = hook_host_config_load(host_path, &error);
    g_assert_no_error(error);
}

#define ADD(path, function) g_test_add(path, World, NULL, world_set_up, function, world_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/hook/host-conf/cpus", test_cpus);
    ADD("/hook/host-conf/cpus-refused", test_cpus_refused);
    ADD("/hook/host-conf/paths", test_paths);
    ADD("/hook/host-conf/refused", test_host_conf_refused);
    ADD("/hook/host-conf/missing", test_host_conf_missing);
    ADD("/hook/hook-conf/values", test_hook_conf);
    ADD("/hook/examples", test_examples);
    return g_test_run();
}
