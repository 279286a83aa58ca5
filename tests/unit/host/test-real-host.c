/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the machine that the test runs on, and holds it against what other interfaces say. */
#include <sched.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "common/host/cgroup.h"
#include "common/host/cpu.h"
#include "common/host/numa.h"
#include "common/host/pci.h"
#include "common/host/pressure.h"
#include "common/host/procfs.h"
#include "tree.h"

static GantryHost *
open_machine(void)
{
    g_autoptr(GError) error = NULL;
    GantryHost *host = gantry_host_open("/", &error);

    g_assert_no_error(error);
    return host;
}

static void
test_cpus(void)
{
    g_autoptr(GantryHost) host = open_machine();
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) cpus = gantry_host_cpus(host, &error);
    g_autoptr(GPtrArray) nodes = NULL;
    g_autoptr(GantryCpuset) online = NULL;

    g_assert_no_error(error);
    g_assert_cmpint(cpus->len, ==, sysconf(_SC_NPROCESSORS_ONLN));
    online = gantry_host_online_cpus(host, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(gantry_cpuset_count(online), ==, cpus->len);
    nodes = gantry_host_numa_nodes(host, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < cpus->len; i++) {
        const GantryCpu *cpu = g_ptr_array_index(cpus, i);

        g_assert_true(gantry_cpuset_contains(online, cpu->cpu));
        g_assert_true(gantry_cpuset_contains(cpu->thread_siblings, cpu->cpu));
        g_assert_true(gantry_cpuset_is_subset(cpu->thread_siblings, online));
        g_assert_cmpint(gantry_numa_node_of_cpu(nodes, cpu->cpu), >=, 0);
    }
}

static void
test_memory(void)
{
    g_autoptr(GantryHost) host = open_machine();
    g_autoptr(GError) error = NULL;
    GantryMeminfo meminfo;
    struct sysinfo info;

    g_assert_true(gantry_host_meminfo(host, &meminfo, &error));
    g_assert_no_error(error);
    g_assert_no_errno(sysinfo(&info));
    g_assert_cmpuint(meminfo.total_bytes, ==, (guint64)info.totalram * info.mem_unit);
    g_assert_cmpuint(meminfo.swap_total_bytes, ==, (guint64)info.totalswap * info.mem_unit);
    g_assert_cmpuint(meminfo.free_bytes, <=, meminfo.total_bytes);
}

static void
test_stat(void)
{
    g_autoptr(GantryHost) host = open_machine();
    g_autoptr(GError) error = NULL;
    g_auto(GantryProcStat) stat = {0};
    gint64 now_sec = g_get_real_time() / G_USEC_PER_SEC;

    g_assert_true(gantry_host_proc_stat(host, &stat, &error));
    g_assert_no_error(error);
    g_assert_cmpint(stat.cpus->len, ==, sysconf(_SC_NPROCESSORS_ONLN));
    g_assert_cmpint(stat.boot_time_sec, <=, now_sec);
    g_assert_cmpuint(gantry_cpu_times_busy_usec(&stat.total), >, 0);
}

static void
test_pressure(void)
{
    g_autoptr(GantryHost) host = open_machine();
    g_autoptr(GError) error = NULL;
    GantryPressure pressure;

    if (!g_file_test("/proc/pressure/cpu", G_FILE_TEST_EXISTS)) {
        g_test_skip("this kernel has no pressure stall information");
        return;
    }
    if (!gantry_host_pressure(host, "cpu", &pressure, &error)) {
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
        g_test_skip(error->message);
    }
}

static void
test_pci(void)
{
    g_autoptr(GantryHost) host = open_machine();
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) addresses = gantry_host_pci_addresses(host, &error);

    g_assert_no_error(error);
    for (guint i = 0; i < addresses->len; i++) {
        g_autoptr(GantryPciDevice) device =
            gantry_host_pci_device(host, &g_array_index(addresses, GantryPciAddress, i), &error);

        g_assert_no_error(error);
        g_assert_cmphex(device->vendor, !=, 0);
    }
}

static void
test_cgroup(void)
{
    g_autoptr(GantryHost) host = open_machine();
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryCpuset) allowed = NULL;
    g_autoptr(GantryCgroup) cgroup = gantry_host_cgroup(host, getpid(), "cpuacct", &error);
    GantryCgroupCpuStat stat;
    cpu_set_t affinity;

    if (!cgroup) {
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
        g_test_skip(error->message);
        return;
    }
    g_assert_true(gantry_host_cgroup_cpu_stat(host, getpid(), &stat, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(stat.usage_usec, >, 0);

    allowed = gantry_host_cgroup_cpuset(host, getpid(), &error);
    g_assert_no_error(error);
    g_assert_no_errno(sched_getaffinity(0, sizeof(affinity), &affinity));
    for (guint i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &affinity)) {
            g_assert_true(gantry_cpuset_contains(allowed, i));
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/real-host/cpus", test_cpus);
    g_test_add_func("/real-host/memory", test_memory);
    g_test_add_func("/real-host/stat", test_stat);
    g_test_add_func("/real-host/pressure", test_pressure);
    g_test_add_func("/real-host/pci", test_pci);
    g_test_add_func("/real-host/cgroup", test_cgroup);
    return g_test_run();
}
