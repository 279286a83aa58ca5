/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry status: which domains have Gantry features on, and whether the daemons answer.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/daemon.h"
#include "cli/domain.h"
#include "common/base/i18n.h"
#include "common/base/text.h"
#include "extensions/extensions.h"
#include "gantry-config.h"

#define DAEMON_TIMEOUT_MSEC 1000
#define NAME_COLUMNS        24
#define STATE_COLUMNS       14

typedef struct {
    char *connect;
    char *policy_dir;
    guint64 timeout_msec;
    gboolean all;
    gboolean json;
} StatusOptions;

const GantryOption cli_status_options[] = {
    {.name = "connect",
     .short_name = 'c',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(StatusOptions, connect),
     .fallback = "qemu:///system",
     .metavar = "URI",
     .summary = N_("libvirt to ask")},
    {.name = "policy-dir",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(StatusOptions, policy_dir),
     .fallback = GANTRY_CONFDIR "/policy.d",
     .metavar = "DIR",
     .summary = N_("Folder of the policy files")},
    {.name = "timeout",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(StatusOptions, timeout_msec),
     .fallback = "10s",
     .min = 1,
     .max = 3600 * 1000,
     .metavar = "TIME",
     .summary = N_("Give up on libvirt after TIME")},
    {.name = "all",
     .short_name = 'a',
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(StatusOptions, all),
     .summary = N_("Show domains without Gantry settings, too")},
    {.name = "json",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(StatusOptions, json),
     .summary = N_("Print JSON")},
    GANTRY_OPTION_END,
};

static const char status_examples[] =
    N_("Examples:\n"
       "  gantry status\n"
       "  gantry status --json | jq '.domains[] | select(.error)'\n");

/* One domain's line. */
typedef struct {
    const CliDomain *domain;
    GPtrArray *features; /* names, const */
    char *error;         /* its settings are wrong; else NULL */
} Row;

static void
row_free(gpointer data)
{
    Row *row = data;

    g_ptr_array_unref(row->features);
    g_free(row->error);
    g_free(row);
}

static Row *
make_row(const CliDomain *domain, const GantryPolicy *policy)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) xml = cli_domain_parse(domain, &error);
    g_autoptr(GantrySettings) settings =
        xml ? gantry_settings_resolve(gantry_extensions, xml, policy, &error) : NULL;
    Row *row = g_new0(Row, 1);

    row->domain = domain;
    row->features = g_ptr_array_new();
    if (!settings) {
        row->error = g_strdup(error->message);
        return row;
    }
    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        if (gantry_settings_get(settings, (*e)->feature)->enabled) {
            g_ptr_array_add(row->features, (gpointer)(*e)->feature);
        }
    }
    return row;
}

/* The first two cells of a line about domains. */
static void
print_cells(const char *name, const char *state)
{
    g_autofree char *name_cell = cli_padded(name, NAME_COLUMNS);
    g_autofree char *state_cell = cli_padded(state, STATE_COLUMNS);

    printf("%s %s ", name_cell, state_cell);
}

static void
print_text(const GPtrArray *rows, const GPtrArray *daemons)
{
    g_autofree char *daemon_title = NULL;

    if (rows->len == 0) {
        puts(_("No domain has Gantry settings."));
    } else {
        print_cells(_("DOMAIN"), _("STATE"));
        puts(_("FEATURES"));
    }
    for (guint i = 0; i < rows->len; i++) {
        const Row *row = rows->pdata[i];
        g_autofree char *name = gantry_printable(row->domain->name);

        print_cells(name, _(row->domain->state));
        if (row->error) {
            g_autofree char *message = gantry_one_line(row->error);

            printf(_("wrong settings: %s\n"), message);
            continue;
        }
        for (guint k = 0; k < row->features->len; k++) {
            printf("%s%s", k > 0 ? " " : "", (const char *)row->features->pdata[k]);
        }
        puts(row->features->len == 0 ? "-" : "");
    }
    daemon_title = cli_padded(_("DAEMON"), NAME_COLUMNS);
    printf("\n%s %s\n", daemon_title, _("STATE"));
    for (guint i = 0; i < daemons->len; i++) {
        const CliDaemon *daemon = daemons->pdata[i];

        printf("%-*s %s\n", NAME_COLUMNS, daemon->name,
               daemon->listening ? _("listening") : daemon->problem);
    }
}

static void
print_json(const GPtrArray *rows, const GPtrArray *daemons)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    cli_json_begin_array(builder, "domains");
    for (guint i = 0; i < rows->len; i++) {
        const Row *row = rows->pdata[i];

        json_builder_begin_object(builder);
        cli_json_string(builder, "name", row->domain->name);
        cli_json_string(builder, "uuid", row->domain->uuid);
        cli_json_string(builder, "state", row->domain->state);
        cli_json_begin_array(builder, "features");
        for (guint k = 0; k < row->features->len; k++) {
            json_builder_add_string_value(builder, row->features->pdata[k]);
        }
        json_builder_end_array(builder);
        cli_json_string(builder, "error", row->error);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    cli_json_begin_array(builder, "daemons");
    for (guint i = 0; i < daemons->len; i++) {
        const CliDaemon *daemon = daemons->pdata[i];

        json_builder_begin_object(builder);
        cli_json_string(builder, "name", daemon->name);
        cli_json_string(builder, "socket", daemon->socket);
        cli_json_bool(builder, "installed", daemon->installed);
        cli_json_bool(builder, "listening", daemon->listening);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    cli_print_json(json_builder_get_root(builder));
}

static int
status(const StatusOptions *options, const char *const *names)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryPolicy) policy = NULL;
    g_autoptr(GPtrArray) domains = NULL;
    g_autoptr(GPtrArray) daemons = NULL;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);

    policy = cli_policy_load(options->policy_dir, &error);
    if (!policy) {
        return cli_report_error("status", &error, CLI_EXIT_USAGE);
    }
    domains =
        cli_domains_from_libvirt(options->connect, names, (guint)options->timeout_msec, &error);
    if (!domains) {
        return cli_report_error("status", &error, CLI_EXIT_FAILED);
    }
    for (guint i = 0; i < domains->len; i++) {
        Row *row = make_row(domains->pdata[i], policy);

        if (row->error || row->features->len > 0 || options->all || names) {
            g_ptr_array_add(rows, row);
        } else {
            row_free(row);
        }
    }
    daemons = cli_daemons_probe(DAEMON_TIMEOUT_MSEC);
    if (options->json) {
        print_json(rows, daemons);
    } else {
        print_text(rows, daemons);
    }
    return CLI_EXIT_OK;
}

int
cli_status(int argc, char **argv)
{
    StatusOptions options = {0};
    g_autoptr(GError) error = NULL;
    int result;

    gantry_options_init(cli_status_options, &options);
    if (gantry_options_parse_argv(cli_status_options, &options,
                                  "gantry status [OPTION...] [DOMAIN...]", _(status_examples),
                                  &argc, &argv, &error)) {
        result = status(&options, argc > 1 ? (const char *const *)argv + 1 : NULL);
    } else {
        result = cli_report_error("status", &error, CLI_EXIT_USAGE);
    }
    gantry_options_clear(cli_status_options, &options);
    return result;
}
