/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. A worker is watched by its pidfd, whether it is our child or was started by
 * a gantry-ioqd before us. When it ends and was not told to, another is started: at once the first
 * time, later and later if they die young. The listening sockets stay open here meanwhile, so a
 * front end that connects too early waits instead of being refused; not where a worker depends on a
 * server, which may be away for longer.
 *
 * Images that need a format are served by a qemu-nbd each, which lives and dies with the worker: if
 * it dies, the worker's connection ends and with that the worker (worker.c); if the worker dies,
 * its qemu-nbd must have ended before both are started again.
 */
#include "ioq_tuning/daemon/vm_priv.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/daemon/disks.h"
#include "ioq_tuning/worker/worker.h"

#define READY_MAX_BYTES  (64 * 1024)
#define YOUNG_USEC       (1000 * 1000) /* a worker that dies before it is this old waits its turn */
#define BACKOFF_MIN_MSEC 100
#define BACKOFF_MAX_MSEC 5000
#define STOP_MSEC        3000 /* for a worker or a server to end by itself */
#define READY_MSEC       2500 /* for a new worker: the hook waits 3 s for us */

static gboolean on_retry(gpointer data);
static void watch_worker(IoqVm *vm);
static void start_again(IoqVm *vm);

IoqVm *
ioq_vm_new(const IoqVmOptions *options, const char *uuid, const char *name, GPtrArray *disks)
{
    IoqVm *vm = g_new0(IoqVm, 1);

    vm->options = options;
    vm->uuid = g_strdup(uuid);
    vm->name = g_strdup(name);
    vm->dir = g_build_filename(options->run_dir, uuid, NULL);
    vm->disks = disks;
    vm->opened = g_new(IoqOpened, MAX(disks->len, 1));
    for (guint i = 0; i < disks->len; i++) {
        vm->opened[i] = (IoqOpened){.place = IOQ_PLACE_NONE, .image_fd = -1};
    }
    vm->servers = g_ptr_array_new_with_free_func(ioq_server_free);
    vm->pid_fd = -1;
    return vm;
}

static void
forget_worker(IoqVm *vm)
{
    g_clear_handle_id(&vm->watch, g_source_remove);
    gantry_fd_clear(&vm->pid_fd);
    vm->pid = 0;
}

static void
stop_waiting(IoqVm *vm)
{
    g_clear_handle_id(&vm->retry, g_source_remove);
    g_clear_handle_id(&vm->server_watch, g_source_remove);
}

void
ioq_vm_free(IoqVm *vm)
{
    if (!vm) {
        return;
    }
    forget_worker(vm);
    stop_waiting(vm);
    for (guint i = 0; i < vm->disks->len; i++) {
        ioq_place_close(&vm->opened[i].place);
        gantry_fd_clear(&vm->opened[i].image_fd);
    }
    g_ptr_array_unref(vm->servers);
    g_ptr_array_unref(vm->disks);
    g_free(vm->opened);
    g_free(vm->uuid);
    g_free(vm->name);
    g_free(vm->dir);
    g_free(vm);
}

const char *
ioq_vm_uuid(const IoqVm *vm)
{
    return vm->uuid;
}

const char *
ioq_vm_name(const IoqVm *vm)
{
    return vm->name;
}

gint64
ioq_vm_pid(const IoqVm *vm)
{
    return vm->pid;
}

guint
ioq_vm_n_restarts(const IoqVm *vm)
{
    return vm->n_restarts;
}

char *
ioq_vm_control(const IoqVm *vm)
{
    return ioq_vm_path(vm, "control.sock");
}

gboolean
ioq_vm_has_disks(const IoqVm *vm, const GPtrArray *disks)
{
    g_autofree char *ours = ioq_disks_format(vm->disks);
    g_autofree char *theirs = ioq_disks_format(disks);

    return g_str_equal(ours, theirs);
}

const char *
ioq_vm_target_of_socket(const IoqVm *vm, const char *path)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqDisk *disk = vm->disks->pdata[i];

        if (g_str_equal(disk->socket, path) || ioq_place_is(&vm->opened[i].place, path)) {
            return disk->target;
        }
    }
    return NULL;
}

/* The worker */

/* With @wait: until it serves front ends, or says why not. */
static gboolean
wait_for_worker(IoqVm *vm, int ready_fd, GError **error)
{
    g_autofree char *text = gantry_fd_read_all(ready_fd, READY_MAX_BYTES, READY_MSEC, NULL, error);
    g_autofree char *servers = NULL;

    if (!text) {
        g_prefix_error(error, _("its worker is not ready: "));
        return FALSE;
    }
    if (g_str_equal(text, WORKER_READY)) {
        return TRUE;
    }
    /* What a server has said comes first: the worker only knows that it has gone. */
    servers = ioq_vm_server_texts(vm);
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, "%s",
                servers[0] ? servers
                : text[0]  ? text
                           : _("its worker has ended at once; its log says why"));
    return FALSE;
}

static gboolean
start_worker(IoqVm *vm, gboolean wait, GError **error)
{
    gantry_autofd ready_fd = -1;

    vm->pid = ioq_vm_launch(vm, &ready_fd, error);
    if (vm->pid == 0) {
        if (ready_fd >= 0 && wait_for_worker(vm, ready_fd, error)) {
            g_set_error_literal(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                                _("its worker has ended at once; its log says why"));
        }
        return FALSE;
    }
    vm->begin_usec = g_get_monotonic_time();
    if (!ioq_vm_write_pids(vm, error)) {
        kill((pid_t)vm->pid, SIGKILL);
        vm->pid = 0;
        return FALSE;
    }
    watch_worker(vm);
    return !wait || wait_for_worker(vm, ready_fd, error);
}

/* Nobody is let in to wait for a worker that may not come for long: QEMU would stand still. It asks
 * again each second. */
static void
refuse_connections(IoqVm *vm)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        ioq_place_close(&vm->opened[i].place);
    }
}

static gboolean
has_servers(const IoqVm *vm)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        if (!ioq_disk_is_raw(vm->disks->pdata[i])) {
            return TRUE;
        }
    }
    return FALSE;
}

static void
start_later(IoqVm *vm)
{
    vm->backoff_msec = CLAMP(vm->backoff_msec * 2, BACKOFF_MIN_MSEC, BACKOFF_MAX_MSEC);
    vm->retry = g_timeout_add(vm->backoff_msec, on_retry, vm);
}

/* Servers of the worker that has ended: the next one must not start before they have ended, too,
 * since they may still be writing what it does again. */

static gboolean
on_server_end(gint fd, GIOCondition condition, gpointer data)
{
    IoqVm *vm = data;

    vm->server_watch = 0;
    g_clear_handle_id(&vm->retry, g_source_remove);
    start_again(vm);
    return G_SOURCE_REMOVE;
}

static gboolean
on_late_server(gpointer data)
{
    IoqVm *vm = data;

    vm->retry = 0;
    for (guint i = 0; i < vm->servers->len; i++) {
        ioq_server_end(vm->servers->pdata[i], TRUE);
    }
    return G_SOURCE_REMOVE;
}

static void
drop_ended_servers(IoqVm *vm)
{
    for (guint i = vm->servers->len; i > 0; i--) {
        if (ioq_server_has_ended(vm->servers->pdata[i - 1])) {
            g_ptr_array_remove_index(vm->servers, i - 1);
        }
    }
}

/* FALSE: it is waited for, and start_again() comes again. */
static gboolean
servers_have_ended(IoqVm *vm)
{
    drop_ended_servers(vm);
    if (vm->servers->len == 0) {
        return TRUE;
    }
    for (guint i = 0; i < vm->servers->len; i++) {
        ioq_server_end(vm->servers->pdata[i], FALSE);
    }
    vm->server_watch =
        g_unix_fd_add(((IoqServer *)vm->servers->pdata[0])->pid_fd, G_IO_IN, on_server_end, vm);
    vm->retry = g_timeout_add(STOP_MSEC, on_late_server, vm);
    return FALSE;
}

static gboolean
on_retry(gpointer data)
{
    IoqVm *vm = data;

    vm->retry = 0;
    start_again(vm);
    return G_SOURCE_REMOVE;
}

static void
start_again(IoqVm *vm)
{
    g_autoptr(GError) error = NULL;

    if (!servers_have_ended(vm)) {
        return;
    }
    if (start_worker(vm, FALSE, &error)) {
        vm->n_restarts++;
        return;
    }
    gantry_err(_("domain '%1$s': its disks are not served: %2$s"), vm->name, error->message);
    refuse_connections(vm);
    start_later(vm);
}

static gboolean
on_worker_end(gint fd, GIOCondition condition, gpointer data)
{
    IoqVm *vm = data;
    gint64 age_usec = g_get_monotonic_time() - vm->begin_usec;

    gantry_warn(_("domain '%1$s': its worker (%2$d) has ended; another is started"), vm->name,
                (int)vm->pid);
    vm->watch = 0;
    forget_worker(vm);
    ioq_vm_log_servers(vm);
    if (age_usec >= YOUNG_USEC) {
        vm->backoff_msec = 0;
        start_again(vm);
    } else {
        if (has_servers(vm)) {
            refuse_connections(vm);
        }
        start_later(vm);
    }
    return G_SOURCE_REMOVE;
}

static void
watch_worker(IoqVm *vm)
{
    vm->pid_fd = (int)syscall(SYS_pidfd_open, (pid_t)vm->pid, 0);
    if (vm->pid_fd >= 0) {
        vm->watch = g_unix_fd_add(vm->pid_fd, G_IO_IN, on_worker_end, vm);
    } else {
        vm->retry = g_timeout_add(BACKOFF_MIN_MSEC, on_retry, vm); /* it has died already */
    }
}

gboolean
ioq_vm_start(IoqVm *vm, gboolean incoming, GError **error)
{
    g_autofree char *disks = ioq_disks_format(vm->disks);

    if (g_mkdir_with_parents(vm->dir, 0755) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make %s"), vm->dir);
        return FALSE;
    }
    return ioq_vm_write_state(vm, "name", vm->name, error) &&
           ioq_vm_write_state(vm, "disks.json", disks, error) &&
           (incoming || ioq_vm_check_images(vm, error)) && start_worker(vm, TRUE, error);
}

/* Ends it, and returns when it has ended. */
static void
end_worker(IoqVm *vm)
{
    struct pollfd poll_fd = {.fd = vm->pid_fd, .events = POLLIN};

    if (vm->pid == 0 || vm->pid_fd < 0) {
        return;
    }
    g_clear_handle_id(&vm->watch, g_source_remove);
    syscall(SYS_pidfd_send_signal, vm->pid_fd, SIGTERM, NULL, 0);
    if (poll(&poll_fd, 1, STOP_MSEC) == 0) {
        syscall(SYS_pidfd_send_signal, vm->pid_fd, SIGKILL, NULL, 0);
        poll(&poll_fd, 1, STOP_MSEC);
    }
    forget_worker(vm);
}

static void
end_servers(IoqVm *vm)
{
    for (guint i = 0; i < vm->servers->len; i++) {
        ioq_server_end(vm->servers->pdata[i], FALSE);
    }
    for (guint i = 0; i < vm->servers->len; i++) {
        IoqServer *server = vm->servers->pdata[i];
        struct pollfd poll_fd = {.fd = server->pid_fd, .events = POLLIN};

        if (poll(&poll_fd, 1, STOP_MSEC) == 0) {
            ioq_server_end(server, TRUE);
            poll(&poll_fd, 1, STOP_MSEC);
        }
    }
    drop_ended_servers(vm);
}

void
ioq_vm_stop(IoqVm *vm)
{
    stop_waiting(vm);
    end_worker(vm);
    end_servers(vm);
    for (guint i = 0; i < vm->disks->len; i++) {
        ioq_place_remove(&vm->opened[i].place, ((const IoqDisk *)vm->disks->pdata[i])->socket);
    }
    ioq_vm_remove_state(vm);
}

void
ioq_vm_restart(IoqVm *vm)
{
    stop_waiting(vm);
    end_worker(vm);
    start_again(vm);
}

IoqVm *
ioq_vm_adopt(const IoqVmOptions *options, const char *uuid, GError **error)
{
    IoqVm *vm = ioq_vm_new(options, uuid, uuid, g_ptr_array_new_with_free_func(ioq_disk_free));
    g_autofree char *name = ioq_vm_read_state(vm, "name", error);
    g_autofree char *text = name ? ioq_vm_read_state(vm, "disks.json", error) : NULL;
    g_autoptr(GPtrArray) disks = text ? ioq_disks_parse(text, error) : NULL;

    ioq_vm_free(vm);
    if (!disks) {
        return NULL;
    }
    vm = ioq_vm_new(options, uuid, name, g_steal_pointer(&disks));
    vm->pid = ioq_vm_read_pids(vm);
    if (vm->pid > 0) {
        watch_worker(vm);
    } else {
        start_again(vm);
    }
    return vm;
}
