/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status: all workers are asked at once. A VM may be gone when its worker's answer is there.
 */
#include <string.h>

#include "ioq_tuning/daemon/service_priv.h"

typedef struct {
    char *name;
    char *uuid;
    gint64 pid;
    guint n_restarts;
} StatusVm;

static void
status_vm_free(gpointer data)
{
    StatusVm *vm = data;

    g_free(vm->name);
    g_free(vm->uuid);
    g_free(vm);
}

static void
add_vm(JsonBuilder *builder, const StatusVm *vm, JsonNode *worker)
{
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "domain");
    json_builder_add_string_value(builder, vm->name);
    json_builder_set_member_name(builder, "uuid");
    json_builder_add_string_value(builder, vm->uuid);
    json_builder_set_member_name(builder, "pid");
    json_builder_add_int_value(builder, vm->pid);
    json_builder_set_member_name(builder, "restarts");
    json_builder_add_int_value(builder, vm->n_restarts);
    json_builder_set_member_name(builder, "worker");
    if (worker) {
        json_builder_add_value(builder, json_node_copy(worker));
    } else {
        json_builder_add_null_value(builder);
    }
    json_builder_end_object(builder);
}

static void
on_status_answers(const IoqQuestion *questions, guint n, gpointer data)
{
    IoqService *service = data;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(GPtrArray) requests = g_steal_pointer(&service->status_requests);
    g_autoptr(GPtrArray) vms = g_steal_pointer(&service->status_vms);
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "vms");
    json_builder_begin_array(builder);
    for (guint i = 0; i < n; i++) {
        add_vm(builder, vms->pdata[i], questions[i].answer);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    for (guint i = 0; i < requests->len; i++) {
        gantry_rpc_request_reply(requests->pdata[i], json_node_copy(root));
    }
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(ioq_vm_name(a), ioq_vm_name(b));
}

void
ioq_service_on_status(GantryRpcRequest *request, gpointer data)
{
    IoqService *service = data;
    g_autoptr(GList) vms = NULL;
    GStrv sockets;
    guint n = 0;

    if (service->status_requests) {
        g_ptr_array_add(service->status_requests, request);
        return;
    }
    service->status_requests = g_ptr_array_new();
    g_ptr_array_add(service->status_requests, request);
    service->status_vms = g_ptr_array_new_with_free_func(status_vm_free);
    vms = g_list_sort(g_hash_table_get_values(service->vms), compare_names);
    sockets = g_new0(char *, g_list_length(vms) + 1);
    for (GList *link = vms; link; link = link->next) {
        StatusVm *vm = g_new0(StatusVm, 1);

        vm->name = g_strdup(ioq_vm_name(link->data));
        vm->uuid = g_strdup(ioq_vm_uuid(link->data));
        vm->pid = ioq_vm_pid(link->data);
        vm->n_restarts = ioq_vm_n_restarts(link->data);
        g_ptr_array_add(service->status_vms, vm);
        sockets[n++] = ioq_vm_control(link->data);
    }
    ioq_ask(service->ask, sockets, "ioq/status", IOQ_ASK_MSEC, on_status_answers, service);
}
