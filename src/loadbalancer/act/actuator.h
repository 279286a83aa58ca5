/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* By where the domain is after a move that failed: what a caller has to know. */
#define LB_MOVE_ERROR (lb_move_error_quark())

typedef enum {
    LB_MOVE_ERROR_STAYED,    /* libvirt, or a hook, refused or broke off; it runs at the source, or
                                the source could not even be asked to begin, or somebody else
                                migrates it already, who is let be */
    LB_MOVE_ERROR_CANCELLED, /* by the deadline or the caller; it runs at the source */
    LB_MOVE_ERROR_UNCLEAR,   /* it runs at the target in spite of an error, at both hosts, at
                                neither, still migrates, or that could not be seen: somebody
                                must look */
} LbMoveError;

GQuark lb_move_error_quark(void);

/* One migration: which domain, from where, to where. */
typedef struct {
    const char *source_uri; /* of libvirt, as we reach it */
    const char *target_uri; /* as we and the source reach it: the migration is peer-to-peer */
    const char *uuid;
    const char *name;        /* for messages */
    guint max_downtime_msec; /* longest pause that QEMU may plan; 0: its own */
    guint timeout_msec;      /* of the migration; then it is cancelled */
} LbMove;

typedef struct {
    guint64 total_msec;
    guint64 downtime_msec;
    guint64 sent_bytes;      /* over the wire */
    gboolean autostart_lost; /* it had it at the source; the target did not take it */
} LbMoveResult;

typedef struct {
    double fraction; /* 0 to 1: how much of memory has been sent and was not dirtied again */
    guint64 elapsed_msec;
    guint64 sent_bytes;
    guint64 remaining_bytes;
} LbMoveProgress;

/* Called in the thread of lb_move(), about four times a second. Members may be NULL. */
typedef struct {
    void (*progress)(const LbMoveProgress *progress, gpointer data);
    gboolean (*is_cancelled)(gpointer data); /* TRUE cancels the migration */
} LbMoveWatcher;

/**
 * lb_move:
 *
 * Migrates a running domain live and peer-to-peer, and sees that it runs at the target and only
 * there. A persistent domain's definition and autostart go with it.
 *
 * If the caller dies meanwhile, libvirt completes the migration or cancels it by itself.
 *
 * Returns: FALSE with LB_MOVE_ERROR; the message ends with where the domain runs.
 */
gboolean lb_move(const LbMove *move, const LbMoveWatcher *watcher, gpointer data,
                 LbMoveResult *ret_result, GError **error);
