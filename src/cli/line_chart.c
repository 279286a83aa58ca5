/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/line_chart.h"

#include <math.h>

#include "common/xml/document.h"

enum {
    LEFT = 60,
    TOP = 40,
    WIDTH = 720,
    HEIGHT = 220,
    BOTTOM = 40,
    LEGEND = 190,
    N_TICKS = 5,
};

static const char *const colours[] = {"#2d6ea8", "#888888", "#c8562e", "#8a4fa8",
                                      "#3f9b57", "#c79a1d", "#43a5b5"};

/* 1, 2 or 5 times a power of ten, so that N_TICKS of them reach @most. */
static double
tick_for(double most)
{
    double raw = MAX(most, 1e-9) / N_TICKS;
    double power = pow(10, floor(log10(raw)));

    for (guint i = 0; i < 3; i++) {
        static const double steps[] = {1, 2, 5};

        if (raw <= steps[i] * power) {
            return steps[i] * power;
        }
    }
    return 10 * power;
}

static void
add_text(GString *svg, double x, double y, const char *anchor, const char *text)
{
    g_autofree char *escaped = gantry_xml_escape(text);

    g_string_append_printf(svg, "<text x='%.1f' y='%.1f' text-anchor='%s'>%s</text>\n", x, y,
                           anchor, escaped);
}

static void
add_axes(GString *svg, const CliChart *chart, double tick, double x_most)
{
    double x_tick = tick_for(x_most);

    for (guint i = 0; i <= N_TICKS; i++) {
        double y = TOP + HEIGHT - HEIGHT * (double)i / N_TICKS;
        g_autofree char *label = g_strdup_printf("%g", tick * i);

        g_string_append_printf(svg, "<path d='M%d %.1fh%d' stroke='#ddd'/>\n", LEFT, y, WIDTH);
        add_text(svg, LEFT - 6, y + 4, "end", label);
    }
    for (double x = 0; x <= x_most * (1 + 1e-9); x += x_tick) {
        g_autofree char *label = g_strdup_printf("%g", x);

        add_text(svg, LEFT + WIDTH * x / MAX(x_most, 1e-9), TOP + HEIGHT + 16, "middle", label);
    }
    add_text(svg, LEFT + WIDTH / 2.0, TOP + HEIGHT + 32, "middle", chart->x_label);
    add_text(svg, LEFT, TOP - 16, "start", chart->title);
}

static void
add_line(GString *svg, const CliLine *line, guint index, double y_most)
{
    const char *colour = colours[index % G_N_ELEMENTS(colours)];
    guint n_columns = MIN(line->n, (guint)WIDTH);

    g_string_append_printf(svg, "<path fill='none' stroke-width='1.5' stroke='%s' d='", colour);
    for (guint column = 0; column < n_columns; column++) {
        guint first = (guint)((guint64)column * line->n / n_columns);
        guint end = (guint)((guint64)(column + 1) * line->n / n_columns);
        double most = 0;

        for (guint i = first; i < end; i++) {
            most = MAX(most, line->values[i]);
        }
        g_string_append_printf(svg, "%c%.1f %.1f", column == 0 ? 'M' : 'L',
                               LEFT + WIDTH * (column + 0.5) / n_columns,
                               TOP + HEIGHT - HEIGHT * most / y_most);
    }
    g_string_append(svg, "'/>\n");
    g_string_append_printf(svg, "<path d='M%d %dh16' stroke-width='3' stroke='%s'/>\n",
                           LEFT + WIDTH + 16, TOP + 8 + (int)index * 20, colour);
    add_text(svg, LEFT + WIDTH + 38, TOP + 12 + index * 20.0, "start", line->name);
}

char *
cli_chart_svg(const CliChart *chart)
{
    GString *svg = g_string_new(NULL);
    double most = 0;
    double tick;
    guint n = 0;

    for (guint i = 0; i < chart->n_lines; i++) {
        n = MAX(n, chart->lines[i].n);
        for (guint k = 0; k < chart->lines[i].n; k++) {
            most = MAX(most, chart->lines[i].values[k]);
        }
    }
    tick = tick_for(most);
    g_string_append_printf(svg,
                           "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
                           "font-family='sans-serif' font-size='12'>\n"
                           "<rect width='100%%' height='100%%' fill='#fff'/>\n",
                           LEFT + WIDTH + LEGEND, TOP + HEIGHT + BOTTOM);
    add_axes(svg, chart, tick, n * chart->x_step);
    for (guint i = 0; i < chart->n_lines; i++) {
        add_line(svg, &chart->lines[i], i, tick * N_TICKS);
    }
    g_string_append(svg, "</svg>\n");
    return g_string_free(svg, FALSE);
}
