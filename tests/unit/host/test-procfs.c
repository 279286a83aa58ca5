/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/pressure.h"
#include "common/host/procfs.h"
#include "tree.h"

#define STAT "proc/stat"

static void
test_stat(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_auto(GantryProcStat) stat = {0};
    const GantryCpuTimesOf *cpu;

    /* USER_HZ is 100 on all that we run on: a tick is 10000 us. */
    scratch_write(tree->root, STAT,
                  "cpu  11 22 33 440 5 6 7 8 9 10\n"
                  "cpu0 1 2 3 4 5 6 7 8 9 10 11 12\n"
                  "cpu2 10 0 0 90\n"
                  "intr 12345 0 0\nctxt 1\nbtime 1700000000\nprocesses 5\n");
    g_assert_true(gantry_host_proc_stat(tree->host, &stat, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(stat.boot_time_sec, ==, 1700000000);
    g_assert_cmpuint(stat.total.user_usec, ==, 110000);
    g_assert_cmpuint(stat.total.guest_nice_usec, ==, 100000);
    g_assert_cmpuint(gantry_cpu_times_busy_usec(&stat.total), ==,
                     (11 + 22 + 33 + 6 + 7 + 8) * 10000);
    g_assert_cmpuint(gantry_cpu_times_total_usec(&stat.total), ==,
                     (11 + 22 + 33 + 440 + 5 + 6 + 7 + 8) * 10000);
    g_assert_cmpuint(stat.cpus->len, ==, 2);
    cpu = &g_array_index(stat.cpus, GantryCpuTimesOf, 1);
    g_assert_cmpuint(cpu->cpu, ==, 2);
    g_assert_cmpuint(cpu->times.idle_usec, ==, 900000);
    g_assert_cmpuint(cpu->times.steal_usec, ==, 0);
}

static void
test_bad_stat(Tree *tree, gconstpointer data)
{
    static const char *const bad[] = {
        "cpu  1 2 3\nbtime 1\n",
        "cpu  1 2 3 x\nbtime 1\n",
        "cpu  1 2 3 -4\nbtime 1\n",
        "cpu  1 2 3 18446744073709551615\nbtime 1\n",
        "cpu  1 2 3 400000000000000\nbtime 1\n", /* sums of these would wrap */
        "cpu  1 2 3 4\ncpu8192 1 2 3 4\nbtime 1\n",
        "cpu  1 2 3 4\ncpuX 1 2 3 4\nbtime 1\n",
        "cpu  1 2 3 4\ncpu0\nbtime 1\n",
        "cpu  1 2 3 4\nbtime x\n",
        "btime 1\ncpu  1 2 3 4\n",
        "cpu0 1 2 3 4\nbtime 1\n",
    };
    g_autofree char *huge = g_strnfill(4 * 1024 * 1024 + 1, '1');
    g_autoptr(GError) error = NULL;
    GantryProcStat stat = {0};

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        scratch_write(tree->root, STAT, bad[i]);
        g_assert_false(gantry_host_proc_stat(tree->host, &stat, &error));
        assert_failed(&error, GANTRY_ERROR_INVALID, STAT);
        g_assert_null(stat.cpus);
    }
    scratch_write(tree->root, STAT, "");
    g_assert_false(gantry_host_proc_stat(tree->host, &stat, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "btime");
    scratch_write(tree->root, STAT, huge);
    g_assert_false(gantry_host_proc_stat(tree->host, &stat, &error));
    assert_failed(&error, GANTRY_ERROR_LIMIT, STAT);
}

static void
test_meminfo(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GantryMeminfo meminfo;

    scratch_write(tree->root, "proc/meminfo",
                  "MemTotal:        5596960 kB\nMemFree:         3728784 kB\n"
                  "MemAvailable:    4000000 kB\nSwapCached: 7 kB\nSwapTotal: 1024 kB\n"
                  "SwapFree: 512 kB\nHugePages_Total:      20\nHugePages_Free:        5\n"
                  "Hugepagesize:       2048 kB\n");
    g_assert_true(gantry_host_meminfo(tree->host, &meminfo, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(meminfo.total_bytes, ==, G_GUINT64_CONSTANT(5596960) * 1024);
    g_assert_cmpuint(meminfo.free_bytes, ==, G_GUINT64_CONSTANT(3728784) * 1024);
    g_assert_cmpuint(meminfo.available_bytes, ==, G_GUINT64_CONSTANT(4000000) * 1024);
    g_assert_cmpuint(meminfo.swap_total_bytes, ==, 1024 * 1024);
    g_assert_cmpuint(meminfo.swap_free_bytes, ==, 512 * 1024);
    g_assert_cmpuint(meminfo.huge_page_bytes, ==, 2048 * 1024);
    g_assert_cmpuint(meminfo.huge_pages_total, ==, 20);
    g_assert_cmpuint(meminfo.huge_pages_free, ==, 5);
}

static void
test_bad_meminfo(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GantryMeminfo meminfo = {.total_bytes = 42};

    g_assert_false(gantry_host_meminfo(tree->host, &meminfo, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "proc/meminfo");
    scratch_write(tree->root, "proc/meminfo", "MemTotal: 1 kB\nMemFree: 1 kB\n");
    g_assert_false(gantry_host_meminfo(tree->host, &meminfo, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "MemAvailable");
    scratch_write(tree->root, "proc/meminfo", "MemTotal: lots kB\n");
    g_assert_false(gantry_host_meminfo(tree->host, &meminfo, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "'lots'");
    scratch_write(tree->root, "proc/meminfo", "MemTotal: 99999999999999999999 kB\n");
    g_assert_false(gantry_host_meminfo(tree->host, &meminfo, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "MemTotal");
    scratch_write(tree->root, "proc/meminfo", "MemTotal:");
    g_assert_false(gantry_host_meminfo(tree->host, &meminfo, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "MemTotal");
    g_assert_cmpuint(meminfo.total_bytes, ==, 42);
}

static void
test_pressure(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GantryPressure pressure;

    scratch_write(tree->root, "proc/pressure/io",
                  "some avg10=47.26 avg60=27.48 avg300=100.00 total=139236151\n"
                  "full avg10=0.00 avg60=1.50 avg300=0.00 total=7\n");
    g_assert_true(gantry_host_pressure(tree->host, "io", &pressure, &error));
    g_assert_no_error(error);
    g_assert_cmpfloat(pressure.some.avg10_percent, ==, 47.26);
    g_assert_cmpfloat(pressure.some.avg300_percent, ==, 100);
    g_assert_cmpuint(pressure.some.total_usec, ==, 139236151);
    g_assert_cmpfloat(pressure.full.avg60_percent, ==, 1.5);
    g_assert_cmpuint(pressure.full.total_usec, ==, 7);

    /* Kernels before 5.13 have no "full" for CPUs. */
    scratch_write(tree->root, "proc/pressure/cpu", "some avg10=1 avg60=2 avg300=3 total=4\n");
    g_assert_true(gantry_host_pressure(tree->host, "cpu", &pressure, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(pressure.some.total_usec, ==, 4);
    g_assert_cmpuint(pressure.full.total_usec, ==, 0);
}

static void
test_bad_pressure(Tree *tree, gconstpointer data)
{
    static const char *const bad[] = {
        "",
        "full avg10=1 avg60=2 avg300=3 total=4",
        "some avg10=1 avg60=2 avg300=3",
        "some avg10=1 avg60=2 total=4",
        "some avg10= avg60=2 avg300=3 total=4",
        "some avg10=1.2.3 avg60=2 avg300=3 total=4",
        "some avg10=nan avg60=2 avg300=3 total=4",
        "some avg10=101 avg60=2 avg300=3 total=4",
        "some avg10=1 avg60=2 avg300=3 total=-4",
        "some avg10=1 avg60=2 avg300=3 total=4\nfull x",
    };
    g_autoptr(GError) error = NULL;
    GantryPressure pressure;

    g_assert_false(gantry_host_pressure(tree->host, "io", &pressure, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "proc/pressure/io");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(gantry_pressure_parse(bad[i], "a-file", &pressure, &error));
        assert_failed(&error, GANTRY_ERROR_INVALID, "a-file");
    }
}

static void
test_process_start(Tree *tree, gconstpointer data)
{
    static const char *const bad[] = {
        "7 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
        "7 (x S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
        "7 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 -19 20",
        "",
    };
    g_autoptr(GError) error = NULL;
    gint64 start;

    scratch_write(tree->root, STAT, "cpu  1 2 3 4\nbtime 1700000000\n");
    /* A process may choose its name. */
    scratch_write(tree->root, "proc/7/stat",
                  "7 (a) R 1 2 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1250 20\n");
    g_assert_true(gantry_host_process_start(tree->host, 7, &start, &error));
    g_assert_no_error(error);
    g_assert_cmpint(start, ==, 1700000012);

    g_assert_false(gantry_host_process_start(tree->host, 8, &start, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "proc/8/stat");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        scratch_write(tree->root, "proc/7/stat", bad[i]);
        g_assert_false(gantry_host_process_start(tree->host, 7, &start, &error));
        assert_failed(&error, GANTRY_ERROR_INVALID, "proc/7/stat");
    }
}

static void
test_thread_cpu(Tree *tree, gconstpointer data)
{
    static const char *const bad[] = {"", "x 1 2", "-1 2 3", "18446744073709551616 1 1"};
    g_autoptr(GError) error = NULL;
    guint64 nsec;

    scratch_write(tree->root, "proc/12/task/13/schedstat", "123456789012 99 7\n");
    g_assert_true(gantry_host_thread_cpu(tree->host, 12, 13, &nsec, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(nsec, ==, G_GUINT64_CONSTANT(123456789012));
    g_assert_false(gantry_host_thread_cpu(tree->host, 12, 14, &nsec, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "proc/12/task/14/schedstat");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        scratch_write(tree->root, "proc/12/task/13/schedstat", bad[i]);
        g_assert_false(gantry_host_thread_cpu(tree->host, 12, 13, &nsec, &error));
        assert_failed(&error, GANTRY_ERROR_INVALID, "proc/12/task/13/schedstat");
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TREE_TEST("/procfs/stat", test_stat);
    TREE_TEST("/procfs/bad-stat", test_bad_stat);
    TREE_TEST("/procfs/meminfo", test_meminfo);
    TREE_TEST("/procfs/bad-meminfo", test_bad_meminfo);
    TREE_TEST("/procfs/process-start", test_process_start);
    TREE_TEST("/procfs/thread-cpu", test_thread_cpu);
    TREE_TEST("/pressure/read", test_pressure);
    TREE_TEST("/pressure/bad", test_bad_pressure);
    return g_test_run();
}
