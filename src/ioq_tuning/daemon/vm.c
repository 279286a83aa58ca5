/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. A worker is watched by its pidfd, whether it is our child or was started by
 * a gantry-ioqd before us. When it ends and was not told to, another is started: at once the first
 * time, later and later if they die young. The listening sockets stay open here meanwhile, so a
 * front end that connects too early waits instead of being refused.
 */
#include "ioq_tuning/daemon/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/file.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/host/procfs.h"
#include "ioq_tuning/daemon/disks.h"
#include "ioq_tuning/vhost_user/listen.h"
#include "ioq_tuning/worker/worker.h"

#define FIRST_FD         3 /* in the worker */
#define MAX_QUEUES       64
#define QUEUE_SIZE       128
#define STATE_MAX_BYTES  (256 * 1024)
#define YOUNG_USEC       (1000 * 1000) /* a worker that dies before it is this old waits its turn */
#define BACKOFF_MIN_MSEC 100
#define BACKOFF_MAX_MSEC 5000
#define STOP_MSEC        3000 /* for a worker to end by itself */

struct IoqVm {
    const IoqVmOptions *options;
    char *uuid;
    char *name;
    char *dir;
    GPtrArray *disks;
    int *listen_fds; /* of each disk; -1: not open yet */
    gint64 pid;      /* 0: none */
    int pid_fd;
    guint watch;
    guint retry;
    gint64 begin_usec;
    guint backoff_msec;
    guint n_restarts;
};

static void watch_worker(IoqVm *vm);
static void start_again(IoqVm *vm);

static char *
path_in(const IoqVm *vm, const char *name)
{
    return g_build_filename(vm->dir, name, NULL);
}

IoqVm *
ioq_vm_new(const IoqVmOptions *options, const char *uuid, const char *name, GPtrArray *disks)
{
    IoqVm *vm = g_new0(IoqVm, 1);

    vm->options = options;
    vm->uuid = g_strdup(uuid);
    vm->name = g_strdup(name);
    vm->dir = g_build_filename(options->run_dir, uuid, NULL);
    vm->disks = disks;
    vm->listen_fds = g_new(int, MAX(disks->len, 1));
    for (guint i = 0; i < disks->len; i++) {
        vm->listen_fds[i] = -1;
    }
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

void
ioq_vm_free(IoqVm *vm)
{
    if (!vm) {
        return;
    }
    forget_worker(vm);
    g_clear_handle_id(&vm->retry, g_source_remove);
    for (guint i = 0; i < vm->disks->len; i++) {
        gantry_fd_clear(&vm->listen_fds[i]);
    }
    g_ptr_array_unref(vm->disks);
    g_free(vm->listen_fds);
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
    return path_in(vm, "control.sock");
}

gboolean
ioq_vm_has_disks(const IoqVm *vm, const GPtrArray *disks)
{
    g_autofree char *ours = ioq_disks_format(vm->disks);
    g_autofree char *theirs = ioq_disks_format(disks);

    return g_str_equal(ours, theirs);
}

/* Sockets and images */

/* Only what root alone can have put there is replaced. */
static gboolean
make_place_for(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    struct stat status;

    if (g_str_has_prefix(path, "/run/") && g_mkdir_with_parents(dir, 0755) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make %s"), dir);
        return FALSE;
    }
    if (stat(dir, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot examine %s"), dir);
        return FALSE;
    }
    if (status.st_mode & S_IWOTH) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the socket '%1$s' would be in a folder that everybody may write"), path);
        return FALSE;
    }
    return TRUE;
}

static int
listen_on(const IoqVmOptions *options, const char *path, GError **error)
{
    gantry_autofd fd = -1;

    if (!make_place_for(path, error)) {
        return -1;
    }
    fd = vu_listen(path, error);
    if (fd < 0) {
        return -1;
    }
    if (lchown(path, options->qemu_uid, (gid_t)-1) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot listen on %s"), path);
        return -1;
    }
    return gantry_fd_steal(&fd);
}

static gboolean
open_image(const IoqDisk *disk, WorkerDisk *worker_disk, GError **error)
{
    int access = disk->read_only ? O_RDONLY : O_RDWR;

    worker_disk->buffered_fd = open(disk->source, access | O_CLOEXEC);
    if (worker_disk->buffered_fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open the image %s"), disk->source);
        return FALSE;
    }
    worker_disk->direct_fd = open(disk->source, access | O_CLOEXEC | O_DIRECT);
    return TRUE;
}

/* State */

static gboolean
write_state(const IoqVm *vm, const char *name, const char *text, GError **error)
{
    g_autofree char *path = path_in(vm, name);

    return gantry_file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, error);
}

static char *
read_state(const IoqVm *vm, const char *name, GError **error)
{
    g_autofree char *path = path_in(vm, name);

    return gantry_file_read(AT_FDCWD, path, STATE_MAX_BYTES, NULL, error);
}

static gint64
start_time_of(gint64 pid)
{
    g_autoptr(GantryHost) host = gantry_host_open("/", NULL);
    gint64 started;

    return host && gantry_host_process_start(host, (pid_t)pid, &started, NULL) ? started : -1;
}

static gboolean
write_pid(const IoqVm *vm, GError **error)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", vm->pid,
                                            start_time_of(vm->pid));

    return write_state(vm, "worker.pid", text, error);
}

/* The worker */

/* Descriptors of the worker by the numbers that they will have there. */
static gboolean
fill_config(IoqVm *vm, WorkerConfig *config, GSubprocessLauncher *launcher, GError **error)
{
    int next = FIRST_FD + 1; /* the first is the configuration */

    config->control = ioq_vm_control(vm);
    config->uid = vm->options->worker_uid;
    config->gid = vm->options->worker_gid;
    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqDisk *disk = vm->disks->pdata[i];
        WorkerDisk *worker_disk = &config->disks[i];
        WorkerDisk opened = {.buffered_fd = -1, .direct_fd = -1};

        if (vm->listen_fds[i] < 0) {
            vm->listen_fds[i] = listen_on(vm->options, disk->socket, error);
        }
        if (vm->listen_fds[i] < 0 || !open_image(disk, &opened, error)) {
            g_prefix_error(error, _("disk '%s': "), disk->target);
            return FALSE;
        }
        *worker_disk = (WorkerDisk){
            .name = g_strdup(disk->target),
            .max_queues = MAX_QUEUES,
            .queue_size = QUEUE_SIZE,
            .queues_per_thread = disk->queues_per_thread,
            .read_only = disk->read_only,
            .cpus = g_strdup(disk->cpus),
            .poll_usec = vm->options->poll_usec,
        };
        worker_disk->listen_fd = next++;
        worker_disk->buffered_fd = next++;
        worker_disk->direct_fd = opened.direct_fd >= 0 ? next++ : -1;
        g_subprocess_launcher_take_fd(launcher, fcntl(vm->listen_fds[i], F_DUPFD_CLOEXEC, 0),
                                      worker_disk->listen_fd);
        g_subprocess_launcher_take_fd(launcher, opened.buffered_fd, worker_disk->buffered_fd);
        if (opened.direct_fd >= 0) {
            g_subprocess_launcher_take_fd(launcher, opened.direct_fd, worker_disk->direct_fd);
        }
    }
    return TRUE;
}

/* The numbers in it are the worker's, not ours: nothing may be closed by them. */
static void
config_free(WorkerConfig *config)
{
    for (guint i = 0; i < config->n_disks; i++) {
        config->disks[i].listen_fd = config->disks[i].buffered_fd = -1;
        config->disks[i].direct_fd = -1;
    }
    worker_config_free(config);
}

static int
config_as_file(const WorkerConfig *config, GError **error)
{
    g_autofree char *text = worker_config_format(config);
    gantry_autofd fd = memfd_create("gantry-ioq-config", MFD_CLOEXEC);

    if (fd < 0 || !gantry_fd_write_all(fd, text, strlen(text), error) ||
        lseek(fd, 0, SEEK_SET) < 0) {
        if (error && !*error) {
            gantry_set_error_errno(error, errno, _("Cannot write a worker's configuration"));
        }
        return -1;
    }
    return gantry_fd_steal(&fd);
}

static gboolean
start_worker(IoqVm *vm, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
    g_autoptr(GSubprocess) process = NULL;
    WorkerConfig *config = worker_config_new(vm->disks->len);
    gboolean filled = fill_config(vm, config, launcher, error);
    int fd = filled ? config_as_file(config, error) : -1;
    const char *const argv[] = {vm->options->worker, "--config-fd", G_STRINGIFY(FIRST_FD), NULL};

    config_free(config);
    if (fd < 0) {
        return FALSE;
    }
    g_subprocess_launcher_take_fd(launcher, fd, FIRST_FD);
    process = g_subprocess_launcher_spawnv(launcher, argv, error);
    if (!process) {
        return FALSE;
    }
    vm->pid = g_ascii_strtoll(g_subprocess_get_identifier(process), NULL, 10);
    vm->begin_usec = g_get_monotonic_time();
    if (!write_pid(vm, error)) {
        kill((pid_t)vm->pid, SIGKILL);
        vm->pid = 0;
        return FALSE;
    }
    watch_worker(vm);
    return TRUE;
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

    if (start_worker(vm, &error)) {
        vm->n_restarts++;
        return;
    }
    gantry_err(_("domain '%1$s': its disks are not served: %2$s"), vm->name, error->message);
    vm->backoff_msec = BACKOFF_MAX_MSEC;
    vm->retry = g_timeout_add(vm->backoff_msec, on_retry, vm);
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
    if (age_usec >= YOUNG_USEC) {
        vm->backoff_msec = 0;
        start_again(vm);
    } else {
        vm->backoff_msec = CLAMP(vm->backoff_msec * 2, BACKOFF_MIN_MSEC, BACKOFF_MAX_MSEC);
        vm->retry = g_timeout_add(vm->backoff_msec, on_retry, vm);
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
ioq_vm_start(IoqVm *vm, GError **error)
{
    g_autofree char *disks = ioq_disks_format(vm->disks);

    if (g_mkdir_with_parents(vm->dir, 0755) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make %s"), vm->dir);
        return FALSE;
    }
    return write_state(vm, "name", vm->name, error) &&
           write_state(vm, "disks.json", disks, error) && start_worker(vm, error);
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

void
ioq_vm_stop(IoqVm *vm)
{
    static const char *const files[] = {"name", "disks.json", "worker.pid", "control.sock",
                                        "control.sock.lock"};

    g_clear_handle_id(&vm->retry, g_source_remove);
    end_worker(vm);
    for (guint i = 0; i < vm->disks->len; i++) {
        unlink(((const IoqDisk *)vm->disks->pdata[i])->socket);
    }
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = path_in(vm, files[i]);

        unlink(path);
    }
    rmdir(vm->dir);
}

void
ioq_vm_restart(IoqVm *vm)
{
    g_clear_handle_id(&vm->retry, g_source_remove);
    end_worker(vm);
    start_again(vm);
}

IoqVm *
ioq_vm_adopt(const IoqVmOptions *options, const char *uuid, GError **error)
{
    IoqVm *vm = ioq_vm_new(options, uuid, uuid, g_ptr_array_new_with_free_func(ioq_disk_free));
    g_autofree char *name = read_state(vm, "name", error);
    g_autofree char *text = name ? read_state(vm, "disks.json", error) : NULL;
    g_autofree char *pid = read_state(vm, "worker.pid", NULL);
    g_autoptr(GPtrArray) disks = text ? ioq_disks_parse(text, error) : NULL;
    gint64 number = 0, started = -1;

    ioq_vm_free(vm);
    if (!disks) {
        return NULL;
    }
    vm = ioq_vm_new(options, uuid, name, g_steal_pointer(&disks));
    if (pid) {
        g_auto(GStrv) words = g_strsplit(g_strstrip(pid), " ", 2);

        number = g_ascii_strtoll(words[0], NULL, 10);
        started = words[0] && words[1] ? g_ascii_strtoll(words[1], NULL, 10) : -1;
    }
    /* A pid may have been given to somebody else meanwhile. */
    if (number > 1 && started >= 0 && start_time_of(number) == started) {
        vm->pid = number;
        watch_worker(vm);
    } else {
        start_again(vm);
    }
    return vm;
}
