/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"
#include "loadbalancer/simulate/run.h"

/* What was simulated: stands above the results. */
typedef struct {
    const char *traces; /* a path; NULL: made up */
    const char *model;
    guint n_hosts;
    guint n_vms;
    double threshold; /* percent */
    guint64 seed;
} SimulateInput;

/* @results: of LbSimResult. */
void simulate_report_text(const SimulateInput *input, const GPtrArray *results);
void simulate_report_json(const SimulateInput *input, const GPtrArray *results);

/* A page with the table and plots, for a browser; needs nothing from a network. */
gboolean simulate_report_html(const SimulateInput *input, const GPtrArray *results,
                              const char *path, GError **error);
