/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry check: looks at what must be right on this host, and says of each thing whether it is, and
 * what to do about it. Each check is a function in checks[]; they read only, and one that cannot
 * look says so as a finding instead of hiding it.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/daemon.h"
#include "cli/domain.h"
#include "cli/finding.h"
#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/host/procfs.h"
#include "common/virt/connection.h"
#include "extensions/extensions.h"
#include "gantry-config.h"
#include "libvirt_hooks/hook_config.h"
#include "libvirt_hooks/host_config.h"
#include "loadbalancer/collect/collector.h"

#define DAEMON_TIMEOUT_MSEC 1000
#define OUR_HOOK            "50-gantry"
#define LIBVIRT_WANTED      9000000 /* 9.0.0, as libvirt counts */
#define QEMU_WANTED         7002000

typedef struct {
    char *connect;
    guint64 timeout_msec;
    gboolean quiet;
    gboolean json;
} CheckOptions;

const GantryOption cli_check_options[] = {
    {.name = "connect",
     .short_name = 'c',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CheckOptions, connect),
     .fallback = "qemu:///system",
     .metavar = "URI",
     .summary = N_("libvirt to ask")},
    {.name = "timeout",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(CheckOptions, timeout_msec),
     .fallback = "10s",
     .min = 1,
     .max = 3600 * 1000,
     .metavar = "TIME",
     .summary = N_("Give up on libvirt after TIME")},
    {.name = "quiet",
     .short_name = 'q',
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(CheckOptions, quiet),
     .summary = N_("Print only warnings and failures")},
    {.name = "json",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(CheckOptions, json),
     .summary = N_("Print JSON")},
    GANTRY_OPTION_END,
};

static const char check_examples[] = N_("Examples:\n"
                                        "  sudo gantry check\n"
                                        "  sudo gantry check --json | jq -r '.findings[] | "
                                        "select(.severity == \"failure\") | .text'\n");

typedef struct {
    const CheckOptions *options;
    GPtrArray *findings;
    GantryPolicy *policy; /* NULL: could not be read */
} Check;

/* Hook, files and daemons are looked at here; libvirt may be elsewhere. */
static void
check_place(Check *check)
{
    g_autofree char *server = lb_uri_server(check->options->connect);

    if (server) {
        cli_findings_add(check->findings, "place", CLI_FINDING_NOTE, NULL,
                         _("hook, files and daemons are those of this host; libvirt and the "
                           "domains are those of %s"),
                         server);
    }
}

static void
check_program(Check *check, const char *path, const char *what)
{
    const char *remedy = _("install Gantry again");

    if (access(path, X_OK) == 0) {
        cli_findings_add(check->findings, "hook", CLI_FINDING_OK, NULL, _("%1$s is %2$s"), what,
                         path);
    } else {
        cli_findings_add(check->findings, "hook", CLI_FINDING_FAIL, remedy, _("%1$s: %2$s: %3$s"),
                         what, path, g_strerror(errno));
    }
}

static void
check_hook(Check *check)
{
    check_program(check, GANTRY_HOOKDIR "/qemu.d/" OUR_HOOK, _("the hook"));
    check_program(check, GANTRY_LIBEXECDIR "/gantry-hook-engine", _("the hook's engine"));
}

/* libvirtd looks for hooks when it starts, and remembers that there was none. */
static void
check_hook_seen(Check *check)
{
    g_autoptr(GantryHost) host = gantry_host_open("/", NULL);
    g_autofree char *pid = NULL;
    struct stat hook;
    guint64 number;
    gint64 started;

    if (lstat(GANTRY_HOOKDIR "/qemu.d/" OUR_HOOK, &hook) != 0) {
        return; /* check_hook() tells */
    }

    pid = gantry_file_read(AT_FDCWD, "/run/libvirtd.pid", 64, NULL, NULL);
    if (!pid) {
        pid = gantry_file_read(AT_FDCWD, "/run/virtqemud.pid", 64, NULL, NULL);
    }
    if (!host || !pid || !gantry_parse_uint(g_strstrip(pid), 1, G_MAXINT, &number, NULL) ||
        !gantry_host_process_start(host, (pid_t)number, &started, NULL)) {
        cli_findings_add(check->findings, "hook-seen", CLI_FINDING_NOTE, NULL,
                         _("no libvirt daemon runs on this host, so whether it knows the hook "
                           "cannot be seen"));
    } else if (started < hook.st_ctim.tv_sec) {
        cli_findings_add(check->findings, "hook-seen", CLI_FINDING_WARN,
                         _("restart libvirtd (or send it SIGHUP); running domains are not touched"),
                         _("the libvirt daemon is older than the hook in %s/qemu.d, so it may not "
                           "know it"),
                         GANTRY_HOOKDIR);
    } else {
        cli_findings_add(check->findings, "hook-seen", CLI_FINDING_OK, NULL,
                         _("the libvirt daemon was started after the hook was installed"));
    }
}

static void
check_other_hooks(Check *check)
{
    g_autoptr(GDir) folder = g_dir_open(GANTRY_HOOKDIR "/qemu.d", 0, NULL);
    g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *list = NULL;

    if (access(GANTRY_HOOKDIR "/qemu", X_OK) == 0) {
        g_ptr_array_add(others, g_strdup("qemu"));
    }
    for (const char *name; folder && (name = g_dir_read_name(folder));) {
        if (!g_str_equal(name, OUR_HOOK)) {
            g_ptr_array_add(others, g_strdup_printf("qemu.d/%s", name));
        }
    }
    if (others->len == 0) {
        cli_findings_add(check->findings, "other-hooks", CLI_FINDING_OK, NULL,
                         _("no other hook is installed"));
        return;
    }
    g_ptr_array_add(others, NULL);
    list = g_strjoinv(", ", (char **)others->pdata);
    cli_findings_add(check->findings, "other-hooks", CLI_FINDING_NOTE,
                     _("see that none of them fails on 'restore': libvirt 11.3 then deletes a "
                       "managed save image"),
                     _("other hooks run as well: %s"), list);
}

/* Adds what a loader of a file said: a missing file is fine. */
static void
add_file_finding(Check *check, const char *name, const char *path, const GError *error)
{
    if (!error) {
        cli_findings_add(check->findings, name, CLI_FINDING_OK, NULL, _("%s is valid"), path);
    } else if (g_error_matches(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
        cli_findings_add(check->findings, name, CLI_FINDING_OK, NULL,
                         _("%s does not exist; the defaults hold"), path);
    } else {
        cli_findings_add(check->findings, name, CLI_FINDING_FAIL, _("mend the file"), "%s",
                         error->message);
    }
}

/* Whether the hook can write @file: it makes the folder at its first run. */
static gboolean
log_file_is_possible(const char *file)
{
    g_autofree char *folder = g_path_get_dirname(file);
    g_autofree char *above = g_path_get_dirname(folder);

    if (g_str_equal(file, "stderr")) {
        return TRUE;
    }
    return g_path_is_absolute(file) && !g_file_test(file, G_FILE_TEST_IS_DIR) &&
           g_file_test(g_file_test(folder, G_FILE_TEST_EXISTS) ? folder : above,
                       G_FILE_TEST_IS_DIR);
}

/* What the hook finds wrong with its log it can tell nobody. */
static void
check_log(const HookConfig *config, GError **error)
{
    if (!gantry_log_levels_are_valid(config->log_levels, error)) {
        g_prefix_error(error, "%s: [log] level: ", GANTRY_CONFDIR "/hook.conf");
        return;
    }
    if (config->log_file && !log_file_is_possible(config->log_file)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: [log] file: '%2$s' is neither stderr nor the absolute path of a file "
                      "whose folder exists, or can be made in one that does"),
                    GANTRY_CONFDIR "/hook.conf", config->log_file);
    }
}

static void
check_config(Check *check)
{
    g_autoptr(GError) hook_error = NULL;
    g_autoptr(GError) host_error = NULL;
    g_auto(HookConfig) hook_config = {0};
    g_autoptr(HookHostConfig) host_config = NULL;

    if (hook_config_load(GANTRY_CONFDIR "/hook.conf", &hook_config, &hook_error)) {
        check_log(&hook_config, &hook_error);
    }
    add_file_finding(check, "config", GANTRY_CONFDIR "/hook.conf", hook_error);
    host_config = hook_host_config_load(GANTRY_CONFDIR "/host.conf", &host_error);
    add_file_finding(check, "config", GANTRY_CONFDIR "/host.conf", host_error);
}

static void
check_policy(Check *check)
{
    g_autoptr(GError) error = NULL;

    check->policy = gantry_policy_load(GANTRY_CONFDIR "/policy.d", gantry_extensions, &error);
    add_file_finding(check, "policy", GANTRY_CONFDIR "/policy.d", error);
}

typedef struct {
    unsigned long libvirt;
    unsigned long qemu; /* 0: not known, or another hypervisor */
} Versions;

static gboolean
read_versions(virConnectPtr virt, gpointer data, GError **error)
{
    Versions *versions = data;

    if (virConnectGetLibVersion(virt, &versions->libvirt) < 0) {
        gantry_virt_set_error(error, _("cannot read libvirt's version"));
        return FALSE;
    }
    if (g_strcmp0(virConnectGetType(virt), "QEMU") != 0 ||
        virConnectGetVersion(virt, &versions->qemu) < 0) {
        versions->qemu = 0;
    }
    return TRUE;
}

static void
add_version_finding(Check *check, const char *what, unsigned long version, unsigned long wanted)
{
    g_autofree char *text =
        g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
    g_autofree char *least = g_strdup_printf("%lu.%lu", wanted / 1000000, wanted / 1000 % 1000);

    if (version >= wanted) {
        cli_findings_add(check->findings, "libvirt", CLI_FINDING_OK, NULL, "%s %s", what, text);
    } else {
        g_autofree char *remedy = g_strdup_printf(_("use %1$s %2$s or newer"), what, least);

        cli_findings_add(check->findings, "libvirt", CLI_FINDING_FAIL, remedy,
                         _("%1$s %2$s is too old"), what, text);
    }
}

static void
check_libvirt(Check *check)
{
    const CheckOptions *options = check->options;
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new(options->connect, NULL);
    g_autoptr(GError) error = NULL;
    Versions *versions = g_atomic_rc_box_new0(Versions);

    if (!gantry_virt_call(conn, read_versions, g_atomic_rc_box_acquire(versions),
                          g_atomic_rc_box_release, (guint)options->timeout_msec, &error)) {
        cli_findings_add(check->findings, "libvirt", CLI_FINDING_FAIL,
                         _("start libvirtd, or name another libvirt by --connect"), "%s",
                         error->message);
    } else {
        add_version_finding(check, "libvirt", versions->libvirt, LIBVIRT_WANTED);
        if (versions->qemu != 0) {
            add_version_finding(check, "QEMU", versions->qemu, QEMU_WANTED);
        }
    }
    g_atomic_rc_box_release(versions);
}

/* Remembers in @needed which daemons the domain's features have. */
static void
check_domain(Check *check, const CliDomain *domain, GHashTable *needed)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) xml = cli_domain_parse(domain, &error);
    g_autoptr(GantrySettings) settings =
        xml ? gantry_settings_resolve(gantry_extensions, xml, check->policy, &error) : NULL;

    if (!settings) {
        cli_findings_add(check->findings, "domains", CLI_FINDING_FAIL,
                         _("mend it by 'virsh metadata', in the flavor, or in the policy: the "
                           "domain's next start would be refused"),
                         "%s", error->message);
        return;
    }
    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        if ((*e)->daemon && gantry_settings_get(settings, (*e)->feature)->enabled) {
            g_hash_table_insert(needed, (gpointer)(*e)->daemon, (gpointer)domain->name);
        }
    }
}

static void
check_domains_and_daemons(Check *check)
{
    const CheckOptions *options = check->options;
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) needed = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) domains =
        cli_domains_from_libvirt(options->connect, NULL, (guint)options->timeout_msec, &error);
    g_autoptr(GPtrArray) daemons = NULL;
    guint failed_before = check->findings->len;

    if (!domains) {
        cli_findings_add(check->findings, "domains", CLI_FINDING_WARN,
                         _("see the finding about libvirt"),
                         _("the domains' settings could not be checked: %s"), error->message);
        return;
    }
    for (guint i = 0; i < domains->len; i++) {
        check_domain(check, domains->pdata[i], needed);
    }
    if (check->findings->len == failed_before) {
        cli_findings_add(check->findings, "domains", CLI_FINDING_OK, NULL,
                         _("the settings of all domains (%u) are valid"), domains->len);
    }
    daemons = cli_daemons_probe(DAEMON_TIMEOUT_MSEC);
    for (guint i = 0; i < daemons->len; i++) {
        const CliDaemon *daemon = daemons->pdata[i];
        const char *user = g_hash_table_lookup(needed, daemon->name);

        if (daemon->listening) {
            cli_findings_add(check->findings, "daemons", CLI_FINDING_OK, NULL, _("%s is listening"),
                             daemon->name);
        } else if (user) {
            g_autofree char *remedy = g_strdup_printf(
                daemon->installed ? _("start gantry-%s")
                                  : _("install gantry-%s, or take the feature's settings away"),
                daemon->name);

            cli_findings_add(check->findings, "daemons", CLI_FINDING_FAIL, remedy,
                             _("domain '%1$s' needs %2$s: %3$s"), user, daemon->name,
                             daemon->problem);
        }
    }
}

static void (*const checks[])(Check *) = {
    check_place,  check_hook,   check_hook_seen, check_other_hooks,
    check_config, check_policy, check_libvirt,   check_domains_and_daemons,
};

static gboolean
is_minor(gconstpointer finding)
{
    return ((const CliFinding *)finding)->severity < CLI_FINDING_WARN;
}

static int
check_all(const CheckOptions *options)
{
    g_autoptr(GPtrArray) findings = cli_findings_new();
    Check check = {options, findings, NULL};

    for (guint i = 0; i < G_N_ELEMENTS(checks); i++) {
        checks[i](&check);
    }
    gantry_policy_free(check.policy);
    for (guint i = findings->len; options->quiet && i > 0; i--) {
        if (is_minor(findings->pdata[i - 1])) {
            g_ptr_array_remove_index(findings, i - 1);
        }
    }
    if (options->json) {
        cli_findings_print_json(findings);
    } else {
        cli_findings_print(findings);
    }
    return cli_findings_worst(findings) == CLI_FINDING_FAIL ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int
cli_check(int argc, char **argv)
{
    CheckOptions options = {0};
    g_autoptr(GError) error = NULL;
    int result;

    gantry_options_init(cli_check_options, &options);
    if (!gantry_options_parse_argv(cli_check_options, &options, "gantry check [OPTION...]",
                                   _(check_examples), &argc, &argv, &error)) {
        result = cli_report_error("check", &error, CLI_EXIT_USAGE);
    } else if (argc > 1) {
        fprintf(stderr, _("gantry check: takes no argument '%s'\n"), argv[1]);
        result = CLI_EXIT_USAGE;
    } else {
        result = check_all(&options);
    }
    gantry_options_clear(cli_check_options, &options);
    return result;
}
