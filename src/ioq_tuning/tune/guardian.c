/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/tune/guardian.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"

struct Guardian {
    char *folder;
    GPtrArray *paths; /* of its files */
    pid_t pid;
    int fd; /* its end closes when we end */
};

/* The process itself. After fork(): only calls that are safe there. All signals are blocked. */
static void
guard(const Guardian *guardian, int fd)
{
    pid_t child;
    char end;

    setsid(); /* what ends the terminal's processes must not end this one */
    if (fd > 0) {
        close_range(0, (unsigned)fd - 1, 0);
    }
    close_range((unsigned)fd + 1, UINT_MAX, 0);
    if (read(fd, &child, sizeof(child)) == sizeof(child)) {
        struct pollfd pid_fd = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};

        while (read(fd, &end, 1) > 0) {
        }
        if (pid_fd.fd >= 0) {
            syscall(SYS_pidfd_send_signal, pid_fd.fd, SIGKILL, NULL, 0);
            poll(&pid_fd, 1, -1);
        }
    }
    for (guint i = 0; i < guardian->paths->len; i++) {
        unlink(guardian->paths->pdata[i]);
    }
    rmdir(guardian->folder);
    _exit(0);
}

/* Signals are blocked: there is no moment at which the folder is there, and nobody looks after it.
 */
static gboolean
start(Guardian *guardian, const char *const *files, const int *ends, GError **error)
{
    guardian->folder = g_dir_make_tmp("gantry-tune-XXXXXX", error);
    if (!guardian->folder) {
        return FALSE;
    }
    for (; *files; files++) {
        g_ptr_array_add(guardian->paths, g_build_filename(guardian->folder, *files, NULL));
    }
    guardian->pid = fork();
    if (guardian->pid == 0) {
        guard(guardian, ends[1]);
    }
    if (guardian->pid < 0) {
        gantry_set_error_errno(error, errno, _("Cannot start a process"));
        rmdir(guardian->folder);
        return FALSE;
    }
    return TRUE;
}

Guardian *
guardian_new(const char *const *files, GError **error)
{
    g_autoptr(Guardian) guardian = g_new0(Guardian, 1);
    gboolean started;
    sigset_t all, before;
    int ends[2];

    guardian->fd = -1;
    guardian->paths = g_ptr_array_new_with_free_func(g_free);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make a socket"));
        return NULL;
    }
    guardian->fd = ends[0];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = start(guardian, files, ends, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    return started ? g_steal_pointer(&guardian) : NULL;
}

const char *
guardian_folder(const Guardian *guardian)
{
    return guardian->folder;
}

void
guardian_watch(Guardian *guardian, pid_t child)
{
    /* If somebody has ended it, nothing is lost but what it is for. */
    (void)!send(guardian->fd, &child, sizeof(child), MSG_NOSIGNAL);
}

void
guardian_free(Guardian *guardian)
{
    if (!guardian) {
        return;
    }
    gantry_fd_clear(&guardian->fd);
    while (guardian->pid > 0 && waitpid(guardian->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    g_ptr_array_unref(guardian->paths);
    g_free(guardian->folder);
    g_free(guardian);
}
