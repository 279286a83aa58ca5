/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/vhost/front.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ioq_tuning/vhost_user/channel.h"

#define TIMEOUT_MSEC 40000

Front *
front_new(const FrontOptions *options)
{
    Front *front = g_new0(Front, 1);
    gsize ring_bytes = driver_ring_bytes(options->queue_size);

    front->options = *options;
    front->fd = -1;
    front->inflight_fd = -1;
    front->memory_bytes = ring_bytes * options->n_queues + options->memory_bytes;
    front->memory_fd = memfd_create("front-memory", MFD_CLOEXEC);
    g_assert_cmpint(front->memory_fd, >=, 0);
    g_assert_cmpint(ftruncate(front->memory_fd, (off_t)front->memory_bytes), ==, 0);
    front->memory =
        mmap(NULL, front->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, front->memory_fd, 0);
    g_assert(front->memory != MAP_FAILED);
    front->buffers = front->memory + ring_bytes * options->n_queues;
    front->queues = g_new0(FrontQueue, options->n_queues);
    for (guint i = 0; i < options->n_queues; i++) {
        FrontQueue *queue = &front->queues[i];

        driver_ring_init(&queue->ring, front->memory + ring_bytes * i, options->queue_size,
                         options->packed, options->event_idx);
        queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return front;
}

void
front_free(Front *front)
{
    front_disconnect(front);
    for (guint i = 0; i < front->options.n_queues; i++) {
        close(front->queues[i].kick_fd);
        close(front->queues[i].call_fd);
    }
    munmap(front->memory, front->memory_bytes);
    close(front->memory_fd);
    if (front->inflight_fd >= 0) {
        close(front->inflight_fd);
    }
    g_free(front->queues);
    g_free(front);
}

guint64
front_guest_address(const Front *front, gconstpointer pointer)
{
    return FRONT_GUEST_BASE + (guint64)((const char *)pointer - front->memory);
}

gboolean
front_ask(Front *front, guint32 request, gconstpointer payload, gsize length, VuPayload *answer,
          int *ret_fd)
{
    const VuHeader header = {request, VU_VERSION, (guint32)length};
    g_auto(VuMessage) message = {0};

    if (!vu_channel_send(front->fd, TIMEOUT_MSEC, &header, payload, NULL, 0, NULL) ||
        !vu_channel_receive(front->fd, TIMEOUT_MSEC, &message, NULL) ||
        message.header.request != request || !(message.header.flags & VU_FLAG_REPLY)) {
        return FALSE;
    }
    *answer = message.payload;
    if (ret_fd) {
        *ret_fd = vu_message_take_fd(&message, 0);
    }
    return TRUE;
}

gboolean
front_send(Front *front, guint32 request, gconstpointer payload, gsize length, const int *fds,
           guint n_fds, gboolean need_reply)
{
    const VuHeader header = {request, VU_VERSION | (need_reply ? VU_FLAG_NEED_REPLY : 0),
                             (guint32)length};
    g_auto(VuMessage) message = {0};

    return vu_channel_send(front->fd, TIMEOUT_MSEC, &header, payload, fds, n_fds, NULL) &&
           (!need_reply || (vu_channel_receive(front->fd, TIMEOUT_MSEC, &message, NULL) &&
                            message.header.request == request && message.payload.u64 == 0));
}

static gboolean
send_u64(Front *front, guint32 request, guint64 value, const int *fd)
{
    return front_send(front, request, &value, sizeof(value), fd, fd ? 1 : 0, TRUE);
}

static gboolean
negotiate(Front *front)
{
    guint64 wanted = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES |
                     1ULL << VIRTIO_BLK_F_MQ | 1ULL << VIRTIO_BLK_F_FLUSH |
                     1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
    guint64 protocol = 1ULL << VU_PROTOCOL_F_MQ | 1ULL << VU_PROTOCOL_F_REPLY_ACK |
                       1ULL << VU_PROTOCOL_F_CONFIG | 1ULL << VU_PROTOCOL_F_LOG_SHMFD |
                       1ULL << VU_PROTOCOL_F_RESET_DEVICE | 1ULL << VU_PROTOCOL_F_STATUS |
                       1ULL << VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS;
    VuPayload answer;
    VuConfig config = {.offset = 0, .size = sizeof(struct virtio_blk_config)};

    wanted |= front->options.packed ? 1ULL << VIRTIO_F_RING_PACKED : 0;
    wanted |= front->options.event_idx ? 1ULL << VIRTIO_RING_F_EVENT_IDX : 0;
    wanted |= front->options.indirect ? 1ULL << VIRTIO_RING_F_INDIRECT_DESC : 0;
    protocol |= front->options.inflight ? 1ULL << VU_PROTOCOL_F_INFLIGHT_SHMFD : 0;
    protocol |= front->options.leaves_inflight ? 1ULL << VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT : 0;
    if (!front_ask(front, VU_GET_FEATURES, NULL, 0, &answer, NULL)) {
        return FALSE;
    }
    front->features = answer.u64 & wanted;
    if (!front_ask(front, VU_GET_PROTOCOL_FEATURES, NULL, 0, &answer, NULL)) {
        return FALSE;
    }
    front->protocol_features = answer.u64 & protocol;
    if (!front_send(front, VU_SET_PROTOCOL_FEATURES, &front->protocol_features, 8, NULL, 0,
                    FALSE) ||
        !front_ask(front, VU_GET_QUEUE_NUM, NULL, 0, &answer, NULL)) {
        return FALSE;
    }
    if (answer.u64 < front->options.n_queues) {
        g_error("the back end has %" G_GUINT64_FORMAT " queues only", answer.u64);
    }
    if (!front_send(front, VU_SET_OWNER, NULL, 0, NULL, 0, TRUE) ||
        !send_u64(front, VU_SET_FEATURES, front->features, NULL) ||
        !front_ask(front, VU_GET_CONFIG, &config, 12 + (gsize)config.size, &answer, NULL)) {
        return FALSE;
    }
    front->capacity = ((struct virtio_blk_config *)(gpointer)answer.config.data)->capacity;
    return TRUE;
}

static gboolean
share_inflight(Front *front)
{
    VuPayload answer;

    if (!((front->protocol_features >> VU_PROTOCOL_F_INFLIGHT_SHMFD) & 1)) {
        return TRUE;
    }
    if (front->inflight_fd < 0) {
        const VuInflight wanted = {.num_queues = (guint16)front->options.n_queues,
                                   .queue_size = (guint16)front->options.queue_size};

        if (!front_ask(front, VU_GET_INFLIGHT_FD, &wanted, sizeof(wanted), &answer,
                       &front->inflight_fd)) {
            return FALSE;
        }
        front->inflight = answer.inflight;
    }
    return front_send(front, VU_SET_INFLIGHT_FD, &front->inflight, sizeof(front->inflight),
                      &front->inflight_fd, 1, TRUE);
}

static gboolean
share_memory(Front *front)
{
    const VuMemoryTable table = {
        .n_regions = 1,
        .regions = {{FRONT_GUEST_BASE, front->memory_bytes, (guint64)(gsize)front->memory, 0}},
    };

    return front_send(front, VU_SET_MEM_TABLE, &table, 8 + sizeof(VuMemoryRegion),
                      &front->memory_fd, 1, TRUE);
}

static gboolean
start_queue(Front *front, guint index)
{
    FrontQueue *queue = &front->queues[index];
    const VuVringState size = {index, front->options.queue_size};
    const VuVringState base = {index, driver_ring_base(&queue->ring)};
    const VuVringState enable = {index, !front->options.disabled};
    const VuVringAddr address = {
        .index = index,
        .descriptor = (guint64)(gsize)queue->ring.desc,
        .available = (guint64)(gsize)queue->ring.avail,
        .used = (guint64)(gsize)queue->ring.used,
    };

    return front_send(front, VU_SET_VRING_NUM, &size, sizeof(size), NULL, 0, TRUE) &&
           front_send(front, VU_SET_VRING_BASE, &base, sizeof(base), NULL, 0, TRUE) &&
           front_send(front, VU_SET_VRING_ADDR, &address, sizeof(address), NULL, 0, TRUE) &&
           send_u64(front, VU_SET_VRING_CALL, index, &queue->call_fd) &&
           send_u64(front, VU_SET_VRING_KICK, index, &queue->kick_fd) &&
           front_send(front, VU_SET_VRING_ENABLE, &enable, sizeof(enable), NULL, 0, TRUE);
}

gboolean
front_connect(Front *front)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    front_disconnect(front);
    g_assert_cmpuint(g_strlcpy(address.sun_path, front->options.socket, sizeof(address.sun_path)),
                     <, sizeof(address.sun_path));
    front->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(front->fd, (struct sockaddr *)&address, sizeof(address)) < 0 || !negotiate(front) ||
        !share_inflight(front) || !share_memory(front)) {
        return FALSE;
    }
    for (guint i = 0; i < front->options.n_queues; i++) {
        if (!start_queue(front, i)) {
            return FALSE;
        }
    }
    return TRUE;
}

void
front_disconnect(Front *front)
{
    if (front->fd >= 0) {
        close(front->fd);
    }
    front->fd = -1;
}

gboolean
front_is_gone(Front *front, int timeout_msec)
{
    struct pollfd poll_fd = {.fd = front->fd, .events = POLLIN | POLLRDHUP};

    return poll(&poll_fd, 1, timeout_msec) > 0;
}

guint32
front_stop_queue(Front *front, guint index)
{
    const VuVringState state = {index, 0};
    VuPayload answer;

    if (!front_ask(front, VU_GET_VRING_BASE, &state, sizeof(state), &answer, NULL)) {
        g_error("queue %u was not stopped", index);
    }
    return answer.state.num;
}
