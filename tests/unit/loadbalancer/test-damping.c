/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/damping.h"

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define START  (G_GINT64_CONSTANT(1000) * HOUR)

typedef struct {
    LbDamping *damping;
    LbState *state;
    LbVm *vm;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->damping = lb_damping_new(&lb_damping_defaults);
    fixture->state = lb_state_new();
    fixture->vm = lb_host_add_vm(lb_state_add_host(fixture->state, "A", "a"), "web", "vm");
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    lb_damping_free(fixture->damping);
    lb_state_free(fixture->state);
}

static guint64
cooldown_at(Fixture *fixture, gint64 now)
{
    lb_damping_apply(fixture->damping, fixture->state, now);
    return fixture->vm->cooldown_sec;
}

static gboolean
is_in_quarantine_at(Fixture *fixture, const char *host, gint64 now)
{
    lb_damping_apply(fixture->damping, fixture->state, now);
    return fixture->vm->quarantine &&
           g_strv_contains((const char *const *)fixture->vm->quarantine, host);
}

static void
test_rest(Fixture *fixture, gconstpointer data)
{
    g_assert_cmpuint(cooldown_at(fixture, START), ==, 0);
    lb_damping_moved(fixture->damping, "vm", START);
    lb_damping_moved(fixture->damping, "another", START);
    g_assert_cmpuint(cooldown_at(fixture, START), ==, 15 * MINUTE);
    g_assert_cmpuint(cooldown_at(fixture, START + 14 * MINUTE), ==, MINUTE);
    g_assert_cmpuint(cooldown_at(fixture, START + 15 * MINUTE), ==, 0);
}

/* 15 and 30 min, 1, 2, 4 and 6 h, and no more. */
static void
test_doubling(Fixture *fixture, gconstpointer data)
{
    static const guint minutes[] = {15, 30, 60, 120, 240, 360, 360, 360};
    gint64 now = START;

    for (gsize i = 0; i < G_N_ELEMENTS(minutes); i++) {
        lb_damping_moved(fixture->damping, "vm", now);
        g_assert_cmpuint(cooldown_at(fixture, now), ==, minutes[i] * MINUTE);
        now += minutes[i] * MINUTE;
    }
    for (guint i = 0; i < 100; i++) {
        lb_damping_moved(fixture->damping, "vm", now); /* no shift runs over */
    }
    g_assert_cmpuint(cooldown_at(fixture, now), ==, 6 * HOUR);
}

static void
test_forgetting(Fixture *fixture, gconstpointer data)
{
    lb_damping_moved(fixture->damping, "vm", START);
    lb_damping_moved(fixture->damping, "vm", START + 23 * HOUR);
    g_assert_cmpuint(cooldown_at(fixture, START + 23 * HOUR), ==, 30 * MINUTE);
    lb_damping_moved(fixture->damping, "vm", START + 47 * HOUR); /* a day later */
    g_assert_cmpuint(cooldown_at(fixture, START + 47 * HOUR), ==, 15 * MINUTE);
}

static void
test_quarantine(Fixture *fixture, gconstpointer data)
{
    lb_damping_failed(fixture->damping, "vm", "b", START);
    g_assert_true(is_in_quarantine_at(fixture, "b", START + HOUR - 1));
    g_assert_false(is_in_quarantine_at(fixture, "c", START));
    g_assert_cmpuint(cooldown_at(fixture, START), ==, 0); /* it may go elsewhere */
    g_assert_false(is_in_quarantine_at(fixture, "b", START + HOUR));
    lb_damping_failed(fixture->damping, "vm", "b", START + HOUR);
    lb_damping_failed(fixture->damping, "vm", "c", START + HOUR);
    g_assert_true(is_in_quarantine_at(fixture, "b", START + 3 * HOUR - 1));
    g_assert_false(is_in_quarantine_at(fixture, "c", START + 2 * HOUR));
}

static void
test_clock_jumps(Fixture *fixture, gconstpointer data)
{
    lb_damping_moved(fixture->damping, "vm", START);
    g_assert_cmpuint(cooldown_at(fixture, START - 100 * HOUR), ==, 15 * MINUTE);
    g_assert_cmpuint(cooldown_at(fixture, START - 100 * HOUR + 15 * MINUTE), ==, 0);
    lb_damping_moved(fixture->damping, "vm", START);
    g_assert_cmpuint(cooldown_at(fixture, START + 1000 * HOUR), ==, 0);
}

static void
copy(const LbDampingEntry *entry, gpointer other)
{
    lb_damping_restore(other, entry);
}

static void
test_restart(Fixture *fixture, gconstpointer data)
{
    LbDamping *after = lb_damping_new(&lb_damping_defaults);

    lb_damping_moved(fixture->damping, "vm", START);
    lb_damping_moved(fixture->damping, "vm", START + HOUR);
    lb_damping_failed(fixture->damping, "vm", "b", START + HOUR);
    lb_damping_foreach(fixture->damping, copy, after);
    lb_damping_free(fixture->damping);
    fixture->damping = after;
    g_assert_cmpuint(cooldown_at(fixture, START + HOUR), ==, 30 * MINUTE);
    g_assert_true(is_in_quarantine_at(fixture, "b", START + HOUR));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/lb/damping/" name, Fixture, NULL, set_up, func, tear_down)
    ADD("rest", test_rest);
    ADD("doubling", test_doubling);
    ADD("forgetting", test_forgetting);
    ADD("quarantine", test_quarantine);
    ADD("clock-jumps", test_clock_jumps);
    ADD("restart", test_restart);
    return g_test_run();
}
