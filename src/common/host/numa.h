/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/host/host.h"

typedef struct {
    guint node;
    GantryCpuset *cpus; /* online ones; empty for a node of memory only */
    guint64 memory_total_bytes;
    guint64 memory_free_bytes;
    GArray *distances; /* of guint, to each online node in their order; 10 is to itself */
} GantryNumaNode;

/**
 * gantry_host_numa_nodes:
 *
 * Returns: (transfer full) (element-type GantryNumaNode): the online nodes by number. A kernel
 * without NUMA has one node 0 with all that there is.
 */
GPtrArray *gantry_host_numa_nodes(const GantryHost *host, GError **error);

/* The node that @cpu belongs to, or -1. */
int gantry_numa_node_of_cpu(const GPtrArray *nodes, guint cpu);
