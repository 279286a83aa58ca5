/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests only: how the actuator asks libvirt, and judges what it says. */
#include "common/virt/connection.h"
#include "loadbalancer/act/actuator.h"

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

/* What a question about the domain finds; in a reference-counted box, since a question can outlive
 * whoever waits for it. */
typedef struct {
    char *uuid;
    gboolean running;
    gboolean migrating; /* leaves this host, or is about to */
    LbMoveProgress progress;
    LbMoveResult result;
} LbAnswer;

void lb_answer_release(gpointer answer);

/**
 * lb_ask_patiently:
 * @question: gets the LbAnswer as its data
 * @patience_msec: for a libvirtd that has gone to be back; then it is asked again
 *
 * Returns: (transfer full): NULL where libvirtd said an error, or nothing for all that time.
 */
LbAnswer *lb_ask_patiently(GantryVirtConn *conn, GantryVirtFunc question, const char *uuid,
                           guint patience_msec);
