/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/vhost_user/channel.h"
#include "ioq_tuning/worker/device.h"
#include "ioq_tuning/worker/queue_thread.h"

typedef struct {
    gboolean has_address;
    guint16 size;
    guint32 base;
    VuVringAddr address;
    int call_fd; /* -1: none, or the served queue's */
    int err_fd;
    gboolean enabled;
    IoqServedQueue *served; /* NULL: stopped */
} Vring;

typedef struct {
    IoqThread *thread; /* NULL: none of its queues is started */
    guint n_queues;
} ThreadSlot;

/* What waits for queues to end what is in flight. */
typedef enum {
    WAIT_NOTHING,
    WAIT_GET_BASE,   /* one queue; then the front end gets its answer */
    WAIT_RESET,      /* all; then the device is as new */
    WAIT_DISCONNECT, /* all; then the next front end is let in */
} WaitKind;

struct IoqDevice {
    IoqDeviceOptions options;
    char *name;
    char *label; /* in logs */
    cpu_set_t cpus;
    IoqBlk blk;
    int listen_fd;
    GSource *listen_source;
    int fd; /* connection; -1: none */
    GSource *source;
    int backend_fd; /* SET_BACKEND_REQ_FD */

    guint64 features; /* of virtio and vhost, as acknowledged */
    guint64 protocol_features;
    guint8 status;
    IoqMemory *memory;
    IoqLog *log;
    gpointer inflight_base;
    gsize inflight_mapped;
    gsize inflight_offset;
    VuInflight inflight;

    Vring *vrings; /* options.max_queues */
    ThreadSlot *threads;

    gint n_news; /* atomic: on their way from queue threads */
    WaitKind wait;
    guint wait_index;
    VuHeader wait_header; /* of the message to be answered */
    GSource *wait_limit;
    gboolean settling; /* all queues have stopped, and the store writes what it has in caches */
};

/* device.c */
void device_clear_inflight(IoqDevice *device);
void device_reset(IoqDevice *device);
void device_disconnect(IoqDevice *device);
void device_continue_waiting(IoqDevice *device); /* goes on if what it waits for has happened */
void device_limit_wait(IoqDevice *device);

void device_tell_config(IoqDevice *device); /* has the front end read the configuration again */

/* device_queues.c */
gboolean device_start_queue(IoqDevice *device, guint index, int kick_fd, GError **error);
/* @replays: what a back end before us left in flight is done first, not only what is in the store
 */
void device_stop_queue(IoqDevice *device, guint index, gboolean replays);
void device_abandon_queue(IoqDevice *device, guint index); /* its driver hears of nothing more */
guint device_n_started(const IoqDevice *device);
gboolean device_set_memory(IoqDevice *device, IoqMemory *memory /* transfer full */,
                           GError **error);
void device_update_logs(IoqDevice *device);

/* messages.c: answers one message. FALSE with @error: the connection must end. */
gboolean device_handle_message(IoqDevice *device, VuMessage *message, GError **error);
gboolean device_reply_u64(IoqDevice *device, const VuHeader *to, guint64 value, GError **error);
gboolean device_reply(IoqDevice *device, const VuHeader *to, gconstpointer payload, gsize length,
                      int fd, GError **error);
