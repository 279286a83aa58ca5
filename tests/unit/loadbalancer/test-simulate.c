/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator, and by it what the balancer is worth beside others. Traces are made up with the
 * published figures of PlanetLab's; the same seed gives the same, so these are no measurements. */
#include <math.h>
#include <string.h>

#include "common/base/error.h"
#include "loadbalancer/simulate/run.h"
#include "loadbalancer/simulate/trace.h"
#include "scratch.h"

#define MODERN (&lb_fleet_models[1])

static const LbSimOptions options = {.threshold = 0.8, .seed = 1};

static GPtrArray *
day(guint n_vms, guint32 seed)
{
    return lb_traces_make_up(n_vms, LB_TRACE_VALUES_A_DAY, seed);
}

static LbSimResult *
run(GPtrArray *traces, guint n_hosts, const char *policy)
{
    g_autoptr(GError) error = NULL;
    LbSimResult *result =
        lb_simulate(traces, n_hosts, MODERN, lb_sim_policy(policy), &options, NULL, NULL, &error);

    g_assert_no_error(error);
    return result;
}

/* Traces */

/* A. Beloglazov and R. Buyya 2012, table 1: means of days 9 to 12 %, deviations 13 to 18. */
static void
test_made_up_traces(void)
{
    g_autoptr(GPtrArray) traces = day(1000, 1);
    double sum = 0;
    double squares = 0;
    double n = 0;

    for (guint i = 0; i < traces->len; i++) {
        const LbTrace *trace = traces->pdata[i];

        g_assert_cmpuint(trace->n_values, ==, 288);
        for (guint k = 0; k < trace->n_values; k++) {
            g_assert_true(trace->percent[k] >= 0 && trace->percent[k] <= 100);
            sum += trace->percent[k];
            squares += (double)trace->percent[k] * trace->percent[k];
            n++;
        }
    }
    g_assert_true(sum / n > 9 && sum / n < 12.5);
    g_assert_true(sqrt(squares / n - sum / n * sum / n) > 12.5);
    g_assert_true(sqrt(squares / n - sum / n * sum / n) < 18.5);
}

static void
test_cloudsim_files(void)
{
    char *root = scratch_new();
    g_autoptr(GPtrArray) traces = NULL;
    g_autoptr(GError) error = NULL;
    const LbTrace *trace;

    scratch_write_bytes(root, "b_vm", "1\n2\n100\n", 8);
    scratch_write_bytes(root, "a_vm", "0\r\n 50\r\n25", 10);
    scratch_write_bytes(root, ".hidden", "x", 1);
    traces = lb_traces_load(root, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(traces->len, ==, 2);
    trace = traces->pdata[0];
    g_assert_cmpstr(trace->name, ==, "a_vm");
    g_assert_cmpuint(trace->n_values, ==, 3);
    g_assert_cmpfloat(trace->percent[1], ==, 50);
    g_assert_cmpuint(trace->n_vcpus, ==, 0);
    scratch_remove(root);
}

static void
test_csv(void)
{
    static const char text[] = "vm,vcpus,memory_mib,cpu_percent...\nweb-1,4,8192,12,13.5\n"
                               "web-2, 2, 1024, 0, 100\n";
    char *root = scratch_new();
    g_autofree char *path = g_build_filename(root, "x.csv", NULL);
    g_autoptr(GPtrArray) traces = NULL;
    g_autoptr(GError) error = NULL;
    const LbTrace *trace;

    scratch_write_bytes(root, "x.csv", text, sizeof(text) - 1);
    traces = lb_traces_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(traces->len, ==, 2);
    trace = traces->pdata[0];
    g_assert_cmpstr(trace->name, ==, "web-1");
    g_assert_cmpuint(trace->n_vcpus, ==, 4);
    g_assert_cmpuint(trace->memory_bytes, ==, G_GUINT64_CONSTANT(8192) << 20);
    g_assert_cmpfloat(trace->percent[1], ==, 13.5);
    scratch_remove(root);
}

/* Errors name file and line. */
static void
test_wrong_traces(void)
{
    static const struct {
        const char *name;
        const char *text;
        const char *wanted;
    } cases[] = {
        {"t", "1\n2\nthree\n", "t:3: not a percentage"},
        {"t", "1\n101\n", "t:2: not a percentage"},
        {"t", "1\n-1\n", "t:2: not a percentage"},
        {"t", "1\nnan\n", "t:2: not a percentage"},
        {"t", "1\n\n2\n", "t:2: not a percentage"},
        {"t", "1 2\n", "t:1: not a percentage"},
        {"t", "", "t: has 0 lines"},
        {"t.csv", "web,1,1024,5\n", "t.csv:1: the first line"},
        {"t.csv", "", "t.csv:1: the first line"},
        {"t.csv", "vm,vcpus,memory_mib,cpu_percent...\n", "no traces"},
        {"t.csv", "vm,vcpus,memory_mib,cpu_percent...\nweb,1,1024\n", "t.csv:2: a VM's line"},
        {"t.csv", "vm,vcpus,memory_mib,cpu_percent...\nweb,0,1024,1\n", "t.csv:2: not a number of"},
        {"t.csv", "vm,vcpus,memory_mib,cpu_percent...\nweb,1,x,1\n",
         "t.csv:2: not a number of MiB"},
        {"t.csv", "vm,vcpus,memory_mib,cpu_percent...\na,1,1,1\nb,1,1,1,2\n",
         "VM 'b' has 2 values"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *root = scratch_new();
        g_autoptr(GError) error = NULL;

        scratch_write_bytes(root, cases[i].name, cases[i].text, strlen(cases[i].text));
        g_assert_null(lb_traces_load(root, &error));
        g_assert_nonnull(error);
        if (!strstr(error->message, cases[i].wanted)) {
            g_error("'%s' does not say '%s'", error->message, cases[i].wanted);
        }
        scratch_remove(root);
    }
    {
        g_autoptr(GError) error = NULL;

        g_assert_null(lb_traces_load("/nonexistent/traces", &error));
        g_assert_nonnull(strstr(error->message, "/nonexistent/traces"));
    }
}

static void
test_too_few_hosts(void)
{
    g_autoptr(GPtrArray) traces = day(1000, 1);
    g_autoptr(GError) error = NULL;

    g_assert_null(
        lb_simulate(traces, 2, MODERN, lb_sim_policy("none"), &options, NULL, NULL, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
}

/* What the balancer is worth */

/* Beside CloudSim's policies: at most a tenth of the moves of the consolidating one and half of the
 * other's, and no more overload than either. */
static void
compare(GPtrArray *traces, guint n_hosts)
{
    LbSimResult *gantry = run(traces, n_hosts, "gantry");
    LbSimResult *relieving = run(traces, n_hosts, "thr-mmt");
    LbSimResult *consolidating = run(traces, n_hosts, "thr-mmt-consolidate");

    g_test_message("%u hosts: moves %u, %u, %u; overload %.2f, %.2f, %.2f h", n_hosts,
                   gantry->n_migrations, relieving->n_migrations, consolidating->n_migrations,
                   gantry->overload_hours, relieving->overload_hours,
                   consolidating->overload_hours);
    g_assert_cmpuint(gantry->n_migrations * 10, <=, consolidating->n_migrations);
    g_assert_cmpuint(gantry->n_migrations * 2, <=, relieving->n_migrations);
    g_assert_cmpfloat(gantry->overload_hours, <=, relieving->overload_hours);
    g_assert_cmpfloat(gantry->overload_hours, <=, consolidating->overload_hours);
    g_assert_cmpfloat(gantry->slatah, <=, relieving->slatah);
    g_assert_cmpuint(gantry->n_ping_pongs * 20, <=, gantry->n_migrations);
    lb_sim_result_free(gantry);
    lb_sim_result_free(relieving);
    lb_sim_result_free(consolidating);
}

static void
test_beside_others(void)
{
    static const guint32 seeds[] = {1, 7, 11};
    static const guint hosts[] = {20, 22, 25}; /* from nearly full to comfortable */

    for (gsize i = 0; i < G_N_ELEMENTS(seeds); i++) {
        g_autoptr(GPtrArray) traces = day(1000, seeds[i]);
        LbSimResult *none = run(traces, 25, "none");

        g_assert_cmpfloat(none->overload_hours, >, 1); /* there is something to do */
        lb_sim_result_free(none);
        for (gsize h = 0; h < G_N_ELEMENTS(hosts); h++) {
            compare(traces, hosts[h]);
        }
    }
}

static GPtrArray *
steady(guint n_vms, float percent)
{
    GPtrArray *traces = day(n_vms, 1);

    for (guint i = 0; i < n_vms; i++) {
        LbTrace *trace = traces->pdata[i];

        for (guint k = 0; k < trace->n_values; k++) {
            trace->percent[k] = percent;
        }
    }
    return traces;
}

static void
test_balanced_fleet_is_left_alone(void)
{
    g_autoptr(GPtrArray) traces = steady(500, 12);
    LbSimResult *result = run(traces, 12, "gantry");

    g_assert_cmpuint(result->n_migrations, ==, 0);
    lb_sim_result_free(result);
}

/* One VM is hot, and no host has more for it than its own. */
static void
test_hot_vm_stays(void)
{
    g_autoptr(GPtrArray) traces = steady(160, 18);
    LbSimResult *result;

    for (guint k = 0; k < LB_TRACE_VALUES_A_DAY; k++) {
        ((LbTrace *)traces->pdata[3])->percent[k] = 100; /* 8 of its host's 32 CPUs */
    }
    result = run(traces, 4, "gantry");
    g_assert_cmpfloat(result->over_hours, >, 20);
    g_assert_cmpuint(result->n_migrations, <=, 1);
    lb_sim_result_free(result);
}

static void
test_same_again(void)
{
    g_autoptr(GPtrArray) traces = day(300, 3);

    for (const LbSimPolicy *const *policy = lb_sim_policies; *policy; policy++) {
        LbSimResult *first = run(traces, 8, (*policy)->name);
        LbSimResult *second = run(traces, 8, (*policy)->name);

        g_assert_cmpuint(first->n_migrations, ==, second->n_migrations);
        g_assert_cmpfloat(first->overload_hours, ==, second->overload_hours);
        g_assert_cmpfloat(first->stddev, ==, second->stddev);
        g_assert_cmpfloat(first->migrations[first->n_intervals - 1], ==, first->n_migrations);
        lb_sim_result_free(first);
        lb_sim_result_free(second);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lb/simulate/made-up-traces", test_made_up_traces);
    g_test_add_func("/lb/simulate/cloudsim-files", test_cloudsim_files);
    g_test_add_func("/lb/simulate/csv", test_csv);
    g_test_add_func("/lb/simulate/wrong-traces", test_wrong_traces);
    g_test_add_func("/lb/simulate/too-few-hosts", test_too_few_hosts);
    g_test_add_func("/lb/simulate/beside-others", test_beside_others);
    g_test_add_func("/lb/simulate/balanced-fleet-is-left-alone", test_balanced_fleet_is_left_alone);
    g_test_add_func("/lb/simulate/hot-vm-stays", test_hot_vm_stays);
    g_test_add_func("/lb/simulate/same-again", test_same_again);
    return g_test_run();
}
