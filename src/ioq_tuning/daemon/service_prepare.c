/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * prepare: the VM is served as its settings say, or not at all. What served it before has ended
 * first.
 */
#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "ioq_tuning/daemon/disks.h"
#include "ioq_tuning/daemon/service_priv.h"

#define READY_MSEC   2300 /* for a new worker, from the request on: the hook waits 3 s for us */
#define PREPARE_MSEC 2700

/* A socket that another VM has would be taken from it. */
static gboolean
sockets_are_free(IoqService *service, const char *uuid, const GPtrArray *disks, GError **error)
{
    GHashTableIter iter;
    gpointer vm;

    g_hash_table_iter_init(&iter, service->vms);
    while (g_hash_table_iter_next(&iter, NULL, &vm)) {
        for (guint i = 0; i < disks->len && !g_str_equal(ioq_vm_uuid(vm), uuid); i++) {
            const IoqDisk *disk = disks->pdata[i];
            const char *other = ioq_vm_target_of_socket(vm, disk->socket);

            if (other) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                            _("disk '%1$s': its socket '%2$s' is that of disk '%3$s' of domain "
                              "'%4$s'"),
                            disk->target, disk->socket, other, ioq_vm_name(vm));
                return FALSE;
            }
        }
    }
    return TRUE;
}

struct IoqPreparation {
    IoqService *service;
    GantryRpcRequest *request; /* NULL: it has been answered */
    char *uuid;
    char *name;
    GPtrArray *disks;
    gboolean incoming;
    gint64 deadline_usec;
    guint timer;
    GError *error; /* the start has failed, and what is left of it is ending */
};

void
ioq_preparation_free(gpointer data)
{
    IoqPreparation *preparation = data;

    g_clear_handle_id(&preparation->timer, g_source_remove);
    g_clear_pointer(&preparation->disks, g_ptr_array_unref);
    g_clear_error(&preparation->error);
    g_free(preparation->uuid);
    g_free(preparation->name);
    g_free(preparation);
}

static void
preparation_answer(IoqPreparation *preparation, const GError *error)
{
    if (preparation->request) {
        ioq_service_answer(error, g_steal_pointer(&preparation->request));
    }
}

void
ioq_preparation_give_up(IoqPreparation *preparation, const GError *why)
{
    preparation_answer(preparation, why);
}

static void
preparation_done(IoqPreparation *preparation, const GError *error)
{
    preparation_answer(preparation, error);
    g_hash_table_remove(preparation->service->preparations, preparation->uuid);
}

static GError *
late(void)
{
    return g_error_new_literal(GANTRY_ERROR, GANTRY_ERROR_TIMEOUT,
                               _("what served the domain before did not end in time; try again"));
}

/* What goes on goes on: it is only not waited for any more. */
static gboolean
on_late_preparation(gpointer data)
{
    IoqPreparation *preparation = data;
    g_autoptr(GError) error = late();

    preparation->timer = 0;
    preparation_answer(preparation, preparation->error ? preparation->error : error);
    return G_SOURCE_REMOVE;
}

static void
on_failed_start_ended(const GError *error, gpointer data)
{
    IoqPreparation *preparation = data;

    preparation_done(preparation, preparation->error);
}

static void
on_started_vm(const GError *error, gpointer data)
{
    IoqPreparation *preparation = data;
    IoqVm *vm = g_hash_table_lookup(preparation->service->vms, preparation->uuid);

    if (error) {
        preparation->error = g_error_copy(error);
        ioq_vm_end(vm, on_failed_start_ended, preparation);
    } else if (!preparation->request) {
        ioq_vm_end(vm, on_failed_start_ended, preparation); /* nobody knows of it */
    } else {
        preparation_done(preparation, NULL);
    }
}

static void
on_old_vm_ended(const GError *unused, gpointer data)
{
    IoqPreparation *preparation = data;
    IoqService *service = preparation->service;
    g_autoptr(GError) error = NULL;
    IoqVm *vm;

    if (g_get_monotonic_time() >= preparation->deadline_usec) {
        error = late();
    }
    if (error || !preparation->request ||
        !sockets_are_free(service, preparation->uuid, preparation->disks, &error)) {
        preparation_done(preparation, error);
        return;
    }
    vm = ioq_vm_new(service->options, preparation->uuid, preparation->name,
                    g_steal_pointer(&preparation->disks));
    g_hash_table_insert(service->vms, g_strdup(preparation->uuid), vm);
    ioq_vm_start(vm, preparation->incoming, preparation->deadline_usec, on_started_vm, preparation);
}

/* @disks: (transfer full) */
static void
prepare(IoqService *service, GantryRpcRequest *request, const HookParams *params, GPtrArray *disks,
        gboolean incoming)
{
    IoqPreparation *preparation = g_new0(IoqPreparation, 1);
    IoqVm *vm = g_hash_table_lookup(service->vms, params->uuid);

    preparation->service = service;
    preparation->request = request;
    preparation->uuid = g_strdup(params->uuid);
    preparation->name = g_strdup(params->name);
    preparation->disks = disks;
    preparation->incoming = incoming;
    preparation->deadline_usec = g_get_monotonic_time() + READY_MSEC * 1000;
    preparation->timer = g_timeout_add(PREPARE_MSEC, on_late_preparation, preparation);
    g_hash_table_insert(service->preparations, preparation->uuid, preparation);
    if (vm) {
        ioq_vm_end(vm, on_old_vm_ended, preparation);
    } else {
        on_old_vm_ended(NULL, preparation);
    }
}

void
ioq_service_on_prepare(GantryRpcRequest *request, gpointer data)
{
    IoqService *service = data;
    HookParams params = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = NULL;
    gboolean incoming;
    IoqVm *vm;

    if (!ioq_service_read_params(request, &params)) {
        return;
    }
    incoming = ioq_incoming_take(service->incoming, params.uuid, g_get_monotonic_time());
    if (params.settings) {
        disks = ioq_disks_read(params.settings, params.xml, &error);
        if (!disks || !sockets_are_free(service, params.uuid, disks, &error)) {
            ioq_service_fail(request, error);
            return;
        }
    }
    vm = g_hash_table_lookup(service->vms, params.uuid);
    if (g_hash_table_contains(service->preparations, params.uuid)) {
        gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED,
                                _("the domain is just being prepared; try again"));
    } else if (vm && ioq_vm_state(vm) == IOQ_VM_SERVING && disks && ioq_vm_has_disks(vm, disks)) {
        ioq_service_reply_done(request); /* asked again */
    } else if (disks && disks->len > 0) {
        prepare(service, request, &params, g_steal_pointer(&disks), incoming);
    } else if (vm) {
        ioq_vm_end(vm, ioq_service_answer, request);
    } else {
        ioq_service_reply_done(request);
    }
}

/* reconnect: the VM runs. What serves it is not touched, whatever its settings say by now. */
void
ioq_service_on_reconnect(GantryRpcRequest *request, gpointer data)
{
    IoqService *service = data;
    HookParams params = {0};

    if (!ioq_service_read_params(request, &params)) {
        return;
    }
    ioq_service_pin(service, &params);
    if (g_hash_table_contains(service->vms, params.uuid)) {
        ioq_service_reply_done(request);
    } else {
        ioq_service_on_prepare(request, data);
    }
}
