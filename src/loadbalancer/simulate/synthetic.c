/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "loadbalancer/simulate/trace.h"

#define PERSISTENCE 0.9 /* of the noise, from one value to the next */

/* Standard normal (Box and Muller). */
static double
normal(GRand *random)
{
    double u = 1 - g_rand_double(random);

    return sqrt(-2 * log(u)) * cos(2 * G_PI * g_rand_double(random));
}

static LbTrace *
make_up(GRand *random, guint index, guint n_values)
{
    LbTrace *trace = g_new0(LbTrace, 1);
    double base = MIN(exp(1.7 + 0.8 * normal(random)), 80); /* median 5.5 % */
    double swing = g_rand_double_range(random, 0, 0.5);
    double phase = g_rand_double_range(random, 0, 1);
    const guint a_day = LB_TRACE_VALUES_A_DAY;
    double noise = 0;
    guint burst_left = 0;
    double burst = 0;

    trace->name = g_strdup_printf("vm-%04u", index);
    trace->n_values = n_values;
    trace->percent = g_new0(float, n_values + 1);
    for (guint i = 0; i < n_values; i++) {
        double day = sin(2 * G_PI * ((double)i / a_day + phase));

        noise = PERSISTENCE * noise + sqrt(1 - PERSISTENCE * PERSISTENCE) * normal(random);
        if (burst_left == 0 && g_rand_double(random) < 0.006) {
            burst_left = (guint)(-log(1 - g_rand_double(random)) * 15) + 1; /* 75 min on average */
            burst = g_rand_double_range(random, 15, 80);
        }
        trace->percent[i] = (float)CLAMP(
            base * (1 + swing * day + 0.3 * noise) + (burst_left > 0 ? burst : 0), 0, 100);
        burst_left -= burst_left > 0 ? 1 : 0;
    }
    return trace;
}

GPtrArray *
lb_traces_make_up(guint n_vms, guint n_values, guint32 seed)
{
    GPtrArray *traces = g_ptr_array_new_with_free_func(lb_trace_free);
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);

    for (guint i = 0; i < n_vms; i++) {
        g_ptr_array_add(traces, make_up(random, i, n_values));
    }
    return traces;
}
