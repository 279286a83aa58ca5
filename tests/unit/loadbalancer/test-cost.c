/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/plan/cost.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)

static void
test_idle(void)
{
    LbCost cost = lb_cost_predict(1000 * MIB, 0, 100 * MIB, 300);

    g_assert_cmpuint(cost.bytes, ==, 1000 * MIB);
    g_assert_cmpfloat_with_epsilon(cost.sec, 10, 1e-6);
    g_assert_cmpfloat(cost.downtime_msec, ==, 0);
    g_assert_cmpfloat(cost.dirty_ratio, ==, 0);
}

/* 1000 + 500 + 250 + 125 + 62.5 MiB, and 31.25, which go in the 500 ms of 100 MiB/s. */
static void
test_converging(void)
{
    LbCost cost = lb_cost_predict(1000 * MIB, 50 * MIB, 100 * MIB, 500);

    g_assert_cmpuint(cost.bytes, ==, (guint64)(1968.75 * MIB));
    g_assert_cmpfloat_with_epsilon(cost.downtime_msec, 312.5, 1e-6);
    g_assert_cmpfloat_with_epsilon(cost.sec, 19.6875, 1e-6);
}

static void
test_never(void)
{
    LbCost cost = lb_cost_predict(1000 * MIB, 150 * MIB, 100 * MIB, 300);

    g_assert_cmpfloat(cost.dirty_ratio, ==, 1.5);
    g_assert_cmpfloat_with_epsilon(cost.downtime_msec, 10000, 1e-6); /* all memory once more */
}

/* It fits into the pause as it is. */
static void
test_tiny(void)
{
    LbCost cost = lb_cost_predict(10 * MIB, 50 * MIB, 100 * MIB, 300);

    g_assert_cmpuint(cost.bytes, ==, 10 * MIB);
    g_assert_cmpfloat_with_epsilon(cost.downtime_msec, 100, 1e-6);
}

static void
test_bounds(void)
{
    g_assert_cmpuint(lb_cost_predict(5 * MIB, 1, 0, 300).bytes, ==, 5 * MIB); /* no bandwidth */
    g_assert_cmpuint(lb_cost_predict(0, 1, 1, 0).bytes, ==, 0);
    g_assert_cmpuint(lb_cost_predict(G_MAXUINT64, G_MAXUINT64, 1, 1).bytes, ==,
                     G_GUINT64_CONSTANT(1) << 62);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lb/cost/idle", test_idle);
    g_test_add_func("/lb/cost/converging", test_converging);
    g_test_add_func("/lb/cost/never", test_never);
    g_test_add_func("/lb/cost/tiny", test_tiny);
    g_test_add_func("/lb/cost/bounds", test_bounds);
    return g_test_run();
}
