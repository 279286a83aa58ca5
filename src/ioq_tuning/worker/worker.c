/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/worker/worker.h"

#include <glib-unix.h>
#include <string.h>
#include <sysexits.h>
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

#define MIB              (1024 * 1024)
#define NBD_TIMEOUT_MSEC 5000 /* for a server's greeting */
#define DRAIN_MSEC       30000

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

/* The server, or the way to it, is gone, and what was asked of it has an unknown fate. gantry-ioqd
 * starts another worker when the server is there again; that one does again what was in flight, so
 * the guest sees a pause and no error. */
static void
on_lost_server(const char *name, const char *why)
{
    gantry_err(
        _("the connection to the NBD server %1$s has ended (%2$s); this worker ends, so that "
          "another can take over with a new connection"),
        name, why);
    _exit(EX_TEMPFAIL);
}

static IoqStore *
open_store(WorkerDisk *disk, IoqDeviceOptions *options, GError **error)
{
    const IoqNbdOptions nbd = {
        .name = disk->image ? disk->image : disk->name,
        .export = disk->export,
        .read_only = disk->read_only,
        .timeout_msec = NBD_TIMEOUT_MSEC,
        .lost = on_lost_server,
    };
    IoqStore *store;
    guint n;

    if (disk->n_nbd > 0) {
        store = ioq_store_nbd_new(disk->nbd_fds, disk->n_nbd, &nbd, &n, error);
        if (store) {
            /* Each thread has a connection, so there are no more threads than those. */
            options->queues_per_thread =
                MAX(options->queues_per_thread, (options->max_queues + n - 1) / n);
        }
        return store;
    }
    if (disk->buffered_fd < 0) {
        return ioq_store_null_new(disk->null_mib * MIB);
    }
    store = ioq_store_file_new(gantry_fd_steal(&disk->buffered_fd),
                               gantry_fd_steal(&disk->direct_fd), disk->read_only, error);
    if (store && disk->image) {
        ioq_store_file_set_name(store, disk->image);
    }
    if (store && disk->no_lock) {
        ioq_store_file_set_unlocked(store);
    }
    return store;
}

static IoqDevice *
make_device(WorkerDisk *disk, GError **error)
{
    IoqDeviceOptions options = {
        .name = disk->name,
        .domain = disk->domain,
        .max_queues = disk->max_queues,
        .queue_size = disk->queue_size,
        .queues_per_thread = disk->queues_per_thread,
        .poll_max_usec = disk->poll_usec,
        .drain_msec = disk->drain_msec > 0 ? disk->drain_msec : DRAIN_MSEC,
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
    store = open_store(disk, &options, error);
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

    if (config->control) {
        control = gantry_rpc_server_new(config->control, methods, NULL, devices, error);
        if (!control) {
            return FALSE;
        }
    }
    /* By hand it stays what its user is. Before the first byte of an NBD server is read. */
    if (config->uid != 0 && !sandbox_enter(config->uid, config->gid, error)) {
        return FALSE;
    }
    for (guint i = 0; i < config->n_disks; i++) {
        IoqDevice *device = make_device(&config->disks[i], error);

        if (!device) {
            g_prefix_error(error, _("disk %s: "), config->disks[i].name);
            return FALSE;
        }
        g_ptr_array_add(devices, device);
    }
    if (config->ready_fd >= 0) {
        /* Nobody has to be interested. */
        gantry_fd_write_all(config->ready_fd, WORKER_READY, strlen(WORKER_READY), NULL);
    }
    gantry_fd_clear(&config->ready_fd);
    g_unix_signal_add(SIGTERM, on_signal, loop);
    g_unix_signal_add(SIGINT, on_signal, loop);
    g_main_loop_run(loop);
    return TRUE;
}
