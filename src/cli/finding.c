/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/finding.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

static const struct {
    const char *name;  /* in JSON */
    const char *label; /* for people */
    const char *colour;
} severities[] = {
    [CLI_FINDING_OK] = {"ok", N_("ok"), "\033[32m"},
    [CLI_FINDING_NOTE] = {"note", N_("note"), ""},
    [CLI_FINDING_WARN] = {"warning", N_("warning"), "\033[33m"},
    [CLI_FINDING_FAIL] = {"failure", N_("FAILED"), "\033[31m"},
};

static void
finding_free(gpointer data)
{
    CliFinding *finding = data;

    g_free(finding->text);
    g_free(finding->remedy);
    g_free(finding);
}

GPtrArray *
cli_findings_new(void)
{
    return g_ptr_array_new_with_free_func(finding_free);
}

void
cli_findings_add(GPtrArray *findings, const char *check, CliSeverity severity, const char *remedy,
                 const char *format, ...)
{
    CliFinding *finding = g_new0(CliFinding, 1);
    va_list args;

    finding->check = check;
    finding->severity = severity;
    finding->remedy = g_strdup(remedy);
    va_start(args, format);
    finding->text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(findings, finding);
}

CliSeverity
cli_findings_worst(const GPtrArray *findings)
{
    CliSeverity worst = CLI_FINDING_OK;

    for (guint i = 0; i < findings->len; i++) {
        const CliFinding *finding = findings->pdata[i];

        worst = MAX(worst, finding->severity);
    }
    return worst;
}

void
cli_findings_print(const GPtrArray *findings)
{
    gboolean fancy = cli_is_fancy();

    for (guint i = 0; i < findings->len; i++) {
        const CliFinding *finding = findings->pdata[i];
        g_autofree char *label = cli_padded(_(severities[finding->severity].label), 8);
        g_autofree char *text = gantry_one_line(finding->text);

        printf("%s%s%s %s\n", fancy ? severities[finding->severity].colour : "", label,
               fancy ? "\033[0m" : "", text);
        if (finding->remedy) {
            printf("%8s -> %s\n", "", finding->remedy);
        }
    }
}

void
cli_findings_print_json(const GPtrArray *findings)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    cli_json_string(builder, "worst", severities[cli_findings_worst(findings)].name);
    cli_json_begin_array(builder, "findings");
    for (guint i = 0; i < findings->len; i++) {
        const CliFinding *finding = findings->pdata[i];

        json_builder_begin_object(builder);
        cli_json_string(builder, "check", finding->check);
        cli_json_string(builder, "severity", severities[finding->severity].name);
        cli_json_string(builder, "text", finding->text);
        cli_json_string(builder, "remedy", finding->remedy);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    cli_print_json(json_builder_get_root(builder));
}
