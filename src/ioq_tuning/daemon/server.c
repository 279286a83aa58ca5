/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. The socket is ours (socket activation, sd_listen_fds(3)): so it can be
 * connected to before qemu-nbd runs, nobody waits for it here, and its path is gone again before
 * anybody else could connect. A qemu-nbd serves one worker only and ends with it: its exit is the
 * proof that nothing of what that worker asked for is still on its way into the image.
 */
#include "ioq_tuning/daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/store/nbd_connect.h"
#include "ioq_tuning/vhost_user/listen.h"

#define LISTEN_FD           3 /* by the protocol of socket activation */
#define QCOW2_MAGIC         0x514649fbU
#define QCOW2_HAS_DATA_FILE 4U

typedef struct {
    char **argv;
    char **environment;
    char *listen_pid; /* in it, with room for a number */
    int listen_fd;
    int log_fd;
    uid_t uid;
    gid_t gid;
} Child;

/* In the child, after fork(): only calls that are safe there. */
static void
write_number(char *to, guint64 number)
{
    char digits[24];
    guint n = 0;

    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0) {
        *to++ = digits[--n];
    }
    *to = '\0';
}

G_GNUC_NORETURN static void
become(const Child *child)
{
    static const char text[] = "cannot give up privileges\n";
    int null_fd = open("/dev/null", O_RDWR);

    write_number(child->listen_pid, (guint64)getpid());
    if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
        dup2(child->log_fd, STDERR_FILENO) < 0 || dup2(child->listen_fd, LISTEN_FD) < 0 ||
        fcntl(LISTEN_FD, F_SETFD, 0) < 0 || syscall(SYS_close_range, LISTEN_FD + 1, ~0U, 0) < 0) {
        _exit(126);
    }
    /* Without NOROOT, user 0 would get all capabilities back at exec. */
    if (geteuid() == 0 &&
        (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED) < 0 ||
         setgroups(0, NULL) < 0 || setresgid(child->gid, child->gid, child->gid) < 0 ||
         setresuid(child->uid, child->uid, child->uid) < 0)) {
        (void)!write(STDERR_FILENO, text, strlen(text));
        _exit(126);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        execve(child->argv[0], child->argv, child->environment);
    }
    (void)!write(STDERR_FILENO, strerror(errno), strlen(strerror(errno)));
    _exit(127);
}

static char **
arguments(const IoqServerOptions *options, gboolean direct)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, g_strdup(options->program));
    g_ptr_array_add(argv, g_strdup_printf("--format=%s", options->format));
    /* Whatever the cache, each write is FUA (store/nbd.c). */
    g_ptr_array_add(argv, g_strdup(direct ? "--cache=none" : "--cache=writeback"));
    g_ptr_array_add(argv, g_strdup("--aio=io_uring"));
    g_ptr_array_add(argv, g_strdup("--discard=unmap"));
    g_ptr_array_add(argv, g_strdup("--detect-zeroes=off"));
    g_ptr_array_add(argv, g_strdup_printf("--shared=%u", options->n_connections));
    if (options->read_only) {
        g_ptr_array_add(argv, g_strdup("--read-only"));
    }
    g_ptr_array_add(argv, g_strdup("--"));
    g_ptr_array_add(argv, g_strdup(options->image));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&argv), FALSE);
}

/* A qcow2 image may name files that are opened with it, as the image's owner: whoever may write the
 * image, a guest's owner that uploads one, could have any file of this host read to him. Its header
 * (docs/interop/qcow2.txt of QEMU) says whether it does; nothing else in it names a file. No
 * program of QEMU is asked: one that reads the header may open what that names. */
static gboolean
stands_alone(int fd, const char *image, GError **error)
{
    struct {
        guint32 magic;
        guint32 version;
        guint64 backing_file_offset;
        guint32 backing_file_size;
        guint32 unused[13];
        guint64 incompatible_features; /* since version 3 */
    } header = {0};
    G_STATIC_ASSERT(sizeof(header) == 80);

    /* Whatever else is wrong with it, qemu-nbd says. */
    if (pread(fd, &header, sizeof(header), 0) <= 0 ||
        GUINT32_FROM_BE(header.magic) != QCOW2_MAGIC) {
        return TRUE;
    }
    if (header.backing_file_offset != 0 || header.backing_file_size != 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the image %1$s has a backing file, which is not followed, for it could be "
                      "any file of this host; copy its data in first: qemu-img rebase -f qcow2 -b "
                      "'' %1$s"),
                    image);
        return FALSE;
    }
    if (GUINT32_FROM_BE(header.version) >= 3 &&
        (GUINT64_FROM_BE(header.incompatible_features) & QCOW2_HAS_DATA_FILE)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the image %1$s has its data in another file, which is not followed, for it "
                      "could be any file of this host; make one image of them first: qemu-img "
                      "convert -f qcow2 -O qcow2 %1$s NEW"),
                    image);
        return FALSE;
    }
    return TRUE;
}

static gboolean
examine_image(const IoqServerOptions *options, Child *child, gboolean *ret_direct, GError **error)
{
    gantry_autofd direct = open(options->image, O_RDONLY | O_CLOEXEC | O_DIRECT | O_NONBLOCK);
    gantry_autofd fd = open(options->image, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open the image %s"), options->image);
        return FALSE;
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the image %s is neither a file nor a block device"), options->image);
        return FALSE;
    }
    if (!stands_alone(fd, options->image, error)) {
        return FALSE;
    }
    child->uid = status.st_uid;
    child->gid = status.st_gid;
    *ret_direct = direct >= 0;
    return TRUE;
}

/* A listening socket, connections to it, and no path any more. */
static int
connect_to_self(const IoqServerOptions *options, int *ret_fds, GError **error)
{
    gantry_autofd fd = vu_listen(options->socket, FALSE, error);
    guint n;

    if (fd < 0) {
        return -1;
    }
    if (listen(fd, (int)options->n_connections) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot listen on %s"), options->socket);
        return -1;
    }
    n = ioq_nbd_connect(options->socket, ret_fds, options->n_connections, error);
    unlink(options->socket);
    if (n == options->n_connections) {
        return gantry_fd_steal(&fd);
    }
    for (guint i = 0; i < n; i++) {
        gantry_fd_clear(&ret_fds[i]);
    }
    if (n > 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM, _("Cannot connect to %s"),
                    options->socket);
    }
    return -1;
}

IoqServer *
ioq_server_adopt(gint64 pid, int pid_fd)
{
    IoqServer *server = g_new0(IoqServer, 1);

    server->pid = pid;
    server->pid_fd = pid_fd;
    return server;
}

IoqServer *
ioq_server_start(const IoqServerOptions *options, int *ret_fds, GError **error)
{
    char listen_pid[48] = "LISTEN_PID=";
    char *environment[] = {listen_pid, (char *)"LISTEN_FDS=1", (char *)"LC_ALL=C", NULL};
    Child child = {.environment = environment, .listen_pid = listen_pid + strlen(listen_pid)};
    gantry_autofd listen_fd = -1, log_fd = -1;
    g_auto(GStrv) argv = NULL;
    gboolean direct;
    pid_t pid;
    int pid_fd;

    if (!examine_image(options, &child, &direct, error)) {
        return NULL;
    }
    log_fd =
        open(options->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log_fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot write %s"), options->log);
        return NULL;
    }
    listen_fd = connect_to_self(options, ret_fds, error);
    if (listen_fd < 0) {
        return NULL;
    }
    argv = arguments(options, direct);
    child.argv = argv;
    /* Above those that become() gives out. */
    child.listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, LISTEN_FD + 1);
    child.log_fd = log_fd;
    pid = fork();
    if (pid == 0) {
        become(&child);
    }
    gantry_fd_clear(&child.listen_fd);
    pid_fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pid_fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot start %s"), options->program);
        if (pid > 0) { /* what cannot be watched must not run; nothing has been asked of it */
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        for (guint i = 0; i < options->n_connections; i++) {
            gantry_fd_clear(&ret_fds[i]);
        }
        return NULL;
    }
    return ioq_server_adopt(pid, pid_fd);
}

gboolean
ioq_server_has_ended(IoqServer *server)
{
    struct pollfd poll_fd = {.fd = server->pid_fd, .events = POLLIN};

    if (poll(&poll_fd, 1, 0) <= 0) {
        return FALSE;
    }
    waitpid((pid_t)server->pid, NULL, WNOHANG); /* fails for one that was adopted */
    return TRUE;
}

void
ioq_server_end(IoqServer *server, gboolean now)
{
    syscall(SYS_pidfd_send_signal, server->pid_fd, now ? SIGKILL : SIGTERM, NULL, 0);
}

void
ioq_server_free(gpointer data)
{
    IoqServer *server = data;

    gantry_fd_clear(&server->pid_fd);
    g_free(server);
}
