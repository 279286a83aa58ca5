/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/backoff.h"

static void
test_doubles_up_to_the_limit(void)
{
    const guint full[] = {1000, 2000, 4000, 8000, 10000, 10000};

    for (guint attempt = 0; attempt < G_N_ELEMENTS(full); attempt++) {
        g_assert_cmpuint(gantry_backoff_msec(attempt, 1000, 10000, 0.0), ==, full[attempt] / 2);
        g_assert_cmpuint(gantry_backoff_msec(attempt, 1000, 10000, 0.999999), <=, full[attempt]);
        g_assert_cmpuint(gantry_backoff_msec(attempt, 1000, 10000, 0.999999), >=,
                         full[attempt] - 1);
    }
}

static void
test_never_overflows(void)
{
    g_assert_cmpuint(gantry_backoff_msec(G_MAXUINT, 1000, G_MAXUINT, 0.0), ==,
                     G_MAXUINT - G_MAXUINT / 2);
    g_assert_cmpuint(gantry_backoff_msec(0, 5000, 1000, 0.0), ==, 500);
    g_assert_cmpuint(gantry_backoff_msec(3, 1, 1, 0.5), ==, 1);
}

static void
test_jitter_spreads(void)
{
    guint low = gantry_backoff_msec(2, 1000, 60000, 0.1);
    guint high = gantry_backoff_msec(2, 1000, 60000, 0.9);

    g_assert_cmpuint(low, ==, 2200);
    g_assert_cmpuint(high, ==, 3800);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virt/backoff/doubles-up-to-the-limit", test_doubles_up_to_the_limit);
    g_test_add_func("/virt/backoff/never-overflows", test_never_overflows);
    g_test_add_func("/virt/backoff/jitter-spreads", test_jitter_spreads);
    return g_test_run();
}
