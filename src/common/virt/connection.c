/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A GantryVirtConn is shared by its owner and its thread, the worker, and dies with the last of
 * them; a call holds it, too. Everything in it stands under one lock, which is never held during a
 * libvirt call, nor while something that may hold the last reference to a libvirt connection is
 * freed, nor during a callback. The worker alone makes libvirt calls, so it does not matter which
 * of them libvirt allows from several threads.
 *
 * The worker sleeps on `wake` and looks, in this order: is it over; did the link break; is it time
 * to connect; are there events to pass on; is there a call to make.
 *
 * Deadlines are kept by the callers. A caller that gives up on the call that the worker is in (or
 * on a call in the queue, while the worker connects or lists domains) leaves the connection HUNG
 * until the worker comes back: calls in the queue fail, and new ones fail at once. What ends the
 * worker's libvirt call is not us but libvirt: its answer, or the end of the connection, by
 * keepalive at the latest. An attempt to connect has no keepalive yet; it ends when the server
 * answers or TCP gives up.
 *
 * Events come in libvirt's loop thread (loop.c) and are queued for the worker, so that they cannot
 * overtake the list of domains that follows a connect. A queue that grows without bounds (the
 * worker hangs) is thrown away, and the next thing that the follower gets is a new list. So is what
 * comes while the follower has too much to take yet (its main loop is blocked); that list is made
 * when it has taken all.
 *
 * A libvirt connection is closed by the worker only. Its close callback can come late; it counts
 * only if it speaks of the present connection. So can an event: one of an earlier connection, or
 * from before the present one was taken into use, is thrown away, since the list knows better.
 */
#define GANTRY_LOG_MODULE "virt"
#include "common/virt/connection_priv.h"

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/virt/backoff.h"
#include "common/virt/follow_priv.h"
#include "common/virt/loop.h"

#define MAX_QUEUED_EVENTS 4096 /* here, and as many again on their way to the follower */

typedef enum {
    CALL_QUEUED,
    CALL_RUNNING,
    CALL_DONE,
} CallPhase;

/* Shared by its caller and, while it is queued or running, the connection; under conn->lock. */
struct GantryVirtCall {
    GantryVirtConn *conn;
    GantryVirtFunc func;
    gpointer data;
    GDestroyNotify destroy;
    gint64 deadline_usec; /* monotonic time */
    guint timeout_msec;
    CallPhase phase;
    gboolean ok;
    GError *error;
    GCond done;
};

struct GantryVirtConn {
    char *uri;
    GantryVirtOptions options;
    GantryVirtClock clock;
    GantryVirtFollow *follow; /* NULL: nobody follows */

    GMutex lock;
    GCond wake;          /* for the worker */
    GCond state_changed; /* for gantry_virt_conn_wait_up() */
    gboolean closing;
    GantryVirtState state;
    char *reason;       /* why it is not up; NULL: none yet */
    virConnectPtr virt; /* NULL: not connected */
    gboolean link_lost; /* @virt is dead */
    gboolean resync_due;
    gboolean overflowed;      /* the follower has too much to take yet */
    gboolean busy;            /* the worker is in libvirt */
    GantryVirtCall *running;  /* what it is in; NULL: connecting, listing or idle */
    gint64 up_since_usec;     /* by the clock */
    guint n_attempts;         /* attempts in a row that failed or did not last */
    gint64 next_attempt_usec; /* by the clock */
    GQueue calls;             /* of GantryVirtCall, a reference each */
    GQueue events;            /* of GantryVirtEvent */
};

static gpointer worker_main(gpointer data);
static void fail_queued_locked(GantryVirtConn *conn, GantryError code, const char *message);

static gint64
real_now(gpointer data)
{
    return g_get_monotonic_time();
}

static double
real_random(gpointer data)
{
    return g_random_double();
}

static void
real_wait_until(GCond *cond, GMutex *mutex, gint64 until_usec, gpointer data)
{
    g_cond_wait_until(cond, mutex, until_usec);
}

static const GantryVirtClock real_clock = {
    .now_usec = real_now,
    .random = real_random,
    .wait_until = real_wait_until,
};

/* Public functions */

const char *
gantry_virt_state_name(GantryVirtState state)
{
    static const char *const names[] = {
        [GANTRY_VIRT_CONNECTING] = "connecting",
        [GANTRY_VIRT_UP] = "up",
        [GANTRY_VIRT_DOWN] = "down",
        [GANTRY_VIRT_HUNG] = "hung",
    };

    return names[state];
}

GantryVirtConn *
gantry_virt_conn_new(const char *uri, const GantryVirtOptions *options)
{
    return gantry_virt_conn_new_full(uri, options, 0, NULL, NULL, NULL, NULL, NULL);
}

GantryVirtConn *
gantry_virt_conn_new_follower(const char *uri, const GantryVirtOptions *options, guint event_ids,
                              const GantryVirtFollower *follower, gpointer data,
                              GDestroyNotify destroy, GMainContext *context)
{
    return gantry_virt_conn_new_full(uri, options, event_ids, follower, data, destroy, context,
                                     NULL);
}

GantryVirtConn *
gantry_virt_conn_new_full(const char *uri, const GantryVirtOptions *options, guint event_ids,
                          const GantryVirtFollower *follower, gpointer data, GDestroyNotify destroy,
                          GMainContext *context, const GantryVirtClock *clock)
{
    static const GantryVirtOptions defaults = {0};
    GantryVirtConn *conn;

    gantry_virt_init();
    conn = g_atomic_rc_box_new0(GantryVirtConn);
    conn->uri = g_strdup(uri);
    conn->options = options ? *options : defaults;
    conn->options.keepalive_interval_sec =
        conn->options.keepalive_interval_sec ? conn->options.keepalive_interval_sec : 5;
    conn->options.keepalive_count =
        conn->options.keepalive_count ? conn->options.keepalive_count : 3;
    conn->options.backoff_min_msec =
        conn->options.backoff_min_msec ? conn->options.backoff_min_msec : 1000;
    conn->options.backoff_max_msec =
        conn->options.backoff_max_msec ? conn->options.backoff_max_msec : 60000;
    conn->clock = clock ? *clock : real_clock;
    g_mutex_init(&conn->lock);
    g_cond_init(&conn->wake);
    g_cond_init(&conn->state_changed);
    g_queue_init(&conn->calls);
    g_queue_init(&conn->events);
    conn->state = GANTRY_VIRT_CONNECTING;
    if (follower) {
        conn->follow = gantry_virt_follow_new(event_ids, follower, data, destroy, context);
    }
    g_thread_unref(g_thread_new("virt-conn", worker_main, g_atomic_rc_box_acquire(conn)));
    return conn;
}

static void
conn_clear(gpointer data)
{
    GantryVirtConn *conn = data;

    g_free(conn->uri);
    g_free(conn->reason);
    g_mutex_clear(&conn->lock);
    g_cond_clear(&conn->wake);
    g_cond_clear(&conn->state_changed);
    g_clear_pointer(&conn->follow, gantry_virt_follow_unref);
}

GantryVirtConn *
gantry_virt_conn_ref(GantryVirtConn *conn)
{
    return g_atomic_rc_box_acquire(conn);
}

void
gantry_virt_conn_unref(GantryVirtConn *conn)
{
    g_atomic_rc_box_release_full(conn, conn_clear);
}

void
gantry_virt_conn_free(GantryVirtConn *conn)
{
    if (conn->follow) {
        gantry_virt_follow_stop(conn->follow);
    }
    g_mutex_lock(&conn->lock);
    conn->closing = TRUE;
    fail_queued_locked(conn, GANTRY_ERROR_UNAVAILABLE, _("the connection was closed meanwhile"));
    g_cond_broadcast(&conn->wake);
    g_mutex_unlock(&conn->lock);
    gantry_virt_conn_unref(conn);
}

const char *
gantry_virt_conn_uri(const GantryVirtConn *conn)
{
    return conn->uri;
}

GantryVirtState
gantry_virt_conn_state(GantryVirtConn *conn, char **ret_reason)
{
    GantryVirtState state;

    g_mutex_lock(&conn->lock);
    state = conn->state;
    if (ret_reason) {
        *ret_reason = g_strdup(conn->reason);
    }
    g_mutex_unlock(&conn->lock);
    return state;
}

gboolean
gantry_virt_conn_wait_up(GantryVirtConn *conn, guint timeout_msec)
{
    gint64 end = g_get_monotonic_time() + (gint64)timeout_msec * 1000;
    gboolean in_time = TRUE;
    gboolean up;

    g_mutex_lock(&conn->lock);
    while (in_time && conn->state != GANTRY_VIRT_UP) {
        in_time = g_cond_wait_until(&conn->state_changed, &conn->lock, end);
    }
    up = conn->state == GANTRY_VIRT_UP;
    g_mutex_unlock(&conn->lock);
    return up;
}

void
gantry_virt_conn_wake(GantryVirtConn *conn)
{
    g_mutex_lock(&conn->lock);
    g_cond_broadcast(&conn->wake);
    g_mutex_unlock(&conn->lock);
}

gint64
gantry_virt_conn_next_attempt_usec(GantryVirtConn *conn)
{
    gint64 when;

    g_mutex_lock(&conn->lock);
    when = conn->state == GANTRY_VIRT_DOWN ? conn->next_attempt_usec : 0;
    g_mutex_unlock(&conn->lock);
    return when;
}

/* Calls */

static void
call_clear(gpointer data)
{
    GantryVirtCall *call = data;

    if (call->destroy) {
        call->destroy(call->data);
    }
    g_clear_error(&call->error);
    g_cond_clear(&call->done);
    gantry_virt_conn_unref(call->conn);
}

static void
call_unref(GantryVirtCall *call)
{
    g_atomic_rc_box_release_full(call, call_clear);
}

/* Takes @error. */
static void
call_settle_locked(GantryVirtCall *call, gboolean ok, GError *error)
{
    if (call->phase == CALL_DONE) {
        g_clear_error(&error); /* its caller has given up */
        return;
    }
    call->phase = CALL_DONE;
    call->ok = ok;
    call->error = error;
    g_cond_broadcast(&call->done);
}

static void
fail_queued_locked(GantryVirtConn *conn, GantryError code, const char *message)
{
    GantryVirtCall *call;

    while ((call = g_queue_pop_head(&conn->calls))) {
        call_settle_locked(call, FALSE, g_error_new_literal(GANTRY_ERROR, code, message));
        call_unref(call);
    }
}

static void
set_state_locked(GantryVirtConn *conn, GantryVirtState state, const char *reason)
{
    char *former = conn->reason; /* may be @reason */

    conn->reason = g_strdup(reason);
    g_free(former);
    reason = conn->reason;
    if (conn->state == state) {
        return;
    }
    conn->state = state;
    g_cond_broadcast(&conn->state_changed);
    gantry_dbg("%s: %s%s%s", conn->uri, gantry_virt_state_name(state), reason ? ": " : "",
               reason ? reason : "");
    if (conn->follow) {
        gantry_virt_follow_tell_state(conn->follow, conn, state, reason);
    }
}

GantryVirtCall *
gantry_virt_call_start(GantryVirtConn *conn, GantryVirtFunc func, gpointer data,
                       GDestroyNotify destroy, guint timeout_msec)
{
    GantryVirtCall *call = g_atomic_rc_box_new0(GantryVirtCall);

    call->conn = gantry_virt_conn_ref(conn);
    call->func = func;
    call->data = data;
    call->destroy = destroy;
    call->timeout_msec = timeout_msec;
    call->deadline_usec = g_get_monotonic_time() + (gint64)timeout_msec * 1000;
    g_cond_init(&call->done);

    g_mutex_lock(&conn->lock);
    switch (conn->state) {
    case GANTRY_VIRT_HUNG:
        call_settle_locked(call, FALSE,
                           g_error_new(GANTRY_ERROR, GANTRY_ERROR_TIMEOUT,
                                       _("libvirt at %1$s does not answer: %2$s"), conn->uri,
                                       conn->reason));
        break;
    case GANTRY_VIRT_DOWN:
        call_settle_locked(call, FALSE,
                           g_error_new(GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE,
                                       _("no connection to libvirt at %1$s: %2$s"), conn->uri,
                                       conn->reason));
        break;
    default:
        g_queue_push_tail(&conn->calls, g_atomic_rc_box_acquire(call));
        g_cond_broadcast(&conn->wake);
        break;
    }
    g_mutex_unlock(&conn->lock);
    return call;
}

/* The deadline of @call has passed. */
static void
call_give_up_locked(GantryVirtConn *conn, GantryVirtCall *call)
{
    gboolean in_queue = call->phase == CALL_QUEUED;
    g_autofree char *reason = NULL;

    if (in_queue && g_queue_remove(&conn->calls, call)) {
        call_unref(call); /* the caller's reference remains */
    }
    call_settle_locked(call, FALSE,
                       g_error_new(GANTRY_ERROR, GANTRY_ERROR_TIMEOUT,
                                   _("libvirt at %1$s did not answer within %2$u ms"), conn->uri,
                                   call->timeout_msec));
    if (!conn->busy || (in_queue && conn->running)) {
        return; /* behind a call that still has time: that call's caller judges it */
    }
    reason = g_strdup_printf(conn->running ? _("a call is out for more than %u ms")
                                           : _("connecting takes more than %u ms"),
                             call->timeout_msec);
    set_state_locked(conn, GANTRY_VIRT_HUNG, reason);
    fail_queued_locked(conn, GANTRY_ERROR_TIMEOUT, call->error->message);
}

/* Returns: TRUE if the call is over. */
static gboolean
call_wait_until_locked(GantryVirtCall *call, gint64 until_usec)
{
    GantryVirtConn *conn = call->conn;
    gint64 end = MIN(until_usec, call->deadline_usec);

    while (call->phase != CALL_DONE) {
        if (!g_cond_wait_until(&call->done, &conn->lock, end) && call->phase != CALL_DONE) {
            if (end < call->deadline_usec) {
                return FALSE;
            }
            call_give_up_locked(conn, call);
        }
    }
    return TRUE;
}

gboolean
gantry_virt_call_wait(GantryVirtCall *call, guint timeout_msec)
{
    GantryVirtConn *conn = call->conn;
    gboolean over;

    g_mutex_lock(&conn->lock);
    over = call_wait_until_locked(call, g_get_monotonic_time() + (gint64)timeout_msec * 1000);
    g_mutex_unlock(&conn->lock);
    return over;
}

gboolean
gantry_virt_call_finish(GantryVirtCall *call, GError **error)
{
    GantryVirtConn *conn = call->conn;
    gboolean ok;

    g_mutex_lock(&conn->lock);
    call_wait_until_locked(call, G_MAXINT64);
    ok = call->ok;
    if (call->error) {
        g_propagate_error(error, g_steal_pointer(&call->error));
    }
    g_mutex_unlock(&conn->lock);
    call_unref(call);
    return ok;
}

gboolean
gantry_virt_call(GantryVirtConn *conn, GantryVirtFunc func, gpointer data, GDestroyNotify destroy,
                 guint timeout_msec, GError **error)
{
    return gantry_virt_call_finish(gantry_virt_call_start(conn, func, data, destroy, timeout_msec),
                                   error);
}

/* Events */

/* Moves all events to @doomed, to be freed without the lock: the last reference to a libvirt
 * connection may go with one of them. */
static void
doom_events_locked(GantryVirtConn *conn, GQueue *doomed)
{
    GantryVirtEvent *event;

    while ((event = g_queue_pop_head(&conn->events))) {
        g_queue_push_tail(doomed, event);
    }
}

/* Without the lock. */
static void
free_events(GQueue *doomed)
{
    g_queue_clear_full(doomed, (GDestroyNotify)gantry_virt_event_free);
}

void
gantry_virt_conn_queue_event(GantryVirtConn *conn, GantryVirtEvent *event)
{
    virConnectPtr link = virDomainGetConnect(event->domain);
    GQueue doomed = G_QUEUE_INIT;

    g_mutex_lock(&conn->lock);
    if (conn->closing || link != conn->virt) {
        g_queue_push_tail(&doomed, event);
    } else {
        if (g_queue_get_length(&conn->events) >= MAX_QUEUED_EVENTS) {
            doom_events_locked(conn, &doomed);
            conn->resync_due = TRUE;
        }
        g_queue_push_tail(&conn->events, event);
        g_cond_broadcast(&conn->wake);
    }
    g_mutex_unlock(&conn->lock);
    free_events(&doomed);
}

/* The worker */

static void
lose_link_locked(GantryVirtConn *conn, const char *reason)
{
    conn->link_lost = TRUE;
    g_free(conn->reason);
    conn->reason = g_strdup(reason);
    g_cond_broadcast(&conn->wake);
}

void
gantry_virt_conn_lose_link(GantryVirtConn *conn, const char *reason)
{
    g_mutex_lock(&conn->lock);
    lose_link_locked(conn, reason);
    g_mutex_unlock(&conn->lock);
}

static void
on_close(virConnectPtr virt, int why, void *opaque)
{
    static const char *const reasons[] = {
        [VIR_CONNECT_CLOSE_REASON_ERROR] = N_("the connection broke"),
        [VIR_CONNECT_CLOSE_REASON_EOF] = N_("the server closed the connection"),
        [VIR_CONNECT_CLOSE_REASON_KEEPALIVE] = N_("the server answers no keepalive"),
        [VIR_CONNECT_CLOSE_REASON_CLIENT] = N_("closed on request"),
    };
    GantryVirtConn *conn = opaque;

    g_mutex_lock(&conn->lock);
    if (conn->virt == virt) {
        const char *reason =
            why >= 0 && why < (int)G_N_ELEMENTS(reasons) ? reasons[why] : reasons[0];

        lose_link_locked(conn, _(reason));
    }
    g_mutex_unlock(&conn->lock);
}

/* Without the lock. */
static void
close_link(GantryVirtConn *conn, virConnectPtr virt)
{
    if (conn->follow) {
        gantry_virt_follow_deregister(conn->follow, virt);
    }
    virConnectUnregisterCloseCallback(virt, on_close);
    virConnectClose(virt);
}

static void
plan_attempt_locked(GantryVirtConn *conn)
{
    guint delay =
        gantry_backoff_msec(conn->n_attempts, conn->options.backoff_min_msec,
                            conn->options.backoff_max_msec, conn->clock.random(conn->clock.data));

    conn->n_attempts++;
    conn->next_attempt_usec = conn->clock.now_usec(conn->clock.data) + (gint64)delay * 1000;
}

/* Forgets the link; conn->reason says why. */
static void
drop_link_locked(GantryVirtConn *conn)
{
    virConnectPtr virt = g_steal_pointer(&conn->virt);
    g_autofree char *reason = g_strdup(conn->reason ? conn->reason : _("the connection broke"));
    g_autofree char *message =
        g_strdup_printf(_("lost the connection to libvirt at %1$s: %2$s"), conn->uri, reason);
    gint64 up_usec = conn->clock.now_usec(conn->clock.data) - conn->up_since_usec;
    GQueue doomed = G_QUEUE_INIT;

    conn->link_lost = FALSE;
    conn->resync_due = FALSE;
    doom_events_locked(conn, &doomed);
    if (up_usec >= (gint64)conn->options.backoff_max_msec * 1000) {
        conn->n_attempts = 0;
    }
    plan_attempt_locked(conn);
    set_state_locked(conn, GANTRY_VIRT_DOWN, reason);
    fail_queued_locked(conn, GANTRY_ERROR_UNAVAILABLE, message);
    conn->busy = TRUE;
    g_mutex_unlock(&conn->lock);
    free_events(&doomed);
    close_link(conn, virt);
    g_mutex_lock(&conn->lock);
    conn->busy = FALSE;
}

static void
connect_locked(GantryVirtConn *conn)
{
    virConnectPtr virt;
    g_autofree char *failure = NULL;

    set_state_locked(conn, GANTRY_VIRT_CONNECTING, conn->reason);
    conn->busy = TRUE;
    g_mutex_unlock(&conn->lock);
    virt = virConnectOpen(conn->uri);
    if (!virt) {
        failure = g_strdup(gantry_virt_last_error_text());
    } else {
        /* Drivers inside this process (test:///) have neither; they need neither. The close
         * callback takes no reference, since there nobody would give it back; the worker has one,
         * and it unregisters. */
        virConnectSetKeepAlive(virt, (int)conn->options.keepalive_interval_sec,
                               conn->options.keepalive_count);
        virConnectRegisterCloseCallback(virt, on_close, conn, NULL);
        if (conn->follow) {
            gantry_virt_follow_register(conn->follow, conn, virt);
        }
    }
    g_mutex_lock(&conn->lock);
    if (virt) {
        gboolean alive;

        conn->virt = virt;
        g_mutex_unlock(&conn->lock);
        /* A close callback that came before conn->virt was set was ignored. */
        alive = virConnectIsAlive(virt) != 0;
        g_mutex_lock(&conn->lock);
        conn->link_lost = conn->link_lost || !alive;
        conn->resync_due = conn->follow != NULL;
        conn->up_since_usec = conn->clock.now_usec(conn->clock.data);
        set_state_locked(conn, GANTRY_VIRT_UP, NULL);
    } else {
        g_autofree char *message =
            g_strdup_printf(_("cannot connect to libvirt at %1$s: %2$s"), conn->uri, failure);

        plan_attempt_locked(conn);
        set_state_locked(conn, GANTRY_VIRT_DOWN, failure);
        fail_queued_locked(conn, GANTRY_ERROR_UNAVAILABLE, message);
    }
    conn->busy = FALSE;
}

/* After the worker was in libvirt with conn->virt. */
static void
came_back_locked(GantryVirtConn *conn, gboolean alive)
{
    conn->busy = FALSE;
    if (!alive) {
        conn->link_lost = TRUE;
    } else if (conn->state == GANTRY_VIRT_HUNG) {
        set_state_locked(conn, GANTRY_VIRT_UP, NULL);
    }
}

static void
resync_locked(GantryVirtConn *conn)
{
    g_autoptr(GError) error = NULL;
    gboolean alive;

    conn->resync_due = conn->overflowed = FALSE;
    conn->busy = TRUE;
    g_mutex_unlock(&conn->lock);
    gantry_virt_follow_resync(conn->follow, conn, conn->virt, &error);
    alive = !error || virConnectIsAlive(conn->virt) != 0;
    g_mutex_lock(&conn->lock);
    came_back_locked(conn, alive);
    if (error) {
        /* Without the list the follower would be wrong for ever: connect anew. */
        lose_link_locked(conn, error->message);
    }
}

static void
run_call_locked(GantryVirtConn *conn)
{
    GantryVirtCall *call = g_queue_pop_head(&conn->calls);
    GError *error = NULL;
    gboolean ok, alive;

    call->phase = CALL_RUNNING;
    conn->running = call;
    conn->busy = TRUE;
    g_mutex_unlock(&conn->lock);
    ok = call->func(conn->virt, call->data, &error);
    /* Asks no server. Drivers that do not know (-1) are in this process. */
    alive = ok || virConnectIsAlive(conn->virt) != 0;
    g_mutex_lock(&conn->lock);
    conn->running = NULL;
    came_back_locked(conn, alive);
    call_settle_locked(call, ok, error);
    call_unref(call);
}

static void
sleep_locked(GantryVirtConn *conn)
{
    if (conn->virt) {
        g_cond_wait(&conn->wake, &conn->lock);
    } else {
        conn->clock.wait_until(&conn->wake, &conn->lock, conn->next_attempt_usec, conn->clock.data);
    }
}

static gboolean
follower_has_room_locked(GantryVirtConn *conn)
{
    guint n_told = gantry_virt_follow_n_told(conn->follow);

    return conn->overflowed ? n_told == 0 : n_told < MAX_QUEUED_EVENTS;
}

static void
overflow_locked(GantryVirtConn *conn)
{
    GQueue doomed = G_QUEUE_INIT;

    conn->resync_due = conn->overflowed = TRUE;
    doom_events_locked(conn, &doomed);
    g_mutex_unlock(&conn->lock);
    free_events(&doomed);
    g_mutex_lock(&conn->lock);
}

static gpointer
worker_main(gpointer data)
{
    GantryVirtConn *conn = data;
    GQueue doomed = G_QUEUE_INIT;
    virConnectPtr virt;

    g_mutex_lock(&conn->lock);
    while (!conn->closing) {
        if (conn->virt && conn->link_lost) {
            drop_link_locked(conn);
        } else if (!conn->virt) {
            if (conn->clock.now_usec(conn->clock.data) >= conn->next_attempt_usec) {
                connect_locked(conn);
            } else {
                sleep_locked(conn);
            }
        } else if (!g_queue_is_empty(&conn->events) && !follower_has_room_locked(conn)) {
            overflow_locked(conn);
        } else if (conn->resync_due && follower_has_room_locked(conn)) {
            resync_locked(conn);
        } else if (!conn->resync_due && !g_queue_is_empty(&conn->events)) {
            gantry_virt_follow_tell_event(conn->follow, conn, g_queue_pop_head(&conn->events));
        } else if (!g_queue_is_empty(&conn->calls)) {
            run_call_locked(conn);
        } else {
            sleep_locked(conn);
        }
    }
    doom_events_locked(conn, &doomed);
    virt = g_steal_pointer(&conn->virt);
    g_mutex_unlock(&conn->lock);
    free_events(&doomed);
    if (virt) {
        close_link(conn, virt);
    }
    gantry_virt_conn_unref(conn);
    return NULL;
}
