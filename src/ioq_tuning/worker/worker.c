/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/worker/worker.h"

#include <glib-unix.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/cpuset.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/rpc/rpc.h"
#include "ioq_tuning/worker/device.h"
#include "ioq_tuning/worker/sandbox.h"

#define MIB (1024 * 1024)

static gboolean
on_signal(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static void
on_status(GantryRpcRequest *request, gpointer data)
{
    GPtrArray *devices = data;
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "pid");
    json_builder_add_int_value(builder, getpid());
    json_builder_set_member_name(builder, "disks");
    json_builder_begin_array(builder);
    for (guint i = 0; i < devices->len; i++) {
        json_builder_add_value(builder, ioq_device_status(devices->pdata[i]));
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    gantry_rpc_request_reply(request, json_builder_get_root(builder));
}

static void
on_refresh(GantryRpcRequest *request, gpointer data)
{
    GPtrArray *devices = data;

    for (guint i = 0; i < devices->len; i++) {
        ioq_device_refresh_size(devices->pdata[i]);
    }
    gantry_rpc_request_reply(request, NULL);
}

static const GantryRpcMethod methods[] = {
    {"ioq/status", on_status},
    {"ioq/refresh", on_refresh},
    {NULL, NULL},
};

static gboolean
read_cpus(const char *text, cpu_set_t *ret_cpus, GError **error)
{
    g_autoptr(GantryCpuset) set = gantry_cpuset_parse(text, error);

    if (!set) {
        return FALSE;
    }
    CPU_ZERO(ret_cpus);
    for (guint cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (gantry_cpuset_contains(set, cpu)) {
            CPU_SET(cpu, ret_cpus);
        }
    }
    return TRUE;
}

static IoqDevice *
make_device(WorkerDisk *disk, GError **error)
{
    IoqDeviceOptions options = {
        .name = disk->name,
        .max_queues = disk->max_queues,
        .queue_size = disk->queue_size,
        .queues_per_thread = disk->queues_per_thread,
        .poll_max_usec = disk->poll_usec,
        .id = disk->serial,
        .no_inflight = disk->no_inflight,
    };
    IoqStore *store;
    cpu_set_t cpus;

    if (disk->cpus) {
        if (!read_cpus(disk->cpus, &cpus, error)) {
            return NULL;
        }
        options.cpus = &cpus;
    }
    store = disk->buffered_fd < 0
                ? ioq_store_null_new(disk->null_mib * MIB)
                : ioq_store_file_new(gantry_fd_steal(&disk->buffered_fd),
                                     gantry_fd_steal(&disk->direct_fd), disk->read_only, error);
    if (!store) {
        return NULL;
    }
    if (disk->delay_usec > 0) {
        store = ioq_store_delay_new(store, disk->delay_usec);
    }
    return ioq_device_new(gantry_fd_steal(&disk->listen_fd), store, &options);
}

gboolean
worker_serve(WorkerConfig *config, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func((GDestroyNotify)ioq_device_free);
    g_autoptr(GantryRpcServer) control = NULL;

    for (guint i = 0; i < config->n_disks; i++) {
        IoqDevice *device = make_device(&config->disks[i], error);

        if (!device) {
            g_prefix_error(error, _("disk %s: "), config->disks[i].name);
            return FALSE;
        }
        g_ptr_array_add(devices, device);
    }
    if (config->control) {
        control = gantry_rpc_server_new(config->control, methods, NULL, devices, error);
        if (!control) {
            return FALSE;
        }
    }
    /* By hand it stays what its user is. */
    if (config->uid != 0 && !sandbox_enter(config->uid, config->gid, error)) {
        return FALSE;
    }
    g_unix_signal_add(SIGTERM, on_signal, loop);
    g_unix_signal_add(SIGINT, on_signal, loop);
    g_main_loop_run(loop);
    return TRUE;
}
