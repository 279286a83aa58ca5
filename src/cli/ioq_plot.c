/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/ioq_plot.h"

#include "cli/plot_file.h"

#include "common/base/i18n.h"
#include "common/xml/document.h"
#include "ioq_tuning/tune/tune.h"

enum {
    BAR_WIDTH = 24,
    GROUP_WIDTH = 112,
    HEIGHT = 200, /* of a full bar */
    LEFT = 50,
    TOP = 60,
    BOTTOM = 40,
    N_BARS = 3,
};

static const char *const colours[N_BARS] = {"#4878a8", "#58a066", "#c8823c"};
static const char *const names[N_BARS] = {N_("IOPS"), N_("IOPS per CPU second"), N_("utilisation")};

static void
draw_text(GString *svg, int x, int y, const char *anchor, const char *text)
{
    g_autofree char *escaped = gantry_xml_escape(text);

    g_string_append_printf(svg, "<text x='%d' y='%d' text-anchor='%s'>%s</text>\n", x, y, anchor,
                           escaped);
}

static void
draw_bar(GString *svg, int x, int colour, double share)
{
    int height = (int)(CLAMP(share, 0.0, 1.0) * HEIGHT + 0.5);

    g_string_append_printf(svg, "<rect x='%d' y='%d' width='%d' height='%d' fill='%s'/>\n", x,
                           TOP + HEIGHT - height, BAR_WIDTH - 2, height, colours[colour]);
}

static void
draw_frame(GString *svg, int width)
{
    for (int percent = 0; percent <= 100; percent += 25) {
        int y = TOP + HEIGHT - percent * HEIGHT / 100;
        g_autofree char *label = g_strdup_printf("%d %%", percent);

        g_string_append_printf(svg, "<path d='M%d %dH%d' stroke='#ccc'/>\n", LEFT, y, width);
        draw_text(svg, LEFT - 6, y + 4, "end", label);
    }
    for (int i = 0, x = LEFT; i < N_BARS; i++) {
        g_string_append_printf(svg, "<rect x='%d' y='20' width='12' height='12' fill='%s'/>\n", x,
                               colours[i]);
        draw_text(svg, x + 16, 31, "start", _(names[i]));
        x += 30 + (int)g_utf8_strlen(_(names[i]), -1) * 8;
    }
}

gboolean
cli_ioq_plot(const char *path, const GPtrArray *rows, GError **error)
{
    g_autoptr(GString) svg = g_string_new(NULL);
    int width = MAX(LEFT + (int)rows->len * GROUP_WIDTH, 460);
    double most_iops = 1, most_per_cpu = 1;

    for (guint i = 0; i < rows->len; i++) {
        const IoqTuneRow *row = rows->pdata[i];

        most_iops = MAX(most_iops, row->iops);
        most_per_cpu = MAX(most_per_cpu, row->iops_per_cpu);
    }
    g_string_append_printf(svg,
                           "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
                           "font-family='sans-serif' font-size='12'>\n"
                           "<rect width='100%%' height='100%%' fill='white'/>\n",
                           width + 10, TOP + HEIGHT + BOTTOM);
    draw_frame(svg, width);
    for (guint i = 0; i < rows->len; i++) {
        const IoqTuneRow *row = rows->pdata[i];
        int x = LEFT + (int)i * GROUP_WIDTH + 16;
        g_autofree char *label = g_strdup_printf("k = %u", row->queues_per_thread);
        g_autofree char *iops = g_strdup_printf("%.0f IOPS", row->iops);

        draw_bar(svg, x, 0, row->iops / most_iops);
        draw_bar(svg, x + BAR_WIDTH, 1, row->iops_per_cpu / most_per_cpu);
        draw_bar(svg, x + 2 * BAR_WIDTH, 2, row->utilisation);
        draw_text(svg, x + N_BARS * BAR_WIDTH / 2, TOP + HEIGHT + 16, "middle", label);
        draw_text(svg, x + N_BARS * BAR_WIDTH / 2, TOP + HEIGHT + 32, "middle", iops);
    }
    g_string_append(svg, "</svg>\n");
    return cli_plot_write(path, svg->str, svg->len, error);
}
