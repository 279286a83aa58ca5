/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a simulation has found, as text, JSON and a page with plots. One table of figures serves all
 * three. */
#include "cli/simulate_report.h"

#include <stdio.h>

#include "cli/line_chart.h"
#include "cli/plot_file.h"
#include "common/base/i18n.h"
#include "common/xml/document.h"
#include "loadbalancer/simulate/trace.h"

#define PERCENT 100.0
#define GIB     (1024.0 * 1024 * 1024)
#define HOUR    3600.0

typedef struct {
    const char *member; /* of JSON */
    const char *title;  /* of a column, N_() */
    gsize offset;
    gboolean is_count; /* guint, else double */
    double scale;      /* of what is shown in a column */
    int decimals;
} Figure;

#define COUNT(member, title, field) \
    { \
        member, title, G_STRUCT_OFFSET(LbSimResult, field), TRUE, 1, 0 \
    }
#define NUMBER(member, title, field, scale, decimals) \
    { \
        member, title, G_STRUCT_OFFSET(LbSimResult, field), FALSE, scale, decimals \
    }

static const Figure figures[] = {
    COUNT("migrations", N_("moves"), n_migrations),
    COUNT("ping_pongs", N_("back"), n_ping_pongs),
    NUMBER("overload_hours", N_("overload h"), overload_hours, 1, 2),
    NUMBER("slatah", N_("SLATAH (%)"), slatah, PERCENT, 3),
    NUMBER("over_threshold_hours", N_("over h"), over_hours, 1, 2),
    NUMBER("lost_work", N_("not got (%)"), lost_work, PERCENT, 4),
    NUMBER("pdm", N_("PDM (%)"), pdm, PERCENT, 4),
    NUMBER("imbalance", N_("imbalance"), stddev, 1, 3),
    NUMBER("hosts_used", N_("hosts"), hosts_used, 1, 1),
    NUMBER("moved_bytes", N_("GiB sent"), moved_bytes, 1 / GIB, 0),
};

#define NAME_COLUMNS   20
#define FIGURE_COLUMNS 12

static double
value_of(const Figure *figure, const LbSimResult *result)
{
    gconstpointer field = (const char *)result + figure->offset;

    return figure->is_count ? *(const guint *)field : *(const double *)field;
}

static char *
shown(const Figure *figure, const LbSimResult *result)
{
    return g_strdup_printf("%.*f", figure->decimals, value_of(figure, result) * figure->scale);
}

static char *
describe(const SimulateInput *input)
{
    return g_strdup_printf(
        _("%1$u VMs on %2$u hosts (model %3$s), traces: %4$s, threshold %5$g %%"), input->n_vms,
        input->n_hosts, input->model, input->traces ? input->traces : _("made up"),
        input->threshold);
}

void
simulate_report_text(const SimulateInput *input, const GPtrArray *results)
{
    g_autofree char *about = describe(input);
    g_autofree char *head = cli_padded(_("POLICY"), NAME_COLUMNS);

    printf("%s\n\n%s", about, head);
    for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
        g_autofree char *title = cli_padded(_(figures[f].title), FIGURE_COLUMNS);

        printf(" %s", title);
    }
    putchar('\n');
    for (guint i = 0; i < results->len; i++) {
        const LbSimResult *result = results->pdata[i];

        printf("%-*s", NAME_COLUMNS, result->policy->name);
        for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
            g_autofree char *text = shown(&figures[f], result);

            printf(" %-*s", FIGURE_COLUMNS, text);
        }
        putchar('\n');
    }
}

static void
add_series(JsonBuilder *builder, const char *name, const double *values, guint n)
{
    cli_json_begin_array(builder, name);
    for (guint i = 0; i < n; i++) {
        json_builder_add_double_value(builder, values[i]);
    }
    json_builder_end_array(builder);
}

void
simulate_report_json(const SimulateInput *input, const GPtrArray *results)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    cli_json_string(builder, "traces", input->traces);
    cli_json_string(builder, "model", input->model);
    json_builder_set_member_name(builder, "hosts");
    json_builder_add_int_value(builder, input->n_hosts);
    json_builder_set_member_name(builder, "vms");
    json_builder_add_int_value(builder, input->n_vms);
    json_builder_set_member_name(builder, "threshold");
    json_builder_add_double_value(builder, input->threshold);
    json_builder_set_member_name(builder, "seed");
    json_builder_add_int_value(builder, (gint64)input->seed);
    json_builder_set_member_name(builder, "interval_seconds");
    json_builder_add_int_value(builder, LB_TRACE_INTERVAL_SEC);
    cli_json_begin_array(builder, "policies");
    for (guint i = 0; i < results->len; i++) {
        const LbSimResult *result = results->pdata[i];

        json_builder_begin_object(builder);
        cli_json_string(builder, "name", result->policy->name);
        for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
            json_builder_set_member_name(builder, figures[f].member);
            if (figures[f].is_count) {
                json_builder_add_int_value(builder, (gint64)value_of(&figures[f], result));
            } else {
                json_builder_add_double_value(builder, value_of(&figures[f], result));
            }
        }
        add_series(builder, "imbalance_over_time", result->imbalance, result->n_intervals);
        add_series(builder, "overloaded_hosts_over_time", result->overloaded, result->n_intervals);
        add_series(builder, "migrations_over_time", result->migrations, result->n_intervals);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    cli_print_json(json_builder_get_root(builder));
}

static void
add_chart(GString *html, const GPtrArray *results, const char *title, gsize offset)
{
    g_autofree CliLine *lines = g_new0(CliLine, results->len + 1);
    CliChart chart = {
        .title = title,
        .x_label = _("hours"),
        .x_step = LB_TRACE_INTERVAL_SEC / HOUR,
        .lines = lines,
        .n_lines = results->len,
    };
    g_autofree char *svg = NULL;

    for (guint i = 0; i < results->len; i++) {
        const LbSimResult *result = results->pdata[i];

        lines[i] = (CliLine){result->policy->name,
                             *(double *const *)(gconstpointer)((const char *)result + offset),
                             result->n_intervals};
    }
    svg = cli_chart_svg(&chart);
    g_string_append(html, svg);
}

static void
add_table(GString *html, const GPtrArray *results)
{
    g_string_append_printf(html, "<table><tr><th>%s</th>", _("policy"));
    for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
        g_string_append_printf(html, "<th>%s</th>", _(figures[f].title));
    }
    g_string_append(html, "</tr>\n");
    for (guint i = 0; i < results->len; i++) {
        const LbSimResult *result = results->pdata[i];
        g_autofree char *summary = gantry_xml_escape(_(result->policy->summary));

        g_string_append_printf(html, "<tr><td title='%s'>%s</td>", summary, result->policy->name);
        for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
            g_autofree char *text = shown(&figures[f], result);

            g_string_append_printf(html, "<td>%s</td>", text);
        }
        g_string_append(html, "</tr>\n");
    }
    g_string_append(html, "</table>\n");
}

gboolean
simulate_report_html(const SimulateInput *input, const GPtrArray *results, const char *path,
                     GError **error)
{
    g_autoptr(GString) html = g_string_new(NULL);
    g_autofree char *about = describe(input);
    g_autofree char *escaped = gantry_xml_escape(about);

    g_string_append_printf(
        html,
        "<!DOCTYPE html>\n<html><head><meta charset='utf-8'><title>%s</title>\n<style>"
        "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
        "td,th{border:1px solid #ccc;padding:.3em .7em;text-align:right}"
        "td:first-child,th:first-child{text-align:left}</style></head>\n<body><h1>%s</h1>\n"
        "<p>%s</p>\n",
        _("Balancing, simulated"), _("Balancing, simulated"), escaped);
    add_table(html, results);
    add_chart(html, results, _("Hosts that are wanted more of than they have"),
              G_STRUCT_OFFSET(LbSimResult, overloaded));
    add_chart(html, results, _("Moves so far"), G_STRUCT_OFFSET(LbSimResult, migrations));
    add_chart(html, results, _("Standard deviation of the hosts' loads"),
              G_STRUCT_OFFSET(LbSimResult, imbalance));
    g_string_append(html, "</body></html>\n");
    return cli_plot_write(path, html->str, html->len, error);
}
