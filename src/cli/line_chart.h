/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* One line of a chart. */
typedef struct {
    const char *name;
    const double *values;
    guint n;
} CliLine;

typedef struct {
    const char *title;
    const char *x_label;
    double x_step; /* between two values */
    const CliLine *lines;
    guint n_lines;
} CliChart;

/* An SVG document with lines from 0 on, and their names beside them; more values than it has
 * columns are taken together, the largest counts. (transfer full) */
char *cli_chart_svg(const CliChart *chart);
