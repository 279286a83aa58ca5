/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/state.h"

static void
vm_free(gpointer data)
{
    LbVm *vm = data;

    g_free(vm->name);
    g_free(vm->uuid);
    g_free(vm->group);
    g_free(vm->settings_error);
    g_free(vm->tied_reason);
    g_free(vm->cpu_model);
    g_strfreev(vm->quarantine);
    g_free(vm);
}

static void
host_free(gpointer data)
{
    LbHost *host = data;

    g_free(host->name);
    g_free(host->uuid);
    g_free(host->status_reason);
    g_free(host->closed_reason);
    g_free(host->pool);
    g_strfreev(host->cpu_models);
    g_ptr_array_unref(host->vms);
    g_free(host);
}

LbState *
lb_state_new(void)
{
    LbState *state = g_new0(LbState, 1);

    state->hosts = g_ptr_array_new_with_free_func(host_free);
    return state;
}

void
lb_state_free(LbState *state)
{
    g_ptr_array_unref(state->hosts);
    g_free(state);
}

LbHost *
lb_state_add_host(LbState *state, const char *name, const char *uuid)
{
    LbHost *host = g_new0(LbHost, 1);

    host->name = g_strdup(name);
    host->uuid = g_strdup(uuid);
    host->vms = g_ptr_array_new_with_free_func(vm_free);
    g_ptr_array_add(state->hosts, host);
    return host;
}

LbVm *
lb_host_add_vm(LbHost *host, const char *name, const char *uuid)
{
    LbVm *vm = g_new0(LbVm, 1);

    vm->name = g_strdup(name);
    vm->uuid = g_strdup(uuid);
    vm->running = TRUE;
    vm->measured = TRUE;
    vm->movable = TRUE;
    vm->priority = 50;
    g_ptr_array_add(host->vms, vm);
    return vm;
}

LbHost *
lb_state_host(const LbState *state, guint index)
{
    return state->hosts->pdata[index];
}

LbVm *
lb_host_vm(const LbHost *host, guint index)
{
    return host->vms->pdata[index];
}

double
lb_host_load(const LbHost *host)
{
    return host->capacity > 0 ? host->busy / host->capacity : 0;
}

guint
lb_host_count_running(const LbHost *host)
{
    guint n = 0;

    for (guint i = 0; i < host->vms->len; i++) {
        n += lb_host_vm(host, i)->running ? 1 : 0;
    }
    return n;
}

double
lb_vm_demand(const LbVm *vm)
{
    return MAX(vm->cpu + vm->delay, vm->forecast);
}
