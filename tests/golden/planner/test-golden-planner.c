/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * State in, plan out: each NAME.json is planned and told as text, and compared with NAME.txt. Then
 * the same with each of the planner's rules taken away: at least one case must change, or nothing
 * here would notice that the rule is gone.
 */
#include "loadbalancer/plan/planner_priv.h"

#include <string.h>

#include "golden.h"
#include "loadbalancer/model/state_json.h"

static char *directory;

static LbState *
load_state(const char *name, LbPolicy *policy)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    LbState *state;

    *policy = (LbPolicy){.threshold = LB_DEFAULT_THRESHOLD,
                         .memory_reserve_bytes = LB_DEFAULT_MEMORY_RESERVE_BYTES,
                         .explain = TRUE};
    json_parser_load_from_file(parser, path, &error);
    g_assert_no_error(error);
    state = lb_state_from_json(json_parser_get_root(parser), policy, &error);
    g_assert_no_error(error);
    return state;
}

static void
tell_candidate(const LbCandidate *candidate, const LbState *state, const LbPolicy *policy,
               GString *text)
{
    const LbHost *source = lb_state_host(state, candidate->source);
    const char *target =
        candidate->target == LB_NO_HOST ? "*" : lb_state_host(state, candidate->target)->name;
    g_autofree char *explanation = lb_candidate_explain(candidate, state, policy);
    g_autofree char *from = g_strescape(source->name, NULL);
    g_autofree char *vm = g_strescape(lb_host_vm(source, candidate->vm)->name, NULL);
    g_autofree char *to = g_strescape(target, NULL);

    g_string_append_printf(text, "%s: %s -> %s: %s: %s\n", from, vm, to,
                           lb_reason_name(candidate->reason), explanation);
}

static char *
tell(const LbPlan *plan, const LbState *state, const LbPolicy *policy)
{
    GString *text = g_string_new(NULL);
    g_autofree char *explanation = lb_plan_explain(plan, state, policy);

    for (guint h = 0; h < state->hosts->len; h++) {
        const LbVerdict *verdict = &g_array_index(plan->verdicts, LbVerdict, h);
        g_autofree char *name = g_strescape(lb_state_host(state, h)->name, NULL);
        g_autofree char *why = lb_verdict_explain(plan, state, policy, h);

        g_string_append_printf(text, "host %s: %.1f %%, %u running: %s: %s\n", name,
                               verdict->load * 100, verdict->n_running,
                               lb_reason_name(verdict->reason), why);
    }
    for (guint i = 0; i < plan->candidates->len; i++) {
        tell_candidate(&g_array_index(plan->candidates, LbCandidate, i), state, policy, text);
    }
    g_string_append_printf(text, "%s: %s\n", lb_reason_name(plan->outcome), explanation);
    for (guint i = 0; i < plan->moves->len; i++) {
        g_string_append(text, "move ");
        tell_candidate(&g_array_index(plan->moves, LbCandidate, i), state, policy, text);
    }
    return g_string_free(text, FALSE);
}

static char *
plan_and_tell(const char *name, LbRule omitted)
{
    LbPolicy policy;
    g_autoptr(LbState) state = load_state(name, &policy);
    g_autoptr(LbPlan) plan = lb_plan_new_without(state, &policy, omitted);

    return tell(plan, state, &policy);
}

static void
test_case(gconstpointer data)
{
    const char *name = data;
    g_autofree char *told = plan_and_tell(name, 0);
    g_autofree char *stem = g_strndup(name, strlen(name) - strlen(".json"));
    g_autofree char *path = g_strdup_printf("%s/%s.txt", directory, stem);

    golden_compare(path, told);
}

static void
test_each_rule_is_missed(gconstpointer data)
{
    char **names = (char **)data;

    for (int bit = 0; bit < LB_N_RULES; bit++) {
        gboolean missed = FALSE;

        for (char **name = names; *name && !missed; name++) {
            g_autofree char *with = plan_and_tell(*name, 0);
            g_autofree char *without = plan_and_tell(*name, (LbRule)(1 << bit));

            missed = !g_str_equal(with, without);
        }
        if (!missed) {
            g_test_fail_printf("no case changes without rule number %d", bit);
        }
    }
}

/* What `gantry balance --json` prints can be read again, and gives the same plan. */
static void
test_json_round_trip(gconstpointer data)
{
    for (char **name = (char **)data; *name; name++) {
        LbPolicy policy, again = {0};
        g_autoptr(LbState) state = load_state(*name, &policy);
        g_autoptr(LbPlan) plan = lb_plan_new(state, &policy);
        g_autoptr(JsonBuilder) builder = json_builder_new();
        g_autoptr(JsonNode) root = NULL;
        g_autofree char *text = NULL;
        g_autoptr(JsonNode) parsed = NULL;
        g_autoptr(LbState) copy = NULL;
        g_autoptr(LbPlan) copy_plan = NULL;
        g_autofree char *told = tell(plan, state, &policy);
        g_autofree char *told_again = NULL;
        g_autoptr(GError) error = NULL;

        json_builder_begin_object(builder);
        lb_state_to_json(state, plan, &policy, builder);
        lb_plan_to_json(plan, state, &policy, builder);
        json_builder_end_object(builder);
        root = json_builder_get_root(builder);
        text = json_to_string(root, TRUE);
        parsed = json_from_string(text, &error);
        g_assert_no_error(error);
        again.explain = TRUE;
        copy = lb_state_from_json(parsed, &again, &error);
        g_assert_no_error(error);
        copy_plan = lb_plan_new(copy, &again);
        told_again = tell(copy_plan, copy, &again);
        g_assert_cmpstr(told, ==, told_again);
    }
}

int
main(int argc, char **argv)
{
    g_auto(GStrv) names = NULL;
    int status;

    g_test_init(&argc, &argv, NULL);
    directory = g_test_build_filename(G_TEST_DIST, "golden", "planner", NULL);
    names = golden_cases(directory, ".json");
    for (char **name = names; *name; name++) {
        g_autofree char *path = g_strconcat("/planner/golden/", *name, NULL);

        g_test_add_data_func(path, *name, test_case);
    }
    g_test_add_data_func("/planner/control/each-rule-is-missed", names, test_each_rule_is_missed);
    g_test_add_data_func("/planner/json-round-trip", names, test_json_round_trip);
    status = g_test_run();
    g_free(directory);
    return status;
}
