/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The planner's answers as sentences. */
#include "loadbalancer/plan/planner.h"

#include <inttypes.h>

#include "common/base/i18n.h"
#include "common/base/text.h"

static double
percent(double load)
{
    return load * 100;
}

static double
mib(guint64 bytes)
{
    return (double)bytes / (1024 * 1024);
}

static char *
host_name(const LbState *state, guint host)
{
    return gantry_printable(host == LB_NO_HOST ? "?" : lb_state_host(state, host)->name);
}

char *
lb_plan_explain(const LbPlan *plan, const LbState *state, const LbPolicy *policy)
{
    switch (plan->outcome) {
    case LB_REASON_MOVE:
        return g_strdup_printf(dngettext("gantry", "%u move relieves an overloaded host.",
                                         "%u moves relieve overloaded hosts.", plan->moves->len),
                               plan->moves->len);
    case LB_REASON_BALANCED:
        return g_strdup_printf(_("Nothing to do: no host is over %g %%."),
                               percent(policy->threshold));
    case LB_REASON_NOT_OVERCOMMITTED:
        return g_strdup(
            _("Nothing to do: no host over the threshold has more running VMs than cores."));
    case LB_REASON_NOT_SUSTAINED:
        return g_strdup(_("Nothing to do yet: no host has been over the threshold long enough."));
    case LB_REASON_SOURCE_TAKEN:
        return g_strdup(_("Nothing more to do now: moves of the overloaded hosts are under way."));
    case LB_REASON_CAPPED:
        return g_strdup_printf(_("Nothing more to do now: %u moves may be under way at once."),
                               policy->max_moves);
    case LB_REASON_NO_VM:
        return g_strdup(_("Nothing to do: on no overloaded host is there a VM that may move and "
                          "whose leaving suffices."));
    case LB_REASON_NO_TARGET:
        return g_strdup(
            _("Nothing to do: no host can take any of the VMs whose leaving would suffice."));
    default:
        return g_strdup(_("Nothing to do: there are no fresh numbers of any host."));
    }
}

char *
lb_verdict_explain(const LbPlan *plan, const LbState *state, const LbPolicy *policy, guint host)
{
    const LbVerdict *verdict = &g_array_index(plan->verdicts, LbVerdict, host);
    const LbHost *at = lb_state_host(state, host);
    const char *reason = at->status_reason ? at->status_reason : "";

    switch (verdict->reason) {
    case LB_REASON_UNREACHABLE:
        return g_strdup_printf(_("cannot be measured: %s"), reason);
    case LB_REASON_STALE:
        return g_strdup_printf(_("its numbers are old: %s"), reason);
    case LB_REASON_BELOW_THRESHOLD:
        return g_strdup_printf(_("not over %g %%"), percent(policy->threshold));
    case LB_REASON_NOT_OVERCOMMITTED:
        return g_strdup_printf(_("over %1$g %%, but not more running VMs (%2$u) than cores (%3$u)"),
                               percent(policy->threshold), verdict->n_running, at->n_cores);
    case LB_REASON_NOT_SUSTAINED:
        return g_strdup_printf(_("over %1$g %%, but only in %2$u of the last samples; it takes "
                                 "%3$u"),
                               percent(policy->threshold), at->n_over, policy->n_over);
    case LB_REASON_SOURCE_TAKEN:
        return g_strdup(_("takes part in as many moves as it may"));
    case LB_REASON_CAPPED:
        return g_strdup_printf(_("must wait: %u moves may be under way at once in all"),
                               policy->max_moves);
    case LB_REASON_STEP:
        return g_strdup(_("overloaded; a move is the first of several that will relieve it"));
    case LB_REASON_EMPTY:
        return g_strdup(_("drained: no VM is left"));
    case LB_REASON_RELIEVED:
        if (at->draining) {
            return g_strdup(_("is drained; a VM leaves it"));
        }
        return g_strdup(_("overloaded; a move will relieve it"));
    case LB_REASON_NO_VM:
        if (at->draining) {
            return g_strdup(_("is drained, but none of its VMs may move"));
        }
        return g_strdup(_("overloaded, but no single VM that may move would relieve it"));
    default:
        if (at->draining) {
            return g_strdup(_("is drained, but no host can take any of its VMs"));
        }
        return g_strdup(_("overloaded, but no host can take what would suffice"));
    }
}

/* The reasons that are about what a move would cost. */
static char *
explain_cost(LbReason reason, const LbVm *vm, const LbPolicy *policy)
{
    const LbCostLimits *limits = &policy->cost;
    LbCost cost = lb_cost_predict(vm->memory_bytes, vm->dirty_bytes_per_sec,
                                  limits->bandwidth_bytes_per_sec, vm->max_downtime_msec);

    switch (reason) {
    case LB_REASON_DIRTIES_TOO_FAST:
        return g_strdup_printf(_("it writes %1$.0f MiB of memory each second, more than %2$g of "
                                 "the %3$.0f that can be sent"),
                               mib(vm->dirty_bytes_per_sec), limits->max_dirty_ratio,
                               mib(limits->bandwidth_bytes_per_sec));
    case LB_REASON_DOWNTIME_TOO_LONG:
        return g_strdup_printf(_("it would pause for about %1$.0f ms; its max-downtime is %2$u"),
                               cost.downtime_msec, vm->max_downtime_msec);
    case LB_REASON_TAKES_TOO_LONG:
        return g_strdup_printf(_("to move it would take about %1$.0f s; the limit is %2$u"),
                               cost.sec, limits->max_sec);
    default:
        return NULL;
    }
}

/* The reasons that are about a target, which such a candidate has. */
static char *
explain_target(const LbCandidate *candidate, const LbState *state, const LbPolicy *policy)
{
    const LbHost *target = lb_state_host(state, candidate->target);
    const LbVm *vm = lb_host_vm(lb_state_host(state, candidate->source), candidate->vm);
    g_autofree char *from = host_name(state, candidate->source);
    g_autofree char *to = host_name(state, candidate->target);

    switch (candidate->reason) {
    case LB_REASON_TARGET_STALE:
        return g_strdup_printf(_("the numbers of %1$s are old: %2$s"), to,
                               target->status_reason ? target->status_reason : "");
    case LB_REASON_TARGET_UNREACHABLE:
        return g_strdup_printf(_("%1$s cannot be measured: %2$s"), to,
                               target->status_reason ? target->status_reason : "");
    case LB_REASON_TARGET_CLOSED:
        return g_strdup_printf(_("nothing can move to %1$s: %2$s"), to, target->closed_reason);
    case LB_REASON_TARGET_TAKEN:
        return g_strdup_printf(_("%s takes part in another move"), to);
    case LB_REASON_TARGET_DRAINED:
        return g_strdup_printf(_("%s is being drained"), to);
    case LB_REASON_TARGET_POOL:
        return g_strdup_printf(_("%s is in another pool"), to);
    case LB_REASON_TARGET_CPU_MODEL:
        return g_strdup_printf(_("%s does not have the CPU that it was started with"), to);
    case LB_REASON_QUARANTINED:
        return g_strdup_printf(_("a move of it to %s has failed lately"), to);
    case LB_REASON_LITTLE_GAIN:
        return g_strdup_printf(_("then %1$s has %2$.1f %% and %3$s %4$.1f %%: less than %5$g "
                                 "points are gained"),
                               from, percent(candidate->source_after), to,
                               percent(candidate->target_after), percent(policy->margin));
    case LB_REASON_TARGET_WOULD_EXCEED:
        return g_strdup_printf(_("%1$s would have %2$.1f %%, over %3$g %%"), to,
                               percent(candidate->target_after), percent(policy->threshold));
    case LB_REASON_TARGET_FORECAST:
        return g_strdup_printf(_("%1$s is forecast to have %2$.1f %% with it"), to,
                               percent(candidate->target_forecast));
    case LB_REASON_TARGET_MEMORY:
        return g_strdup_printf(
            _("%1$s has %2$.0f MiB available; %3$.0f are needed and %4$.0f stay in reserve"), to,
            mib(target->memory_available_bytes -
                MIN(target->memory_available_bytes, target->incoming_bytes)),
            mib(vm->memory_bytes), mib(policy->memory_reserve_bytes));
    default:
        return g_strdup(lb_reason_name(candidate->reason));
    }
}

char *
lb_candidate_explain(const LbCandidate *candidate, const LbState *state, const LbPolicy *policy)
{
    const LbHost *source = lb_state_host(state, candidate->source);
    const LbVm *vm = lb_host_vm(source, candidate->vm);
    g_autofree char *from = host_name(state, candidate->source);
    g_autofree char *to = host_name(state, candidate->target);
    g_autofree char *other = host_name(state, candidate->other);
    g_autofree char *group = gantry_printable(vm->group ? vm->group : "");
    g_autofree char *wrong = gantry_printable(vm->settings_error ? vm->settings_error : "");

    switch (candidate->reason) {
    case LB_REASON_CHOSEN:
    case LB_REASON_FEASIBLE:
        return g_strdup_printf(_("then %1$s has %2$.1f %% and %3$s %4$.1f %%"), from,
                               percent(candidate->source_after), to,
                               percent(candidate->target_after));
    case LB_REASON_AFFINITY:
        return g_strdup_printf(_("its group '%1$s' stays together, and has a VM on %2$s"), group,
                               other);
    case LB_REASON_ANTI_AFFINITY:
        return g_strdup_printf(_("its group '%1$s' stays apart, and has a VM on %2$s"), group,
                               other);
    case LB_REASON_SETTINGS_INVALID:
        return g_strdup_printf(_("its settings are wrong: %s"), wrong);
    case LB_REASON_NOT_MOVABLE:
        return g_strdup(_("its settings say movable='no'"));
    case LB_REASON_NOVA_MANAGED:
        return g_strdup(_("it is Nova's: moved behind Nova's back it would be started a second "
                          "time later"));
    case LB_REASON_TIED:
        return gantry_printable(vm->tied_reason ? vm->tied_reason : "");
    case LB_REASON_MOVING:
        return g_strdup(_("it is being moved"));
    case LB_REASON_COOLING_DOWN:
        return g_strdup_printf(_("it was moved lately, and rests for another %" PRIu64 " s"),
                               vm->cooldown_sec);
    case LB_REASON_DIRTIES_TOO_FAST:
    case LB_REASON_DOWNTIME_TOO_LONG:
    case LB_REASON_TAKES_TOO_LONG:
        return explain_cost(candidate->reason, vm, policy);
    case LB_REASON_UNMEASURED:
        return g_strdup(_("its load or its memory is not known yet"));
    case LB_REASON_DUPLICATE:
        return g_strdup(_("it runs on more than one host: find out which one is right, and end "
                          "the other"));
    case LB_REASON_GROUP_UNSEEN:
        return g_strdup_printf(_("VMs of its group '%1$s' may be on %2$s, which could not be "
                                 "asked just now"),
                               group, other);
    case LB_REASON_SOURCE_STAYS_OVER:
        return g_strdup_printf(_("without it %1$s still has %2$.1f %%, not below %3$g %%"), from,
                               percent(candidate->source_after), percent(policy->threshold));
    default:
        return explain_target(candidate, state, policy);
    }
}
