/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/front/driver_ring.h"
#include "ioq_tuning/vhost_user/protocol.h"

/*
 * A vhost-user-blk front end without a VM, to measure and test a back end: guest memory, rings and
 * the control socket, with reconnection. Not thread-safe, but that each queue may be used by a
 * thread of its own.
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

/* Makes memory and rings; connects not yet. NULL with GANTRY_ERROR_SYSTEM. */
Front *front_new(const FrontOptions *options, GError **error);
void front_free(Front *front);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Front, front_free)

/* Connects and negotiates, starts and enables all queues. FALSE: nobody listens, the connection
 * ended meanwhile, or the back end cannot do what is asked for. */
gboolean front_connect(Front *front, GError **error);
void front_disconnect(Front *front);

/* Whether the back end has gone, within @timeout_msec. */
gboolean front_is_gone(Front *front, int timeout_msec);

guint64 front_guest_address(const Front *front, gconstpointer pointer);

/* One message. @need_reply: FALSE with GANTRY_ERROR_REFUSED where the back end says no. */
gboolean front_send(Front *front, guint32 request, gconstpointer payload, gsize length,
                    const int *fds, guint n_fds, gboolean need_reply, GError **error);

/* One that has an answer. @ret_fd: (out) (optional): the answer's descriptor; else it is closed. */
gboolean front_ask(Front *front, guint32 request, gconstpointer payload, gsize length,
                   VuPayload *answer, int *ret_fd, GError **error);

/* Starts a queue again that was stopped, where it stopped. */
gboolean front_start_queue(Front *front, guint index, GError **error);

/* Stops a queue as a guest's driver does. @ret_base: (out) (optional): where it stands. */
gboolean front_stop_queue(Front *front, guint index, guint32 *ret_base, GError **error);
