/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry-ioq-worker: serves one VM's disks. Here are its command line and its sockets; gantry-ioqd
 * starts it with descriptors, an operator or a test may start it by hand with paths.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/base/option.h"
#include "gantry-config.h"
#include "ioq_tuning/store/nbd_connect.h"
#include "ioq_tuning/vhost_user/listen.h"
#include "ioq_tuning/vhost_user/memory.h"
#include "ioq_tuning/worker/device.h"
#include "ioq_tuning/worker/worker.h"

#define CONFIG_OPTION "--config-fd"

typedef struct {
    char *name;
    char *socket;
    char *file;
    char *nbd;
    char *export;
    guint64 null_mib;
    guint64 delay_usec;
    gboolean read_only;
    gboolean take_over;
    guint64 max_queues;
    guint64 queue_size;
    guint64 queues_per_thread;
    char *cpus;
    guint64 poll_usec;
    guint64 drain_msec;
    char *serial;
    char *control;
    gboolean no_inflight;
    gint64 config_fd; /* -1: none */
    gboolean version;
} WorkerOptions;

static const GantryOption worker_options[] = {
    {.name = "name",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, name),
     .fallback = "disk",
     .metavar = "NAME",
     .summary = N_("Name of the disk in messages and thread names")},
    {.name = "socket",
     .short_name = 's',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, socket),
     .metavar = "PATH",
     .summary = N_("vhost-user socket to listen on; must be given")},
    {.name = "take-over",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(WorkerOptions, take_over),
     .summary =
         N_("Take the socket's path from a worker that still listens there, for an upgrade")},
    {.name = "file",
     .short_name = 'f',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, file),
     .metavar = "PATH",
     .summary = N_("Raw image: a file or a block device")},
    {.name = "nbd",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, nbd),
     .metavar = "PATH",
     .summary = N_("Instead of a file what an NBD server serves on the unix socket PATH")},
    {.name = "export",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, export),
     .metavar = "NAME",
     .summary = N_("Name of the NBD server's export")},
    {.name = "null",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(WorkerOptions, null_mib),
     .fallback = "0",
     .min = 0,
     .max = 1 << 30,
     .metavar = "MIB",
     .summary = N_("Instead of a file a disk of MIB that does nothing, for measuring")},
    {.name = "delay",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(WorkerOptions, delay_usec),
     .fallback = "0",
     .min = 0,
     .max = 999999,
     .metavar = "USEC",
     .summary = N_("Let each request wait for a random time up to USEC, for testing")},
    {.name = "read-only",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(WorkerOptions, read_only),
     .summary = N_("Refuse writes")},
    {.name = "max-queues",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(WorkerOptions, max_queues),
     .fallback = "64",
     .min = 1,
     .max = IOQ_DEVICE_MAX_QUEUES,
     .metavar = "N",
     .summary = N_("Queues that a front end may ask for")},
    {.name = "queue-size",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(WorkerOptions, queue_size),
     .fallback = "128",
     .min = 4,
     .max = IOQ_QUEUE_MAX_SIZE,
     .metavar = "N",
     .summary = N_("Entries of a queue, from which the longest request follows")},
    {.name = "queues-per-thread",
     .short_name = 'k',
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(WorkerOptions, queues_per_thread),
     .fallback = "1",
     .min = 1,
     .max = IOQ_DEVICE_MAX_QUEUES,
     .metavar = "K",
     .summary = N_("How many queues one thread serves")},
    {.name = "cpus",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, cpus),
     .metavar = "SET",
     .summary = N_("CPUs of the threads, as 2-3,6")},
    {.name = "poll",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(WorkerOptions, poll_usec),
     .fallback = "32",
     .min = 0,
     .max = 1000,
     .metavar = "USEC",
     .summary = N_("Longest busy wait for the next request; 0: none")},
    {.name = "drain",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(WorkerOptions, drain_msec),
     .fallback = "30000",
     .min = 1,
     .max = 3600000,
     .metavar = "MSEC",
     .summary = N_("Longest that a queue which the front end stops waits for storage")},
    {.name = "serial",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, serial),
     .metavar = "TEXT",
     .summary = N_("Serial number that the guest sees, at most 20 bytes")},
    {.name = "control",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(WorkerOptions, control),
     .metavar = "PATH",
     .summary = N_("Socket for status and resizing")},
    {.name = "no-inflight",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(WorkerOptions, no_inflight),
     .summary = N_("Do not offer in-flight tracking: a crash then loses requests")},
    {.name = "version",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(WorkerOptions, version),
     .summary = N_("Print the version")},
    GANTRY_OPTION_END,
};

static const char worker_examples[] =
    N_("Examples:\n"
       "  gantry-ioq-worker --socket /run/vm1-vda.sock --file /srv/vm1.img --queues-per-thread 2\n"
       "  gantry-ioq-worker --socket /tmp/null.sock --null 1024 --poll 0\n");

/* The one disk of a command line. */
static gboolean
disk_from_options(const WorkerOptions *options, WorkerDisk *disk, GError **error)
{
    int access = options->read_only ? O_RDONLY : O_RDWR;

    *disk = (WorkerDisk){
        .name = g_strdup(options->name),
        .image = g_strdup(options->file ? options->file : options->nbd),
        .export = g_strdup(options->export),
        .listen_fd = -1,
        .buffered_fd = -1,
        .direct_fd = -1,
        .null_mib = options->null_mib,
        .delay_usec = (guint)options->delay_usec,
        .read_only = options->read_only,
        .max_queues = (guint)options->max_queues,
        .queue_size = (guint)options->queue_size,
        .queues_per_thread = (guint)options->queues_per_thread,
        .cpus = g_strdup(options->cpus),
        .poll_usec = (guint)options->poll_usec,
        .drain_msec = (guint)options->drain_msec,
        .serial = g_strdup(options->serial),
        .no_inflight = options->no_inflight,
    };
    if (options->file) {
        disk->buffered_fd = open(options->file, access | O_CLOEXEC);
        if (disk->buffered_fd < 0) {
            gantry_set_error_errno(error, errno, _("Cannot open %s"), options->file);
            return FALSE;
        }
        /* Not every file system has O_DIRECT; the page cache does, too. */
        disk->direct_fd = open(options->file, access | O_CLOEXEC | O_DIRECT);
    }
    if (options->nbd) {
        guint n = (disk->max_queues + disk->queues_per_thread - 1) / disk->queues_per_thread;

        disk->n_nbd =
            ioq_nbd_connect(options->nbd, disk->nbd_fds, MIN(n, IOQ_NBD_MAX_CONNECTIONS), error);
        if (disk->n_nbd == 0) {
            return FALSE;
        }
    }
    disk->listen_fd = vu_listen(options->socket, options->take_over, error);
    return disk->listen_fd >= 0;
}

static gboolean
serve(const WorkerOptions *options, GError **error)
{
    g_autoptr(WorkerConfig) config = NULL;
    GError *problem = NULL;
    gboolean ok;

    if (options->config_fd >= 0) {
        config = worker_config_read((int)options->config_fd, &problem);
        ok = config && worker_serve(config, &problem);
        if (!ok && config && config->ready_fd >= 0) {
            gantry_fd_write_all(config->ready_fd, problem->message, strlen(problem->message), NULL);
        }
        if (!ok) {
            g_propagate_error(error, problem);
        }
        return ok;
    }
    config = worker_config_new(1);
    config->control = g_strdup(options->control);
    if (!disk_from_options(options, &config->disks[0], error)) {
        return FALSE; /* whatever is at the socket's path is not ours */
    }
    /* The socket's path stays: it may be that of the worker after this one by now. */
    return worker_serve(config, error);
}

int
main(int argc, char **argv)
{
    WorkerOptions options = {0};
    g_autoptr(GError) error = NULL;
    int status = EXIT_SUCCESS;

    gantry_log_init("gantry-ioq-worker");
    gantry_i18n_init();
    sigaction(SIGPIPE, &(const struct sigaction){.sa_handler = SIG_IGN}, NULL);
    ioq_memory_guard_install();
    gantry_options_init(worker_options, &options);
    options.config_fd = -1;
    if (argc == 3 && g_str_equal(argv[1], CONFIG_OPTION)) {
        /* From gantry-ioqd only, so it is in no help text. */
        options.config_fd = (gint64)g_ascii_strtoull(argv[2], NULL, 10);
        argc = 1;
    }
    if (!gantry_options_parse_argv(worker_options, &options,
                                   "gantry-ioq-worker --socket PATH --file PATH [OPTION...]",
                                   _(worker_examples), &argc, &argv, &error)) {
        status = 2;
    } else if (options.version) {
        printf("gantry-ioq-worker %s\n", GANTRY_VERSION);
    } else if (options.config_fd < 0 &&
               (argc > 1 || !options.socket ||
                (options.file != NULL) + (options.nbd != NULL) + (options.null_mib > 0) != 1)) {
        g_set_error(&error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("give --socket, and one of --file, --nbd and --null; see --help"));
        status = 2;
    } else if (!serve(&options, &error)) {
        status = EXIT_FAILURE;
    }
    if (error) {
        fprintf(stderr, "gantry-ioq-worker: %s\n", error->message);
    }
    gantry_options_clear(worker_options, &options);
    return status;
}
