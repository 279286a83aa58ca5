/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker gets: descriptors, by the numbers that they have there, and a configuration that
 * names them.
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/file.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/host/cpu.h"
#include "ioq_tuning/apply/target.h"
#include "ioq_tuning/daemon/vm_priv.h"
#include "ioq_tuning/store/image_lock.h"
#include "ioq_tuning/store/nbd_connect.h"
#include "ioq_tuning/worker/worker.h"

#define FIRST_FD         3 /* in the worker */
#define MAX_QUEUES       IOQ_DISK_MAX_QUEUES
#define QUEUE_SIZE       128
#define SERVER_LOG_BYTES 4096

/* Images */

/* A FIFO in its place would keep all of us waiting for its other end. */
static int
open_nonblocking(const IoqDisk *disk, GError **error)
{
    gantry_autofd fd =
        open(disk->source, (disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open the image %s"), disk->source);
        return -1;
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the image %s is neither a file nor a block device"), disk->source);
        return -1;
    }
    return g_unix_set_fd_nonblocking(fd, FALSE, error) ? gantry_fd_steal(&fd) : -1;
}

static gboolean
open_image(IoqVm *vm, guint i, GError **error)
{
    int *fd = &vm->opened[i].image_fd;

    if (*fd < 0) {
        *fd = open_nonblocking(vm->disks->pdata[i], error);
    }
    return *fd >= 0;
}

gboolean
ioq_vm_check_images(IoqVm *vm, GError **error)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqDisk *disk = vm->disks->pdata[i];
        g_autoptr(IoqStore) store = NULL;
        gboolean ok;

        if (!ioq_disk_is_raw(disk)) {
            continue; /* its server sees to that */
        }
        ok = open_image(vm, i, error) &&
             (store = ioq_store_file_new(fcntl(vm->opened[i].image_fd, F_DUPFD_CLOEXEC, 0), -1,
                                         disk->read_only, error));
        if (ok) {
            ioq_store_file_set_name(store, disk->source);
            ok = ioq_store_acquire(store, error);
        }
        if (!ok) {
            g_prefix_error(error, _("disk '%s': "), disk->target);
            return FALSE;
        }
        ioq_store_release(store); /* the worker takes it when the guest starts */
    }
    return TRUE;
}

/* No other host sees what is in one of these. (In the tests all hosts are one machine.) */
static gboolean
is_local(int fd)
{
    static const guint32 local[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC,
                                    TMPFS_MAGIC,      OVERLAYFS_SUPER_MAGIC, F2FS_SUPER_MAGIC};
    struct statfs status;

    for (guint i = 0; i < G_N_ELEMENTS(local) && fstatfs(fd, &status) == 0; i++) {
        if ((guint32)status.f_type == local[i]) {
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
ioq_vm_check_incoming(IoqVm *vm, GError **error)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqDisk *disk = vm->disks->pdata[i];
        struct stat status;

        if (!ioq_disk_is_raw(disk) || disk->read_only) {
            continue;
        }
        if (!open_image(vm, i, error)) {
            g_prefix_error(error, _("disk '%s': "), disk->target);
            return FALSE;
        }
        if (fstat(vm->opened[i].image_fd, &status) == 0 && S_ISREG(status.st_mode) &&
            is_local(vm->opened[i].image_fd) && !ioq_image_is_in_use(vm->opened[i].image_fd)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("disk '%1$s': %2$s is on a file system of this host alone, so it is not "
                          "what the domain has where it comes from: put it on shared storage"),
                        disk->target, disk->source);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
ioq_vm_check_cpus(const IoqVm *vm, GError **error)
{
    g_autoptr(GantryHost) host = gantry_host_open("/", NULL);
    g_autoptr(GantryCpuset) online = host ? gantry_host_online_cpus(host, NULL) : NULL;

    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqDisk *disk = vm->disks->pdata[i];
        g_autofree char *name = g_strdup_printf(_("disk '%s'"), disk->target);

        if (!ioq_cpus_are_online(name, disk->cpus, online, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

char *
ioq_vm_server_log(const IoqVm *vm, guint i)
{
    const IoqDisk *disk = vm->disks->pdata[i];
    g_autofree char *name = g_strdup_printf("%s.nbd.log", disk->target);

    return ioq_vm_path(vm, name);
}

char *
ioq_vm_server_texts(const IoqVm *vm)
{
    g_autoptr(GString) texts = g_string_new(NULL);

    for (guint i = 0; i < vm->disks->len; i++) {
        g_autofree char *path = ioq_vm_server_log(vm, i);
        g_autofree char *text = gantry_file_read(AT_FDCWD, path, SERVER_LOG_BYTES, NULL, NULL);

        if (text && g_strstrip(text)[0]) {
            g_string_append_printf(texts, "%s%s", texts->len > 0 ? "; " : "",
                                   g_strdelimit(text, "\n", ' '));
        }
    }
    return g_string_free(g_steal_pointer(&texts), FALSE);
}

void
ioq_vm_log_servers(const IoqVm *vm)
{
    g_autofree char *texts = ioq_vm_server_texts(vm);

    if (texts[0]) {
        gantry_warn(_("domain '%1$s': %2$s"), vm->name, texts);
    }
}

/* Connections to the NBD server of the disk; one for each thread that it may have. */
static gboolean
open_connections(IoqVm *vm, guint i, WorkerDisk *worker_disk, GError **error)
{
    const IoqDisk *disk = vm->disks->pdata[i];
    guint wanted = (disk->n_queues + disk->queues_per_thread - 1) / disk->queues_per_thread;
    g_autofree char *log = ioq_vm_server_log(vm, i);
    g_autofree char *socket = ioq_vm_path(vm, "nbd.sock");
    IoqServer *server;

    wanted = MIN(wanted, IOQ_NBD_MAX_CONNECTIONS);
    if (g_str_equal(disk->format, "nbd")) {
        worker_disk->n_nbd = ioq_nbd_connect(disk->source, worker_disk->nbd_fds, wanted, error);
        return worker_disk->n_nbd > 0;
    }
    server = ioq_server_start(
        &(const IoqServerOptions){
            .program = vm->options->qemu_nbd,
            .image = disk->source,
            .format = disk->format,
            .read_only = disk->read_only,
            .n_connections = wanted,
            .socket = socket,
            .log = log,
        },
        worker_disk->nbd_fds, error);
    if (!server) {
        return FALSE;
    }
    worker_disk->n_nbd = wanted;
    g_ptr_array_add(vm->servers, server);
    return TRUE;
}

static int
give(GSubprocessLauncher *launcher, int fd, int *next)
{
    g_subprocess_launcher_take_fd(launcher, fd, *next);
    return (*next)++;
}

static gboolean
fill_disk(IoqVm *vm, guint i, WorkerDisk *worker_disk, GSubprocessLauncher *launcher, int *next,
          GError **error)
{
    const IoqDisk *disk = vm->disks->pdata[i];
    IoqOpened *here = &vm->opened[i];
    IoqPlace *place = &here->place;
    WorkerDisk opened = {0};

    if (ioq_disk_is_raw(disk) ? !open_image(vm, i, error)
                              : !open_connections(vm, i, &opened, error)) {
        return FALSE;
    }
    *worker_disk = (WorkerDisk){
        .name = g_strdup(disk->target),
        .domain = g_strdup(vm->name),
        .image = g_strdup(disk->source),
        .export = g_strdup(disk->export),
        .listen_fd = -1,
        .buffered_fd = -1,
        .direct_fd = -1,
        .max_queues = ioq_disk_is_raw(disk) ? MAX_QUEUES : disk->n_queues,
        .queue_size = QUEUE_SIZE,
        .queues_per_thread = disk->queues_per_thread,
        .read_only = disk->read_only,
        .cpus = g_strdup(disk->cpus),
        .poll_usec = vm->options->poll_usec,
    };
    for (guint k = 0; k < opened.n_nbd; k++) {
        worker_disk->nbd_fds[worker_disk->n_nbd++] = give(launcher, opened.nbd_fds[k], next);
    }
    if (ioq_disk_is_raw(disk)) {
        g_autofree char *again = g_strdup_printf("/proc/self/fd/%d", vm->opened[i].image_fd);
        int direct_fd = open(again, (disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_DIRECT);

        worker_disk->buffered_fd =
            give(launcher, fcntl(vm->opened[i].image_fd, F_DUPFD_CLOEXEC, 0), next);
        worker_disk->direct_fd = direct_fd >= 0 ? give(launcher, direct_fd, next) : -1;
    }
    /* Last: a front end is let in when there is something to serve. */
    if (place->fd < 0 && !ioq_place_listen(place, disk->socket, vm->options->qemu_uid, error)) {
        return FALSE;
    }
    worker_disk->listen_fd = give(launcher, fcntl(place->fd, F_DUPFD_CLOEXEC, 0), next);
    here->image_there = worker_disk->buffered_fd;
    here->listen_there = worker_disk->listen_fd;
    return TRUE;
}

static gboolean
fill_config(IoqVm *vm, WorkerConfig *config, GSubprocessLauncher *launcher, GError **error)
{
    int next = FIRST_FD + 2; /* after the configuration and the worker's report */

    config->control = ioq_vm_control(vm);
    config->ready_fd = FIRST_FD + 1;
    config->uid = vm->options->worker_uid;
    config->gid = vm->options->worker_gid;
    for (guint i = 0; i < vm->disks->len; i++) {
        if (!fill_disk(vm, i, &config->disks[i], launcher, &next, error)) {
            g_prefix_error(error, _("disk '%s': "), ((const IoqDisk *)vm->disks->pdata[i])->target);
            return FALSE;
        }
    }
    return TRUE;
}

/* What nobody can read is not waited for: a configuration is not much longer than its paths. */
static gboolean
make_config_pipe(gsize length, int ends[2], GError **error)
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make a pipe"));
        return FALSE;
    }
    if (fcntl(ends[1], F_SETPIPE_SZ, (int)length) < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot set up a pipe"));
        gantry_fd_clear(&ends[0]);
        gantry_fd_clear(&ends[1]);
        return FALSE;
    }
    return TRUE;
}

static void
refuse_dead(GError **error)
{
    g_set_error_literal(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("its worker has ended at once; its log says why"));
}

static gboolean
spawn(const IoqVm *vm, GSubprocessLauncher *launcher, IoqLaunch *launch, GError **error)
{
    const char *const argv[] = {vm->options->worker, "--config-fd", G_STRINGIFY(FIRST_FD), NULL};
    g_autoptr(GSubprocess) process = g_subprocess_launcher_spawnv(launcher, argv, error);
    const char *identifier = process ? g_subprocess_get_identifier(process) : NULL;

    if (!process) {
        return FALSE;
    }
    launch->pid = identifier ? g_ascii_strtoll(identifier, NULL, 10) : 0;
    launch->pid_fd = identifier ? (int)syscall(SYS_pidfd_open, (pid_t)launch->pid, 0) : -1;
    /* GLib has not reaped it even now, so the number was still its own. */
    if (launch->pid_fd < 0 || !g_subprocess_get_identifier(process)) {
        refuse_dead(error);
        return FALSE;
    }
    return TRUE;
}

void
ioq_launch_clear(IoqLaunch *launch)
{
    gantry_fd_clear(&launch->pid_fd);
    gantry_fd_clear(&launch->ready_fd);
    gantry_fd_clear(&launch->config_fd);
    g_clear_pointer(&launch->config, g_free);
}

gboolean
ioq_vm_launch(IoqVm *vm, IoqLaunch *launch, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
    WorkerConfig *config = worker_config_new(vm->disks->len);
    gboolean filled = fill_config(vm, config, launcher, error);
    int ready[2], ends[2];

    *launch = (IoqLaunch){.pid_fd = -1, .ready_fd = -1, .config_fd = -1};
    launch->config = filled ? worker_config_format(config) : NULL;
    worker_config_forget_fds(config);
    worker_config_free(config);
    if (!filled || !make_config_pipe(strlen(launch->config), ends, error)) {
        ioq_launch_clear(launch);
        return FALSE;
    }
    launch->config_fd = ends[1];
    g_subprocess_launcher_take_fd(launcher, ends[0], FIRST_FD);
    if (pipe2(ready, O_CLOEXEC) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make a pipe"));
        ioq_launch_clear(launch);
        return FALSE;
    }
    launch->ready_fd = ready[0];
    g_subprocess_launcher_take_fd(launcher, ready[1], FIRST_FD + 1);
    if (!spawn(vm, launcher, launch, error)) {
        ioq_launch_clear(launch);
        return FALSE;
    }
    return TRUE; /* with the launcher goes our copy of the worker's ends */
}

gboolean
ioq_launch_go(IoqLaunch *launch, GError **error)
{
    gboolean ok =
        gantry_fd_write_all(launch->config_fd, launch->config, strlen(launch->config), NULL);

    if (!ok) {
        refuse_dead(error);
    }
    gantry_fd_clear(&launch->config_fd);
    return ok;
}
