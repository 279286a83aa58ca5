/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. One front end is connected at a time. A queue is started by SET_VRING_KICK,
 * in the thread that it belongs to, and stopped by draining it there: the thread says when nothing
 * is in flight any more, and only then is the queue taken from it. While something waits for that,
 * no further message is read. A connection that ends waits likewise before the next one is
 * accepted: the same request must not be in the store twice.
 */
#include "ioq_tuning/worker/device.h"

#include <glib-unix.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/worker/device_priv.h"

#define MESSAGE_TIMEOUT_MSEC 5000

/* Front ends that come while the store has requests of the last one wait so long at the door. */
#define REFUSE_AFTER_MSEC 1000

static void accept_next(IoqDevice *device);
static void listen_for_next(IoqDevice *device);
static void read_messages(IoqDevice *device);

void
device_clear_inflight(IoqDevice *device)
{
    if (device->inflight_base) {
        munmap(device->inflight_base, device->inflight_mapped);
    }
    device->inflight_base = NULL;
    memset(&device->inflight, 0, sizeof(device->inflight));
}

/* Its rings begin anew: what stood in the region was about others. (A status of 0 does not say so:
 * QEMU sets it whenever a VM stops.) */
static void
forget_inflight(IoqDevice *device)
{
    if (device->inflight_base) {
        memset((char *)device->inflight_base + device->inflight_offset, 0,
               device->inflight.mmap_size);
    }
}

/* All that a front end has set, but the connection itself and its protocol. No queue may run. */
void
device_reset(IoqDevice *device)
{
    for (guint i = 0; i < device->options.max_queues; i++) {
        Vring *vring = &device->vrings[i];

        gantry_fd_clear(&vring->call_fd);
        gantry_fd_clear(&vring->err_fd);
        *vring = (Vring){.call_fd = -1, .err_fd = -1};
    }
    device->status = 0;
}

static void
stop_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

void
device_continue_waiting(IoqDevice *device)
{
    WaitKind wait = device->wait;
    Vring *vring = &device->vrings[device->wait_index];
    g_autoptr(GError) error = NULL;
    VuVringState state = {device->wait_index, vring->base};

    if (device->settling ||
        (wait == WAIT_GET_BASE ? vring->served != NULL : device_n_started(device) > 0)) {
        return;
    }
    device->wait = WAIT_NOTHING;
    stop_source(&device->wait_limit);
    switch (wait) {
    case WAIT_NOTHING:
        return;
    case WAIT_GET_BASE:
        if (!device_reply(device, &device->wait_header, &state, sizeof(state), -1, &error)) {
            device_disconnect(device);
            return;
        }
        break;
    case WAIT_RESET:
        device_reset(device);
        if (device->wait_header.request == VU_RESET_DEVICE) {
            forget_inflight(device);
        }
        if ((device->wait_header.flags & VU_FLAG_NEED_REPLY) &&
            !device_reply_u64(device, &device->wait_header, 0, &error)) {
            device_disconnect(device);
            return;
        }
        break;
    case WAIT_DISCONNECT:
        accept_next(device);
        return;
    }
    read_messages(device);
}

/* QEMU stands still until it has its answer, its monitor too. It cannot be told that the queue has
 * stopped, since it has not: requests would be lost where the VM goes to another host. Where the
 * connection ends instead, QEMU goes on from the used index, and what is still in the store is done
 * once more. */
static gboolean
on_wait_limit(gpointer data)
{
    IoqDevice *device = data;

    gantry_warn(_("disk %1$s: the store has not answered for %2$u ms; the connection ends"),
                device->name, device->options.drain_msec);
    device_disconnect(device);
    return G_SOURCE_REMOVE;
}

void
device_limit_wait(IoqDevice *device)
{
    device->wait_limit = g_timeout_source_new(device->options.drain_msec);
    g_source_set_callback(device->wait_limit, on_wait_limit, device, NULL);
    g_source_attach(device->wait_limit, NULL);
}

/* A front end that is let in and not answered stands still, too: better that it tries again. */
static gboolean
begin_refusing(gpointer data)
{
    IoqDevice *device = data;

    listen_for_next(device);
    return G_SOURCE_REMOVE;
}

void
device_disconnect(IoqDevice *device)
{
    stop_source(&device->source);
    stop_source(&device->wait_limit);
    gantry_fd_clear(&device->fd);
    gantry_fd_clear(&device->backend_fd);
    /* Without a region the next front end starts again at the used index as it is now. */
    for (guint i = 0; i < device->options.max_queues; i++) {
        if (device->inflight_base) {
            device_stop_queue(device, i, FALSE);
        } else {
            device_abandon_queue(device, i);
        }
    }
    device->wait = WAIT_DISCONNECT;
    device->wait_limit = g_timeout_source_new(MIN(device->options.drain_msec, REFUSE_AFTER_MSEC));
    g_source_set_callback(device->wait_limit, begin_refusing, device, NULL);
    g_source_attach(device->wait_limit, NULL);
    device_continue_waiting(device);
}

static gboolean
on_message(gint fd, GIOCondition condition, gpointer data)
{
    IoqDevice *device = data;
    g_auto(VuMessage) message = {0};
    g_autoptr(GError) error = NULL;

    if (vu_channel_receive(device->fd, MESSAGE_TIMEOUT_MSEC, &message, &error) &&
        device_handle_message(device, &message, &error)) {
        if (device->wait != WAIT_NOTHING) {
            stop_source(&device->source);
            device_continue_waiting(device);
        }
        return device->source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
    }
    if (g_error_matches(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
        gantry_info(_("disk %1$s: %2$s"), device->label, error->message);
    } else {
        gantry_warn(_("disk %1$s: %2$s; the connection ends"), device->name, error->message);
    }
    device_disconnect(device);
    return G_SOURCE_REMOVE;
}

static void
read_messages(IoqDevice *device)
{
    if (device->source || device->listen_fd < 0) {
        return; /* or it is being freed */
    }
    device->source = g_unix_fd_source_new(device->fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(device->source, (GSourceFunc)(void (*)(void))on_message, device, NULL);
    g_source_attach(device->source, NULL);
}

static gboolean
on_connection(gint fd, GIOCondition condition, gpointer data)
{
    IoqDevice *device = data;
    int connection = accept4(device->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (connection < 0) {
        return G_SOURCE_CONTINUE; /* it is gone already */
    }
    if (device->wait == WAIT_DISCONNECT) {
        gantry_fd_clear(&connection);
        return G_SOURCE_CONTINUE;
    }
    gantry_info(_("disk %s: a front end has connected"), device->label);
    stop_source(&device->listen_source);
    device->fd = connection;
    read_messages(device);
    return G_SOURCE_REMOVE;
}

static void
accept_next(IoqDevice *device)
{
    device_reset(device);
    device_clear_inflight(device);
    ioq_memory_unref(device->memory);
    device->memory = ioq_memory_new();
    g_clear_pointer(&device->log, ioq_log_unref);
    device->features = 0;
    device->protocol_features = 0;
    listen_for_next(device);
}

static void
listen_for_next(IoqDevice *device)
{
    if (device->listen_fd < 0 || device->listen_source) {
        return; /* being freed, or done already */
    }
    device->listen_source = g_unix_fd_source_new(device->listen_fd, G_IO_IN);
    g_source_set_callback(device->listen_source, (GSourceFunc)(void (*)(void))on_connection, device,
                          NULL);
    g_source_attach(device->listen_source, NULL);
}

IoqDevice *
ioq_device_new(int listen_fd, IoqStore *store, const IoqDeviceOptions *options)
{
    IoqDevice *device = g_new0(IoqDevice, 1);

    device->options = *options;
    device->name = g_strdup(options->name);
    device->label = options->domain ? g_strdup_printf("%s of %s", options->name, options->domain)
                                    : g_strdup(options->name);
    if (options->cpus) {
        device->cpus = *options->cpus;
        device->options.cpus = &device->cpus;
    }
    device->blk.store = store;
    device->blk.n_queues = (guint16)options->max_queues;
    device->blk.queue_size = (guint16)options->queue_size;
    strncpy(device->blk.id, options->id ? options->id : "", sizeof(device->blk.id));
    device->listen_fd = listen_fd;
    device->fd = -1;
    device->backend_fd = -1;
    device->vrings = g_new0(Vring, options->max_queues);
    for (guint i = 0; i < options->max_queues; i++) {
        device->vrings[i].call_fd = device->vrings[i].err_fd = -1;
    }
    device->threads = g_new0(ThreadSlot, options->max_queues);
    accept_next(device);
    return device;
}

void
ioq_device_free(IoqDevice *device)
{
    stop_source(&device->listen_source);
    gantry_fd_clear(&device->listen_fd);
    /* The front end must not go to the back end after this one before all has ended here. */
    stop_source(&device->source);
    for (guint i = 0; i < device->options.max_queues; i++) {
        device_stop_queue(device, i, FALSE);
    }
    while (device_n_started(device) > 0) {
        g_main_context_iteration(NULL, TRUE);
    }
    device_disconnect(device);
    while (device->wait != WAIT_NOTHING || device->settling ||
           g_atomic_int_get(&device->n_news) > 0) {
        g_main_context_iteration(NULL, TRUE);
    }
    ioq_memory_unref(device->memory);
    ioq_store_free(device->blk.store);
    g_free(device->vrings);
    g_free(device->threads);
    g_free(device->name);
    g_free(device->label);
    g_free(device);
}

void
device_tell_config(IoqDevice *device)
{
    static const VuHeader header = {VU_BACKEND_CONFIG_CHANGE_MSG, VU_VERSION, 0};
    g_autoptr(GError) error = NULL;

    if (device->backend_fd >= 0 && !vu_channel_send(device->backend_fd, MESSAGE_TIMEOUT_MSEC,
                                                    &header, NULL, NULL, 0, &error)) {
        gantry_warn(_("disk %1$s: the guest does not know its new size: %2$s"), device->label,
                    error->message);
    }
}

void
ioq_device_refresh_size(IoqDevice *device)
{
    g_autoptr(GError) error = NULL;

    if (!ioq_store_refresh_size(device->blk.store, &error)) {
        if (error) {
            gantry_warn(_("disk %1$s: %2$s"), device->label, error->message);
        }
        return;
    }
    gantry_notice(_("disk %1$s has %2$" PRIu64 " bytes now"), device->label,
                  ioq_store_size(device->blk.store));
    device_tell_config(device);
}
