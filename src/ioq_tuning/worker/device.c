/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. One front end is connected at a time. A queue is started by SET_VRING_KICK,
 * in the thread that it belongs to, and stopped by draining it there: the thread says when nothing
 * is in flight any more, and only then is the queue taken from it. While something waits for that,
 * no further message is read. A connection that ends waits likewise before the next one is
 * accepted: the same request must not be in the store twice.
 */
#include "ioq_tuning/worker/device.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/virtqueue/inflight.h"
#include "ioq_tuning/worker/device_priv.h"

#define MESSAGE_TIMEOUT_MSEC 5000

static void accept_next(IoqDevice *device);
static void read_messages(IoqDevice *device);

static gboolean
has_feature(const IoqDevice *device, guint bit)
{
    return (device->features >> bit) & 1;
}

/* Threads */

static ThreadSlot *
slot_of(IoqDevice *device, guint index)
{
    return &device->threads[index / device->options.queues_per_thread];
}

static IoqThread *
take_thread(IoqDevice *device, guint index, GError **error)
{
    ThreadSlot *slot = slot_of(device, index);

    if (!slot->thread) {
        g_autofree char *name =
            g_strdup_printf("ioq-%.8s-%u", device->name, index / device->options.queues_per_thread);
        const IoqThreadOptions options = {
            .name = name,
            .blk = &device->blk,
            .cpus = device->options.cpus,
            .poll_max_usec = device->options.poll_max_usec,
        };

        slot->thread = ioq_thread_new(&options, error);
        if (!slot->thread) {
            return NULL;
        }
    }
    slot->n_queues++;
    return slot->thread;
}

static void
give_thread_back(IoqDevice *device, guint index)
{
    ThreadSlot *slot = slot_of(device, index);

    if (--slot->n_queues == 0) {
        g_clear_pointer(&slot->thread, ioq_thread_free);
    }
}

/* Queues: what is asked of their threads */

typedef struct {
    IoqDevice *device;
    Vring *vring;
    IoqQueue *ring;
    int kick_fd;
    IoqMemory *memory;
    IoqLog *log;
    GError *error;
} QueueCall;

/* From a queue's thread to ours. */
typedef struct {
    IoqDevice *device;
    guint index;
    char *problem; /* NULL: it is drained */
} QueueNews;

static void
news_free(gpointer data)
{
    QueueNews *news = data;

    g_atomic_int_add(&news->device->n_news, -1);
    g_free(news->problem);
    g_free(news);
}

static void
free_in_thread(IoqThread *thread, gpointer data)
{
    QueueCall *call = data;

    call->ring = ioq_served_queue_free(call->vring->served);
}

static void
continue_waiting(IoqDevice *device)
{
    WaitKind wait = device->wait;
    Vring *vring = &device->vrings[device->wait_index];
    g_autoptr(GError) error = NULL;
    VuVringState state = {device->wait_index, vring->base};

    if (wait == WAIT_GET_BASE ? vring->served != NULL : device_n_started(device) > 0) {
        return;
    }
    device->wait = WAIT_NOTHING;
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

static gboolean
take_news(gpointer data)
{
    QueueNews *news = data;
    IoqDevice *device = news->device;
    Vring *vring = &device->vrings[news->index];
    QueueCall call = {.vring = vring};

    if (news->problem) {
        gantry_warn(_("disk %1$s: queue %2$u stands still: %3$s"), device->name, news->index,
                    news->problem);
        if (device->fd >= 0 && ioq_memory_is_damaged(device->memory)) {
            gantry_warn(_("disk %s: guest memory was cut off; the connection ends"), device->name);
            device_disconnect(device);
        }
        return G_SOURCE_REMOVE;
    }
    vring->base = ioq_queue_base(ioq_served_queue_ring(vring->served));
    ioq_thread_call(ioq_served_queue_thread(vring->served), free_in_thread, &call);
    vring->served = NULL;
    ioq_queue_free(call.ring);
    give_thread_back(device, news->index);
    continue_waiting(device);
    return G_SOURCE_REMOVE;
}

static void
send_news(IoqServedQueue *queue, const GError *why, gpointer data)
{
    QueueNews *news = g_new0(QueueNews, 1);
    GSource *source = g_idle_source_new();

    news->device = data;
    g_atomic_int_inc(&news->device->n_news);
    news->index = ioq_served_queue_index(queue);
    news->problem = why ? g_strdup(why->message) : NULL;
    /* Not g_main_context_invoke(): while the control thread is between two iterations, as when it
     * frees a device, that would take the news in this thread, which would wait for itself. */
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, take_news, news, news_free);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

static void
on_drained(IoqServedQueue *queue, gpointer data)
{
    send_news(queue, NULL, data);
}

static void
start_in_thread(IoqThread *thread, gpointer data)
{
    QueueCall *call = data;
    IoqDevice *device = call->device;
    Vring *vring = call->vring;
    const IoqQueueWatcher watcher = {on_drained, send_news, device};

    ioq_queue_set_log(call->ring, call->log);
    vring->served = ioq_served_queue_new(
        thread, (guint)(vring - device->vrings), call->ring, call->kick_fd,
        gantry_fd_steal(&vring->call_fd), gantry_fd_steal(&vring->err_fd),
        /* Without protocol features there is no message that would enable it. */
        vring->enabled || !has_feature(device, VHOST_USER_F_PROTOCOL_FEATURES), &watcher);
}

static IoqLog *
log_in_use(IoqDevice *device)
{
    return has_feature(device, VHOST_F_LOG_ALL) ? device->log : NULL;
}

/* This queue's part of the region; NULL with @error where it has none though there is a region. */
static gboolean
find_inflight(IoqDevice *device, guint index, IoqQueueConfig *config, GError **error)
{
    gsize bytes;

    if (!device->inflight_base) {
        return TRUE;
    }
    bytes = ioq_inflight_queue_bytes(config->packed, device->inflight.queue_size);
    if (index >= device->inflight.num_queues ||
        bytes * device->inflight.num_queues > device->inflight.mmap_size) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("the in-flight region has no room for queue %u"), index);
        return FALSE;
    }
    config->inflight = (char *)device->inflight_base + device->inflight_offset + index * bytes;
    config->inflight_entries = device->inflight.queue_size;
    return TRUE;
}

gboolean
device_start_queue(IoqDevice *device, guint index, int kick_fd, GError **error)
{
    gantry_autofd kick = kick_fd;
    Vring *vring = &device->vrings[index];
    IoqQueueConfig config = {
        .size = vring->size,
        .packed = has_feature(device, VIRTIO_F_RING_PACKED),
        .event_idx = has_feature(device, VIRTIO_RING_F_EVENT_IDX),
        .indirect = has_feature(device, VIRTIO_RING_F_INDIRECT_DESC),
        .address = vring->address,
        .base = vring->base,
    };
    QueueCall call = {.device = device, .vring = vring, .log = log_in_use(device)};
    IoqThread *thread;

    if (!vring->has_address || vring->size == 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("queue %u is started without an address or a size"), index);
        return FALSE;
    }
    if (!find_inflight(device, index, &config, error)) {
        return FALSE;
    }
    call.ring = ioq_queue_start(&config, device->memory, error);
    if (!call.ring) {
        return FALSE;
    }
    thread = take_thread(device, index, error);
    if (!thread) {
        ioq_queue_free(call.ring);
        return FALSE;
    }
    if (ioq_queue_n_replay(call.ring) > 0) {
        gantry_info(_("disk %1$s: queue %2$u does %3$u requests again"), device->name, index,
                    ioq_queue_n_replay(call.ring));
    }
    call.kick_fd = gantry_fd_steal(&kick);
    ioq_thread_call(thread, start_in_thread, &call);
    return TRUE;
}

static void
drain_in_thread(IoqThread *thread, gpointer data)
{
    ioq_served_queue_drain(data);
}

void
device_stop_queue(IoqDevice *device, guint index)
{
    IoqServedQueue *served = device->vrings[index].served;

    if (served) {
        ioq_thread_call(ioq_served_queue_thread(served), drain_in_thread, served);
    }
}

guint
device_n_started(const IoqDevice *device)
{
    guint n = 0;

    for (guint i = 0; i < device->options.max_queues; i++) {
        n += device->vrings[i].served != NULL;
    }
    return n;
}

static void
set_memory_in_thread(IoqThread *thread, gpointer data)
{
    QueueCall *call = data;

    ioq_served_queue_set_memory(call->vring->served, call->memory, &call->error);
}

/* Gives @memory to the started queues below @end. */
static gboolean
spread_memory(IoqDevice *device, IoqMemory *memory, guint end, guint *ret_failed, GError **error)
{
    for (guint i = 0; i < end; i++) {
        QueueCall call = {.vring = &device->vrings[i], .memory = memory};

        if (!call.vring->served) {
            continue;
        }
        ioq_thread_call(ioq_served_queue_thread(call.vring->served), set_memory_in_thread, &call);
        if (call.error) {
            g_propagate_error(error, call.error);
            *ret_failed = i;
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
device_set_memory(IoqDevice *device, IoqMemory *memory, GError **error)
{
    guint failed;

    if (!spread_memory(device, memory, device->options.max_queues, &failed, error)) {
        /* The old table has the rings of those that have changed already. */
        spread_memory(device, device->memory, failed, &failed, NULL);
        ioq_memory_unref(memory);
        return FALSE;
    }
    ioq_memory_unref(device->memory);
    device->memory = memory;
    return TRUE;
}

static void
set_log_in_thread(IoqThread *thread, gpointer data)
{
    QueueCall *call = data;

    ioq_queue_set_log(ioq_served_queue_ring(call->vring->served), call->log);
}

void
device_update_logs(IoqDevice *device)
{
    for (guint i = 0; i < device->options.max_queues; i++) {
        QueueCall call = {.vring = &device->vrings[i], .log = log_in_use(device)};

        if (call.vring->served) {
            ioq_thread_call(ioq_served_queue_thread(call.vring->served), set_log_in_thread, &call);
        }
    }
}

/* The connection */

void
device_clear_inflight(IoqDevice *device)
{
    if (device->inflight_base) {
        munmap(device->inflight_base, device->inflight_mapped);
    }
    device->inflight_base = NULL;
    memset(&device->inflight, 0, sizeof(device->inflight));
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
    g_atomic_int_set(&device->blk.write_back, TRUE);
}

static void
stop_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

static void
mute_in_thread(IoqThread *thread, gpointer data)
{
    ioq_served_queue_mute(data);
    ioq_served_queue_drain(data);
}

void
device_disconnect(IoqDevice *device)
{
    stop_source(&device->source);
    gantry_fd_clear(&device->fd);
    gantry_fd_clear(&device->backend_fd);
    /* Without a region the next front end starts again at the used index as it is now. */
    for (guint i = 0; i < device->options.max_queues; i++) {
        IoqServedQueue *served = device->vrings[i].served;

        if (served) {
            ioq_thread_call(ioq_served_queue_thread(served),
                            device->inflight_base ? drain_in_thread : mute_in_thread, served);
        }
    }
    device->wait = WAIT_DISCONNECT;
    continue_waiting(device);
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
            continue_waiting(device);
        }
        return device->source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
    }
    if (g_error_matches(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
        gantry_info(_("disk %1$s: %2$s"), device->name, error->message);
    } else {
        gantry_warn(_("disk %1$s: %2$s; the connection ends"), device->name, error->message);
    }
    device_disconnect(device);
    return G_SOURCE_REMOVE;
}

static void
read_messages(IoqDevice *device)
{
    if (device->source) {
        return;
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
    gantry_info(_("disk %s: a front end has connected"), device->name);
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
    if (device->listen_fd < 0) {
        return; /* being freed */
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
    device_disconnect(device);
    while (device->wait != WAIT_NOTHING || g_atomic_int_get(&device->n_news) > 0) {
        g_main_context_iteration(NULL, TRUE);
    }
    ioq_memory_unref(device->memory);
    ioq_store_free(device->blk.store);
    g_free(device->vrings);
    g_free(device->threads);
    g_free(device->name);
    g_free(device);
}

void
ioq_device_refresh_size(IoqDevice *device)
{
    static const VuHeader header = {VU_BACKEND_CONFIG_CHANGE_MSG, VU_VERSION, 0};
    g_autoptr(GError) error = NULL;

    if (!ioq_store_file_refresh_size(device->blk.store, &error)) {
        if (error) {
            gantry_warn(_("disk %1$s: %2$s"), device->name, error->message);
        }
        return;
    }
    gantry_notice(_("disk %1$s has %2$" PRIu64 " bytes now"), device->name,
                  ioq_store_size(device->blk.store));
    if (device->backend_fd >= 0 && !vu_channel_send(device->backend_fd, MESSAGE_TIMEOUT_MSEC,
                                                    &header, NULL, NULL, 0, &error)) {
        gantry_warn(_("disk %1$s: the guest does not know its new size: %2$s"), device->name,
                    error->message);
    }
}

static void
stats_in_thread(IoqThread *thread, gpointer data)
{
    gpointer *pair = data;

    ioq_served_queue_stats(pair[0], pair[1]);
}

static void
add_count(JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

JsonNode *
ioq_device_status(IoqDevice *device)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "name");
    json_builder_add_string_value(builder, device->name);
    json_builder_set_member_name(builder, "connected");
    json_builder_add_boolean_value(builder, device->fd >= 0);
    add_count(builder, "bytes", ioq_store_size(device->blk.store));
    add_count(builder, "queues_per_thread", device->options.queues_per_thread);
    json_builder_set_member_name(builder, "queues");
    json_builder_begin_array(builder);
    for (guint i = 0; i < device->options.max_queues; i++) {
        IoqServedQueue *served = device->vrings[i].served;
        IoqQueueStats stats = {0};
        gpointer pair[] = {served, &stats};

        if (!served) {
            continue;
        }
        ioq_thread_call(ioq_served_queue_thread(served), stats_in_thread, pair);
        json_builder_begin_object(builder);
        add_count(builder, "queue", i);
        add_count(builder, "thread", (guint64)ioq_thread_tid(ioq_served_queue_thread(served)));
        add_count(builder, "requests", stats.requests);
        add_count(builder, "in_flight", stats.in_flight);
        add_count(builder, "kicks", stats.kicks);
        add_count(builder, "notifications", stats.notifications);
        json_builder_set_member_name(builder, "latency");
        json_builder_begin_array(builder);
        for (guint b = 0; b < IOQ_LATENCY_BUCKETS; b++) {
            json_builder_add_int_value(builder, (gint64)stats.latency[b]);
        }
        json_builder_end_array(builder);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    return json_builder_get_root(builder);
}
