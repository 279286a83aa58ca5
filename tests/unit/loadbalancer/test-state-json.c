/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/state_json.h"

#include "common/base/error.h"

static LbState *
parse(const char *text, LbPolicy *policy, GError **error)
{
    g_autoptr(JsonNode) root = json_from_string(text, NULL);

    g_assert_nonnull(root);
    return lb_state_from_json(root, policy, error);
}

static void
test_defaults(void)
{
    LbPolicy policy = {.threshold = 0.8, .memory_reserve_bytes = 7};
    g_autoptr(GError) error = NULL;
    g_autoptr(LbState) state =
        parse("{\"hosts\": [{\"name\": \"A\", \"vms\": [{\"name\": \"v\", \"uuid\": \"u\"}]}]}",
              &policy, &error);
    const LbVm *vm;

    g_assert_no_error(error);
    g_assert_cmpfloat(policy.threshold, ==, 0.8);
    g_assert_cmpuint(policy.memory_reserve_bytes, ==, 7);
    g_assert_cmpint(lb_state_host(state, 0)->status, ==, LB_HOST_FRESH);
    g_assert_cmpstr(lb_state_host(state, 0)->uuid, ==, "");
    vm = lb_host_vm(lb_state_host(state, 0), 0);
    g_assert_true(vm->running && vm->measured && vm->movable && !vm->nova);
    g_assert_cmpuint(vm->priority, ==, 50);
    g_assert_null(vm->group);
}

static void
test_refusals(void)
{
    static const struct {
        const char *text;
        const char *says;
        int code;
    } cases[] = {
        {"[]", "state is not an object", GANTRY_ERROR_INVALID},
        {"{}", "member 'hosts' is missing", GANTRY_ERROR_INVALID},
        {"{\"hosts\": 7}", "member 'hosts' is not a list", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [7]}", "hosts[0] is not an object", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{}]}", "hosts[0]: member 'name' is missing", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": null}]}", "hosts[0]: member 'name'", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"buzy\": 1}]}", "no member 'buzy'", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"busy\": -1}]}", "'busy'", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"busy\": \"1\"}]}", "'busy'", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"busy\": 1e999}]}", "'busy'", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"cores\": 1.5}]}", "'cores'", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"cores\": 4294967296}]}", "'cores'",
         GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"status\": \"tired\"}]}", "fresh | stale | unreachable",
         GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"vms\": [{\"name\": \"v\"}]}]}",
         "hosts[0].vms[0]: member 'uuid' is missing", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\", \"vms\": [{\"name\": \"v\", \"uuid\": \"u\","
         " \"movable\": 1}]}]}",
         "'movable'", GANTRY_ERROR_INVALID},
        {"{\"hosts\": [{\"name\": \"A\"}, {\"name\": \"A\"}]}", "another host named 'A'",
         GANTRY_ERROR_CONFLICT},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        LbPolicy policy = {.threshold = 0.8};
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(cases[i].text, &policy, &error));
        g_assert_error(error, GANTRY_ERROR, cases[i].code);
        if (!g_strstr_len(error->message, -1, cases[i].says)) {
            g_test_fail_printf("'%s' does not say '%s'", error->message, cases[i].says);
        }
        g_assert_cmpfloat(policy.threshold, ==, 0.8);
    }
}

/* Names come from hosts and guests' owners: whatever they hold, the output is valid JSON. */
static void
test_names_that_are_no_utf8(void)
{
    const LbPolicy policy = {.threshold = 0.8};
    g_autoptr(LbState) state = lb_state_new();
    g_autoptr(LbPlan) plan = NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;
    g_autoptr(JsonNode) again = NULL;
    g_autoptr(GError) error = NULL;

    lb_host_add_vm(lb_state_add_host(state, "\xff\"\n", ""), "\xc3", "u");
    plan = lb_plan_new(state, &policy);
    json_builder_begin_object(builder);
    lb_state_to_json(state, plan, &policy, builder);
    lb_plan_to_json(plan, state, &policy, builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    text = json_to_string(root, FALSE);
    g_assert_true(g_utf8_validate(text, -1, NULL));
    again = json_from_string(text, &error);
    g_assert_no_error(error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lb/state-json/defaults", test_defaults);
    g_test_add_func("/lb/state-json/refusals", test_refusals);
    g_test_add_func("/lb/state-json/names-that-are-no-utf8", test_names_that_are_no_utf8);
    return g_test_run();
}
