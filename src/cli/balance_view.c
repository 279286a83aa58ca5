/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/balance_view.h"

#include <stdio.h>

#include "cli/cli.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

#define HOST_COLUMNS 16
#define LOAD_CELLS   20
#define BAR_CELLS    30
#define MIB          (1024.0 * 1024.0)

void
balance_view_hosts(const LbState *state, const LbPlan *plan, const LbPolicy *policy)
{
    g_autofree char *host_title = cli_padded(_("HOST"), HOST_COLUMNS);
    g_autofree char *load_title = cli_padded(_("LOAD"), LOAD_CELLS + 9);
    g_autofree char *cores_title = cli_padded(_("CORES"), 6);
    g_autofree char *vms_title = cli_padded(_("VMS"), 6);

    printf("%s %s %s %s %s\n", host_title, load_title, cores_title, vms_title, _("VERDICT"));
    for (guint i = 0; i < state->hosts->len; i++) {
        const LbHost *host = lb_state_host(state, i);
        const LbVerdict *verdict = &g_array_index(plan->verdicts, LbVerdict, i);
        g_autofree char *printable = gantry_printable(host->name);
        g_autofree char *name = cli_padded(printable, HOST_COLUMNS);
        g_autofree char *bar = cli_bar(verdict->load, LOAD_CELLS);
        g_autofree char *text = lb_verdict_explain(plan, state, policy, i);

        if (host->status == LB_HOST_UNREACHABLE) {
            printf("%s %s\n", name, text);
        } else {
            printf("%s [%s] %4.0f %% %-6u %-6u %s\n", name, bar, verdict->load * 100, host->n_cores,
                   verdict->n_running, text);
        }
    }
}

/* "web-1 -> host-b: chosen; then host-a has 54.6 % and host-b 30.9 %" */
static void
print_candidate(const LbCandidate *candidate, const LbState *state, const LbPolicy *policy)
{
    const LbHost *source = lb_state_host(state, candidate->source);
    g_autofree char *vm = gantry_printable(lb_host_vm(source, candidate->vm)->name);
    g_autofree char *target = gantry_printable(
        candidate->target == LB_NO_HOST ? "*" : lb_state_host(state, candidate->target)->name);
    g_autofree char *text = lb_candidate_explain(candidate, state, policy);

    printf("  %s -> %s: %s: %s\n", vm, target, lb_reason_name(candidate->reason), text);
}

void
balance_view_candidates(const LbState *state, const LbPlan *plan, const LbPolicy *policy)
{
    if (plan->candidates->len > 0) {
        printf("\n%s\n", _("Candidates:"));
    }
    for (guint i = 0; i < plan->candidates->len; i++) {
        print_candidate(&g_array_index(plan->candidates, LbCandidate, i), state, policy);
    }
}

void
balance_view_decision(const LbState *state, const LbPlan *plan, const LbPolicy *policy)
{
    g_autofree char *outcome = lb_plan_explain(plan, state, policy);

    printf("\n%s\n", outcome);
    for (guint i = 0; i < plan->moves->len; i++) {
        print_candidate(&g_array_index(plan->moves, LbCandidate, i), state, policy);
    }
}

void
balance_view_bar_begin(BalanceBar *bar, const char *domain, const char *source, const char *target)
{
    g_autofree char *printable_domain = gantry_printable(domain);
    g_autofree char *printable_source = gantry_printable(source);
    g_autofree char *printable_target = gantry_printable(target);

    bar->label = g_strdup_printf(_("Moving %1$s from %2$s to %3$s"), printable_domain,
                                 printable_source, printable_target);
    bar->fancy = cli_is_fancy();
    bar->last_tenth = -1;
    if (!bar->fancy) {
        puts(bar->label);
        fflush(stdout);
    }
}

void
balance_view_bar_update(const LbMoveProgress *progress, gpointer data)
{
    BalanceBar *bar = data;
    int tenth = (int)(progress->fraction * 10);

    if (bar->fancy) {
        g_autofree char *drawn = cli_bar(progress->fraction, BAR_CELLS);

        printf("\r%s [%s] %3.0f %%  %.0f MiB  %.1f s ", bar->label, drawn, progress->fraction * 100,
               (double)progress->sent_bytes / MIB, (double)progress->elapsed_msec / 1000);
    } else if (tenth != bar->last_tenth) {
        g_autofree char *drawn = cli_bar(progress->fraction, BAR_CELLS);

        printf(_("  [%1$s] %2$3.0f %%, %3$.0f MiB sent\n"), drawn, progress->fraction * 100,
               (double)progress->sent_bytes / MIB);
        bar->last_tenth = tenth;
    }
    fflush(stdout);
}

void
balance_view_bar_end(BalanceBar *bar, const LbMoveResult *result, guint max_downtime_msec)
{
    if (bar->fancy) {
        g_autofree char *full = cli_bar(result ? 1.0 : 0.0, BAR_CELLS);

        printf("\r%s [%s]\033[K\n", bar->label, full);
    }
    if (result) {
        printf(_("  done in %1$.2f s, %2$.0f MiB sent, downtime %3$llu ms\n"),
               (double)result->total_msec / 1000, (double)result->sent_bytes / MIB,
               (unsigned long long)result->downtime_msec);
        if (result->downtime_msec > max_downtime_msec && max_downtime_msec > 0) {
            printf(_("  (longer than the %u ms that its settings allow)\n"), max_downtime_msec);
        }
    }
    fflush(stdout);
    g_clear_pointer(&bar->label, g_free);
}
