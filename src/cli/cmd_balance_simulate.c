/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gantry balance simulate: what the balancer, and others, would do to a fleet over a day. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/plot_file.h"
#include "cli/simulate_report.h"
#include "common/base/i18n.h"
#include "loadbalancer/simulate/trace.h"

#define BAR_CELLS 30
#define PERCENT   100.0

static const char *const model_names[] = {"modern", "cloudsim", NULL};

typedef struct {
    char *traces;
    guint64 n_hosts;
    guint64 n_vms;
    guint64 n_days;
    char *model;
    GStrv policies;
    double threshold;
    guint64 seed;
    char *report;
    gboolean json;
} SimulateOptions;

const GantryOption cli_balance_simulate_options[] = {
    {.name = "traces",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(SimulateOptions, traces),
     .metavar = "PATH",
     .summary =
         N_("Folder of CPU traces, a file a VM, or a .csv file; without it they are made up")},
    {.name = "hosts",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(SimulateOptions, n_hosts),
     .min = 1,
     .max = 100000,
     .metavar = "N",
     .summary = N_("Number of hosts; must be given")},
    {.name = "vms",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(SimulateOptions, n_vms),
     .fallback = "1000",
     .min = 1,
     .max = 1000000,
     .metavar = "N",
     .summary = N_("Number of VMs, where traces are made up")},
    {.name = "days",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(SimulateOptions, n_days),
     .fallback = "1",
     .min = 1,
     .max = 100,
     .metavar = "N",
     .summary = N_("Length of the traces, where they are made up")},
    {.name = "model",
     .type = GANTRY_OPTION_CHOICE,
     .offset = G_STRUCT_OFFSET(SimulateOptions, model),
     .fallback = "modern",
     .choices = model_names,
     .metavar = "MODEL",
     .summary = N_("Kind of hosts and VMs")},
    {.name = "policy",
     .type = GANTRY_OPTION_LIST,
     .offset = G_STRUCT_OFFSET(SimulateOptions, policies),
     .metavar = "POLICY,...",
     .summary = N_("Policies to compare; without it all")},
    {.name = "threshold",
     .type = GANTRY_OPTION_PERCENT,
     .offset = G_STRUCT_OFFSET(SimulateOptions, threshold),
     .fallback = "80",
     .min = 1,
     .max = 100,
     .metavar = "PERCENT",
     .summary = N_("A host is overloaded when its CPU load is above this")},
    {.name = "seed",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(SimulateOptions, seed),
     .fallback = "1",
     .min = 0,
     .max = G_MAXUINT32,
     .metavar = "N",
     .summary = N_("For all that is left to chance; the same gives the same")},
    {.name = "report",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(SimulateOptions, report),
     .metavar = "FILE",
     .summary = N_("Write a page with the table and plots (HTML) as well")},
    {.name = "json",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(SimulateOptions, json),
     .summary = N_("Print JSON")},
    GANTRY_OPTION_END,
};

static char *
description(void)
{
    GString *text = g_string_new(_("Policies:\n"));

    for (const LbSimPolicy *const *policy = lb_sim_policies; *policy; policy++) {
        g_string_append_printf(text, "  %-20s %s\n", (*policy)->name, _((*policy)->summary));
    }
    g_string_append(text, _("\nExamples:\n"
                            "  gantry balance simulate --hosts 22 --report day.html\n"
                            "  gantry balance simulate --hosts 400 --model cloudsim "
                            "--traces planetlab/20110303 --policy gantry,thr-mmt\n"));
    return g_string_free(text, FALSE);
}

typedef struct {
    const char *policy;
    guint number;
    guint n;
    gboolean is_shown;
} Progress;

static void
show_progress(double part, gpointer data)
{
    const Progress *progress = data;
    g_autofree char *bar = cli_bar((progress->number + part) / progress->n, BAR_CELLS);

    if (progress->is_shown) {
        fprintf(stderr, "\r[%s] %-20s", bar, progress->policy);
    }
}

static const LbFleetModel *
find_model(const char *name)
{
    const LbFleetModel *model = lb_fleet_models;

    while (strcmp(model->name, name) != 0) {
        model++; /* it is one of the choices */
    }
    return model;
}

/* (transfer container) (element-type LbSimPolicy): NULL: one is not known. */
static GPtrArray *
find_policies(char *const *names)
{
    g_autoptr(GPtrArray) policies = g_ptr_array_new();

    for (const LbSimPolicy *const *policy = lb_sim_policies; !names && *policy; policy++) {
        g_ptr_array_add(policies, (gpointer)*policy);
    }
    for (char *const *name = names; name && *name; name++) {
        const LbSimPolicy *policy = lb_sim_policy(*name);

        if (!policy) {
            fprintf(stderr,
                    _("gantry balance simulate: no policy '%s'; see 'gantry balance simulate "
                      "--help'\n"),
                    *name);
            return NULL;
        }
        g_ptr_array_add(policies, (gpointer)policy);
    }
    return g_steal_pointer(&policies);
}

/* (transfer full) (element-type LbSimResult) */
static GPtrArray *
simulate_all(const SimulateOptions *options, GPtrArray *traces, const GPtrArray *policies,
             GError **error)
{
    const LbSimOptions limits = {.threshold = options->threshold / PERCENT,
                                 .seed = (guint32)options->seed};
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func(lb_sim_result_free);
    Progress progress = {.n = policies->len, .is_shown = isatty(STDERR_FILENO)};

    for (guint i = 0; i < policies->len; i++) {
        const LbSimPolicy *policy = policies->pdata[i];
        LbSimResult *result;

        progress.policy = policy->name;
        progress.number = i;
        result = lb_simulate(traces, (guint)options->n_hosts, find_model(options->model), policy,
                             &limits, show_progress, &progress, error);
        if (!result) {
            return NULL;
        }
        g_ptr_array_add(results, result);
    }
    if (progress.is_shown) {
        fprintf(stderr, "\r%*s\r", BAR_CELLS + 24, "");
    }
    return g_steal_pointer(&results);
}

static int
simulate(const SimulateOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) policies = find_policies(options->policies);
    g_autoptr(GPtrArray) traces = NULL;
    g_autoptr(GPtrArray) results = NULL;
    SimulateInput input = {
        .traces = options->traces,
        .model = options->model,
        .n_hosts = (guint)options->n_hosts,
        .threshold = options->threshold,
        .seed = options->seed,
    };

    if (!policies) {
        return CLI_EXIT_USAGE;
    }
    if (options->report && !cli_plot_check(options->report, options->traces, &error)) {
        return cli_report_error("balance simulate", &error, CLI_EXIT_FAILED);
    }
    traces = options->traces ? lb_traces_load(options->traces, &error)
                             : lb_traces_make_up((guint)options->n_vms,
                                                 (guint)options->n_days * LB_TRACE_VALUES_A_DAY,
                                                 (guint32)options->seed);
    results = traces ? simulate_all(options, traces, policies, &error) : NULL;
    if (!results) {
        return cli_report_error("balance simulate", &error, CLI_EXIT_FAILED);
    }
    input.n_vms = traces->len;
    if (options->json) {
        simulate_report_json(&input, results);
    } else {
        simulate_report_text(&input, results);
    }
    if (options->report && !simulate_report_html(&input, results, options->report, &error)) {
        return cli_report_error("balance simulate", &error, CLI_EXIT_FAILED);
    }
    return CLI_EXIT_OK;
}

int
cli_balance_simulate(int argc, char **argv)
{
    SimulateOptions options = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = description();
    int result;

    gantry_options_init(cli_balance_simulate_options, &options);
    if (!gantry_options_parse_argv(cli_balance_simulate_options, &options,
                                   "gantry balance simulate --hosts N [OPTION...]", text, &argc,
                                   &argv, &error)) {
        result = cli_report_error("balance simulate", &error, CLI_EXIT_USAGE);
    } else if (argc > 1) {
        fprintf(stderr, _("gantry balance simulate: takes no argument '%s'\n"), argv[1]);
        result = CLI_EXIT_USAGE;
    } else if (options.n_hosts == 0) {
        fputs(_("gantry balance simulate: give the number of hosts: --hosts N\n"), stderr);
        result = CLI_EXIT_USAGE;
    } else {
        result = simulate(&options);
    }
    gantry_options_clear(cli_balance_simulate_options, &options);
    return result;
}
