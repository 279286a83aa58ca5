/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests only: how the actuator judges what libvirt says. */
#include "common/virt/connection.h"
#include "loadbalancer/actuator.h"

/* Whether a job, as virDomainGetJobStats() tells it, is a migration to another host. */
gboolean lb_job_is_migration_out(int type, const GantryVirtParams *params);

/* Of the domain on one host. */
typedef struct {
    gboolean seen; /* the host has answered */
    gboolean running;
    gboolean migrating; /* to another host */
} LbSight;

typedef enum {
    LB_PLACE_SOURCE,
    LB_PLACE_TARGET,
    LB_PLACE_BOTH,
    LB_PLACE_NEITHER,
    LB_PLACE_MIGRATING,
    LB_PLACE_UNSEEN,
} LbPlace;

/* Where the domain is. The hosts cannot be asked at one moment, so where the target has it running
 * the source is asked again: @source_after; else that is @source once more. */
LbPlace lb_judge_place(const LbSight *source, const LbSight *target, const LbSight *source_after);
