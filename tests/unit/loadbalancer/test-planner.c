/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of plans for random fleets: what S2 promises of each move, that doing as planned
 * leaves nothing to do or at least comes to an end, and that the order of hosts and VMs does not
 * matter. The golden cases are in tests/golden/planner.
 */
#include "loadbalancer/plan/planner_priv.h"

#define N_FLEETS 2000
#define GIB      (G_GUINT64_CONSTANT(1) << 30)

static const LbPolicy policy = {
    .threshold = LB_DEFAULT_THRESHOLD,
    .memory_reserve_bytes = LB_DEFAULT_MEMORY_RESERVE_BYTES,
    .explain = TRUE,
};

static double
random_double(GRand *random, double from, double to)
{
    return g_rand_double_range(random, from, to);
}

static gboolean
one_in(GRand *random, int n)
{
    return g_rand_int_range(random, 0, n) == 0;
}

/* @full: about that many hosts are near or over the threshold. */
static void
add_random_host(GRand *random, LbState *state, guint index, gboolean full)
{
    static const guint sizes[] = {1, 2, 4, 8};
    g_autofree char *name = g_strdup_printf("host-%u", index);
    LbHost *host = lb_state_add_host(state, name, name);
    guint n_vms;
    double rest;

    host->n_cores = sizes[g_rand_int_range(random, 0, G_N_ELEMENTS(sizes))];
    host->capacity = host->n_cores;
    host->busy =
        host->capacity * (full ? random_double(random, 0.7, 1) : random_double(random, 0, 0.7));
    host->memory_total_bytes = 64 * GIB;
    host->memory_available_bytes = (guint64)g_rand_int_range(random, 0, 32) * GIB;
    if (one_in(random, 10)) {
        host->status = LB_HOST_STALE;
        host->status_reason = g_strdup("old");
    }
    n_vms = (guint)g_rand_int_range(random, 0, (int)host->n_cores * 3 + 1);
    rest = host->busy;
    for (guint i = 0; i < n_vms; i++) {
        g_autofree char *vm_name = g_strdup_printf("vm-%u-%u", index, i);
        LbVm *vm = lb_host_add_vm(host, vm_name, vm_name);

        vm->cpu = MIN(rest, random_double(random, 0, 2 * host->busy / n_vms));
        rest -= vm->cpu;
        vm->memory_bytes = (guint64)g_rand_int_range(random, 1, 8) * GIB;
        vm->movable = !one_in(random, 8);
        vm->nova = one_in(random, 16);
        vm->priority = (guint)g_rand_int_range(random, 0, 3) * 50;
        vm->running = !one_in(random, 16);
        if (one_in(random, 4)) {
            vm->group = g_strdup_printf("group-%d", g_rand_int_range(random, 0, 3));
            vm->policy = one_in(random, 2) ? LB_GROUP_AFFINITY : LB_GROUP_ANTI_AFFINITY;
        }
    }
}

static LbState *
random_fleet(GRand *random, guint n_full)
{
    LbState *state = lb_state_new();
    guint n_hosts = (guint)g_rand_int_range(random, 2, 9);

    for (guint i = 0; i < n_hosts; i++) {
        add_random_host(random, state, i, i < n_full);
    }
    return state;
}

static guint
count_verdicts(const LbPlan *plan, LbReason reason)
{
    guint n = 0;

    for (guint i = 0; i < plan->verdicts->len; i++) {
        n += g_array_index(plan->verdicts, LbVerdict, i).reason == reason ? 1 : 0;
    }
    return n;
}

/* The loads before the move are @state's; the test works them out by itself. */
static void
check_move(const LbState *state, const LbCandidate *move)
{
    const LbHost *source = lb_state_host(state, move->source);
    const LbHost *target = lb_state_host(state, move->target);
    const LbVm *vm = lb_host_vm(source, move->vm);

    g_assert_cmpfloat(source->busy / source->capacity, >, policy.threshold);
    g_assert_cmpuint(lb_host_count_running(source), >, source->n_cores);
    g_assert_cmpfloat((source->busy - vm->cpu) / source->capacity, <, policy.threshold);
    g_assert_cmpfloat((target->busy + vm->cpu) / target->capacity, <=, policy.threshold + 1e-9);
    g_assert_cmpuint(vm->memory_bytes + policy.memory_reserve_bytes, <=,
                     target->memory_available_bytes);
    g_assert_cmpint(source->status, ==, LB_HOST_FRESH);
    g_assert_cmpint(target->status, ==, LB_HOST_FRESH);
    g_assert_true(vm->running && vm->movable && !vm->nova);
    for (guint i = 0; vm->group && i < target->vms->len; i++) {
        const LbVm *other = lb_host_vm(target, i);

        g_assert_false(
            other->running && g_strcmp0(other->group, vm->group) == 0 &&
            (other->policy == LB_GROUP_ANTI_AFFINITY || vm->policy == LB_GROUP_ANTI_AFFINITY));
    }
}

static void
test_moves_keep_the_conditions(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    guint n_moves = 0;

    for (guint i = 0; i < N_FLEETS; i++) {
        g_autoptr(LbState) state = random_fleet(random, 3);
        g_autoptr(LbPlan) plan = lb_plan_new(state, &policy);

        for (guint m = 0; m < plan->moves->len; m++) {
            check_move(state, &g_array_index(plan->moves, LbCandidate, m));
        }
        g_assert_cmpuint(count_verdicts(plan, LB_REASON_RELIEVED), ==, plan->moves->len);
        n_moves += plan->moves->len;
    }
    g_assert_cmpuint(n_moves, >, N_FLEETS / 20); /* the fleets are not all at peace */
}

/* Each host is in one move at most. */
static void
test_one_move_a_host(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(2);

    for (guint i = 0; i < N_FLEETS; i++) {
        g_autoptr(LbState) state = random_fleet(random, 6);
        g_autoptr(LbPlan) plan = lb_plan_new(state, &policy);
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

        for (guint m = 0; m < plan->moves->len; m++) {
            const LbCandidate *move = &g_array_index(plan->moves, LbCandidate, m);

            g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(move->source)));
            g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(move->target)));
        }
    }
}

/* Returns: how many fleets had a move in the pass after the first. */
static guint
count_restless(LbRule omitted, guint n_full)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(3);
    guint n = 0;

    for (guint i = 0; i < N_FLEETS; i++) {
        g_autoptr(LbState) state = random_fleet(random, n_full);
        g_autoptr(LbPlan) first = lb_plan_new_without(state, &policy, omitted);
        g_autoptr(LbPlan) second = NULL;

        lb_plan_apply(first, state);
        second = lb_plan_new_without(state, &policy, omitted);
        n += second->moves->len > 0 ? 1 : 0;
    }
    return n;
}

static void
test_no_ping_pong(void)
{
    g_assert_cmpuint(count_restless(0, 1), ==, 0);
}

/* Without either of S2's conditions on the pair, something moves again. */
static void
test_control_ping_pong(void)
{
    g_assert_cmpuint(count_restless(LB_RULE_TARGET_BEARS, 1), >, 0);
    g_assert_cmpuint(count_restless(LB_RULE_SOURCE_RELIEVED, 1), >, 0);
}

/* With many overloaded hosts it takes several passes; each VM moves once, and there is an end. */
static void
test_passes_come_to_an_end(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(4);
    guint n_second_passes = 0;

    for (guint i = 0; i < N_FLEETS; i++) {
        g_autoptr(LbState) state = random_fleet(random, 5);
        g_autoptr(GHashTable) moved = g_hash_table_new(g_str_hash, g_str_equal);
        guint n_passes = 0;

        for (;;) {
            g_autoptr(LbPlan) plan = lb_plan_new(state, &policy);

            for (guint m = 0; m < plan->moves->len; m++) {
                const LbCandidate *move = &g_array_index(plan->moves, LbCandidate, m);
                const LbVm *vm = lb_host_vm(lb_state_host(state, move->source), move->vm);

                g_assert_true(g_hash_table_add(moved, vm->uuid));
            }
            if (plan->moves->len == 0) {
                break;
            }
            lb_plan_apply(plan, state);
            n_passes++;
            g_assert_cmpuint(n_passes, <=, state->hosts->len);
        }
        n_second_passes += n_passes > 1 ? 1 : 0;
    }
    g_assert_cmpuint(n_second_passes, >, 0);
}

static void
shuffle(GRand *random, GPtrArray *array)
{
    for (guint i = array->len; i > 1; i--) {
        guint k = (guint)g_rand_int_range(random, 0, (int)i);
        gpointer swap = array->pdata[i - 1];

        array->pdata[i - 1] = array->pdata[k];
        array->pdata[k] = swap;
    }
}

/* "vm-0-1>host-2 ..." */
static char *
moves_by_name(const LbPlan *plan, const LbState *state)
{
    GString *text = g_string_new(NULL);

    for (guint m = 0; m < plan->moves->len; m++) {
        const LbCandidate *move = &g_array_index(plan->moves, LbCandidate, m);

        g_string_append_printf(text, "%s>%s ",
                               lb_host_vm(lb_state_host(state, move->source), move->vm)->name,
                               lb_state_host(state, move->target)->name);
    }
    return g_string_free(text, FALSE);
}

/* Returns: how many fleets get other moves when hosts and VMs are listed in another order. */
static guint
count_order_dependent(LbRule omitted)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(5);
    guint n = 0;

    for (guint i = 0; i < N_FLEETS; i++) {
        g_autoptr(LbState) state = random_fleet(random, 3);
        g_autoptr(LbPlan) plan = NULL;
        g_autoptr(LbPlan) other_plan = NULL;
        g_autofree char *moves = NULL;
        g_autofree char *other_moves = NULL;

        /* Ties: all VMs of a host alike. */
        for (guint h = 0; h < state->hosts->len; h++) {
            LbHost *host = lb_state_host(state, h);

            for (guint v = 0; v < host->vms->len; v++) {
                lb_host_vm(host, v)->cpu = host->busy / host->vms->len;
                lb_host_vm(host, v)->memory_bytes = GIB;
            }
        }
        plan = lb_plan_new_without(state, &policy, omitted);
        moves = moves_by_name(plan, state);
        shuffle(random, state->hosts);
        for (guint h = 0; h < state->hosts->len; h++) {
            shuffle(random, lb_state_host(state, h)->vms);
        }
        other_plan = lb_plan_new_without(state, &policy, omitted);
        other_moves = moves_by_name(other_plan, state);
        n += g_str_equal(moves, other_moves) ? 0 : 1;
    }
    return n;
}

static void
test_order_does_not_matter(void)
{
    g_assert_cmpuint(count_order_dependent(0), ==, 0);
}

static void
test_control_order(void)
{
    g_assert_cmpuint(count_order_dependent(LB_RULE_TIE_BREAK), >, 0);
}

/* What only a daemon knows of hosts and VMs. */
static void
add_random_knowledge(GRand *random, const LbState *state)
{
    static char *const pools[] = {NULL, NULL, (char *)"x"};
    static const char *const models[] = {"EPYC", "Haswell", NULL};

    for (guint h = 0; h < state->hosts->len; h++) {
        LbHost *host = lb_state_host(state, h);

        host->pool = g_strdup(pools[g_rand_int_range(random, 0, G_N_ELEMENTS(pools))]);
        host->capacity *= one_in(random, 2) ? random_double(random, 0.98, 1.02) : 1;
        host->forecast = one_in(random, 3) ? random_double(random, 0, host->capacity) : 0;
        host->draining = one_in(random, 12);
        host->n_moves_in = one_in(random, 12) ? 1 : 0;
        host->n_moves_out = one_in(random, 12) ? 1 : 0;
        host->incoming_cpu = one_in(random, 6) ? random_double(random, 0, 1) : 0;
        host->incoming_bytes = one_in(random, 6) ? 4 * GIB : 0;
        host->cpu_models = g_strdupv((char **)models + g_rand_int_range(random, 0, 2));
        host->busy = one_in(random, 3) ? host->capacity / 4 : host->busy; /* equal loads */
        for (guint v = 0; v < host->vms->len; v++) {
            LbVm *vm = lb_host_vm(host, v);

            vm->delay = one_in(random, 3) ? random_double(random, 0, 0.3) : 0;
            vm->forecast = one_in(random, 3) ? random_double(random, 0, 2) : 0;
            vm->cooldown_sec = one_in(random, 12) ? 60 : 0;
            vm->cpu_model = one_in(random, 3) ? g_strdup(models[0]) : NULL;
            vm->max_downtime_msec = 300;
            vm->has_dirty_rate = one_in(random, 2);
            vm->dirty_bytes_per_sec =
                vm->has_dirty_rate ? (guint64)g_rand_int_range(random, 0, 100) << 20 : 0;
        }
    }
}

static LbState *
random_known_fleet(GRand *random)
{
    LbState *state = lb_state_new();
    guint n_hosts = (guint)g_rand_int_range(random, 2, 40);

    for (guint i = 0; i < n_hosts; i++) {
        add_random_host(random, state, i, one_in(random, 3));
        /* With a host that cannot be seen, nothing that has a group moves. */
        lb_state_host(state, i)->status = LB_HOST_FRESH;
    }
    add_random_knowledge(random, state);
    return state;
}

/* Trying all pairs, for people, and searching for the best are different ways to one plan. */
static void
test_explaining_changes_nothing(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(6);
    guint n_moves = 0;

    for (guint i = 0; i < N_FLEETS; i++) {
        g_autoptr(LbState) state = random_known_fleet(random);
        LbPolicy full = policy;
        LbPolicy brief;
        g_autoptr(LbPlan) plan = NULL;
        g_autoptr(LbPlan) brief_plan = NULL;
        g_autofree char *moves = NULL;
        g_autofree char *brief_moves = NULL;

        full.cost.bandwidth_bytes_per_sec = 100 << 20;
        full.cost.max_dirty_ratio = 0.7;
        full.margin = one_in(random, 2) ? 0.05 : 0;
        full.max_moves = one_in(random, 2) ? 3 : 0;
        brief = full;
        brief.explain = FALSE;
        plan = lb_plan_new(state, &full);
        brief_plan = lb_plan_new(state, &brief);
        moves = moves_by_name(plan, state);
        brief_moves = moves_by_name(brief_plan, state);
        g_assert_cmpstr(moves, ==, brief_moves);
        g_assert_cmpint(plan->outcome, ==, brief_plan->outcome);
        g_assert_cmpuint(brief_plan->candidates->len, ==, 0);
        for (guint h = 0; h < state->hosts->len; h++) {
            g_assert_cmpint(g_array_index(plan->verdicts, LbVerdict, h).reason, ==,
                            g_array_index(brief_plan->verdicts, LbVerdict, h).reason);
        }
        n_moves += plan->moves->len;
    }
    g_assert_cmpuint(n_moves, >, N_FLEETS);
}

static void
test_every_reason_has_a_name(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (int reason = LB_REASON_CHOSEN; reason <= LB_REASON_NO_DATA; reason++) {
        g_assert_nonnull(lb_reason_name((LbReason)reason));
        g_assert_true(g_hash_table_add(names, (char *)lb_reason_name((LbReason)reason)));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lb/planner/moves-keep-the-conditions", test_moves_keep_the_conditions);
    g_test_add_func("/lb/planner/one-move-a-host", test_one_move_a_host);
    g_test_add_func("/lb/planner/no-ping-pong", test_no_ping_pong);
    g_test_add_func("/lb/planner/control/ping-pong", test_control_ping_pong);
    g_test_add_func("/lb/planner/passes-come-to-an-end", test_passes_come_to_an_end);
    g_test_add_func("/lb/planner/order-does-not-matter", test_order_does_not_matter);
    g_test_add_func("/lb/planner/control/order", test_control_order);
    g_test_add_func("/lb/planner/explaining-changes-nothing", test_explaining_changes_nothing);
    g_test_add_func("/lb/planner/every-reason-has-a-name", test_every_reason_has_a_name);
    return g_test_run();
}
