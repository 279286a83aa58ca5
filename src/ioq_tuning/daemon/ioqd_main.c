/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry-ioqd: one a host. The hook tells it which VM starts and ends; it keeps a worker for each
 * VM that has disks of ours. Its own end touches no worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/base/option.h"
#include "common/rpc/rpc.h"
#include "gantry-config.h"
#include "ioq_tuning/daemon/service.h"

#define QEMU_USER "libvirt-qemu" /* on a host without QEMU there is none */

typedef struct {
    char *socket;
    char *run_dir;
    char *worker;
    char *qemu_nbd;
    char *worker_user;
    char *qemu_user;
    char *group;
    char *connect;
    guint64 poll_usec;
    gboolean version;
} DaemonOptions;

static const GantryOption daemon_options[] = {
    {.name = "socket",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, socket),
     .fallback = GANTRY_RPC_RUN_DIR "/ioqd.sock",
     .metavar = "PATH",
     .summary = N_("Control socket, for the hook and gantry")},
    {.name = "run-dir",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, run_dir),
     .fallback = GANTRY_RPC_RUN_DIR "/ioq",
     .metavar = "DIR",
     .summary = N_("Where what must outlive this daemon is kept")},
    {.name = "worker",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, worker),
     .fallback = GANTRY_LIBEXECDIR "/gantry-ioq-worker",
     .metavar = "PROGRAM",
     .summary = N_("Program that serves a VM's disks")},
    {.name = "qemu-nbd",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, qemu_nbd),
     .fallback = "/usr/bin/qemu-nbd",
     .metavar = "PROGRAM",
     .summary = N_("QEMU's NBD server, for images in a format")},
    {.name = "worker-user",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, worker_user),
     .fallback = "nobody",
     .metavar = "USER",
     .summary = N_("User that a worker becomes")},
    {.name = "qemu-user",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, qemu_user),
     .fallback = QEMU_USER,
     .metavar = "USER",
     .summary = N_("User that QEMU runs as: it owns the disks' sockets; root if there is none")},
    {.name = "group",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, group),
     .metavar = "GROUP",
     .summary = N_("Group that may use the control socket, besides root")},
    {.name = "connect",
     .short_name = 'c',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, connect),
     .fallback = "qemu:///system",
     .metavar = "URI",
     .summary = N_("libvirt of this host, which pins iothreads")},
    {.name = "poll",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(DaemonOptions, poll_usec),
     .fallback = "32",
     .min = 0,
     .max = 1000,
     .metavar = "USEC",
     .summary = N_("Longest busy wait for the next request; 0: none")},
    {.name = "version",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(DaemonOptions, version),
     .summary = N_("Print the version")},
    GANTRY_OPTION_END,
};

static const char daemon_examples[] =
    N_("Examples:\n"
       "  gantry-ioqd\n"
       "  gantry-ioqd --qemu-user qemu --worker-user gantry-ioq\n");

static gboolean
find_user(const char *name, gboolean must_exist, guint *ret_uid, guint *ret_gid, GError **error)
{
    const struct passwd *user = getpwnam(name);

    if (!user && must_exist) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("there is no user '%s'"), name);
        return FALSE;
    }
    *ret_uid = user ? user->pw_uid : 0;
    *ret_gid = user ? user->pw_gid : 0;
    return TRUE;
}

static gboolean
on_signal(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

/* Each queue of a disk takes some descriptors in its worker, which inherits our limits. What would
 * be confused by numbers above 1023, select(2), is not used. */
static void
raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            gantry_warn(_("the limit of open files stays low: %s"), g_strerror(errno));
        }
    }
}

/* Two daemons with different sockets would end each other's workers. */
static gboolean
take_run_dir(const char *path, int *ret_fd, GError **error)
{
    gantry_autofd fd = -1;

    if (g_mkdir_with_parents(path, 0755) < 0 ||
        (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot use the folder %s"), path);
        return FALSE;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("another gantry-ioqd has the folder %s; stop it first"), path);
        return FALSE;
    }
    *ret_fd = gantry_fd_steal(&fd);
    return TRUE;
}

static gboolean
run(const DaemonOptions *options, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GantryRpcServer) server = NULL;
    IoqService *service;
    IoqVmOptions vm_options = {
        .run_dir = options->run_dir,
        .worker = options->worker,
        .qemu_nbd = options->qemu_nbd,
        .poll_usec = (guint)options->poll_usec,
    };
    gantry_autofd run_dir = -1;
    guint unused;
    gboolean ok;

    if (!find_user(options->worker_user, TRUE, &vm_options.worker_uid, &vm_options.worker_gid,
                   error) ||
        !find_user(options->qemu_user, !g_str_equal(options->qemu_user, QEMU_USER),
                   &vm_options.qemu_uid, &unused, error) ||
        !take_run_dir(options->run_dir, &run_dir, error)) {
        return FALSE;
    }
    raise_limits();
    service = ioq_service_new(&vm_options, options->connect);
    /* Before anything is taken up: one a host. */
    server =
        gantry_rpc_server_new(options->socket, ioq_service_methods, options->group, service, error);
    ok = server && ioq_service_adopt(service, error);
    if (ok) {
        g_unix_signal_add(SIGTERM, on_signal, loop);
        g_unix_signal_add(SIGINT, on_signal, loop);
        g_main_loop_run(loop);
    }
    ioq_service_free(service);
    return ok;
}

int
main(int argc, char **argv)
{
    DaemonOptions options = {0};
    g_autoptr(GError) error = NULL;
    int status = EXIT_SUCCESS;

    gantry_log_init("gantry-ioqd");
    gantry_i18n_init();
    sigaction(SIGPIPE, &(const struct sigaction){.sa_handler = SIG_IGN}, NULL);
    gantry_options_init(daemon_options, &options);
    if (!gantry_options_parse_argv(daemon_options, &options, "gantry-ioqd [OPTION...]",
                                   _(daemon_examples), &argc, &argv, &error)) {
        status = 2;
    } else if (options.version) {
        printf("gantry-ioqd %s\n", GANTRY_VERSION);
    } else if (argc > 1) {
        g_set_error(&error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("takes no argument '%s'"),
                    argv[1]);
        status = 2;
    } else if (!run(&options, &error)) {
        status = EXIT_FAILURE;
    }
    if (error) {
        fprintf(stderr, "gantry-ioqd: %s\n", error->message);
    }
    gantry_options_clear(daemon_options, &options);
    return status;
}
