/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/vhost_user/protocol.h"
#include "lib/vhost/driver-ring.h"

/*
 * A vhost-user-blk front end without a VM, for tests: guest memory, rings and the control socket,
 * with reconnection. Failures of the protocol end the program: tests see why on stderr.
 */
typedef struct {
    const char *socket;
    guint n_queues;
    guint queue_size;
    gsize memory_bytes; /* for the caller's buffers */
    gboolean packed;
    gboolean event_idx;
    gboolean indirect;
    gboolean inflight;
    gboolean leaves_inflight; /* GET_VRING_BASE need not wait for it */
    gboolean disabled;        /* queues are started, but not enabled */
} FrontOptions;

typedef struct {
    DriverRing ring;
    int kick_fd;
    int call_fd;
} FrontQueue;

typedef struct {
    FrontOptions options;
    int fd;
    int memory_fd;
    char *memory; /* rings first, then the caller's */
    gsize memory_bytes;
    char *buffers;
    int inflight_fd;
    VuInflight inflight;
    guint64 features;
    guint64 protocol_features;
    guint64 capacity; /* sectors */
    FrontQueue *queues;
} Front;

#define FRONT_GUEST_BASE G_GUINT64_CONSTANT(0x100000000)

/* Makes memory and rings; connects not yet. */
Front *front_new(const FrontOptions *options);
void front_free(Front *front);

/* Connects and negotiates, starts and enables all queues. FALSE: nobody listens, or the connection
 * ended meanwhile. */
gboolean front_connect(Front *front);
void front_disconnect(Front *front);

/* Whether the back end has gone, within @timeout_msec. */
gboolean front_is_gone(Front *front, int timeout_msec);

guint64 front_guest_address(const Front *front, gconstpointer pointer);

/* One message, for tests of the protocol itself. The answer's descriptor, if any, is closed. */
gboolean front_send(Front *front, guint32 request, gconstpointer payload, gsize length,
                    const int *fds, guint n_fds, gboolean need_reply);
gboolean front_ask(Front *front, guint32 request, gconstpointer payload, gsize length,
                   VuPayload *answer, int *ret_fd);

/* Stops a queue as a guest's driver does. Returns: its base. */
guint32 front_stop_queue(Front *front, guint index);
