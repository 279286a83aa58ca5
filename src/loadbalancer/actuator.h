/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* One migration: which domain, from where, to where. */
typedef struct {
    const char *source_uri; /* of libvirt, as we reach it */
    const char *target_uri; /* as we and the source reach it: the migration is peer-to-peer */
    const char *uuid;
    const char *name;        /* for messages */
    guint max_downtime_msec; /* 0: QEMU's own */
    guint timeout_msec;      /* of the migration; then it is cancelled */
} LbMove;

typedef struct {
    guint64 total_msec;
    guint64 downtime_msec;
    guint64 sent_bytes; /* of memory, over the wire */
} LbMoveResult;

typedef struct {
    double fraction; /* 0 to 1: how much of memory has been sent and was not dirtied again */
    guint64 elapsed_msec;
    guint64 sent_bytes;
    guint64 remaining_bytes;
} LbMoveProgress;

typedef void (*LbMoveProgressFunc)(const LbMoveProgress *progress, gpointer data);

/**
 * lb_move:
 * @progress: (nullable): called about four times a second, in the calling thread
 *
 * Migrates a running domain live and peer-to-peer, and sees that it runs at the target and only
 * there. A persistent domain's definition goes with it.
 *
 * If the caller dies meanwhile, libvirt completes the migration or cancels it by itself.
 *
 * Returns: FALSE with libvirt's error, GANTRY_ERROR_TIMEOUT (cancelled at the deadline), or
 * GANTRY_ERROR_CONFLICT (libvirt reports success, but the domain is not where it should be).
 * The message says where the domain is.
 */
gboolean lb_move(const LbMove *move, LbMoveProgressFunc progress, gpointer data,
                 LbMoveResult *ret_result, GError **error);
