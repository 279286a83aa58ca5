/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * A gantry-ioq-worker of our own that serves one disk, read only, to whoever has started it: its
 * sockets are in a folder that is nobody else's.
 */
typedef struct ScratchWorker ScratchWorker;

typedef struct {
    const char *program;
    const char *image; /* a raw image, which is opened for reading only; NULL: a disk that does
                          nothing */
    guint n_queues;
    guint queues_per_thread;
    const char *cpus; /* NULL: all */
} ScratchWorkerOptions;

/* NULL with GANTRY_ERROR_NOT_FOUND, _SYSTEM, or _UNAVAILABLE with what the worker says. */
ScratchWorker *scratch_worker_start(const ScratchWorkerOptions *options, GError **error);

/* Ends it, waits for that, and takes its folder away. */
void scratch_worker_free(ScratchWorker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ScratchWorker, scratch_worker_free)

const char *scratch_worker_socket(const ScratchWorker *worker);

/* CPU time of all of its threads so far, the kernel's for it as well. */
gboolean scratch_worker_cpu_nsec(const ScratchWorker *worker, gint64 *ret_nsec, GError **error);

/* One of the threads that serve queues. */
typedef struct {
    gint64 tid;
    guint n_queues;
    guint64 cpu_nsec; /* so far */
} ScratchWorkerThread;

/* (transfer full) (element-type ScratchWorkerThread): in the order of their queues. */
GArray *scratch_worker_threads(const ScratchWorker *worker, GError **error);
