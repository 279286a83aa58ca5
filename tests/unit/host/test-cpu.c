/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/cpu.h"
#include "common/host/numa.h"
#include "tree.h"

#define CPU  "sys/devices/system/cpu/"
#define NODE "sys/devices/system/node/"

static void
write_cpu(Tree *tree, guint cpu, const char *package, const char *core, const char *siblings)
{
    g_autofree char *folder = g_strdup_printf(CPU "cpu%u/topology", cpu);
    g_autofree char *package_file = g_build_filename(folder, "physical_package_id", NULL);
    g_autofree char *core_file = g_build_filename(folder, "core_id", NULL);
    g_autofree char *siblings_file = g_build_filename(folder, "thread_siblings_list", NULL);

    scratch_write(tree->root, package_file, package);
    scratch_write(tree->root, core_file, core);
    scratch_write(tree->root, siblings_file, siblings);
}

static void
write_node(Tree *tree, guint node, const char *cpus, const char *meminfo, const char *distance)
{
    g_autofree char *folder = g_strdup_printf(NODE "node%u", node);
    g_autofree char *cpus_file = g_build_filename(folder, "cpulist", NULL);
    g_autofree char *meminfo_file = g_build_filename(folder, "meminfo", NULL);
    g_autofree char *distance_file = g_build_filename(folder, "distance", NULL);

    scratch_write(tree->root, cpus_file, cpus);
    scratch_write(tree->root, meminfo_file, meminfo);
    scratch_write(tree->root, distance_file, distance);
}

/* Two sockets with two cores of two threads; the second core of the second socket is offline. */
static void
write_machine(Tree *tree)
{
    scratch_write(tree->root, CPU "online", "0-2,4-6\n");
    write_cpu(tree, 0, "0\n", "0\n", "0,4\n");
    write_cpu(tree, 4, "0\n", "0\n", "0,4\n");
    write_cpu(tree, 1, "0\n", "1\n", "1,5\n");
    write_cpu(tree, 5, "0\n", "1\n", "1,5\n");
    write_cpu(tree, 2, "1\n", "0\n", "2,6\n");
    write_cpu(tree, 6, "1\n", "0\n", "2,6\n");
    scratch_write(tree->root, NODE "online", "0-1,8\n");
    write_node(tree, 0, "0-1,4-5\n",
               "Node 0 MemTotal:       16384 kB\nNode 0 MemFree:         1024 kB\n", "10 21 28\n");
    write_node(tree, 1, "2,6\n",
               "Node 1 MemTotal:        8192 kB\nNode 1 MemFree:            0 kB\n", "21 10 28\n");
    write_node(tree, 8, "\n", "Node 8 MemTotal:     1048576 kB\nNode 8 MemFree:      1000000 kB\n",
               "28 28 10\n");
}

static void
test_online(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryCpuset) online = NULL;

    write_machine(tree);
    online = gantry_host_online_cpus(tree->host, &error);
    g_assert_no_error(error);
    assert_cpus(online, "0-2,4-6");
}

static void
test_topology(Tree *tree, gconstpointer data)
{
    static const struct {
        guint cpu;
        int package;
        int core;
        const char *siblings;
    } expected[] = {
        {0, 0, 0, "0,4"}, {1, 0, 1, "1,5"}, {2, 1, 0, "2,6"},
        {4, 0, 0, "0,4"}, {5, 0, 1, "1,5"}, {6, 1, 0, "2,6"},
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) cpus = NULL;

    write_machine(tree);
    cpus = gantry_host_cpus(tree->host, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(cpus->len, ==, G_N_ELEMENTS(expected));
    for (guint i = 0; i < cpus->len; i++) {
        const GantryCpu *cpu = g_ptr_array_index(cpus, i);

        g_assert_cmpuint(cpu->cpu, ==, expected[i].cpu);
        g_assert_cmpint(cpu->package, ==, expected[i].package);
        g_assert_cmpint(cpu->core, ==, expected[i].core);
        assert_cpus(cpu->thread_siblings, expected[i].siblings);
    }
}

static void
test_bad_topology(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_host_cpus(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, CPU "online");
    write_machine(tree);
    write_cpu(tree, 5, "zero", "0", "5");
    g_assert_null(gantry_host_cpus(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "cpu5/topology/physical_package_id");
    write_cpu(tree, 5, "0", "-2", "5");
    g_assert_null(gantry_host_cpus(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "cpu5/topology/core_id");
    write_cpu(tree, 5, "0", "0", "5-");
    g_assert_null(gantry_host_cpus(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "cpu5/topology/thread_siblings_list");
    scratch_write(tree->root, CPU "online", "0-99999999\n");
    g_assert_null(gantry_host_cpus(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, CPU "online");
    scratch_write(tree->root, CPU "online", "0-3\n"); /* 3 has no folder */
    g_assert_null(gantry_host_cpus(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "cpu3/topology");
}

static void
test_numa(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) nodes = NULL;
    const GantryNumaNode *node;

    write_machine(tree);
    nodes = gantry_host_numa_nodes(tree->host, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(nodes->len, ==, 3);
    node = g_ptr_array_index(nodes, 0);
    g_assert_cmpuint(node->node, ==, 0);
    assert_cpus(node->cpus, "0-1,4-5");
    g_assert_cmpuint(node->memory_total_bytes, ==, 16 * 1024 * 1024);
    g_assert_cmpuint(node->memory_free_bytes, ==, 1024 * 1024);
    node = g_ptr_array_index(nodes, 1);
    g_assert_cmpuint(node->distances->len, ==, 3);
    g_assert_cmpuint(g_array_index(node->distances, guint, 0), ==, 21);
    g_assert_cmpuint(g_array_index(node->distances, guint, 1), ==, 10);
    g_assert_cmpuint(g_array_index(node->distances, guint, 2), ==, 28);
    node = g_ptr_array_index(nodes, 2);
    g_assert_cmpuint(node->node, ==, 8);
    g_assert_true(gantry_cpuset_is_empty(node->cpus));

    g_assert_cmpint(gantry_numa_node_of_cpu(nodes, 5), ==, 0);
    g_assert_cmpint(gantry_numa_node_of_cpu(nodes, 2), ==, 1);
    g_assert_cmpint(gantry_numa_node_of_cpu(nodes, 3), ==, -1);
}

static void
test_without_numa(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) nodes = NULL;
    const GantryNumaNode *node;

    scratch_write(tree->root, CPU "online", "0-3\n");
    scratch_write(tree->root, "proc/meminfo",
                  "MemTotal: 2048 kB\nMemFree: 1024 kB\nMemAvailable: 1536 kB\n");
    nodes = gantry_host_numa_nodes(tree->host, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(nodes->len, ==, 1);
    node = g_ptr_array_index(nodes, 0);
    assert_cpus(node->cpus, "0-3");
    g_assert_cmpuint(node->memory_total_bytes, ==, 2048 * 1024);
    g_assert_cmpuint(node->memory_free_bytes, ==, 1024 * 1024);
    g_assert_cmpint(gantry_numa_node_of_cpu(nodes, 3), ==, 0);
}

static void
test_bad_numa(Tree *tree, gconstpointer data)
{
    static const char memory[] = "Node 1 MemTotal: 1 kB\nNode 1 MemFree: 1 kB\n";
    g_autoptr(GError) error = NULL;

    write_machine(tree);
    write_node(tree, 1, "2,6", memory, "10 20");
    g_assert_null(gantry_host_numa_nodes(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "node1/distance");
    write_node(tree, 1, "2,6", memory, "10 20 x");
    g_assert_null(gantry_host_numa_nodes(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "node1/distance");
    write_node(tree, 1, "2,6", "Node 0 MemTotal: 1 kB\n", "10 20 30");
    g_assert_null(gantry_host_numa_nodes(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "node1/meminfo");
    write_node(tree, 1, "2,6", "Node 1 MemTotal: 18446744073709551615 kB\n", "10 20 30");
    g_assert_null(gantry_host_numa_nodes(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "node1/meminfo");
    write_node(tree, 1, "two", memory, "10 20 30");
    g_assert_null(gantry_host_numa_nodes(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "node1/cpulist");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TREE_TEST("/cpu/online", test_online);
    TREE_TEST("/cpu/topology", test_topology);
    TREE_TEST("/cpu/bad-topology", test_bad_topology);
    TREE_TEST("/numa/nodes", test_numa);
    TREE_TEST("/numa/without", test_without_numa);
    TREE_TEST("/numa/bad", test_bad_numa);
    return g_test_run();
}
