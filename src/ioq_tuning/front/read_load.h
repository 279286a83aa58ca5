/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/front/front.h"
#include "ioq_tuning/front/latency.h"

/*
 * Random reads of 4 KiB, all over the disk: a thread for each queue of a front end keeps its depth
 * of requests in flight. It never writes.
 */
typedef struct FrontReadLoad FrontReadLoad;

#define FRONT_READ_QUEUE_SIZE 256U
#define FRONT_READ_MAX_DEPTH  64U /* of a queue of that size */

/* What the front end's memory_bytes must be. */
gsize front_read_load_bytes(guint n_queues, guint depth);

/**
 * front_read_load_start:
 * @front: connected; borrowed until the load has ended. Its queues have FRONT_READ_QUEUE_SIZE.
 *
 * Returns: (transfer full): NULL with GANTRY_ERROR_REFUSED where the disk holds not one block.
 */
FrontReadLoad *front_read_load_start(Front *front, guint depth, GError **error);

/* From now on, until the end, requests that are done are counted. */
void front_read_load_count(FrontReadLoad *load);

typedef struct {
    guint64 requests;
    gint64 nsec; /* that were counted */
    FrontLatency latency;
} FrontReadResult;

/**
 * front_read_load_end:
 * @ret_result: (out): to be cleared by front_latency_clear(&latency), on success
 *
 * Stops counting, waits for what is in flight, ends the threads, and frees @load.
 *
 * Returns: FALSE with GANTRY_ERROR_SYSTEM (reads failed), _PROTOCOL (the back end ended something
 * that was not begun), or _UNAVAILABLE (it has gone, or does not end what is in flight).
 */
gboolean front_read_load_end(FrontReadLoad *load, FrontReadResult *ret_result, GError **error);
