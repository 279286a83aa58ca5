/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt gives the hook. Input: a line "OPERATION SUB-OPERATION EXTRA DOMAIN", then what is
 * on stdin. Promises: only operations that may refuse do; only those that may rewrite print; what
 * they print is a domain again, and has nothing left to rewrite.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/xml/document.h"
#include "extensions/extensions.h"
#include "libvirt_hooks/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *directory;
static char *host_conf;
static char *policy_dir;
static char *policy;
static char *sysfs;
static char *cpus_online;

/* What restores that could not be rewritten have left. */
static void
remove_refusals(void)
{
    g_autofree char *path = g_build_filename(directory, HOOK_REFUSE_DIR, NULL);
    g_autoptr(GDir) refusals = g_dir_open(path, 0, NULL);
    const char *name;

    while (refusals && (name = g_dir_read_name(refusals))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        unlink(file);
    }
    rmdir(path);
}

static void
clean_up(void)
{
    remove_refusals();
    unlink(host_conf);
    unlink(policy);
    rmdir(policy_dir);
    unlink(cpus_online);
    for (int depth = 0; depth < 4; depth++) {
        char *slash;

        rmdir(sysfs);
        slash = strrchr(sysfs, '/');
        *slash = '\0';
    }
    rmdir(directory);
    g_free(host_conf);
    g_free(policy);
    g_free(policy_dir);
    g_free(cpus_online);
    g_free(sysfs);
    g_free(directory);
}

static char *
write_file(const char *folder, const char *name, const char *text)
{
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void
set_up(void)
{
    gantry_log_init("fuzz-hook");
    g_assert_true(gantry_log_set_levels("err", NULL));
    g_assert_true(gantry_log_set_file("/dev/null", NULL));
    directory = g_dir_make_tmp("gantry-fuzz-XXXXXX", NULL);
    policy_dir = g_build_filename(directory, "policy.d", NULL);
    g_assert_cmpint(g_mkdir_with_parents(policy_dir, 0755), ==, 0);
    policy = write_file(policy_dir, "a.conf",
                        "[policy p]\nmatch_domain=g*\nbalance.priority=7\nioq.required=no\n");
    host_conf = write_file(directory, "host.conf",
                           "[cpu-class a]\ncpus=8-11\nelsewhere=0-3\n[paths]\n/a=/z\n/a/b=/y\n");
    sysfs = g_build_filename(directory, "sys", "devices", "system", "cpu", NULL);
    g_assert_cmpint(g_mkdir_with_parents(sysfs, 0755), ==, 0);
    cpus_online = write_file(sysfs, "online", "0-63\n");
    g_assert_cmpint(atexit(clean_up), ==, 0);
}

static void
check_output(HookRun *run, const char *output, gsize n_output)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) xml = gantry_xml_parse(output, n_output, "output", &error);
    g_autofree char *again = NULL;
    g_autofree char *report = NULL;
    gsize n_again;

    g_assert_no_error(error);
    g_assert_cmpstr((const char *)gantry_xml_root(xml)->name, ==, "domain");
    run->xml = output;
    run->n_xml = n_output;
    g_assert_true(hook_run(run, &again, &n_again, &report, &error));
    g_assert_null(again);
}

static void
run_once(const uint8_t *data, size_t size)
{
    const HookPaths paths = {
        .host_conf = host_conf,
        .policy_dir = policy_dir,
        .run_dir = directory,
        .root = directory,
    };
    const HookConfig config = {.call_timeout_msec = 100, .hook_timeout_msec = 100};
    const uint8_t *end = memchr(data, '\n', size);
    g_autofree char *line = NULL;
    g_autofree char *xml = NULL;
    g_auto(GStrv) words = NULL;
    g_autofree char *output = NULL;
    g_autofree char *report = NULL;
    g_autoptr(GError) error = NULL;
    gsize n_output = 0;
    HookRun run;

    if (!end) {
        return;
    }
    line = g_strndup((const char *)data, (gsize)(end - data));
    words = g_strsplit(line, " ", 4);
    if (g_strv_length(words) < 4) {
        return;
    }
    run = (HookRun){
        .paths = &paths,
        .config = &config,
        .extensions = gantry_extensions,
        .operation = hook_operation_find(words[0], words[1]),
        .domain_name = words[3],
        .extra = words[2],
        .n_xml = size - (gsize)(end + 1 - data),
        .start_usec = g_get_monotonic_time(),
    };
    if (!run.operation) {
        return;
    }
    /* A copy of its own size, for ASAN to watch. */
    xml = run.n_xml > 0 ? g_memdup2(end + 1, run.n_xml) : g_strdup("");
    run.xml = xml;
    remove_refusals(); /* of other inputs */
    if (!hook_run(&run, &output, &n_output, &report, &error)) {
        g_assert_cmpint(run.operation->failure, ==, HOOK_FAILURE_REFUSES);
        g_assert_nonnull(error);
        return;
    }
    g_assert_no_error(error);
    if (output) {
        g_assert_true(run.operation->may_rewrite);
        check_output(&run, output, n_output);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!directory) {
        set_up();
    }
    run_once(data, size);
    return 0;
}
