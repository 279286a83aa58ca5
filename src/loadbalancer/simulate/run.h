/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/simulate/policy.h"

/* What came of one policy. */
typedef struct {
    const LbSimPolicy *policy;
    guint n_intervals;
    guint n_migrations;
    guint n_ping_pongs; /* a VM came back to a host that it had left less than 6 hours before */
    double moved_bytes;
    double
        slatah; /* part of hosts' time with VMs in which they wanted more than it has (CloudSim) */
    double overload_hours; /* the same, in hours of hosts */
    double over_hours;     /* of hosts, over the threshold */
    double pdm;            /* part of their work that VMs lost by being moved (CloudSim) */
    double lost_work;      /* part of their work that VMs did not get for want of CPU */
    double stddev;         /* of hosts' loads, mean over time */
    double hosts_used;     /* mean over time */

    /* One an interval. */
    double *imbalance;
    double *overloaded; /* hosts */
    double *migrations; /* so far */
} LbSimResult;

void lb_sim_result_free(gpointer result);

/**
 * lb_simulate:
 * @progress: (nullable): called now and then, with 0 to 1
 *
 * Returns: (transfer full): NULL with an error where the VMs do not fit on so few hosts.
 */
LbSimResult *lb_simulate(GPtrArray *traces, guint n_hosts, const LbFleetModel *model,
                         const LbSimPolicy *policy, const LbSimOptions *options,
                         void (*progress)(double part, gpointer data), gpointer data,
                         GError **error);
