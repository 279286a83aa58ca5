/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry balance: one pass of load-triggered migration. Measures all hosts, plans, shows the plan,
 * and makes its moves one after the other.
 */
#include "cli/cli.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/balance_view.h"
#include "cli/domain.h"
#include "common/base/i18n.h"
#include "common/base/text.h"
#include "extensions/extensions.h"
#include "gantry-config.h"
#include "loadbalancer/act/actuator.h"
#include "loadbalancer/collect/collector.h"
#include "loadbalancer/model/state_json.h"

#define MIB (1024 * 1024)

/* Besides those of cli.h. */
enum {
    BALANCE_EXIT_MOVE_FAILED = 10, /* a move failed or was not made; the domain runs on */
    BALANCE_EXIT_PARTIAL = 11,     /* done, but not every host could be asked */
    BALANCE_EXIT_UNCLEAR = 12,     /* after a move a domain is not where it should be */
};

typedef struct {
    gboolean once;
    GStrv hosts;
    double threshold;
    guint64 memory_reserve_mib;
    guint64 interval_msec;
    guint64 host_timeout_msec;
    guint64 timeout_msec;
    char *policy_dir;
    gboolean dry_run;
    gboolean explain;
    gboolean json;
} BalanceOptions;

const GantryOption cli_balance_options[] = {
    {.name = "once",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(BalanceOptions, once),
     .summary = N_("Make one pass and stop; must be given")},
    {.name = "hosts",
     .type = GANTRY_OPTION_LIST,
     .offset = G_STRUCT_OFFSET(BalanceOptions, hosts),
     .metavar = "URI,URI...",
     .summary = N_("libvirt URIs of the hosts; each must be reachable from the others, too")},
    {.name = "threshold",
     .type = GANTRY_OPTION_PERCENT,
     .offset = G_STRUCT_OFFSET(BalanceOptions, threshold),
     .fallback = "80",
     .min = 1,
     .max = 100,
     .metavar = "PERCENT",
     .summary = N_("A host is overloaded when its CPU load is above this")},
    {.name = "memory-reserve",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(BalanceOptions, memory_reserve_mib),
     .fallback = "256",
     .min = 0,
     .max = 1048576,
     .metavar = "MIB",
     .summary = N_("Memory that stays free on a target")},
    {.name = "interval",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(BalanceOptions, interval_msec),
     .fallback = "2s",
     .min = 100,
     .max = 600 * 1000,
     .metavar = "TIME",
     .summary = N_("How long load is measured")},
    {.name = "host-timeout",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(BalanceOptions, host_timeout_msec),
     .fallback = "10s",
     .min = 100,
     .max = 600 * 1000,
     .metavar = "TIME",
     .summary = N_("Give up on a host that has not answered after TIME")},
    {.name = "timeout",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(BalanceOptions, timeout_msec),
     .fallback = "300s",
     .min = 1000,
     .max = 24 * 3600 * 1000.0,
     .metavar = "TIME",
     .summary = N_("Cancel a migration that has not ended after TIME")},
    {.name = "policy-dir",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(BalanceOptions, policy_dir),
     .fallback = GANTRY_CONFDIR "/policy.d",
     .metavar = "DIR",
     .summary = N_("Folder of the policy files")},
    {.name = "dry-run",
     .short_name = 'n',
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(BalanceOptions, dry_run),
     .summary = N_("Show what would be moved, and move nothing")},
    {.name = "explain",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(BalanceOptions, explain),
     .summary = N_("Show every pair of VM and target, and why it was refused")},
    {.name = "json",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(BalanceOptions, json),
     .summary = N_("Print JSON")},
    GANTRY_OPTION_END,
};

static const char balance_examples[] = N_(
    "Examples:\n"
    "  gantry balance --once --dry-run --explain --hosts qemu+ssh://a/system,qemu+ssh://b/system\n"
    "  gantry balance --once --hosts qemu+tls://a/system --hosts qemu+tls://b/system\n"
    "  gantry balance simulate --help\n");

/* One move as it went; for JSON. */
typedef struct {
    const LbCandidate *move;
    LbMoveResult result;
    GError *error; /* NULL: it worked */
} Outcome;

static void
outcome_free(gpointer data)
{
    g_clear_error(&((Outcome *)data)->error);
    g_free(data);
}

/* Ctrl-C cancels the migration; a second one ends the program, and libvirt goes on alone. */
static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
    interrupted = 1;
}

static gboolean
is_cancelled(gpointer data)
{
    return interrupted != 0;
}

static void
show_progress(const LbMoveProgress *progress, gpointer bar)
{
    if (bar) {
        balance_view_bar_update(progress, bar);
    }
}

static Outcome *
make_move(const BalanceOptions *options, const LbState *state, const LbCandidate *candidate)
{
    static const LbMoveWatcher watcher = {.progress = show_progress, .is_cancelled = is_cancelled};
    const LbHost *source = lb_state_host(state, candidate->source);
    const LbHost *target = lb_state_host(state, candidate->target);
    const LbVm *vm = lb_host_vm(source, candidate->vm);
    const LbMove move = {
        .source_uri = options->hosts[candidate->source],
        .target_uri = options->hosts[candidate->target],
        .uuid = vm->uuid,
        .name = vm->name,
        .max_downtime_msec = vm->max_downtime_msec,
        .timeout_msec = (guint)options->timeout_msec,
    };
    Outcome *outcome = g_new0(Outcome, 1);
    BalanceBar bar = {0};

    outcome->move = candidate;
    if (!options->json) {
        balance_view_bar_begin(&bar, vm->name, source->name, target->name);
    }
    lb_move(&move, &watcher, options->json ? NULL : &bar, &outcome->result, &outcome->error);
    if (!options->json) {
        balance_view_bar_end(&bar, outcome->error ? NULL : &outcome->result, vm->max_downtime_msec);
    }
    if (outcome->error) {
        g_autofree char *message = gantry_one_line(outcome->error->message);

        fprintf(stderr, "gantry balance: %s\n", message);
    }
    if (outcome->result.autostart_lost) {
        g_autofree char *name = gantry_printable(vm->name);
        g_autofree char *host = gantry_printable(target->name);

        fprintf(stderr,
                _("gantry balance: domain '%1$s' does not start with host %2$s any more: run "
                  "virsh autostart there\n"),
                name, host);
    }
    return outcome;
}

static void
report_not_made(const LbState *state, const LbCandidate *candidate)
{
    const LbHost *source = lb_state_host(state, candidate->source);
    g_autofree char *name = gantry_printable(lb_host_vm(source, candidate->vm)->name);
    g_autofree char *from = gantry_printable(source->name);
    g_autofree char *to = gantry_printable(lb_state_host(state, candidate->target)->name);

    fprintf(stderr,
            _("gantry balance: domain '%1$s' was not moved from %2$s to %3$s: interrupted "
              "before\n"),
            name, from, to);
}

/* Makes the moves one after the other. Returns: the exit status, @result where all went well. */
static int
make_moves(const BalanceOptions *options, const LbState *state, const LbPlan *plan,
           GPtrArray *outcomes, int result)
{
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND};

    if (plan->moves->len > 0) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
    }
    for (guint i = 0; i < plan->moves->len; i++) {
        const LbCandidate *candidate = &g_array_index(plan->moves, LbCandidate, i);
        Outcome *outcome;

        if (interrupted) {
            report_not_made(state, candidate);
            result = BALANCE_EXIT_MOVE_FAILED;
            continue;
        }
        outcome = make_move(options, state, candidate);
        g_ptr_array_add(outcomes, outcome);
        if (g_error_matches(outcome->error, LB_MOVE_ERROR, LB_MOVE_ERROR_UNCLEAR)) {
            return BALANCE_EXIT_UNCLEAR; /* no further moves before somebody has looked */
        }
        if (outcome->error) {
            result = BALANCE_EXIT_MOVE_FAILED;
        }
    }
    return result;
}

static const char *
failure_name(const GError *error)
{
    switch (error->code) {
    case LB_MOVE_ERROR_STAYED:
        return "stayed";
    case LB_MOVE_ERROR_CANCELLED:
        return "cancelled";
    default:
        return "unclear";
    }
}

static void
print_json(const LbState *state, const LbPlan *plan, const LbPolicy *policy, GPtrArray *outcomes)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    lb_state_to_json(state, plan, policy, builder);
    lb_plan_to_json(plan, state, policy, builder);
    cli_json_begin_array(builder, "results");
    for (guint i = 0; i < outcomes->len; i++) {
        const Outcome *outcome = outcomes->pdata[i];
        const LbHost *source = lb_state_host(state, outcome->move->source);

        json_builder_begin_object(builder);
        cli_json_string(builder, "vm", lb_host_vm(source, outcome->move->vm)->name);
        cli_json_string(builder, "source", source->name);
        cli_json_string(builder, "target", lb_state_host(state, outcome->move->target)->name);
        cli_json_string(builder, "error", outcome->error ? outcome->error->message : NULL);
        cli_json_string(builder, "failure", outcome->error ? failure_name(outcome->error) : NULL);
        json_builder_set_member_name(builder, "total_ms");
        json_builder_add_int_value(builder, (gint64)outcome->result.total_msec);
        json_builder_set_member_name(builder, "downtime_ms");
        json_builder_add_int_value(builder, (gint64)outcome->result.downtime_msec);
        json_builder_set_member_name(builder, "sent_bytes");
        json_builder_add_int_value(builder, (gint64)outcome->result.sent_bytes);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    cli_print_json(json_builder_get_root(builder));
}

/* The exit status for hosts that could not be asked; @tell: they are named on stderr. */
static int
report_unreachable(const LbState *state, gboolean tell)
{
    guint n_unreachable = 0;

    for (guint i = 0; i < state->hosts->len; i++) {
        const LbHost *host = lb_state_host(state, i);

        if (host->status == LB_HOST_FRESH) {
            continue;
        }
        n_unreachable++;
        if (tell) {
            g_autofree char *name = gantry_printable(host->name);
            g_autofree char *reason = gantry_one_line(host->status_reason);

            fprintf(stderr, _("gantry balance: host %1$s: %2$s\n"), name, reason);
        }
    }
    if (n_unreachable == 0) {
        return CLI_EXIT_OK;
    }
    return n_unreachable == state->hosts->len ? CLI_EXIT_FAILED : BALANCE_EXIT_PARTIAL;
}

static LbState *
measure(const BalanceOptions *options, const GantryPolicy *policy, GError **error)
{
    g_autoptr(LbCollector) collector = lb_collector_new((const char *const *)options->hosts);

    lb_collector_sample(collector, (guint)options->host_timeout_msec, FALSE);
    poll(NULL, 0, (int)options->interval_msec); /* the time that is measured */
    lb_collector_sample(collector, (guint)options->host_timeout_msec, TRUE);
    return lb_collector_state(collector, gantry_extensions, policy, error);
}

static int
balance(const BalanceOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryPolicy) policy = NULL;
    g_autoptr(LbState) state = NULL;
    g_autoptr(LbPlan) plan = NULL;
    g_autoptr(GPtrArray) outcomes = g_ptr_array_new_with_free_func(outcome_free);
    const LbPolicy limits = {
        .threshold = options->threshold / 100,
        .memory_reserve_bytes = options->memory_reserve_mib * MIB,
        .explain = options->explain,
    };
    int result;

    policy = cli_policy_load(options->policy_dir, &error);
    if (!policy) {
        return cli_report_error("balance", &error, CLI_EXIT_USAGE);
    }
    state = measure(options, policy, &error);
    if (!state) {
        return cli_report_error("balance", &error, CLI_EXIT_USAGE);
    }
    /* Whoever sees the table sees it there. */
    result = report_unreachable(state, options->json || !isatty(STDOUT_FILENO));
    plan = lb_plan_new(state, &limits);
    if (!options->json) {
        balance_view_hosts(state, plan, &limits);
        if (options->explain) {
            balance_view_candidates(state, plan, &limits);
        }
        balance_view_decision(state, plan, &limits);
    }
    if (!options->dry_run) {
        result = make_moves(options, state, plan, outcomes, result);
    }
    if (options->json) {
        print_json(state, plan, &limits, outcomes);
    }
    return result;
}

static gboolean
check_usage(const BalanceOptions *options, int argc, char **argv)
{
    if (argc > 1) {
        fprintf(stderr, _("gantry balance: takes no argument '%s'\n"), argv[1]);
        return FALSE;
    }
    if (!options->once) {
        fputs(
            _("gantry balance: give --once; passes that repeat by themselves are not there yet\n"),
            stderr);
        return FALSE;
    }
    if (!options->hosts || g_strv_length(options->hosts) < 2) {
        fputs(_("gantry balance: give at least two hosts: --hosts URI,URI\n"), stderr);
        return FALSE;
    }
    for (char **a = options->hosts; *a; a++) {
        g_autofree char *scheme = g_uri_parse_scheme(*a);

        if (!scheme || strpbrk(*a, " \t")) {
            fprintf(
                stderr,
                _("gantry balance: '%s' is not a libvirt URI, as qemu+tls://host/system (several: "
                  "with commas between them)\n"),
                *a);
            return FALSE;
        }
        for (char **b = options->hosts; b < a; b++) {
            if (g_str_equal(*a, *b)) {
                fprintf(stderr, _("gantry balance: host '%s' is named twice\n"), *a);
                return FALSE;
            }
        }
    }
    return TRUE;
}

int
cli_balance(int argc, char **argv)
{
    BalanceOptions options = {0};
    g_autoptr(GError) error = NULL;
    int result;

    if (argc > 1 && g_str_equal(argv[1], "simulate")) {
        return cli_balance_simulate(argc - 1, argv + 1);
    }
    gantry_options_init(cli_balance_options, &options);
    if (!gantry_options_parse_argv(cli_balance_options, &options,
                                   "gantry balance --once --hosts URI,URI... [OPTION...]",
                                   _(balance_examples), &argc, &argv, &error)) {
        result = cli_report_error("balance", &error, CLI_EXIT_USAGE);
    } else if (!check_usage(&options, argc, argv)) {
        result = CLI_EXIT_USAGE;
    } else {
        result = balance(&options);
    }
    gantry_options_clear(cli_balance_options, &options);
    return result;
}
