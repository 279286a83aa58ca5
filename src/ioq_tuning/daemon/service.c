/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. No request waits in the main loop: what takes time is begun, and answered
 * when it is done. A prepare that finds the VM of before waits for its end (Preparation), and then
 * for its own worker, all within the time that the hook gives us; a status asks all workers at
 * once, and whoever wants a status meanwhile gets the same one.
 */
#include "ioq_tuning/daemon/service_priv.h"

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/daemon/disks.h"

/* Requests */

/* What opens files as root, and ends VMs, is for the hook; the group has status and restarts. */
gboolean
ioq_service_read_params(GantryRpcRequest *request, HookParams *params)
{
    JsonNode *node = gantry_rpc_request_params(request);
    JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    JsonObject *domain = object && json_object_has_member(object, "domain")
                             ? json_object_get_object_member(object, "domain")
                             : NULL;

    if (gantry_rpc_request_uid(request) != 0) {
        gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, _("this is for root only"));
        return FALSE;
    }
    if (domain) {
        params->uuid = json_object_get_string_member_with_default(domain, "uuid", NULL);
        params->name = json_object_get_string_member_with_default(domain, "name", NULL);
        params->settings = json_object_get_string_member_with_default(object, "settings", NULL);
        params->xml = json_object_get_string_member_with_default(object, "xml", NULL);
    }
    if (!domain || !params->name || !params->xml || !params->uuid ||
        !g_uuid_string_is_valid(params->uuid)) {
        gantry_rpc_request_fail(request, GANTRY_RPC_INVALID_PARAMS,
                                "domain.name, domain.uuid and xml are wanted");
        return FALSE;
    }
    return TRUE;
}

void
ioq_service_reply_done(GantryRpcRequest *request)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, json_object_new());
    gantry_rpc_request_reply(request, node);
}

void
ioq_service_fail(GantryRpcRequest *request, const GError *error)
{
    gantry_rpc_request_fail(request,
                            g_error_matches(error, GANTRY_ERROR, GANTRY_ERROR_INVALID)
                                ? GANTRY_RPC_INVALID_PARAMS
                                : GANTRY_RPC_REFUSED,
                            error->message);
}

void
ioq_service_answer(const GError *error, gpointer data)
{
    if (error) {
        ioq_service_fail(data, error);
    } else {
        ioq_service_reply_done(data);
    }
}

static void
on_vm_ended(IoqVm *vm, gpointer data)
{
    IoqService *service = data;
    gpointer key;

    g_hash_table_steal_extended(service->vms, ioq_vm_uuid(vm), &key, NULL);
    g_free(key);
}

void
ioq_service_pin(IoqService *service, const HookParams *params)
{
    g_autoptr(GError) error = NULL;

    if (params->settings && !ioq_pinner_look(service->pinner, params->uuid, params->name,
                                             params->settings, params->xml, &error)) {
        gantry_warn(_("domain '%1$s': its iothreads stay on the CPUs that they are on: %2$s"),
                    params->name, error->message);
    }
}

static void
on_started(GantryRpcRequest *request, gpointer data)
{
    HookParams params = {0};

    if (ioq_service_read_params(request, &params)) {
        ioq_service_pin(data, &params);
        ioq_service_reply_done(request);
    }
}

/* migrate: looks whether prepare could, which comes next. */
static void
on_migrate(GantryRpcRequest *request, gpointer data)
{
    IoqService *service = data;
    HookParams params = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = NULL;

    if (!ioq_service_read_params(request, &params)) {
        return;
    }
    disks = params.settings ? ioq_disks_read(params.settings, params.xml, &error) : NULL;
    if (error) {
        ioq_service_fail(request, error);
        return;
    }
    for (guint i = 0; disks && i < disks->len; i++) {
        const IoqDisk *disk = disks->pdata[i];

        if (g_str_equal(disk->format, "qcow2")) {
            /* Its server would have to open the image while the other host's still writes it. */
            g_autofree char *text = g_strdup_printf(
                _("disk '%1$s': format='%2$s' cannot be migrated live in this release; save and "
                  "restore the domain, or use format='raw'"),
                disk->target, disk->format);

            gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, text);
            return;
        }
        if (!g_file_test(disk->source, G_FILE_TEST_EXISTS)) {
            g_autofree char *text = g_strdup_printf(_("disk '%1$s': the image %2$s is not there"),
                                                    disk->target, disk->source);

            gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, text);
            return;
        }
    }
    ioq_incoming_add(service->incoming, params.uuid, g_get_monotonic_time());
    ioq_service_reply_done(request);
}

static void
on_release(GantryRpcRequest *request, gpointer data)
{
    IoqService *service = data;
    HookParams params = {0};
    g_autoptr(GError) error = NULL;
    IoqPreparation *preparation;
    IoqVm *vm;

    if (!ioq_service_read_params(request, &params)) {
        return;
    }
    ioq_incoming_take(service->incoming, params.uuid, g_get_monotonic_time());
    preparation = g_hash_table_lookup(service->preparations, params.uuid);
    if (preparation) {
        g_set_error_literal(&error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                            _("the domain has been ended meanwhile"));
        ioq_preparation_give_up(preparation, error);
    }
    vm = g_hash_table_lookup(service->vms, params.uuid);
    if (vm) {
        ioq_vm_end(vm, ioq_service_answer, request);
    } else {
        ioq_service_reply_done(request);
    }
}

static void
on_ping(GantryRpcRequest *request, gpointer data)
{
    ioq_service_reply_done(request);
}

/* The VM that a request of gantry names; NULL: it has been failed. */
static IoqVm *
vm_of(GantryRpcRequest *request, IoqService *service)
{
    JsonNode *node = gantry_rpc_request_params(request);
    JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *wanted =
        object ? json_object_get_string_member_with_default(object, "domain", NULL) : NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, service->vms);
    while (wanted && g_hash_table_iter_next(&iter, NULL, &value)) {
        if (g_str_equal(ioq_vm_name(value), wanted) || g_str_equal(ioq_vm_uuid(value), wanted)) {
            return value;
        }
    }
    gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED,
                            _("no disk of this domain is served here"));
    return NULL;
}

static void
on_restart(GantryRpcRequest *request, gpointer data)
{
    IoqVm *vm = vm_of(request, data);

    if (vm) {
        ioq_vm_restart(vm, ioq_service_answer, request);
    }
}

static void
on_refreshed(const IoqQuestion *questions, guint n, gpointer request)
{
    if (questions[0].error) {
        gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, questions[0].error->message);
    } else {
        ioq_service_reply_done(request);
    }
}

static void
on_refresh(GantryRpcRequest *request, gpointer data)
{
    IoqService *service = data;
    IoqVm *vm = vm_of(request, service);

    if (vm) {
        GStrv sockets = g_new0(char *, 2);

        sockets[0] = ioq_vm_control(vm);
        ioq_ask(service->ask, sockets, "ioq/refresh", IOQ_ASK_MSEC, on_refreshed, request);
    }
}

const GantryRpcMethod ioq_service_methods[] = {
    {"ping", on_ping},
    {"hook/migrate", on_migrate},
    {"hook/prepare", ioq_service_on_prepare},
    {"hook/started", on_started},
    {"hook/reconnect", ioq_service_on_reconnect},
    {"hook/release", on_release},
    {"ioq/status", ioq_service_on_status},
    {"ioq/restart", on_restart},
    {"ioq/refresh", on_refresh},
    {NULL, NULL},
};

/* Start and end */

gboolean
ioq_service_adopt(IoqService *service, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(service->options->run_dir, 0, NULL);
    const char *uuid;

    while (dir && (uuid = g_dir_read_name(dir))) {
        g_autoptr(GError) nonsense = NULL;
        IoqVm *vm;

        if (!g_uuid_string_is_valid(uuid)) {
            continue;
        }
        vm = ioq_vm_adopt(service->options, uuid, &nonsense);
        if (!vm) {
            gantry_warn(_("what is kept of domain %1$s makes no sense: %2$s"), uuid,
                        nonsense->message);
            continue;
        }
        g_hash_table_insert(service->vms, g_strdup(uuid), vm);
        if (!ioq_vm_take_up(vm, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

IoqService *
ioq_service_new(IoqVmOptions *options, const char *libvirt_uri)
{
    IoqService *service = g_new0(IoqService, 1);

    options->ended = on_vm_ended;
    options->data = service;
    service->options = options;
    service->vms =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ioq_vm_free);
    service->incoming = ioq_incoming_new();
    service->preparations =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, ioq_preparation_free);
    service->pinner = ioq_pinner_new(libvirt_uri);
    service->ask = ioq_ask_new();
    return service;
}

void
ioq_service_free(IoqService *service)
{
    ioq_pinner_end(service->pinner);
    ioq_ask_free(service->ask);
    g_hash_table_unref(service->preparations);
    g_hash_table_unref(service->vms);
    ioq_incoming_free(service->incoming);
    g_clear_pointer(&service->status_requests, g_ptr_array_unref);
    g_clear_pointer(&service->status_vms, g_ptr_array_unref);
    g_free(service);
}
