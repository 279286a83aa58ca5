/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "ioq_tuning/vhost_user/protocol.h"
#include "ioq_tuning/worker/worker.h"
#include "ioq_tuning/front/front.h"

/*
 * One gantry-ioq-worker with one disk, and front ends for it. Its socket listens before it is
 * started, so nobody has to wait for that.
 */
typedef struct {
    guint n_queues_per_thread; /* 0: 1 */
    guint delay_usec;          /* > 0: a null store that takes its time */
    guint drain_msec;          /* 0: 30 s */
    const char *cpus;          /* NULL: all */
    const char *image;         /* NULL: a file of its own */
    gboolean direct;           /* O_DIRECT, where the image can */
} WorkerOptions;

typedef struct {
    char *root;
    char *socket;
    char *image;
    char *control;
    GSubprocess *process;
    int listen_fd;
    WorkerOptions options;
} Worker;

#define WORKER_SECTORS    256U
#define WORKER_MAX_QUEUES 16U
#define WORKER_QUEUE_SIZE 64U

void worker_start(Worker *worker, const WorkerOptions *options);
/* It dies by SIGKILL, and another takes its place. */
void worker_kill(Worker *worker);
/* It must have lived until now, and end well. */
void worker_stop(Worker *worker);

/* A connection on which nothing was said yet. */
int worker_connect(const Worker *worker);

/* (transfer full): the disk's part of ioq/status. */
JsonObject *worker_status(const Worker *worker);
void worker_refresh(const Worker *worker);

/* A connected front end whose queues run. */
Front *worker_front(const Worker *worker, const FrontOptions *options);

/* One request through queue @index: @length bytes at @offset of the front's buffers. */
void worker_submit(Front *front, guint index, guint16 id, guint32 type, guint64 sector,
                   guint32 length, gsize offset);
/* The next one that has ended, waiting for it. Returns: its status byte. */
guint8 worker_finish(Front *front, guint index, guint16 *ret_id);
/* Both; the status must be OK. */
void worker_do(Front *front, guint index, guint32 type, guint64 sector, guint32 length,
               gsize offset);

/* Single messages */

#define WORKER_ENDED (-1)

/* Sends one message that wants an acknowledgement. Returns: it; WORKER_ENDED if the connection
 * ends instead. */
gint64 worker_ack(int fd, guint32 request, gconstpointer payload, gsize length, const int *fds,
                  guint n_fds);
gint64 worker_ack_state(int fd, guint32 request, guint32 index, guint32 num);

/* One that wants none. */
void worker_send(int fd, guint32 request, gconstpointer payload, gsize length, const int *fds,
                 guint n_fds);

/* One that has an answer of its own. */
gboolean worker_ask(int fd, guint32 request, gconstpointer payload, gsize length,
                    VuMessage *ret_message);
guint64 worker_ask_u64(int fd, guint32 request);

/* A connection with all protocol features on. */
int worker_negotiate(const Worker *worker);

/* The back end closes it. */
void worker_assert_ends(int fd);

/* It takes the next connection, and answers. */
void worker_assert_serves(const Worker *worker);
