/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/tune/scratch_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/host/procfs.h"
#include "common/rpc/rpc.h"
#include "ioq_tuning/tune/guardian.h"
#include "ioq_tuning/vhost_user/listen.h"
#include "ioq_tuning/worker/worker.h"

#define WORKER_USER    "nobody"
#define NULL_MIB       1024
#define QUEUE_SIZE     128
#define POLL_USEC      32 /* as gantry-ioqd */
#define START_MSEC     20000
#define STATUS_MSEC    5000
#define END_MSEC       5000
#define MAX_LAST_WORDS 1024
#define NSEC_PER_SEC   G_GINT64_CONSTANT(1000000000)

/* Descriptors by the numbers that they have in the worker. */
enum { CONFIG_FD = 3, READY_FD, LISTEN_FD, BUFFERED_FD, DIRECT_FD };

struct ScratchWorker {
    Guardian *guardian;
    char *socket;
    char *control;
    GSubprocess *process; /* NULL: not started */
    pid_t pid;
    int pid_fd; /* -1: it has ended already */
};

/* Opens what the worker is to have, and says so in @disk. */
static gboolean
open_disk(const ScratchWorkerOptions *options, WorkerDisk *disk, GSubprocessLauncher *launcher,
          GError **error)
{
    struct stat status;
    int fd;

    if (!options->image) {
        disk->null_mib = NULL_MIB;
        return TRUE;
    }
    /* Not by the open file: to open a FIFO is to wait for its writer. */
    if (stat(options->image, &status) == 0 && !S_ISREG(status.st_mode) &&
        !S_ISBLK(status.st_mode)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the image %s is neither a file nor a block device"), options->image);
        return FALSE;
    }
    fd = open(options->image, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open the image %s"), options->image);
        return FALSE;
    }
    g_subprocess_launcher_take_fd(launcher, fd, BUFFERED_FD);
    disk->buffered_fd = BUFFERED_FD;
    disk->no_lock = TRUE; /* the domain may run meanwhile */
    /* Not every file system has O_DIRECT. */
    fd = open(options->image, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd >= 0) {
        g_subprocess_launcher_take_fd(launcher, fd, DIRECT_FD);
        disk->direct_fd = DIRECT_FD;
    }
    return TRUE;
}

/* As gantry-ioqd's workers: without privileges, where we have any to lose. */
static gboolean
set_user(WorkerConfig *config, GError **error)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam(WORKER_USER) : NULL;

    if (geteuid() == 0 && !user) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("there is no user '%s'"),
                    WORKER_USER);
        return FALSE;
    }
    config->uid = user ? user->pw_uid : 0;
    config->gid = user ? user->pw_gid : 0;
    return TRUE;
}

/* The worker's end of all descriptors goes to @launcher. */
static gboolean
configure(const ScratchWorker *worker, const ScratchWorkerOptions *options, WorkerConfig *config,
          GSubprocessLauncher *launcher, GError **error)
{
    WorkerDisk *disk = &config->disks[0];
    int fd = vu_listen(worker->socket, FALSE, error);

    if (fd < 0) {
        return FALSE;
    }
    g_subprocess_launcher_take_fd(launcher, fd, LISTEN_FD);
    disk->name = g_strdup("tune");
    disk->listen_fd = LISTEN_FD;
    disk->image = g_strdup(options->image ? options->image : "");
    disk->read_only = TRUE;
    disk->max_queues = options->n_queues;
    disk->queue_size = QUEUE_SIZE;
    disk->queues_per_thread = options->queues_per_thread;
    disk->cpus = g_strdup(options->cpus);
    disk->poll_usec = POLL_USEC;
    config->control = g_strdup(worker->control);
    config->ready_fd = READY_FD;
    if (!set_user(config, error) || !open_disk(options, disk, launcher, error)) {
        return FALSE;
    }
    fd = worker_config_to_file(config, error);
    if (fd < 0) {
        return FALSE;
    }
    g_subprocess_launcher_take_fd(launcher, fd, CONFIG_FD);
    return TRUE;
}

/* Waits until it serves, or has said why it does not. */
static gboolean
wait_ready(int fd, GError **error)
{
    g_autofree char *said = NULL;
    gsize length;

    said = gantry_fd_read_all(fd, MAX_LAST_WORDS, START_MSEC, &length, error);
    if (said && !g_str_equal(said, WORKER_READY)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE,
                    _("the worker did not start: %s"),
                    length > 0 ? g_strchomp(said) : _("it has ended"));
        return FALSE;
    }
    return said != NULL;
}

/* In the child: it ends with us, until it gives up its privileges; the guardian sees to the rest.
 */
static void
end_with_parent(gpointer parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != *(const pid_t *)parent) {
        _exit(EXIT_FAILURE);
    }
}

static gboolean
start(ScratchWorker *worker, const ScratchWorkerOptions *options, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
    WorkerConfig *config = worker_config_new(1);
    gboolean configured = configure(worker, options, config, launcher, error);
    const char *const argv[] = {options->program, "--config-fd", G_STRINGIFY(3), NULL};
    gantry_autofd ready = -1;
    pid_t self = getpid();
    const char *identifier;
    int ends[2];

    worker_config_forget_fds(config);
    worker_config_free(config);
    if (!configured || !g_unix_open_pipe(ends, FD_CLOEXEC, error)) {
        return FALSE;
    }
    ready = ends[0];
    g_subprocess_launcher_take_fd(launcher, ends[1], READY_FD);
    g_subprocess_launcher_set_child_setup(launcher, end_with_parent, &self, NULL);
    worker->process = g_subprocess_launcher_spawnv(launcher, argv, error);
    g_clear_object(&launcher); /* so that the worker's end is the only one */
    if (!worker->process) {
        return FALSE;
    }
    identifier = g_subprocess_get_identifier(worker->process);
    if (identifier) { /* else it has ended already, as will be seen */
        worker->pid = (pid_t)g_ascii_strtoll(identifier, NULL, 10);
        guardian_watch(worker->guardian, worker->pid);
        worker->pid_fd = (int)syscall(SYS_pidfd_open, worker->pid, 0);
    }
    return wait_ready(ready, error);
}

ScratchWorker *
scratch_worker_start(const ScratchWorkerOptions *options, GError **error)
{
    static const char *const files[] = {"disk.sock", "control.sock", "control.sock.lock", NULL};
    g_autoptr(ScratchWorker) worker = g_new0(ScratchWorker, 1);

    worker->pid_fd = -1;
    worker->guardian = guardian_new(files, error);
    if (!worker->guardian) {
        return NULL;
    }
    worker->socket = g_build_filename(guardian_folder(worker->guardian), "disk.sock", NULL);
    worker->control = g_build_filename(guardian_folder(worker->guardian), "control.sock", NULL);
    return start(worker, options, error) ? g_steal_pointer(&worker) : NULL;
}

/* It has nothing to lose, so it is not waited for long. */
static void
end_process(ScratchWorker *worker)
{
    struct pollfd poll_fd = {.fd = worker->pid_fd, .events = POLLIN};

    g_subprocess_send_signal(worker->process, SIGTERM);
    if (worker->pid_fd >= 0 && poll(&poll_fd, 1, END_MSEC) == 0) {
        g_subprocess_force_exit(worker->process);
    }
    g_subprocess_wait(worker->process, NULL, NULL);
    g_object_unref(worker->process);
    gantry_fd_clear(&worker->pid_fd);
}

void
scratch_worker_free(ScratchWorker *worker)
{
    if (!worker) {
        return;
    }
    if (worker->process) {
        end_process(worker);
    }
    guardian_free(worker->guardian);
    g_free(worker->socket);
    g_free(worker->control);
    g_free(worker);
}

const char *
scratch_worker_socket(const ScratchWorker *worker)
{
    return worker->socket;
}

gboolean
scratch_worker_cpu_nsec(const ScratchWorker *worker, gint64 *ret_nsec, GError **error)
{
    struct timespec used;
    clockid_t clock;
    int result = clock_getcpuclockid(worker->pid, &clock);

    if (result == 0 && clock_gettime(clock, &used) < 0) {
        result = errno;
    }
    if (result != 0) {
        gantry_set_error_errno(error, result, _("Cannot read the CPU time of process %d"),
                               (int)worker->pid);
        return FALSE;
    }
    *ret_nsec = used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
    return TRUE;
}

/* The queue's thread is one more, or one that serves an earlier queue, too. */
static gboolean
add_thread(GArray *threads, gint64 tid, const GantryHost *host, pid_t pid, GError **error)
{
    ScratchWorkerThread thread = {.tid = tid, .n_queues = 1};

    for (guint i = 0; i < threads->len; i++) {
        ScratchWorkerThread *known = &g_array_index(threads, ScratchWorkerThread, i);

        if (known->tid == tid) {
            known->n_queues++;
            return TRUE;
        }
    }
    if (!gantry_host_thread_cpu(host, pid, (pid_t)tid, &thread.cpu_nsec, error)) {
        return FALSE;
    }
    g_array_append_val(threads, thread);
    return TRUE;
}

GArray *
scratch_worker_threads(const ScratchWorker *worker, GError **error)
{
    g_autoptr(GantryHost) host = gantry_host_open("/", error);
    g_autoptr(JsonNode) status =
        host ? gantry_rpc_call(worker->control, "ioq/status", NULL, STATUS_MSEC, error) : NULL;
    g_autoptr(GArray) threads = g_array_new(FALSE, FALSE, sizeof(ScratchWorkerThread));
    JsonArray *disks, *queues;

    if (!status) {
        return NULL;
    }
    disks = json_object_get_array_member(json_node_get_object(status), "disks");
    queues = json_object_get_array_member(json_array_get_object_element(disks, 0), "queues");
    for (guint i = 0; i < json_array_get_length(queues); i++) {
        JsonObject *queue = json_array_get_object_element(queues, i);

        if (!add_thread(threads, json_object_get_int_member(queue, "thread"), host, worker->pid,
                        error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&threads);
}
