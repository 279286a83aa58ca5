/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <sched.h>

#include "ioq_tuning/blk/blk.h"

/**
 * IoqDevice: one vhost-user-blk disk: its socket, its front end, its queues and their threads. All
 * functions are for the control thread, whose default main context serves the socket.
 */
typedef struct IoqDevice IoqDevice;

typedef struct {
    const char *name;        /* of the disk, "vda" */
    const char *domain;      /* for logs; NULL: not known */
    guint max_queues;        /* offered; 1 to IOQ_DEVICE_MAX_QUEUES */
    guint queue_size;        /* largest */
    guint queues_per_thread; /* k */
    const cpu_set_t *cpus;   /* of its threads; NULL: all */
    guint poll_max_usec;
    guint drain_msec;     /* longest that GET_VRING_BASE waits for the store */
    const char *id;       /* serial number that the guest sees */
    gboolean no_inflight; /* do not offer in-flight tracking: for measuring what it costs */
} IoqDeviceOptions;

#define IOQ_DEVICE_MAX_QUEUES 256

/* @listen_fd: a listening unix stream socket, owned from now on; @store: (transfer full). */
IoqDevice *ioq_device_new(int listen_fd, IoqStore *store, const IoqDeviceOptions *options);

/* Ends the connection, waits for what is in the store, ends the threads. */
void ioq_device_free(IoqDevice *device);

/* Tells the guest of a new size, where the front end has a channel for that. */
void ioq_device_refresh_size(IoqDevice *device);

/* For status: (transfer full): queues with their threads and numbers. */
JsonNode *ioq_device_status(IoqDevice *device);
