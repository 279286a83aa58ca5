/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/numa.h"

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/host/cpu.h"
#include "common/host/keyed.h"
#include "common/host/procfs.h"

#define NODE_FOLDER    "sys/devices/system/node"
#define LOCAL_DISTANCE 10
#define KIB_MAX        (G_MAXUINT64 / 1024)

static gboolean read_node(const GantryHost *host, GantryNumaNode *node, guint n_nodes,
                          GError **error);
static gboolean read_whole_machine(const GantryHost *host, GantryNumaNode *node, GError **error);
static GantryNumaNode *add_node(GPtrArray *nodes, guint number);
static void node_free(gpointer data);

GPtrArray *
gantry_host_numa_nodes(const GantryHost *host, GError **error)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(node_free);
    g_autoptr(GantryCpuset) online = NULL;
    guint n_nodes;

    if (!gantry_host_exists(host, NODE_FOLDER)) {
        return read_whole_machine(host, add_node(nodes, 0), error) ? g_steal_pointer(&nodes) : NULL;
    }
    online = gantry_host_read_cpuset(host, error, NODE_FOLDER "/online");
    if (!online) {
        return NULL;
    }
    n_nodes = gantry_cpuset_count(online);
    for (int i = gantry_cpuset_next(online, 0); i >= 0;
         i = gantry_cpuset_next(online, (guint)i + 1)) {
        if (!read_node(host, add_node(nodes, (guint)i), n_nodes, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&nodes);
}

int
gantry_numa_node_of_cpu(const GPtrArray *nodes, guint cpu)
{
    for (guint i = 0; i < nodes->len; i++) {
        const GantryNumaNode *node = g_ptr_array_index(nodes, i);

        if (gantry_cpuset_contains(node->cpus, cpu)) {
            return (int)node->node;
        }
    }
    return -1;
}

static gboolean
read_memory(const GantryHost *host, GantryNumaNode *node, GError **error)
{
    g_autofree char *file = g_strdup_printf(NODE_FOLDER "/node%u/meminfo", node->node);
    g_autofree char *total_key = g_strdup_printf("Node %u MemTotal", node->node);
    g_autofree char *free_key = g_strdup_printf("Node %u MemFree", node->node);
    g_autofree char *text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, "%s", file);
    guint64 total_kib;
    guint64 free_kib;

    if (!text || !gantry_keyed_uint(text, file, total_key, TRUE, KIB_MAX, &total_kib, error) ||
        !gantry_keyed_uint(text, file, free_key, TRUE, KIB_MAX, &free_kib, error)) {
        return FALSE;
    }
    node->memory_total_bytes = total_kib * 1024;
    node->memory_free_bytes = free_kib * 1024;
    return TRUE;
}

static gboolean
read_distances(const GantryHost *host, GantryNumaNode *node, guint n_nodes, GError **error)
{
    g_autofree char *text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error,
                                             NODE_FOLDER "/node%u/distance", node->node);
    g_auto(GStrv) words = NULL;

    if (!text) {
        return FALSE;
    }
    words = g_strsplit(text, " ", -1);
    for (gsize i = 0; words[i]; i++) {
        guint64 value;
        guint distance;

        if (!g_ascii_string_to_unsigned(words[i], 10, 0, G_MAXUINT, &value, NULL)) {
            break;
        }
        distance = (guint)value;
        g_array_append_val(node->distances, distance);
    }
    if (node->distances->len != n_nodes || g_strv_length(words) != n_nodes) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s/node%2$u/distance: '%3$.64s' is not a distance to each of %4$u nodes"),
                    NODE_FOLDER, node->node, text, n_nodes);
        return FALSE;
    }
    return TRUE;
}

static gboolean
read_node(const GantryHost *host, GantryNumaNode *node, guint n_nodes, GError **error)
{
    node->cpus = gantry_host_read_cpuset(host, error, NODE_FOLDER "/node%u/cpulist", node->node);
    return node->cpus && read_memory(host, node, error) &&
           read_distances(host, node, n_nodes, error);
}

static gboolean
read_whole_machine(const GantryHost *host, GantryNumaNode *node, GError **error)
{
    const guint distance = LOCAL_DISTANCE;
    GantryMeminfo meminfo;

    node->cpus = gantry_host_online_cpus(host, error);
    if (!node->cpus || !gantry_host_meminfo(host, &meminfo, error)) {
        return FALSE;
    }
    node->memory_total_bytes = meminfo.total_bytes;
    node->memory_free_bytes = meminfo.free_bytes;
    g_array_append_val(node->distances, distance);
    return TRUE;
}

static GantryNumaNode *
add_node(GPtrArray *nodes, guint number)
{
    GantryNumaNode *node = g_new0(GantryNumaNode, 1);

    node->node = number;
    node->distances = g_array_new(FALSE, FALSE, sizeof(guint));
    g_ptr_array_add(nodes, node);
    return node;
}

static void
node_free(gpointer data)
{
    GantryNumaNode *node = data;

    g_clear_pointer(&node->cpus, gantry_cpuset_free);
    g_array_unref(node->distances);
    g_free(node);
}
