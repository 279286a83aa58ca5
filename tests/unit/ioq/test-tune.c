/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/front/latency.h"
#include "ioq_tuning/tune/tune.h"

static void
test_candidates(void)
{
    static const struct {
        guint n_queues;
        const char *candidates;
    } cases[] = {{1, "1"}, {2, "1 2"}, {3, "1 2 3"}, {4, "1 2 4"}, {7, "1 2 4 7"}, {8, "1 2 4 8"}};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GArray) candidates = ioq_tune_candidates(cases[i].n_queues);
        g_autoptr(GString) text = g_string_new(NULL);

        for (guint k = 0; k < candidates->len; k++) {
            g_string_append_printf(text, "%s%u", k > 0 ? " " : "",
                                   g_array_index(candidates, guint, k));
        }
        g_assert_cmpstr(text->str, ==, cases[i].candidates);
    }
}

typedef struct {
    guint k;
    double utilisation;
    double iops;
    double iops_per_cpu;
} Sample;

static GPtrArray *
rows_of(const Sample *samples, gsize n)
{
    GPtrArray *rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ioq_tune_row_free);

    for (gsize i = 0; i < n; i++) {
        IoqTuneRow *row = ioq_tune_row_new(samples[i].k);

        row->utilisation = samples[i].utilisation;
        row->iops = samples[i].iops;
        row->iops_per_cpu = samples[i].iops_per_cpu;
        g_ptr_array_add(rows, row);
    }
    return rows;
}

/* One busy thread, and half of the IOPS: the two answers differ. */
static void
test_busy_is_not_best(void)
{
    static const Sample samples[] = {
        {1, 0.40, 100000, 50000}, {2, 0.60, 96000, 80000}, {4, 0.99, 50000, 90000}};
    g_autoptr(GPtrArray) rows = rows_of(samples, G_N_ELEMENTS(samples));

    g_assert_cmpuint(ioq_tune_most_used(rows)->queues_per_thread, ==, 4);
    g_assert_cmpuint(ioq_tune_best(rows)->queues_per_thread, ==, 2);
}

/* Exactly 95 % is enough, and less is not; of equals the first. */
static void
test_edges(void)
{
    static const Sample enough[] = {{1, 0.5, 100000, 1}, {2, 0.5, 95000, 2}};
    static const Sample too_few[] = {{1, 0.5, 100000, 1}, {2, 0.6, 94999, 2}};
    static const Sample equal[] = {{1, 0.5, 1000, 10}, {2, 0.5, 1000, 10}};
    static const Sample nothing[] = {{1, 0, 0, 0}};
    g_autoptr(GPtrArray) rows = rows_of(enough, 2);
    g_autoptr(GPtrArray) fewer = rows_of(too_few, 2);
    g_autoptr(GPtrArray) equals = rows_of(equal, 2);
    g_autoptr(GPtrArray) none = rows_of(nothing, 1);

    g_assert_cmpuint(ioq_tune_best(rows)->queues_per_thread, ==, 2);
    g_assert_cmpuint(ioq_tune_best(fewer)->queues_per_thread, ==, 1);
    g_assert_cmpuint(ioq_tune_best(equals)->queues_per_thread, ==, 1);
    g_assert_cmpuint(ioq_tune_most_used(equals)->queues_per_thread, ==, 1);
    g_assert_cmpuint(ioq_tune_best(none)->queues_per_thread, ==, 1);
}

static void
test_latency(void)
{
    FrontLatency latency, other;

    front_latency_init(&latency);
    front_latency_init(&other);
    g_assert_cmpfloat(front_latency_percentile(&latency, 0.5), ==, 0);
    for (guint i = 1; i <= 100; i++) {
        front_latency_add(i % 2 ? &latency : &other, i * 1000 - 1);
    }
    front_latency_merge(&latency, &other);
    g_assert_cmpuint(latency.total, ==, 100);
    g_assert_cmpfloat(front_latency_percentile(&latency, 0.5), ==, 50);
    g_assert_cmpfloat(front_latency_percentile(&latency, 0.99), ==, 99);
    /* Above what has a bucket, the longest is known. */
    front_latency_add(&latency, G_GINT64_CONSTANT(2000000000));
    g_assert_cmpfloat(front_latency_percentile(&latency, 1), ==, 2000000);
    front_latency_clear(&latency);
    front_latency_clear(&other);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ioq/tune/candidates", test_candidates);
    g_test_add_func("/ioq/tune/busy-is-not-best", test_busy_is_not_best);
    g_test_add_func("/ioq/tune/edges", test_edges);
    g_test_add_func("/ioq/tune/latency", test_latency);
    return g_test_run();
}
