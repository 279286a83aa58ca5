/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * libvirt's callbacks come in its loop thread. Each makes a GantryVirtEvent and hands it to the
 * connection's worker (connection.c), which passes events on in their order and behind the list of
 * domains. What the worker passes on becomes a source in the follower's main context: callbacks
 * always come from there, never from under a lock.
 *
 * A source holds the connection and this object, so both outlive it. When the owner has freed the
 * connection, `stopped` makes the remaining sources do nothing.
 */
#define GANTRY_LOG_MODULE "virt"
#include "common/virt/follow_priv.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/virt/connection_priv.h"

#define N_EVENT_IDS 32 /* bits in event_ids */

struct GantryVirtFollow {
    guint event_ids;
    const GantryVirtFollower *follower;
    gpointer data;
    GDestroyNotify destroy;
    GMainContext *context;
    gint stopped;                  /* atomic */
    gint n_told;                   /* atomic: lists and events on their way to the follower */
    int callback_ids[N_EVENT_IDS]; /* by event id; -1: not registered; the worker's */
};

/* What one source tells: one of the three. */
typedef struct {
    GantryVirtFollow *follow;
    GantryVirtConn *conn;
    GantryVirtEvent *event;
    GArray *domains; /* of GantryVirtDomain */
    GantryVirtState state;
    char *reason;
} Message;

GantryVirtFollow *
gantry_virt_follow_new(guint event_ids, const GantryVirtFollower *follower, gpointer data,
                       GDestroyNotify destroy, GMainContext *context)
{
    GantryVirtFollow *follow = g_atomic_rc_box_new0(GantryVirtFollow);

    follow->event_ids = event_ids;
    follow->follower = follower;
    follow->data = data;
    follow->destroy = destroy;
    follow->context = g_main_context_ref(context ? context : g_main_context_default());
    for (int id = 0; id < N_EVENT_IDS; id++) {
        follow->callback_ids[id] = -1;
    }
    return follow;
}

GantryVirtFollow *
gantry_virt_follow_ref(GantryVirtFollow *follow)
{
    return g_atomic_rc_box_acquire(follow);
}

static void
follow_clear(gpointer data)
{
    GantryVirtFollow *follow = data;

    if (follow->destroy) {
        follow->destroy(follow->data);
    }
    g_main_context_unref(follow->context);
}

void
gantry_virt_follow_unref(GantryVirtFollow *follow)
{
    g_atomic_rc_box_release_full(follow, follow_clear);
}

void
gantry_virt_follow_stop(GantryVirtFollow *follow)
{
    g_atomic_int_set(&follow->stopped, TRUE);
}

guint
gantry_virt_follow_n_told(GantryVirtFollow *follow)
{
    return (guint)g_atomic_int_get(&follow->n_told);
}

void
gantry_virt_event_free(GantryVirtEvent *event)
{
    virDomainFree(event->domain);
    g_free(event->text);
    gantry_virt_params_clear(&event->params);
    g_free(event);
}

/* Messages */

static gboolean
dispatch(gpointer data)
{
    Message *message = data;
    GantryVirtFollow *follow = message->follow;
    const GantryVirtFollower *follower = follow->follower;

    if (g_atomic_int_get(&follow->stopped)) {
        return G_SOURCE_REMOVE;
    }
    if (message->event) {
        if (follower->event) {
            follower->event(message->conn, message->event, follow->data);
        }
    } else if (message->domains) {
        if (follower->resync) {
            follower->resync(message->conn, (const GantryVirtDomain *)message->domains->data,
                             message->domains->len, follow->data);
        }
    } else if (follower->state) {
        follower->state(message->conn, message->state, message->reason, follow->data);
    }
    return G_SOURCE_REMOVE;
}

static void
message_free(gpointer data)
{
    Message *message = data;

    if ((message->event || message->domains) &&
        g_atomic_int_dec_and_test(&message->follow->n_told)) {
        gantry_virt_conn_wake(message->conn); /* it may be waiting with a new list */
    }
    g_clear_pointer(&message->event, gantry_virt_event_free);
    g_clear_pointer(&message->domains, g_array_unref);
    g_free(message->reason);
    gantry_virt_conn_unref(message->conn);
    gantry_virt_follow_unref(message->follow);
    g_free(message);
}

static Message *
message_new(GantryVirtFollow *follow, GantryVirtConn *conn)
{
    Message *message = g_new0(Message, 1);

    message->follow = gantry_virt_follow_ref(follow);
    message->conn = gantry_virt_conn_ref(conn);
    return message;
}

static void
message_send(Message *message)
{
    GSource *source = g_idle_source_new();

    if (message->event || message->domains) {
        g_atomic_int_inc(&message->follow->n_told);
    }
    /* All at one priority: sources of one priority are dispatched in the order of attaching. */
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, dispatch, message, message_free);
    g_source_attach(source, message->follow->context);
    g_source_unref(source);
}

void
gantry_virt_follow_tell_state(GantryVirtFollow *follow, GantryVirtConn *conn, GantryVirtState state,
                              const char *reason)
{
    Message *message = message_new(follow, conn);

    message->state = state;
    message->reason = g_strdup(reason);
    message_send(message);
}

void
gantry_virt_follow_tell_event(GantryVirtFollow *follow, GantryVirtConn *conn,
                              GantryVirtEvent *event)
{
    Message *message = message_new(follow, conn);

    message->event = event;
    message_send(message);
}

static void
domain_clear(gpointer data)
{
    GantryVirtDomain *entry = data;

    virDomainFree(entry->domain);
}

gboolean
gantry_virt_follow_resync(GantryVirtFollow *follow, GantryVirtConn *conn, virConnectPtr virt,
                          GError **error)
{
    g_autoptr(GantryVirtStats) records = NULL;
    g_autoptr(GArray) domains = g_array_new(FALSE, TRUE, sizeof(GantryVirtDomain));
    Message *message;
    int n;

    /* One call gives the domains and their states. */
    n = virConnectGetAllDomainStats(virt, VIR_DOMAIN_STATS_STATE, &records, 0);
    if (n < 0) {
        gantry_virt_set_error(error, _("list the domains at %s"), gantry_virt_conn_uri(conn));
        return FALSE;
    }
    g_array_set_clear_func(domains, domain_clear);
    for (int i = 0; i < n; i++) {
        GantryVirtDomain entry = {.domain = records[i]->dom};

        virDomainRef(entry.domain);
        virTypedParamsGetInt(records[i]->params, records[i]->nparams, "state.state", &entry.state);
        virTypedParamsGetInt(records[i]->params, records[i]->nparams, "state.reason",
                             &entry.reason);
        g_array_append_val(domains, entry);
    }
    message = message_new(follow, conn);
    message->domains = g_steal_pointer(&domains);
    message_send(message);
    return TRUE;
}

/* libvirt's callbacks, in its loop thread */

static void
emit(gpointer opaque, int id, virDomainPtr domain, int code, int detail, const char *text)
{
    GantryVirtEvent *event = g_new0(GantryVirtEvent, 1);

    virDomainRef(domain);
    event->id = id;
    event->domain = domain;
    event->code = code;
    event->detail = detail;
    event->text = g_strdup(text);
    gantry_virt_conn_queue_event(opaque, event);
}

static int
on_lifecycle(virConnectPtr virt, virDomainPtr domain, int event, int detail, void *opaque)
{
    emit(opaque, VIR_DOMAIN_EVENT_ID_LIFECYCLE, domain, event, detail, NULL);
    return 0;
}

static void
on_reboot(virConnectPtr virt, virDomainPtr domain, void *opaque)
{
    emit(opaque, VIR_DOMAIN_EVENT_ID_REBOOT, domain, 0, 0, NULL);
}

static void
on_device_added(virConnectPtr virt, virDomainPtr domain, const char *alias, void *opaque)
{
    emit(opaque, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, domain, 0, 0, alias);
}

static void
on_device_removed(virConnectPtr virt, virDomainPtr domain, const char *alias, void *opaque)
{
    emit(opaque, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, domain, 0, 0, alias);
}

static void
on_metadata_change(virConnectPtr virt, virDomainPtr domain, int type, const char *uri, void *opaque)
{
    emit(opaque, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, domain, type, 0, uri);
}

static void
on_migration_iteration(virConnectPtr virt, virDomainPtr domain, int iteration, void *opaque)
{
    emit(opaque, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, domain, iteration, 0, NULL);
}

/* By libc's allocator: virTypedParamsFree() is to free it. */
static GantryVirtParams
copy_params(const virTypedParameter *params, int n)
{
    GantryVirtParams copy = {.params = calloc((size_t)MAX(n, 1), sizeof(*params))};

    for (int i = 0; copy.params && i < n; i++) {
        copy.params[copy.n] = params[i];
        if (params[i].type == VIR_TYPED_PARAM_STRING) {
            copy.params[copy.n].value.s = params[i].value.s ? strdup(params[i].value.s) : NULL;
        }
        copy.n++;
    }
    return copy;
}

static void
on_job_completed(virConnectPtr virt, virDomainPtr domain, virTypedParameterPtr params, int n_params,
                 void *opaque)
{
    GantryVirtEvent *event = g_new0(GantryVirtEvent, 1);

    virDomainRef(domain);
    event->id = VIR_DOMAIN_EVENT_ID_JOB_COMPLETED;
    event->domain = domain;
    event->params = copy_params(params, n_params);
    gantry_virt_conn_queue_event(opaque, event);
}

static void
free_conn(void *opaque)
{
    gantry_virt_conn_unref(opaque);
}

void
gantry_virt_follow_register(GantryVirtFollow *follow, GantryVirtConn *conn, virConnectPtr virt)
{
    static const struct {
        int id;
        virConnectDomainEventGenericCallback callback;
    } callbacks[] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
        {VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device_added)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed)},
        {VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata_change)},
        {VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION,
         VIR_DOMAIN_EVENT_CALLBACK(on_migration_iteration)},
        {VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_completed)},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        int id = callbacks[i].id;

        if (!(follow->event_ids & (1u << id))) {
            continue;
        }
        follow->callback_ids[id] = virConnectDomainEventRegisterAny(
            virt, NULL, id, callbacks[i].callback, gantry_virt_conn_ref(conn), free_conn);
        if (follow->callback_ids[id] < 0) {
            gantry_virt_conn_unref(conn); /* libvirt does not free it then */
            gantry_dbg("%s: no event %d: %s", gantry_virt_conn_uri(conn), id,
                       gantry_virt_last_error_text());
        }
    }
}

void
gantry_virt_follow_deregister(GantryVirtFollow *follow, virConnectPtr virt)
{
    for (int id = 0; id < N_EVENT_IDS; id++) {
        if (follow->callback_ids[id] >= 0) {
            virConnectDomainEventDeregisterAny(virt, follow->callback_ids[id]);
            follow->callback_ids[id] = -1;
        }
    }
}
