/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/front/front.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/vhost_user/channel.h"

#define TIMEOUT_MSEC 40000

Front *
front_new(const FrontOptions *options, GError **error)
{
    g_autoptr(Front) front = g_new0(Front, 1);
    gsize ring_bytes = driver_ring_bytes(options->queue_size);

    front->options = *options;
    front->fd = front->inflight_fd = -1;
    front->memory_bytes = ring_bytes * options->n_queues + options->memory_bytes;
    front->queues = g_new0(FrontQueue, options->n_queues);
    for (guint i = 0; i < options->n_queues; i++) {
        front->queues[i].kick_fd = front->queues[i].call_fd = -1;
    }
    front->memory = MAP_FAILED;
    front->memory_fd = memfd_create("front-memory", MFD_CLOEXEC);
    if (front->memory_fd >= 0 && ftruncate(front->memory_fd, (off_t)front->memory_bytes) == 0) {
        front->memory = mmap(NULL, front->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                             front->memory_fd, 0);
    }
    if (front->memory == MAP_FAILED) {
        gantry_set_error_errno(error, errno, _("Cannot get %zu bytes of memory to share"),
                               front->memory_bytes);
        return NULL;
    }
    front->buffers = front->memory + ring_bytes * options->n_queues;
    for (guint i = 0; i < options->n_queues; i++) {
        FrontQueue *queue = &front->queues[i];

        driver_ring_init(&queue->ring, front->memory + ring_bytes * i, options->queue_size,
                         options->packed, options->event_idx);
        queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (queue->kick_fd < 0 || queue->call_fd < 0) {
            gantry_set_error_errno(error, errno, _("Cannot make an eventfd"));
            return NULL;
        }
    }
    return g_steal_pointer(&front);
}

void
front_free(Front *front)
{
    if (!front) {
        return;
    }
    front_disconnect(front);
    for (guint i = 0; i < front->options.n_queues; i++) {
        gantry_fd_clear(&front->queues[i].kick_fd);
        gantry_fd_clear(&front->queues[i].call_fd);
    }
    if (front->memory != MAP_FAILED) {
        munmap(front->memory, front->memory_bytes);
    }
    gantry_fd_clear(&front->memory_fd);
    gantry_fd_clear(&front->inflight_fd);
    g_free(front->queues);
    g_free(front);
}

guint64
front_guest_address(const Front *front, gconstpointer pointer)
{
    return FRONT_GUEST_BASE + (guint64)((const char *)pointer - front->memory);
}

static gboolean
receive(Front *front, guint32 request, VuMessage *message, GError **error)
{
    if (!vu_channel_receive(front->fd, TIMEOUT_MSEC, message, error)) {
        return FALSE;
    }
    if (message->header.request != request || !(message->header.flags & VU_FLAG_REPLY)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("the back end answered message %1$u with %2$u"), request,
                    message->header.request);
        return FALSE;
    }
    return TRUE;
}

gboolean
front_ask(Front *front, guint32 request, gconstpointer payload, gsize length, VuPayload *answer,
          int *ret_fd, GError **error)
{
    const VuHeader header = {request, VU_VERSION, (guint32)length};
    g_auto(VuMessage) message = {0};

    if (!vu_channel_send(front->fd, TIMEOUT_MSEC, &header, payload, NULL, 0, error) ||
        !receive(front, request, &message, error)) {
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
           guint n_fds, gboolean need_reply, GError **error)
{
    const VuHeader header = {request, VU_VERSION | (need_reply ? VU_FLAG_NEED_REPLY : 0),
                             (guint32)length};
    g_auto(VuMessage) message = {0};

    if (!vu_channel_send(front->fd, TIMEOUT_MSEC, &header, payload, fds, n_fds, error) ||
        (need_reply && !receive(front, request, &message, error))) {
        return FALSE;
    }
    if (need_reply && message.payload.u64 != 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the back end does not take message %u"), request);
        return FALSE;
    }
    return TRUE;
}

static gboolean
send_u64(Front *front, guint32 request, guint64 value, const int *fd, GError **error)
{
    return front_send(front, request, &value, sizeof(value), fd, fd ? 1 : 0, TRUE, error);
}

static gboolean
negotiate(Front *front, GError **error)
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
    if (!front_ask(front, VU_GET_FEATURES, NULL, 0, &answer, NULL, error)) {
        return FALSE;
    }
    front->features = answer.u64 & wanted;
    if (!front_ask(front, VU_GET_PROTOCOL_FEATURES, NULL, 0, &answer, NULL, error)) {
        return FALSE;
    }
    front->protocol_features = answer.u64 & protocol;
    if (!front_send(front, VU_SET_PROTOCOL_FEATURES, &front->protocol_features, 8, NULL, 0, FALSE,
                    error) ||
        !front_ask(front, VU_GET_QUEUE_NUM, NULL, 0, &answer, NULL, error)) {
        return FALSE;
    }
    if (answer.u64 < front->options.n_queues) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the back end has %1$" PRIu64 " queues, fewer than %2$u"), answer.u64,
                    front->options.n_queues);
        return FALSE;
    }
    if (!front_send(front, VU_SET_OWNER, NULL, 0, NULL, 0, TRUE, error) ||
        !send_u64(front, VU_SET_FEATURES, front->features, NULL, error) ||
        !front_ask(front, VU_GET_CONFIG, &config, 12 + (gsize)config.size, &answer, NULL, error)) {
        return FALSE;
    }
    front->capacity = ((struct virtio_blk_config *)(gpointer)answer.config.data)->capacity;
    return TRUE;
}

static gboolean
share_inflight(Front *front, GError **error)
{
    VuPayload answer;

    if (!((front->protocol_features >> VU_PROTOCOL_F_INFLIGHT_SHMFD) & 1)) {
        return TRUE;
    }
    if (front->inflight_fd < 0) {
        const VuInflight wanted = {.num_queues = (guint16)front->options.n_queues,
                                   .queue_size = (guint16)front->options.queue_size};

        if (!front_ask(front, VU_GET_INFLIGHT_FD, &wanted, sizeof(wanted), &answer,
                       &front->inflight_fd, error)) {
            return FALSE;
        }
        front->inflight = answer.inflight;
    }
    return front_send(front, VU_SET_INFLIGHT_FD, &front->inflight, sizeof(front->inflight),
                      &front->inflight_fd, 1, TRUE, error);
}

static gboolean
share_memory(Front *front, GError **error)
{
    const VuMemoryTable table = {
        .n_regions = 1,
        .regions = {{FRONT_GUEST_BASE, front->memory_bytes, (guint64)(gsize)front->memory, 0}},
    };

    return front_send(front, VU_SET_MEM_TABLE, &table, 8 + sizeof(VuMemoryRegion),
                      &front->memory_fd, 1, TRUE, error);
}

gboolean
front_start_queue(Front *front, guint index, GError **error)
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

    return front_send(front, VU_SET_VRING_NUM, &size, sizeof(size), NULL, 0, TRUE, error) &&
           front_send(front, VU_SET_VRING_BASE, &base, sizeof(base), NULL, 0, TRUE, error) &&
           front_send(front, VU_SET_VRING_ADDR, &address, sizeof(address), NULL, 0, TRUE, error) &&
           send_u64(front, VU_SET_VRING_CALL, index, &queue->call_fd, error) &&
           send_u64(front, VU_SET_VRING_KICK, index, &queue->kick_fd, error) &&
           front_send(front, VU_SET_VRING_ENABLE, &enable, sizeof(enable), NULL, 0, TRUE, error);
}

gboolean
front_connect(Front *front, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    front_disconnect(front);
    if (g_strlcpy(address.sun_path, front->options.socket, sizeof(address.sun_path)) >=
        sizeof(address.sun_path)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                    _("the socket's path '%s' is too long"), front->options.socket);
        return FALSE;
    }
    front->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (front->fd < 0 || connect(front->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot connect to %s"), front->options.socket);
        return FALSE;
    }
    if (!negotiate(front, error) || !share_inflight(front, error) || !share_memory(front, error)) {
        return FALSE;
    }
    for (guint i = 0; i < front->options.n_queues; i++) {
        if (!front_start_queue(front, i, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

void
front_disconnect(Front *front)
{
    gantry_fd_clear(&front->fd);
}

gboolean
front_is_gone(Front *front, int timeout_msec)
{
    struct pollfd poll_fd = {.fd = front->fd, .events = POLLIN | POLLRDHUP};

    return poll(&poll_fd, 1, timeout_msec) > 0;
}

gboolean
front_stop_queue(Front *front, guint index, guint32 *ret_base, GError **error)
{
    const VuVringState state = {index, 0};
    VuPayload answer;

    if (!front_ask(front, VU_GET_VRING_BASE, &state, sizeof(state), &answer, NULL, error)) {
        return FALSE;
    }
    if (ret_base) {
        *ret_base = answer.state.num;
    }
    return TRUE;
}
