/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's queues and the threads that they belong to: starting, stopping, and what changes for
 * all of them. Whatever is done to a queue is done in its thread (queue_thread.h); what a queue has
 * to say comes back as news to the control thread.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/virtqueue/inflight.h"
#include "ioq_tuning/worker/device_priv.h"

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
            .disk = device->label,
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

/* The store: in a thread, since it may take as long as storage likes */

typedef struct {
    IoqDevice *device;
    GError *error;
} Settling;

static gboolean
store_has_settled(gpointer data)
{
    Settling *settling = data;
    IoqDevice *device = settling->device;

    if (settling->error) {
        gantry_err(_("disk %1$s: %2$s"), device->label, settling->error->message);
    }
    ioq_store_release(device->blk.store);
    device->settling = FALSE;
    device_continue_waiting(device);
    return G_SOURCE_REMOVE;
}

static void
settling_free(gpointer data)
{
    Settling *settling = data;

    g_clear_error(&settling->error);
    g_free(settling);
}

static gpointer
settle_in_thread(gpointer data)
{
    Settling *settling = data;
    GSource *source = g_idle_source_new();

    ioq_store_settle(settling->device->blk.store, &settling->error);
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, store_has_settled, settling, settling_free);
    g_source_attach(source, NULL);
    g_source_unref(source);
    return NULL;
}

static void
settle_store(IoqDevice *device)
{
    Settling *settling;

    if (!ioq_store_must_settle(device->blk.store)) {
        ioq_store_release(device->blk.store);
        device_continue_waiting(device);
        return;
    }
    settling = g_new0(Settling, 1);
    settling->device = device;
    device->settling = TRUE;
    g_thread_unref(g_thread_new("ioq-settle", settle_in_thread, settling));
}

static gboolean
take_news(gpointer data)
{
    QueueNews *news = data;
    IoqDevice *device = news->device;
    Vring *vring = &device->vrings[news->index];
    QueueCall call = {.vring = vring};

    if (news->problem) {
        gantry_warn(_("disk %1$s: queue %2$u stands still: %3$s"), device->label, news->index,
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
    if (device_n_started(device) == 0) {
        settle_store(device); /* before the front end is told */
    } else {
        device_continue_waiting(device);
    }
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

static gboolean
start_queue(IoqDevice *device, guint index, int kick_fd, GError **error)
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
        gantry_info(_("disk %1$s: queue %2$u does %3$u requests again"), device->label, index,
                    ioq_queue_n_replay(call.ring));
    }
    call.kick_fd = gantry_fd_steal(&kick);
    ioq_thread_call(thread, start_in_thread, &call);
    return TRUE;
}

gboolean
device_start_queue(IoqDevice *device, guint index, int kick_fd, GError **error)
{
    gantry_autofd kick = kick_fd;
    gboolean first = device_n_started(device) == 0;

    /* Not before: the image may be another host's until the guest comes over from there. */
    if (first) {
        if (!ioq_store_acquire(device->blk.store, error)) {
            return FALSE;
        }
        ioq_store_refresh_size(device->blk.store, NULL);
    }
    if (!start_queue(device, index, gantry_fd_steal(&kick), error)) {
        if (first) {
            ioq_store_release(device->blk.store);
        }
        return FALSE;
    }
    /* The disk may have grown while nobody was connected, or under a back end before this one. QEMU
     * asks for the size once and then only when told to, and listens while the device is started.
     */
    if (first) {
        device_tell_config(device);
    }
    return TRUE;
}

static void
drain_in_thread(IoqThread *thread, gpointer data)
{
    ioq_served_queue_drain(data, FALSE);
}

static void
drain_and_replay_in_thread(IoqThread *thread, gpointer data)
{
    ioq_served_queue_drain(data, TRUE);
}

void
device_stop_queue(IoqDevice *device, guint index, gboolean replays)
{
    IoqServedQueue *served = device->vrings[index].served;

    if (served) {
        ioq_thread_call(ioq_served_queue_thread(served),
                        replays ? drain_and_replay_in_thread : drain_in_thread, served);
    }
}

static void
mute_in_thread(IoqThread *thread, gpointer data)
{
    ioq_served_queue_mute(data);
    ioq_served_queue_drain(data, FALSE);
}

void
device_abandon_queue(IoqDevice *device, guint index)
{
    IoqServedQueue *served = device->vrings[index].served;

    if (served) {
        ioq_thread_call(ioq_served_queue_thread(served), mute_in_thread, served);
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
