/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between connection.c and follow.c: who follows a connection, and how it is told. */
#include "common/virt/connection.h"

typedef struct GantryVirtFollow GantryVirtFollow;

GantryVirtFollow *gantry_virt_follow_new(guint event_ids, const GantryVirtFollower *follower,
                                         gpointer data, GDestroyNotify destroy,
                                         GMainContext *context);
GantryVirtFollow *gantry_virt_follow_ref(GantryVirtFollow *follow);
void gantry_virt_follow_unref(GantryVirtFollow *follow);

/* No callback begins any more. */
void gantry_virt_follow_stop(GantryVirtFollow *follow);

/* To be called by the worker with a fresh connection. Events go to gantry_virt_conn_queue_event().
 * What the driver does not know is left out. */
void gantry_virt_follow_register(GantryVirtFollow *follow, GantryVirtConn *conn,
                                 virConnectPtr virt);
void gantry_virt_follow_deregister(GantryVirtFollow *follow, virConnectPtr virt);

/* Tell the follower; never call back at once. */
void gantry_virt_follow_tell_state(GantryVirtFollow *follow, GantryVirtConn *conn,
                                   GantryVirtState state, const char *reason);
void gantry_virt_follow_tell_event(GantryVirtFollow *follow, GantryVirtConn *conn,
                                   GantryVirtEvent *event); /* takes @event */

/* How many lists and events the follower was told and has not taken yet. When it has taken the last
 * one, gantry_virt_conn_wake() is called. */
guint gantry_virt_follow_n_told(GantryVirtFollow *follow);

/* Lists the domains and tells them; in the worker. */
gboolean gantry_virt_follow_resync(GantryVirtFollow *follow, GantryVirtConn *conn,
                                   virConnectPtr virt, GError **error);

void gantry_virt_event_free(GantryVirtEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryVirtEvent, gantry_virt_event_free)

/* In connection.c. */
void gantry_virt_conn_queue_event(GantryVirtConn *conn, GantryVirtEvent *event); /* takes it */
GantryVirtConn *gantry_virt_conn_ref(GantryVirtConn *conn);
void gantry_virt_conn_unref(GantryVirtConn *conn);
