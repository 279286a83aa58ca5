/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/history.h"

static const LbHistoryOptions options = {
    .n_samples = 20, .n_trigger = 5, .horizon = 10, .threshold = 0.8};

typedef struct {
    LbHistory *history;
    LbState *state;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->history = lb_history_new(&options);
    fixture->state = NULL;
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    lb_history_free(fixture->history);
    g_clear_pointer(&fixture->state, lb_state_free);
}

/* A host of 10 CPUs with a VM of 4; @vm < 0: it is not there. */
static void
add(Fixture *fixture, double busy, double vm_cpu)
{
    LbHost *host;

    g_clear_pointer(&fixture->state, lb_state_free);
    fixture->state = lb_state_new();
    host = lb_state_add_host(fixture->state, "A", "uuid-A");
    host->capacity = 10;
    host->busy = busy;
    if (vm_cpu >= 0) {
        LbVm *vm = lb_host_add_vm(host, "web", "uuid-web");

        vm->n_vcpus = 4;
        vm->cpu = vm_cpu;
    }
    lb_history_add(fixture->history, fixture->state);
}

static const LbHost *
host_of(const Fixture *fixture)
{
    return lb_state_host(fixture->state, 0);
}

static const LbVm *
vm_of(const Fixture *fixture)
{
    return lb_host_vm(host_of(fixture), 0);
}

static void
test_forecast(void)
{
    float steady[20];
    float spike[20];
    float rising[20];
    float falling[20];

    for (guint i = 0; i < 20; i++) {
        steady[i] = 2;
        spike[i] = i == 10 ? 9 : 2;
        rising[i] = (float)i;
        falling[i] = (float)(19 - i);
    }
    g_assert_cmpfloat(lb_forecast(steady, 20, 10), ==, 2);
    g_assert_cmpfloat_with_epsilon(lb_forecast(spike, 20, 0), 2, 1e-9); /* one of 20 is no load */
    g_assert_cmpfloat_with_epsilon(lb_forecast(rising, 20, 10), 18 + 10, 1e-6);
    g_assert_cmpfloat_with_epsilon(lb_forecast(falling, 20, 10), 18, 1e-6); /* is not believed */
    g_assert_cmpfloat(lb_forecast(steady, 0, 10), ==, 0);
    g_assert_cmpfloat(lb_forecast(steady, 1, 10), ==, 2);
}

static void
test_not_before_a_quarter_of_the_window(Fixture *fixture, gconstpointer data)
{
    for (guint i = 1; i < 5; i++) {
        add(fixture, 5, 2);
        g_assert_cmpfloat(host_of(fixture)->forecast, ==, 0);
        g_assert_cmpfloat(vm_of(fixture)->forecast, ==, 0);
    }
    add(fixture, 5, 2);
    g_assert_cmpfloat(host_of(fixture)->forecast, ==, 5);
    g_assert_cmpfloat(vm_of(fixture)->forecast, ==, 2);
}

/* More than the window: what is old does not count. */
static void
test_window(Fixture *fixture, gconstpointer data)
{
    for (guint i = 0; i < 20; i++) {
        add(fixture, 9, 4);
    }
    for (guint i = 0; i < 19; i++) {
        add(fixture, 1, 0.5);
    }
    g_assert_cmpfloat(host_of(fixture)->forecast, ==, 1); /* one of 20 is left */
    add(fixture, 1, 0.5);
    g_assert_cmpfloat(vm_of(fixture)->forecast, ==, 0.5);
}

static void
test_limits(Fixture *fixture, gconstpointer data)
{
    for (guint i = 0; i < 20; i++) {
        add(fixture, i / 2.0, i / 5.0);
    }
    g_assert_cmpfloat(host_of(fixture)->forecast, ==, 10); /* its capacity */
    g_assert_cmpfloat(vm_of(fixture)->forecast, ==, 4);    /* its CPUs */
}

static void
test_trigger(Fixture *fixture, gconstpointer data)
{
    static const struct {
        double busy;
        guint n_over;
    } steps[] = {
        {9, 1}, {9, 2}, {1, 0}, {9, 3}, {9, 4}, {9, 4}, {9, 4}, {9, 5}, {8, 0}, /* not over */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
        add(fixture, steps[i].busy, -1);
        g_assert_cmpuint(host_of(fixture)->n_over, ==, steps[i].n_over);
    }
}

static void
test_gap(Fixture *fixture, gconstpointer data)
{
    for (guint i = 0; i < 10; i++) {
        add(fixture, 5, 2);
    }
    add(fixture, 5, -1);
    add(fixture, 5, 2);
    g_assert_cmpfloat(vm_of(fixture)->forecast, ==, 0);
    g_assert_cmpfloat(host_of(fixture)->forecast, ==, 5);
}

static void
test_stale_host(Fixture *fixture, gconstpointer data)
{
    for (guint i = 0; i < 5; i++) {
        add(fixture, 9, 2);
    }
    g_assert_cmpuint(host_of(fixture)->n_over, ==, 5);
    ((LbHost *)host_of(fixture))->status = LB_HOST_STALE;
    ((LbHost *)host_of(fixture))->n_over = 0;
    lb_history_add(fixture->history, fixture->state);
    g_assert_cmpuint(host_of(fixture)->n_over, ==, 0);
    add(fixture, 9, 2);
    g_assert_cmpuint(host_of(fixture)->n_over, ==, 1);
}

/* The history goes with a VM. */
static void
test_move(Fixture *fixture, gconstpointer data)
{
    LbHost *other;
    LbVm *vm;

    for (guint i = 0; i < 5; i++) {
        add(fixture, 5, 2);
    }
    g_clear_pointer(&fixture->state, lb_state_free);
    fixture->state = lb_state_new();
    other = lb_state_add_host(fixture->state, "B", "uuid-B");
    other->capacity = 10;
    vm = lb_host_add_vm(other, "web", "uuid-web");
    vm->cpu = 2;
    lb_history_add(fixture->history, fixture->state);
    g_assert_cmpfloat(vm->forecast, ==, 2);
    g_assert_cmpfloat(other->forecast, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/lb/history/" name, Fixture, NULL, set_up, func, tear_down)
    g_test_add_func("/lb/history/forecast", test_forecast);
    ADD("not-before-a-quarter-of-the-window", test_not_before_a_quarter_of_the_window);
    ADD("window", test_window);
    ADD("limits", test_limits);
    ADD("trigger", test_trigger);
    ADD("gap", test_gap);
    ADD("stale-host", test_stale_host);
    ADD("move", test_move);
    return g_test_run();
}
