/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/store/store.h"

/* What a worker serves. From gantry-ioqd it comes as JSON, with descriptors by number: a worker of
 * a VM opens nothing. */
typedef struct {
    char *name;
    char *domain; /* for logs; NULL: not known */
    int listen_fd;
    char *image;     /* for messages: path of the file, or of the NBD server's socket */
    int buffered_fd; /* -1: it is no file */
    int direct_fd;   /* -1: no O_DIRECT */
    int nbd_fds[IOQ_NBD_MAX_CONNECTIONS]; /* connected; in place of a file */
    guint n_nbd;
    char *export; /* of the NBD server; NULL: its default */
    guint64 null_mib;
    guint delay_usec;
    gboolean read_only;
    gboolean no_lock; /* reads what others may write */
    guint max_queues;
    guint queue_size;
    guint queues_per_thread;
    char *cpus; /* NULL: all */
    guint poll_usec;
    guint drain_msec; /* longest that a stopping queue waits for storage; 0: 30 s */
    char *serial;     /* NULL: none */
    gboolean no_inflight;
} WorkerDisk;

#define WORKER_READY "ready"

typedef struct {
    char *control; /* socket; NULL: none */
    int ready_fd;  /* gets WORKER_READY when front ends are served, else what is wrong; -1: none */
    guint uid;     /* to become; 0: stay who we are */
    guint gid;
    guint n_disks;
    WorkerDisk *disks;
} WorkerConfig;

WorkerConfig *worker_config_new(guint n_disks);
void worker_config_free(WorkerConfig *config); /* closes the descriptors that are left */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WorkerConfig, worker_config_free)

/* JSON to and from, for gantry-ioqd and its workers. */
WorkerConfig *worker_config_read(int fd, GError **error);
char *worker_config_format(const WorkerConfig *config);

/* A file in memory, at its beginning, that holds it; -1 on failure. */
int worker_config_to_file(const WorkerConfig *config, GError **error);

/* For whoever starts a worker: the numbers in @config are the worker's, and nothing is to be closed
 * by them. */
void worker_config_forget_fds(WorkerConfig *config);

/* Serves until SIGTERM. Takes the descriptors out of @config. */
gboolean worker_serve(WorkerConfig *config, GError **error);
