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
 * its qemu-nbd must have ended before both are started again, since it may still be writing what
 * the next worker does again.
 */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/daemon/vm_priv.h"

#define YOUNG_USEC       (1000 * 1000) /* a worker that dies before it is this old waits its turn */
#define BACKOFF_MIN_MSEC 100
#define BACKOFF_MAX_MSEC 5000
#define STOP_MSEC        3000 /* for a worker or a server to end by itself */

void
ioq_vm_forget_worker(IoqVm *vm)
{
    g_clear_handle_id(&vm->watch, g_source_remove);
    gantry_fd_clear(&vm->pid_fd);
    vm->pid = 0;
}

void
ioq_vm_stop_waiting(IoqVm *vm)
{
    g_clear_handle_id(&vm->retry, g_source_remove);
    g_clear_handle_id(&vm->patience, g_source_remove);
    g_clear_handle_id(&vm->server_watch, g_source_remove);
}

static void
kill_worker(IoqVm *vm)
{
    if (vm->pid_fd >= 0) {
        syscall(SYS_pidfd_send_signal, vm->pid_fd, SIGKILL, NULL, 0);
    }
}

gboolean
ioq_vm_start_worker(IoqVm *vm, int *ret_ready_fd, GError **error)
{
    IoqLaunch launch;
    gboolean ok;

    if (!ioq_vm_launch(vm, &launch, error)) {
        return FALSE;
    }
    vm->pid = launch.pid;
    vm->pid_fd = gantry_fd_steal(&launch.pid_fd);
    vm->begin_usec = g_get_monotonic_time();
    ioq_vm_watch_worker(vm);
    /* Not before it is known to whoever comes after us. */
    ok = ioq_vm_write_pids(vm, error) && ioq_launch_go(&launch, error);
    if (ok && ret_ready_fd) {
        *ret_ready_fd = gantry_fd_steal(&launch.ready_fd);
    }
    ioq_launch_clear(&launch);
    if (!ok) {
        kill_worker(vm);
    }
    return ok;
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

static gboolean
on_retry(gpointer data)
{
    IoqVm *vm = data;

    vm->retry = 0;
    ioq_vm_go_on(vm);
    return G_SOURCE_REMOVE;
}

void
ioq_vm_start_later(IoqVm *vm)
{
    g_clear_handle_id(&vm->retry, g_source_remove);
    vm->backoff_msec = CLAMP(vm->backoff_msec * 2, BACKOFF_MIN_MSEC, BACKOFF_MAX_MSEC);
    vm->retry = g_timeout_add(vm->backoff_msec, on_retry, vm);
}

void
ioq_vm_start_again(IoqVm *vm)
{
    g_autoptr(GError) error = NULL;

    ioq_vm_stop_waiting(vm);
    vm->told = FALSE;
    if (ioq_vm_start_worker(vm, NULL, &error)) {
        vm->n_restarts++;
    } else {
        gantry_err(_("domain '%1$s': its disks are not served: %2$s"), vm->name, error->message);
        refuse_connections(vm);
        ioq_vm_start_later(vm);
    }
    ioq_vm_settle(vm, error);
}

/* Taking over */

static int
take_fd(int pid_fd, int there, mode_t type, mode_t other_type)
{
    gantry_autofd fd = there >= 0 ? (int)syscall(SYS_pidfd_getfd, pid_fd, there, 0) : -1;
    struct stat status;

    /* The worker may have closed it, and another have its number. */
    return fd >= 0 && fstat(fd, &status) == 0 &&
                   ((status.st_mode & S_IFMT) == type || (status.st_mode & S_IFMT) == other_type)
               ? gantry_fd_steal(&fd)
               : -1;
}

static gboolean
is_of(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

void
ioq_vm_take_over_fds(IoqVm *vm)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqDisk *disk = vm->disks->pdata[i];
        IoqOpened *here = &vm->opened[i];

        here->place.fd = take_fd(vm->pid_fd, here->listen_there, S_IFSOCK, S_IFSOCK);
        here->image_fd = take_fd(vm->pid_fd, here->image_there, S_IFREG, S_IFBLK);
        if (here->image_fd >= 0 && !is_of(here->image_fd, disk->source)) {
            gantry_fd_clear(&here->image_fd);
        }
    }
}

/* What ends */

static gboolean
on_no_patience(gpointer data)
{
    IoqVm *vm = data;

    vm->patience = 0;
    kill_worker(vm);
    for (guint i = 0; vm->pid == 0 && i < vm->servers->len; i++) {
        ioq_server_end(vm->servers->pdata[i], TRUE);
    }
    return G_SOURCE_REMOVE;
}

static void
have_patience(IoqVm *vm)
{
    g_clear_handle_id(&vm->patience, g_source_remove);
    vm->patience = g_timeout_add(STOP_MSEC, on_no_patience, vm);
}

static gboolean
on_server_end(gint fd, GIOCondition condition, gpointer data)
{
    IoqVm *vm = data;

    vm->server_watch = 0;
    ioq_vm_go_on(vm);
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

gboolean
ioq_vm_servers_have_ended(IoqVm *vm)
{
    drop_ended_servers(vm);
    if (vm->servers->len > 0 && vm->patience == 0) {
        for (guint i = 0; i < vm->servers->len; i++) {
            ioq_server_end(vm->servers->pdata[i], FALSE);
        }
        have_patience(vm);
    }
    g_clear_handle_id(&vm->server_watch, g_source_remove);
    if (vm->servers->len > 0) {
        const IoqServer *server = vm->servers->pdata[0];

        vm->server_watch = g_unix_fd_add(server->pid_fd, G_IO_IN, on_server_end, vm);
    }
    return vm->servers->len == 0;
}

static gboolean
on_worker_end(gint fd, GIOCondition condition, gpointer data)
{
    IoqVm *vm = data;
    gboolean expected = vm->told || vm->state == IOQ_VM_ENDING;
    gint64 age_usec = g_get_monotonic_time() - vm->begin_usec;

    if (vm->state == IOQ_VM_SERVING && !expected) {
        gantry_warn(_("domain '%1$s': its worker (%2$d) has ended; another is started"), vm->name,
                    (int)vm->pid);
    }
    vm->watch = 0;
    ioq_vm_forget_worker(vm);
    ioq_vm_stop_waiting(vm);
    if (vm->state == IOQ_VM_STARTING) {
        return G_SOURCE_REMOVE; /* its report ends, too, and says why */
    }
    if (!expected) {
        ioq_vm_log_servers(vm);
    }
    if (expected || age_usec >= YOUNG_USEC) {
        vm->backoff_msec = 0;
        ioq_vm_go_on(vm);
    } else {
        if (has_servers(vm)) {
            refuse_connections(vm);
        }
        ioq_vm_start_later(vm);
    }
    return G_SOURCE_REMOVE;
}

void
ioq_vm_watch_worker(IoqVm *vm)
{
    vm->watch = g_unix_fd_add(vm->pid_fd, G_IO_IN, on_worker_end, vm);
}

void
ioq_vm_end_worker(IoqVm *vm)
{
    if (vm->pid_fd >= 0) {
        syscall(SYS_pidfd_send_signal, vm->pid_fd, SIGTERM, NULL, 0);
        have_patience(vm);
    }
}
