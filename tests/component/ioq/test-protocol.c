/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a front end may say to gantry-ioq-worker, and what becomes of one that says something else.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "ioq_tuning/vhost_user/channel.h"
#include "worker-world.h"

#define PLENTY_MSEC 20000
#define DATA        0x10000U /* of requests, in a front's buffers */

static void
set_up(Worker *worker, gconstpointer data)
{
    worker_start(worker, &(const WorkerOptions){0});
}

static void
tear_down(Worker *worker, gconstpointer data)
{
    worker_stop(worker);
}

/* Refused with a word where one is wanted, and the connection goes on; else it ends. */
static void
assert_refused(Worker *worker, guint32 request, gconstpointer payload, gsize length, const int *fds,
               guint n_fds)
{
    gantry_autofd polite = worker_negotiate(worker);
    gint64 answer = worker_ack(polite, request, payload, length, fds, n_fds);

    if (answer != 1) {
        g_error("message %u of %zu bytes: %d", request, length, (int)answer);
    }
    worker_ask_u64(polite, VU_GET_FEATURES);
    gantry_fd_clear(&polite);
    {
        gantry_autofd silent = worker_negotiate(worker);

        worker_send(silent, request, payload, length, fds, n_fds);
        worker_assert_ends(silent);
    }
    worker_assert_serves(worker);
}

/* Shapes of messages */

typedef struct {
    VuRequest request;
    guint min_bytes;
    guint max_bytes;
    guint max_fds;
} Shape;

static const Shape shapes[] = {
    {VU_GET_FEATURES, 0, 0, 0},
    {VU_SET_FEATURES, 8, 8, 0},
    {VU_SET_OWNER, 0, 0, 0},
    {VU_RESET_OWNER, 0, 0, 0},
    {VU_SET_MEM_TABLE, 8, sizeof(VuMemoryTable), 8},
    {VU_SET_LOG_BASE, 16, 16, 1},
    {VU_SET_LOG_FD, 0, 8, 1},
    {VU_SET_VRING_NUM, 8, 8, 0},
    {VU_SET_VRING_ADDR, 40, 40, 0},
    {VU_SET_VRING_BASE, 8, 8, 0},
    {VU_GET_VRING_BASE, 8, 8, 0},
    {VU_SET_VRING_KICK, 8, 8, 1},
    {VU_SET_VRING_CALL, 8, 8, 1},
    {VU_SET_VRING_ERR, 8, 8, 1},
    {VU_GET_PROTOCOL_FEATURES, 0, 0, 0},
    {VU_SET_PROTOCOL_FEATURES, 8, 8, 0},
    {VU_GET_QUEUE_NUM, 0, 0, 0},
    {VU_SET_VRING_ENABLE, 8, 8, 0},
    {VU_SET_BACKEND_REQ_FD, 0, 8, 1},
    {VU_GET_CONFIG, 12, sizeof(VuConfig), 0},
    {VU_SET_CONFIG, 12, sizeof(VuConfig), 0},
    {VU_GET_INFLIGHT_FD, 20, 24, 0},
    {VU_SET_INFLIGHT_FD, 20, 24, 1},
    {VU_RESET_DEVICE, 0, 0, 0},
    {VU_GET_MAX_MEM_SLOTS, 0, 0, 0},
    {VU_ADD_MEM_REG, 40, 40, 1},
    {VU_REM_MEM_REG, 40, 40, 1},
    {VU_SET_STATUS, 8, 8, 0},
    {VU_GET_STATUS, 0, 0, 0},
};

static void
test_shapes(Worker *worker, gconstpointer data)
{
    gantry_autofd file = memfd_create("some", MFD_CLOEXEC);
    guint8 payload[sizeof(VuPayload)] = {0};
    int fds[VU_MAX_FDS];

    for (guint i = 0; i < VU_MAX_FDS; i++) {
        fds[i] = file;
    }
    for (guint i = 0; i < G_N_ELEMENTS(shapes); i++) {
        const Shape *shape = &shapes[i];

        if (shape->min_bytes > 0) {
            assert_refused(worker, shape->request, payload, shape->min_bytes - 1, NULL, 0);
        }
        assert_refused(worker, shape->request, payload, shape->max_bytes + 1, NULL, 0);
        if (shape->max_fds < VU_MAX_FDS) {
            assert_refused(worker, shape->request, payload, shape->min_bytes, fds,
                           shape->max_fds + 1);
        }
    }
}

static void
test_unknown(Worker *worker, gconstpointer data)
{
    static const guint32 unknown[] = {
        0,  VU_SEND_RARP, VU_NET_SET_MTU,     VU_IOTLB_MSG,      VU_SET_VRING_ENDIAN,
        26, 27,           VU_POSTCOPY_ADVISE, VU_GPU_SET_SOCKET, 35,
        41, 1000,         G_MAXUINT32};
    const guint64 payload = 0;

    for (guint i = 0; i < G_N_ELEMENTS(unknown); i++) {
        assert_refused(worker, unknown[i], &payload, sizeof(payload), NULL, 0);
    }
}

/* Of features that were not switched on; without REPLY_ACK, nothing is acknowledged. */
static void
test_features_off(Worker *worker, gconstpointer data)
{
    static const VuRequest requests[] = {VU_GET_QUEUE_NUM, VU_RESET_DEVICE, VU_GET_MAX_MEM_SLOTS,
                                         VU_GET_STATUS};

    for (guint i = 0; i < G_N_ELEMENTS(requests); i++) {
        gantry_autofd fd = worker_connect(worker);

        g_assert_cmpint(worker_ack(fd, requests[i], NULL, 0, NULL, 0), ==, WORKER_ENDED);
    }
    worker_assert_serves(worker);
}

/* Framing */

static void
send_bytes(int fd, gconstpointer bytes, gsize length)
{
    g_assert_cmpint(send(fd, bytes, length, MSG_NOSIGNAL), ==, (gssize)length);
}

static void
test_version(Worker *worker, gconstpointer data)
{
    for (guint32 version = 0; version < 4; version++) {
        const VuHeader header = {VU_GET_FEATURES, version, 0};
        gantry_autofd fd = worker_connect(worker);

        send_bytes(fd, &header, sizeof(header));
        if (version == VU_VERSION) {
            g_auto(VuMessage) message = {0};

            g_assert_true(vu_channel_receive(fd, PLENTY_MSEC, &message, NULL));
        } else {
            worker_assert_ends(fd);
        }
    }
    worker_assert_serves(worker);
}

static void
test_huge(Worker *worker, gconstpointer data)
{
    static const guint32 sizes[] = {sizeof(VuPayload) + 1, 4096, G_MAXINT32, G_MAXUINT32};

    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const VuHeader header = {VU_SET_MEM_TABLE, VU_VERSION, sizes[i]};
        gantry_autofd fd = worker_connect(worker);

        send_bytes(fd, &header, sizeof(header));
        worker_assert_ends(fd);
    }
    worker_assert_serves(worker);
}

static void
test_many_descriptors(Worker *worker, gconstpointer data)
{
    enum { MANY = 100 };
    const VuHeader header = {VU_GET_FEATURES, VU_VERSION, 0};

    for (guint n = VU_MAX_FDS + 1; n <= MANY; n += 13) {
        gantry_autofd fd = worker_connect(worker);
        union {
            char bytes[CMSG_SPACE(MANY * sizeof(int))];
            struct cmsghdr align;
        } control = {{0}};
        struct iovec iov = {(gpointer)&header, sizeof(header)};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = CMSG_SPACE(n * sizeof(int))};
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        for (guint i = 0; i < n; i++) {
            ((int *)(gpointer)CMSG_DATA(c))[i] = fd;
        }
        g_assert_cmpint(sendmsg(fd, &message, MSG_NOSIGNAL), ==, (gssize)sizeof(header));
        worker_assert_ends(fd);
    }
    worker_assert_serves(worker);
}

static void
test_half_a_message(Worker *worker, gconstpointer data)
{
    const struct {
        VuHeader header;
        guint8 bytes[12]; /* there is no padding before these */
    } message = {{VU_SET_FEATURES, VU_VERSION, 8}, {0}};

    /* Closed at each byte. */
    for (gsize length = 0; length < 20; length++) {
        gantry_autofd fd = worker_connect(worker);

        send_bytes(fd, &message, length);
    }
    {
        /* Silent: it is given up, and who comes next waits for no more than that. */
        gantry_autofd fd = worker_connect(worker);

        send_bytes(fd, &message, 14);
        worker_assert_serves(worker);
        worker_assert_ends(fd);
    }
}

/* A message in single bytes is a message. */
static void
test_slow_message(Worker *worker, gconstpointer data)
{
    gantry_autofd fd = worker_connect(worker);
    const VuHeader header = {VU_GET_FEATURES, VU_VERSION, 0};
    g_auto(VuMessage) message = {0};

    for (gsize i = 0; i < sizeof(header); i++) {
        send_bytes(fd, (const char *)&header + i, 1);
    }
    g_assert_true(vu_channel_receive(fd, PLENTY_MSEC, &message, NULL));
}

/* Order and values */

static void
test_values(Worker *worker, gconstpointer data)
{
    static const struct {
        VuRequest request;
        guint32 index;
        guint32 num;
    } states[] = {
        {VU_SET_VRING_NUM, 0, 0},     {VU_SET_VRING_NUM, 0, 1025},
        {VU_SET_VRING_NUM, 0, 65535}, {VU_SET_VRING_NUM, 0, 65536 + 64},
        {VU_SET_VRING_NUM, 16, 64},   {VU_SET_VRING_NUM, G_MAXUINT32, 64},
        {VU_SET_VRING_BASE, 16, 0},   {VU_GET_VRING_BASE, 16, 0},
        {VU_SET_VRING_ENABLE, 16, 1}, {VU_SET_VRING_ENABLE, 0, 2},
    };
    guint64 value;

    for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
        const VuVringState state = {states[i].index, states[i].num};

        assert_refused(worker, states[i].request, &state, sizeof(state), NULL, 0);
    }
    value = 1ULL << 63;
    assert_refused(worker, VU_SET_FEATURES, &value, sizeof(value), NULL, 0);
    assert_refused(worker, VU_SET_PROTOCOL_FEATURES, &value, sizeof(value), NULL, 0);
    value = 256;
    assert_refused(worker, VU_SET_STATUS, &value, sizeof(value), NULL, 0);
    value = 0; /* a kick without a descriptor that does not say so */
    assert_refused(worker, VU_SET_VRING_CALL, &value, sizeof(value), NULL, 0);
    assert_refused(worker, VU_SET_VRING_KICK, &value, sizeof(value), NULL, 0);
    value = 16 | VU_VRING_NOFD;
    assert_refused(worker, VU_SET_VRING_KICK, &value, sizeof(value), NULL, 0);
    value = 0 | VU_VRING_NOFD; /* before its address and size */
    assert_refused(worker, VU_SET_VRING_KICK, &value, sizeof(value), NULL, 0);
}

/* Each part that a kick needs, left out. */
static void
test_kick_too_early(Worker *worker, gconstpointer data)
{
    for (guint without = 0; without < 4; without++) {
        gantry_autofd fd = worker_negotiate(worker);
        const FrontOptions options = {.n_queues = 1, .queue_size = WORKER_QUEUE_SIZE};
        Front *front = front_new(&options, NULL);
        DriverRing *ring = &front->queues[0].ring;
        const VuMemoryTable table = {
            .n_regions = 1,
            .regions = {{FRONT_GUEST_BASE, front->memory_bytes, (guint64)(gsize)front->memory, 0}},
        };
        const VuVringAddr address = {.descriptor = (guint64)(gsize)ring->desc,
                                     .available = (guint64)(gsize)ring->avail,
                                     .used = (guint64)(gsize)ring->used};
        const guint64 kick = VU_VRING_NOFD;

        if (without != 0) {
            g_assert_cmpint(worker_ack(fd, VU_SET_MEM_TABLE, &table, 8 + sizeof(VuMemoryRegion),
                                       &front->memory_fd, 1),
                            ==, 0);
        }
        if (without != 1) {
            g_assert_cmpint(worker_ack(fd, VU_SET_VRING_ADDR, &address, sizeof(address), NULL, 0),
                            ==, 0);
        }
        if (without != 2) {
            /* Without: one that no split ring can have. */
            g_assert_cmpint(worker_ack_state(fd, VU_SET_VRING_NUM, 0, WORKER_QUEUE_SIZE), ==, 0);
        } else {
            g_assert_cmpint(worker_ack_state(fd, VU_SET_VRING_NUM, 0, 3), ==, 0);
        }
        g_assert_cmpint(worker_ack(fd, VU_SET_VRING_KICK, &kick, sizeof(kick), NULL, 0), ==,
                        without < 3 ? 1 : 0);
        front_free(front);
    }
    worker_assert_serves(worker);
}

static void
test_while_running(Worker *worker, gconstpointer data)
{
    Front *front = worker_front(worker, &(const FrontOptions){.inflight = TRUE});
    const guint64 features = front->features ^ 1ULL << VIRTIO_BLK_F_FLUSH;
    VuVringAddr address = {.descriptor = (guint64)(gsize)front->queues[0].ring.desc,
                           .available = (guint64)(gsize)front->queues[0].ring.avail,
                           .used = (guint64)(gsize)front->queues[0].ring.used};

    g_assert_cmpint(worker_ack(front->fd, VU_SET_FEATURES, &features, 8, NULL, 0), ==, 1);
    g_assert_cmpint(worker_ack_state(front->fd, VU_SET_VRING_NUM, 0, 32), ==, 1);
    g_assert_cmpint(worker_ack_state(front->fd, VU_SET_VRING_BASE, 0, 5), ==, 1);
    g_assert_cmpint(worker_ack(front->fd, VU_SET_VRING_ADDR, &address, sizeof(address), NULL, 0),
                    ==, 0);
    address.used += 4;
    g_assert_cmpint(worker_ack(front->fd, VU_SET_VRING_ADDR, &address, sizeof(address), NULL, 0),
                    ==, 1);
    g_assert_cmpint(worker_ack(front->fd, VU_SET_INFLIGHT_FD, &front->inflight,
                               sizeof(front->inflight), &front->inflight_fd, 1),
                    ==, 1);
    worker_do(front, 0, VIRTIO_BLK_T_IN, 1, 512, DATA);
    g_assert_cmpint(front->buffers[DATA], ==, 'b');
    front_free(front);
}

static void
test_base_of_a_stopped_queue(Worker *worker, gconstpointer data)
{
    gantry_autofd fd = worker_negotiate(worker);
    const VuVringState state = {3, 0};

    g_assert_cmpint(worker_ack_state(fd, VU_SET_VRING_BASE, 3, 77), ==, 0);
    for (guint i = 0; i < 2; i++) {
        g_auto(VuMessage) message = {0};

        g_assert_true(worker_ask(fd, VU_GET_VRING_BASE, &state, sizeof(state), &message));
        g_assert_cmpuint(message.payload.state.index, ==, 3);
        g_assert_cmpuint(message.payload.state.num, ==, 77);
    }
}

static void
test_stop_and_start(Worker *worker, gconstpointer data)
{
    for (guint packed = 0; packed < 2; packed++) {
        Front *front =
            worker_front(worker, &(const FrontOptions){.packed = packed, .event_idx = TRUE});

        for (guint i = 0; i < 3; i++) {
            guint32 base = 0;

            for (guint k = 0; k < 50; k++) {
                worker_do(front, 0, VIRTIO_BLK_T_IN, k, 512, DATA);
                g_assert_cmpint(front->buffers[DATA], ==, 'a' + (int)k % 26);
            }
            g_assert_true(front_stop_queue(front, 0, &base, NULL));
            g_assert_cmphex(base, ==, driver_ring_base(&front->queues[0].ring));
            g_assert_true(front_connect(front, NULL));
        }
        front_free(front);
    }
}

static void
test_inflight_lengths(Worker *worker, gconstpointer data)
{
    static const gsize lengths[] = {VU_INFLIGHT_MIN_BYTES, sizeof(VuInflight)};

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        gantry_autofd fd = worker_negotiate(worker);
        const VuInflight wanted = {.num_queues = 2, .queue_size = 128};
        g_auto(VuMessage) message = {0};
        gantry_autofd region = -1;

        g_assert_true(worker_ask(fd, VU_GET_INFLIGHT_FD, &wanted, lengths[i], &message));
        g_assert_cmpuint(message.header.size, ==, lengths[i]);
        g_assert_cmpuint(message.payload.inflight.num_queues, ==, 2);
        g_assert_cmpuint(message.payload.inflight.queue_size, ==, 128);
        g_assert_cmpuint(message.payload.inflight.mmap_size, >=, 2 * 16 * 129);
        g_assert_cmpuint(message.n_fds, ==, 1);
        region = vu_message_take_fd(&message, 0);
        g_assert_cmpint(lseek(region, 0, SEEK_END), ==, (gint64)message.payload.inflight.mmap_size);
        g_assert_cmpint(
            worker_ack(fd, VU_SET_INFLIGHT_FD, &message.payload.inflight, lengths[i], &region, 1),
            ==, 0);
        message.payload.inflight.mmap_size++;
        g_assert_cmpint(
            worker_ack(fd, VU_SET_INFLIGHT_FD, &message.payload.inflight, lengths[i], &region, 1),
            ==, 1);
    }
}

static void
test_inflight_refusals(Worker *worker, gconstpointer data)
{
    static const VuInflight wrong[] = {
        {.num_queues = 0, .queue_size = 128},
        {.num_queues = WORKER_MAX_QUEUES + 1, .queue_size = 128},
        {.num_queues = 1, .queue_size = 0},
        {.num_queues = 1, .queue_size = 1025},
    };

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        assert_refused(worker, VU_GET_INFLIGHT_FD, &wrong[i], sizeof(wrong[i]), NULL, 0);
    }
    {
        static const VuInflight unsealed = {.mmap_size = 4096, .num_queues = 1, .queue_size = 64};
        gantry_autofd file = memfd_create("inflight", MFD_CLOEXEC);

        g_assert_cmpint(ftruncate(file, 4096), ==, 0);
        assert_refused(worker, VU_SET_INFLIGHT_FD, &unsealed, sizeof(unsealed), &file, 1);
    }
}

static void
test_config_space(Worker *worker, gconstpointer data)
{
    gantry_autofd fd = worker_negotiate(worker);
    VuConfig config = {.offset = 0, .size = 8};
    g_auto(VuMessage) good = {0};
    g_auto(VuMessage) bad = {0};
    guint64 capacity;

    g_assert_true(worker_ask(fd, VU_GET_CONFIG, &config, 12 + 8, &good));
    g_assert_cmpuint(good.header.size, ==, 20);
    memcpy(&capacity, good.payload.config.data, sizeof(capacity));
    g_assert_cmpuint(capacity, ==, WORKER_SECTORS);
    config.size = VU_CONFIG_MAX_BYTES + 1;
    g_assert_true(worker_ask(fd, VU_GET_CONFIG, &config, 12, &bad));
    g_assert_cmpuint(bad.header.size, ==, 0);

    config = (VuConfig){.offset = G_STRUCT_OFFSET(struct virtio_blk_config, wce), .size = 1};
    g_assert_cmpint(worker_ack(fd, VU_SET_CONFIG, &config, 13, NULL, 0), ==, 1);
    config.offset = 0;
    g_assert_cmpint(worker_ack(fd, VU_SET_CONFIG, &config, 13, NULL, 0), ==, 1);
}

static void
test_status(Worker *worker, gconstpointer data)
{
    gantry_autofd fd = worker_negotiate(worker);
    guint64 status = 0x0f;

    g_assert_cmpuint(worker_ask_u64(fd, VU_GET_STATUS), ==, 0);
    g_assert_cmpint(worker_ack(fd, VU_SET_STATUS, &status, 8, NULL, 0), ==, 0);
    g_assert_cmpuint(worker_ask_u64(fd, VU_GET_STATUS), ==, 0x0f);
    status = 0;
    g_assert_cmpint(worker_ack(fd, VU_SET_STATUS, &status, 8, NULL, 0), ==, 0);
    g_assert_cmpuint(worker_ask_u64(fd, VU_GET_STATUS), ==, 0);
    g_assert_cmpuint(worker_ask_u64(fd, VU_GET_QUEUE_NUM), ==, WORKER_MAX_QUEUES);
    g_assert_cmpuint(worker_ask_u64(fd, VU_GET_MAX_MEM_SLOTS), ==, 512);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, set_up_of, function) \
    g_test_add("/ioq/protocol/" name, Worker, NULL, set_up_of, function, tear_down)
    ADD("shapes", set_up, test_shapes);
    ADD("unknown", set_up, test_unknown);
    ADD("features-off", set_up, test_features_off);
    ADD("version", set_up, test_version);
    ADD("huge", set_up, test_huge);
    ADD("many-descriptors", set_up, test_many_descriptors);
    ADD("half-a-message", set_up, test_half_a_message);
    ADD("slow-message", set_up, test_slow_message);
    ADD("values", set_up, test_values);
    ADD("kick-too-early", set_up, test_kick_too_early);
    ADD("while-running", set_up, test_while_running);
    ADD("base-of-a-stopped-queue", set_up, test_base_of_a_stopped_queue);
    ADD("stop-and-start", set_up, test_stop_and_start);
    ADD("inflight-lengths", set_up, test_inflight_lengths);
    ADD("inflight-refusals", set_up, test_inflight_refusals);
    ADD("config-space", set_up, test_config_space);
    ADD("status", set_up, test_status);
    return g_test_run();
}
