/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests only: the clock and the dice of the back-off. */
#include "common/virt/connection.h"

typedef struct {
    gint64 (*now_usec)(gpointer data);
    double (*random)(gpointer data); /* [0, 1) */
    /* Waits on @cond until it is signalled or the clock may show @until_usec; spurious returns are
     * fine. Whoever advances the clock calls gantry_virt_conn_wake(). */
    void (*wait_until)(GCond *cond, GMutex *mutex, gint64 until_usec, gpointer data);
    gpointer data;
} GantryVirtClock;

GantryVirtConn *gantry_virt_conn_new_full(const char *uri, const GantryVirtOptions *options,
                                          guint event_ids, const GantryVirtFollower *follower,
                                          gpointer data, GDestroyNotify destroy,
                                          GMainContext *context, const GantryVirtClock *clock);
void gantry_virt_conn_wake(GantryVirtConn *conn);

/* As if libvirt had said that the connection is gone. */
void gantry_virt_conn_lose_link(GantryVirtConn *conn, const char *reason);

/* When the next attempt to connect is due, by the connection's clock; 0: none is waiting. */
gint64 gantry_virt_conn_next_attempt_usec(GantryVirtConn *conn);
