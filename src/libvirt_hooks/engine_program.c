/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine as a program: gantry-hook runs it with the XML as a sealed file on stdin, collects its
 * stdout, and reads its exit status.
 *
 * Everything it waits for has a deadline, but for what nobody thought of; an alarm ends it then,
 * and the front treats that like a crash.
 */
#include "libvirt_hooks/engine.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "hook"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/xml/document.h"
#include "extensions/extensions.h"

enum {
    WATCHDOG_FIRST_SEC = 10, /* to read hook.conf in */
    WATCHDOG_GRACE_SEC = 3,
};

/* Control characters would break the line; libvirt allows some in a domain's name. */
static char *
printable(const char *text)
{
    char *copy = g_utf8_make_valid(text, -1);

    for (char *c = copy; *c; c++) {
        if (g_ascii_iscntrl(*c)) {
            *c = '?';
        }
    }
    return copy;
}

/* The one line that libvirt puts into the error that virsh prints. */
static void
print_refusal(const HookRun *run, const char *reason)
{
    g_autofree char *line = g_strdup_printf(_("gantry-hook: %1$s of domain '%2$s' refused: %3$s"),
                                            run->operation->name, run->domain_name, reason);
    g_autofree char *safe = printable(line);
    g_autofree char *whole = g_strconcat(safe, "\n", NULL);

    gantry_fd_write_all(STDERR_FILENO, whole, strlen(whole), NULL);
}

static void
start_log(const HookPaths *paths, const HookConfig *config, const GError *config_error)
{
    g_autoptr(GError) levels_error = NULL;
    g_autoptr(GError) file_error = NULL;
    const char *file = config->log_file ? config->log_file : paths->log_file;
    gboolean levels_ok = gantry_log_set_levels(config->log_levels, &levels_error);

    if (!g_str_equal(file, "stderr")) {
        g_autofree char *directory = g_path_get_dirname(file);

        g_mkdir_with_parents(directory, 0750); /* if it fails, so does the next line */
        gantry_log_set_file(file, &file_error);
    }
    /* A mistake here is the host's, not the domain's: no VM is kept from starting by it. */
    if (config_error) {
        gantry_err(_("%s; going on with the defaults"), config_error->message);
    }
    if (!levels_ok) {
        gantry_err("%s", levels_error->message);
    }
    if (file_error) {
        gantry_err("%s", file_error->message);
    }
}

/* TRUE: pass, with what is to be printed. */
static gboolean
run_on_stdin(HookRun *run, char **ret_output, gsize *ret_n_output, GError **error)
{
    g_autofree char *xml =
        gantry_fd_read_all(STDIN_FILENO, GANTRY_XML_MAX_BYTES, (int)run->config->hook_timeout_msec,
                           &run->n_xml, error);
    g_autofree char *report = NULL;
    gboolean passes;

    if (!xml) {
        return FALSE;
    }
    run->xml = xml;
    passes = hook_run(run, ret_output, ret_n_output, &report, error);
    gantry_notice("%s", report);
    return passes;
}

int
hook_engine_main(const HookPaths *paths, int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    gint64 start_usec = g_get_monotonic_time();
    g_auto(HookConfig) config = {0};
    g_autoptr(GError) config_error = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL;
    g_autofree char *domain_name = NULL;
    gsize n_output = 0;
    int unrefused = HOOK_EXIT_PASS;
    HookRun run;

    alarm(WATCHDOG_FIRST_SEC);
    gantry_log_init("gantry-hook");
    gantry_i18n_init();
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a full log is no reason to die; write(2) tells, too */
    if (argc < 4) {
        gantry_err(_("gantry-hook-engine is run by gantry-hook; see gantry-hook(8)"));
        return HOOK_EXIT_USAGE;
    }
    domain_name = printable(argv[1]);
    run = (HookRun){
        .paths = paths,
        .config = &config,
        .extensions = gantry_extensions,
        .operation = hook_operation_find(argv[2], argv[3]),
        .domain_name = domain_name,
        .extra = argc > 4 ? argv[4] : "-",
        .start_usec = start_usec,
    };
    hook_config_load(paths->hook_conf, &config, &config_error);
    alarm((guint)(config.hook_timeout_msec / 1000) + WATCHDOG_GRACE_SEC);
    start_log(paths, &config, config_error);
    if (!run.operation) {
        gantry_dbg("%s %s is none of our operations", argv[2], argv[3]);
        return HOOK_EXIT_PASS;
    }
    if (run_on_stdin(&run, &output, &n_output, &error)) {
        if (!output || gantry_fd_write_all(STDOUT_FILENO, output, n_output, &error)) {
            return HOOK_EXIT_PASS;
        }
        unrefused = HOOK_EXIT_BROKEN;
    }
    if (run.operation->failure == HOOK_FAILURE_REFUSES) {
        print_refusal(&run, error->message);
        return HOOK_EXIT_REFUSED;
    }
    gantry_err(_("%1$s of domain '%2$s' goes on, but: %3$s"), run.operation->name, domain_name,
               error->message);
    return unrefused;
}
