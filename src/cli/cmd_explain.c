/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry explain: the effective settings of one domain, field by field, with the source of each and
 * what it overruled.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/domain.h"
#include "common/base/i18n.h"
#include "common/base/text.h"
#include "extensions/extensions.h"
#include "gantry-config.h"

typedef struct {
    char *connect;
    char *xml;
    char *policy_dir;
    guint64 timeout_msec;
    gboolean all;
    gboolean json;
} ExplainOptions;

const GantryOption cli_explain_options[] = {
    {.name = "connect",
     .short_name = 'c',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(ExplainOptions, connect),
     .fallback = "qemu:///system",
     .metavar = "URI",
     .summary = N_("libvirt to ask")},
    {.name = "xml",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(ExplainOptions, xml),
     .metavar = "FILE",
     .summary = N_("Explain the domain XML in FILE ('-': stdin); libvirt is not asked")},
    {.name = "policy-dir",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(ExplainOptions, policy_dir),
     .fallback = GANTRY_CONFDIR "/policy.d",
     .metavar = "DIR",
     .summary = N_("Folder of the policy files")},
    {.name = "timeout",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(ExplainOptions, timeout_msec),
     .fallback = "10s",
     .min = 1,
     .max = 3600 * 1000,
     .metavar = "TIME",
     .summary = N_("Give up on libvirt after TIME")},
    {.name = "all",
     .short_name = 'a',
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(ExplainOptions, all),
     .summary = N_("Show the features that are off, too")},
    {.name = "json",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(ExplainOptions, json),
     .summary = N_("Print JSON")},
    GANTRY_OPTION_END,
};

static const char explain_examples[] =
    N_("Examples:\n"
       "  gantry explain web-1\n"
       "  gantry explain --json web-1 | jq '.features[] | select(.enabled)'\n"
       "  virsh dumpxml --migratable web-1 | gantry explain --xml - --policy-dir ./policy.d\n");

static void
print_setting(const GantrySetting *setting)
{
    const GantryProvenance *winner = setting->origins->len > 0 ? setting->origins->pdata[0] : NULL;
    g_autofree char *value = NULL;
    g_autofree char *cell = NULL;

    if (!setting->value) {
        value = g_strdup(_("(not set)"));
    } else if (setting->field->unit) {
        value = g_strdup_printf("%s %s", setting->value, setting->field->unit);
    } else {
        value = gantry_printable(setting->value);
    }
    cell = cli_padded(value, 16);
    printf("  %-18s %s %s\n", setting->field->name, cell, winner ? winner->origin : _("default"));
    for (guint i = 1; i < setting->origins->len; i++) {
        const GantryProvenance *loser = setting->origins->pdata[i];

        g_autofree char *lost = gantry_printable(loser->value);

        printf(_("  %1$-18s overrules '%2$s' from %3$s\n"), "", lost, loser->origin);
    }
}

static void
print_feature(const GantryFeatureSettings *feature)
{
    printf("\n%s: %s\n", feature->extension->feature, feature->enabled ? _("on") : _("off"));
    if (!feature->enabled) {
        return;
    }
    for (guint i = 0; i < feature->settings->len; i++) {
        print_setting(feature->settings->pdata[i]);
    }
    if (feature->element->children->len > 0) {
        g_autofree char *xml = gantry_element_format(feature->element, feature->extension->uri);

        printf("  %s\n", xml);
    }
}

static void
print_text(const GantryDomainIdentity *identity, const GantrySettings *settings, gboolean all)
{
    g_autofree char *name = gantry_printable(identity->name);
    gboolean any = FALSE;

    printf(_("Domain %1$s (%2$s)\n"), name, identity->uuid);
    if (identity->nova) {
        g_autofree char *flavor = gantry_printable(identity->flavor);
        g_autofree char *project = gantry_printable(identity->project);

        printf(_("Nova instance, flavor '%1$s', project %2$s\n"), flavor, project);
    }
    for (const GantryExtension *const *extension = gantry_extensions; *extension; extension++) {
        const GantryFeatureSettings *feature = gantry_settings_get(settings, (*extension)->feature);

        if (feature->enabled || all) {
            print_feature(feature);
            any = TRUE;
        }
    }
    if (!any) {
        puts(_("No Gantry feature is on for this domain."));
    }
}

static void
add_json_setting(JsonBuilder *builder, const GantrySetting *setting)
{
    json_builder_begin_object(builder);
    cli_json_string(builder, "name", setting->field->name);
    cli_json_string(builder, "value", setting->value);
    cli_json_begin_array(builder, "origins");
    for (guint i = 0; i < setting->origins->len; i++) {
        const GantryProvenance *origin = setting->origins->pdata[i];

        json_builder_begin_object(builder);
        cli_json_string(builder, "source", gantry_source_name(origin->source));
        cli_json_string(builder, "origin", origin->origin);
        cli_json_string(builder, "value", origin->value);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static void
print_json(const GantryDomainIdentity *identity, const GantrySettings *settings)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "domain");
    json_builder_begin_object(builder);
    cli_json_string(builder, "name", identity->name);
    cli_json_string(builder, "uuid", identity->uuid);
    cli_json_bool(builder, "nova", identity->nova);
    cli_json_string(builder, "flavor", *identity->flavor ? identity->flavor : NULL);
    cli_json_string(builder, "project", *identity->project ? identity->project : NULL);
    json_builder_end_object(builder);
    cli_json_begin_array(builder, "features");
    for (const GantryExtension *const *extension = gantry_extensions; *extension; extension++) {
        const GantryFeatureSettings *feature = gantry_settings_get(settings, (*extension)->feature);
        g_autofree char *xml = gantry_element_format(feature->element, (*extension)->uri);

        json_builder_begin_object(builder);
        cli_json_string(builder, "feature", (*extension)->feature);
        cli_json_bool(builder, "enabled", feature->enabled);
        cli_json_begin_array(builder, "settings");
        for (guint i = 0; i < feature->settings->len; i++) {
            add_json_setting(builder, feature->settings->pdata[i]);
        }
        json_builder_end_array(builder);
        cli_json_string(builder, "xml", xml);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    cli_print_json(json_builder_get_root(builder));
}

static int
explain(const ExplainOptions *options, const char *domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryPolicy) policy = NULL;
    g_autoptr(GantryXml) xml = NULL;
    g_autoptr(GantrySettings) settings = NULL;
    g_auto(GantryDomainIdentity) identity = {0};

    policy = cli_policy_load(options->policy_dir, &error);
    if (!policy) {
        return cli_report_error("explain", &error, CLI_EXIT_USAGE);
    }
    if (options->xml) {
        xml = cli_domain_from_file(options->xml, &error);
    } else {
        const char *names[] = {domain, NULL};
        g_autoptr(GPtrArray) domains =
            cli_domains_from_libvirt(options->connect, names, options->timeout_msec, &error);

        xml = domains ? cli_domain_parse(domains->pdata[0], &error) : NULL;
    }
    if (!xml || !gantry_domain_identity_read(xml, &identity, &error)) {
        return cli_report_error("explain", &error, CLI_EXIT_FAILED);
    }
    settings = gantry_settings_resolve(gantry_extensions, xml, policy, &error);
    if (!settings) {
        return cli_report_error("explain", &error, CLI_EXIT_FAILED);
    }
    if (options->json) {
        print_json(&identity, settings);
    } else {
        print_text(&identity, settings, options->all);
    }
    return CLI_EXIT_OK;
}

int
cli_explain(int argc, char **argv)
{
    ExplainOptions options = {0};
    g_autoptr(GError) error = NULL;
    int status;

    gantry_options_init(cli_explain_options, &options);
    if (!gantry_options_parse_argv(cli_explain_options, &options,
                                   "gantry explain [OPTION...] DOMAIN", _(explain_examples), &argc,
                                   &argv, &error)) {
        status = cli_report_error("explain", &error, CLI_EXIT_USAGE);
    } else if (argc != (options.xml ? 1 : 2)) {
        fputs(options.xml ? _("gantry explain: a domain and --xml exclude each other\n")
                          : _("gantry explain: name one domain; see 'gantry explain --help'\n"),
              stderr);
        status = CLI_EXIT_USAGE;
    } else {
        status = explain(&options, argv[1]);
    }
    gantry_options_clear(cli_explain_options, &options);
    return status;
}
