/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/virt/autoptr.h"
#include "common/virt/error.h"

/**
 * A connection to one libvirt daemon that cannot block its user.
 *
 * It has a thread of its own, in which it connects, keeps the connection alive, connects again with
 * back-off after a loss, and makes all calls. A caller waits for its call with a deadline. A call
 * that outlives its deadline keeps the thread; until it returns the connection is HUNG and all
 * calls fail at once. All functions may be called from any thread.
 */
typedef struct GantryVirtConn GantryVirtConn;

typedef enum {
    GANTRY_VIRT_CONNECTING, /* an attempt is under way; calls wait for it */
    GANTRY_VIRT_UP,
    GANTRY_VIRT_DOWN, /* the last attempt failed or the connection was lost; the next one waits */
    GANTRY_VIRT_HUNG, /* a call, or an attempt, outlived a caller's deadline and is still out */
} GantryVirtState;

const char *gantry_virt_state_name(GantryVirtState state); /* "connecting", "up", "down", "hung" */

/* Zero means the default that stands behind each. */
typedef struct {
    guint keepalive_interval_sec; /* 5 */
    guint keepalive_count;        /* 3 unanswered ones end the connection, and hung calls with it */
    guint backoff_min_msec;       /* 1000 */
    guint backoff_max_msec;       /* 60000 */
} GantryVirtOptions;

/**
 * gantry_virt_conn_new:
 * @uri: as virsh --connect takes it
 * @options: (nullable): the defaults
 *
 * Starts to connect and returns at once.
 *
 * Returns: (transfer full): free with gantry_virt_conn_free().
 */
GantryVirtConn *gantry_virt_conn_new(const char *uri, const GantryVirtOptions *options);

/* Never blocks: a thread that hangs in a call ends when the call does. Calls in the queue fail. */
void gantry_virt_conn_free(GantryVirtConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryVirtConn, gantry_virt_conn_free)

const char *gantry_virt_conn_uri(const GantryVirtConn *conn);

/* @ret_reason: (out) (optional) (nullable) (transfer full): why it is not up. */
GantryVirtState gantry_virt_conn_state(GantryVirtConn *conn, char **ret_reason);

/* Waits until it is up, for at most @timeout_msec. Returns: TRUE if it is. */
gboolean gantry_virt_conn_wait_up(GantryVirtConn *conn, guint timeout_msec);

/**
 * GantryVirtFunc:
 *
 * Runs in the connection's thread; may make libvirt calls on @virt. Sets @error on FALSE, best by
 * gantry_virt_set_error() right after the failure.
 */
typedef gboolean (*GantryVirtFunc)(virConnectPtr virt, gpointer data, GError **error);

/**
 * gantry_virt_call:
 * @data: passed to @func; owned by the call, which may go on after the deadline: so results are
 * best put into a g_atomic_rc_box that the caller holds, too, and reads on success only
 * @destroy: (nullable): frees @data, from whichever thread is last
 * @timeout_msec: deadline for waiting in the queue and for the call
 *
 * Returns: TRUE if @func did. FALSE with its error; GANTRY_ERROR_TIMEOUT: the deadline passed, now
 * or for an earlier call that has not returned; GANTRY_ERROR_UNAVAILABLE: not connected, with the
 * reason.
 */
gboolean gantry_virt_call(GantryVirtConn *conn, GantryVirtFunc func, gpointer data,
                          GDestroyNotify destroy, guint timeout_msec, GError **error);

/* The same in two steps, so that one thread can have calls on many connections out at once. */
typedef struct GantryVirtCall GantryVirtCall;

GantryVirtCall *gantry_virt_call_start(GantryVirtConn *conn, GantryVirtFunc func, gpointer data,
                                       GDestroyNotify destroy, guint timeout_msec);

/* Waits for at most @timeout_msec. Returns: TRUE if the call is over, also by its deadline. */
gboolean gantry_virt_call_wait(GantryVirtCall *call, guint timeout_msec);

/* Waits until the call is over, frees it, and returns as gantry_virt_call(). */
gboolean gantry_virt_call_finish(GantryVirtCall *call, GError **error);

/* One domain event, as libvirt's documentation of the event's callback describes it. */
typedef struct {
    int id; /* virDomainEventID */
    virDomainPtr domain;
    int code;   /* LIFECYCLE: event; METADATA_CHANGE: type; MIGRATION_ITERATION: iteration */
    int detail; /* LIFECYCLE */
    char *text; /* METADATA_CHANGE: namespace; DEVICE_ADDED, DEVICE_REMOVED: alias; may be NULL */
    GantryVirtParams params; /* JOB_COMPLETED */
} GantryVirtEvent;

/* One domain in a resync. */
typedef struct {
    virDomainPtr domain;
    int state;  /* virDomainState */
    int reason; /* its reason, as virDomainGetState() */
} GantryVirtDomain;

/**
 * GantryVirtFollower: who wants to know; members may be NULL.
 *
 * libvirt replays nothing that happened while the connection was down. So after each connect
 * @resync gets all domains, active and inactive, before any event; events that happened while the
 * list was made come after it, so an event may tell what the list shows already.
 * A follower that takes too long to be told of every event gets such a list instead, too.
 *
 * Name, uuid and id of the domains may be read at once; all else is a call of its own, see
 * gantry_virt_call_start().
 */
typedef struct {
    void (*resync)(GantryVirtConn *conn, const GantryVirtDomain *domains, guint n_domains,
                   gpointer data);
    void (*event)(GantryVirtConn *conn, const GantryVirtEvent *event, gpointer data);
    void (*state)(GantryVirtConn *conn, GantryVirtState state, const char *reason, gpointer data);
} GantryVirtFollower;

/**
 * gantry_virt_conn_new_follower:
 * @event_ids: bits (1 << VIR_DOMAIN_EVENT_ID_...), of LIFECYCLE, REBOOT, DEVICE_ADDED,
 * DEVICE_REMOVED, METADATA_CHANGE, MIGRATION_ITERATION, JOB_COMPLETED
 * @follower: const; borrowed for ever
 * @destroy: (nullable): frees @data when no callback can come any more
 * @context: (nullable): the main context whose thread calls back; NULL: the default one
 *
 * A gantry_virt_conn_new() with a follower. When @context's thread has called
 * gantry_virt_conn_free(), no callback comes any more.
 */
GantryVirtConn *gantry_virt_conn_new_follower(const char *uri, const GantryVirtOptions *options,
                                              guint event_ids, const GantryVirtFollower *follower,
                                              gpointer data, GDestroyNotify destroy,
                                              GMainContext *context);
