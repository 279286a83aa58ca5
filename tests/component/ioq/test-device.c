/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What gantry-ioq-worker does for a front end that keeps the rules, or changes its mind. */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
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
set_up_slow(Worker *worker, gconstpointer data)
{
    worker_start(worker, &(const WorkerOptions){.delay_usec = 100000});
}

static void
tear_down(Worker *worker, gconstpointer data)
{
    worker_stop(worker);
}

/* Resets with requests in flight: all of them are done when it is acknowledged. */
static void
test_reset(Worker *worker, gconstpointer data)
{
    const guint64 zero = 0;

    for (guint by_status = 0; by_status < 2; by_status++) {
        Front *front = worker_front(worker, &(const FrontOptions){.n_queues = 2});
        guint n = WORKER_QUEUE_SIZE / 4;
        guint64 status = 0x0f;

        g_assert_cmpint(worker_ack(front->fd, VU_SET_STATUS, &status, 8, NULL, 0), ==, 0);
        /* Ids of the ring are fetched at once, with the first notification as the proof. */
        for (guint16 id = 0; id < n; id++) {
            worker_submit(front, 1, id, VIRTIO_BLK_T_IN, id, 512, DATA);
        }
        {
            guint16 id;

            g_assert_cmpuint(worker_finish(front, 1, &id), ==, VIRTIO_BLK_S_OK);
        }
        g_assert_cmpint(by_status ? worker_ack(front->fd, VU_SET_STATUS, &zero, 8, NULL, 0)
                                  : worker_ack(front->fd, VU_RESET_DEVICE, NULL, 0, NULL, 0),
                        ==, 0);
        for (guint i = 1; i < n; i++) {
            guint16 id;
            guint32 length;

            g_assert_true(driver_ring_take_used(&front->queues[1].ring, &id, &length));
        }
        g_assert_cmpuint(worker_ask_u64(front->fd, VU_GET_STATUS), ==, 0);
        /* Nothing is set any more. */
        {
            const guint64 kick = 1 | VU_VRING_NOFD;

            g_assert_cmpint(worker_ack(front->fd, VU_SET_VRING_KICK, &kick, 8, NULL, 0), ==, 1);
        }
        front_free(front);
    }
}

/* What a worker says of itself */

static guint
count_in_flight(Worker *worker)
{
    g_autoptr(JsonObject) status = worker_status(worker);
    JsonArray *queues = json_object_get_array_member(status, "queues");

    return (guint)json_object_get_int_member(json_array_get_object_element(queues, 0), "in_flight");
}

/* What queue 0 has taken from its ring so far: of one moment. */
static guint
count_fetched(Worker *worker)
{
    g_autoptr(JsonObject) status = worker_status(worker);
    JsonArray *queues = json_object_get_array_member(status, "queues");
    JsonObject *queue = json_array_get_object_element(queues, 0);

    return (guint)(json_object_get_int_member(queue, "requests") +
                   json_object_get_int_member(queue, "in_flight"));
}

static void
assert_sectors(Front *front, guint64 sectors)
{
    VuConfig config = {.size = 8};
    g_auto(VuMessage) answer = {0};
    guint64 capacity;

    g_assert_true(worker_ask(front->fd, VU_GET_CONFIG, &config, 20, &answer));
    memcpy(&capacity, answer.payload.config.data, sizeof(capacity));
    g_assert_cmpuint(capacity, ==, sectors);
}

/* Memory */

static void
test_memory_slots(Worker *worker, gconstpointer data)
{
    enum { SLOTS = 20, PAGE = 4096 };
    Front *front = worker_front(worker, &(const FrontOptions){0});
    gantry_autofd file = memfd_create("slots", MFD_CLOEXEC);
    guint64 guest = 0x10000;
    char *bytes;

    g_assert_cmpint(ftruncate(file, SLOTS * PAGE), ==, 0);
    bytes = mmap(NULL, SLOTS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    for (guint i = 0; i < SLOTS; i++) {
        const VuSingleRegion slot = {
            0, {guest + i * (guint64)PAGE, PAGE, 0x1000 + i * (guint64)PAGE, i * (guint64)PAGE}};

        g_assert_cmpint(worker_ack(front->fd, VU_ADD_MEM_REG, &slot, sizeof(slot), &file, 1), ==,
                        0);
        /* Twice is an overlap; and one without a descriptor is none. */
        g_assert_cmpint(worker_ack(front->fd, VU_ADD_MEM_REG, &slot, sizeof(slot), &file, 1), ==,
                        1);
    }
    /* One request over all of them. */
    {
        DriverRing *ring = &front->queues[0].ring;
        char *slot = front->buffers;
        guint16 id;
        const DriverPiece pieces[] = {
            {front_guest_address(front, slot), 16, FALSE},
            {guest, SLOTS * PAGE, TRUE},
            {front_guest_address(front, slot) + 32, 1, TRUE},
        };

        memset(slot, 0, 16);
        slot[32] = (char)0xaa;
        driver_ring_add(ring, 0, pieces, 3, NULL, 0);
        eventfd_write(front->queues[0].kick_fd, 1);
        g_assert_cmpuint(worker_finish(front, 0, &id), ==, VIRTIO_BLK_S_OK);
        for (guint i = 0; i < SLOTS * PAGE / 512; i++) {
            g_assert_cmpint(bytes[i * 512], ==, 'a' + (int)i % 26);
        }
    }
    for (guint i = 0; i < SLOTS; i++) {
        const VuSingleRegion slot = {
            0, {guest + i * (guint64)PAGE, PAGE, 0x1000 + i * (guint64)PAGE, i * (guint64)PAGE}};

        g_assert_cmpint(worker_ack(front->fd, VU_REM_MEM_REG, &slot, sizeof(slot), NULL, 0), ==, 0);
        g_assert_cmpint(worker_ack(front->fd, VU_REM_MEM_REG, &slot, sizeof(slot), NULL, 0), ==, 1);
    }
    munmap(bytes, SLOTS * PAGE);
    front_free(front);
}

/* A request whose data and status are in a region that is taken away while it is in the store. */
static void
submit_into_region(Front *front, guint index, guint16 id, guint64 guest)
{
    FrontQueue *queue = &front->queues[index];
    char *header = front->buffers + DATA + 1024;
    const DriverPiece pieces[] = {
        {front_guest_address(front, header), 16, FALSE},
        {guest, 512, TRUE},
        {guest + 512, 1, TRUE},
    };

    memset(header, 0, 16);
    driver_ring_add(&queue->ring, id, pieces, 3, NULL, 0);
    eventfd_write(queue->kick_fd, 1);
}

static gboolean
has_mapped(const Worker *worker, const char *name)
{
    g_autofree char *path =
        g_strdup_printf("/proc/%s/maps", g_subprocess_get_identifier(worker->process));
    g_autofree char *maps = NULL;

    g_assert_true(g_file_get_contents(path, &maps, NULL, NULL));
    return strstr(maps, name) != NULL;
}

/* The table changes while requests are in the store; each goes to the memory that it was read
 * with, which stays until the last of them has ended. */
static void
test_memory_under_load(Worker *worker, gconstpointer data)
{
    Front *front = worker_front(worker, &(const FrontOptions){.n_queues = 2, .inflight = TRUE});
    gantry_autofd file = memfd_create("more", MFD_CLOEXEC);
    const VuSingleRegion extra = {0, {0x10000, 4096, 0x1000, 0}};
    guint n = WORKER_QUEUE_SIZE / 4;
    guint n_seen = 0;

    g_assert_cmpint(ftruncate(file, 4096), ==, 0);
    /* Until the request was in the store when its memory was taken away: not on a busy machine. */
    for (guint round = 0; round < 3 || (n_seen == 0 && round < 100); round++) {
        char status = (char)0xaa;
        gboolean is_mapped;

        g_assert_cmpint(pwrite(file, &status, 1, 512), ==, 1);
        for (guint16 id = 0; id < n - 1; id++) {
            worker_submit(front, 0, id, VIRTIO_BLK_T_IN, id, 512, DATA);
            worker_submit(front, 1, id, VIRTIO_BLK_T_IN, id, 512, DATA);
        }
        g_assert_cmpint(worker_ack(front->fd, VU_ADD_MEM_REG, &extra, sizeof(extra), &file, 1), ==,
                        0);
        submit_into_region(front, 0, (guint16)(n - 1), extra.region.guest_address);
        while (count_fetched(worker) < (round + 1) * n) {
            /* it is read from the ring with this table */
        }
        for (guint i = 0; i < 5; i++) {
            g_assert_cmpint(worker_ack(front->fd, VU_REM_MEM_REG, &extra, sizeof(extra), NULL, 0),
                            ==, 0);
            g_assert_cmpint(worker_ack(front->fd, VU_ADD_MEM_REG, &extra, sizeof(extra), &file, 1),
                            ==, 0);
        }
        g_assert_cmpint(worker_ack(front->fd, VU_REM_MEM_REG, &extra, sizeof(extra), NULL, 0), ==,
                        0);
        is_mapped = has_mapped(worker, "memfd:more");
        g_assert_cmpint(pread(file, &status, 1, 512), ==, 1);
        if (status == (char)0xaa) {
            g_assert_true(is_mapped);
            n_seen++;
        }
        for (guint i = 0; i < 2 * n - 1; i++) {
            guint16 id;

            worker_finish(front, i % 2, &id); /* the one has its status elsewhere */
        }
        g_assert_cmpint(pread(file, &status, 1, 512), ==, 1);
        g_assert_cmpint(status, ==, VIRTIO_BLK_S_OK);
        g_assert_false(has_mapped(worker, "memfd:more"));
    }
    g_assert_cmpuint(n_seen, >, 0);
    front_free(front);
}

/* An image that has grown since the worker began. */
static void
test_grown_before_the_start(Worker *worker, gconstpointer data)
{
    Front *front;

    worker_assert_serves(worker); /* it has looked at it */
    g_assert_cmpint(truncate(worker->image, 2 * WORKER_SECTORS * 512), ==, 0);
    front = worker_front(worker, &(const FrontOptions){0});
    assert_sectors(front, 2 * WORKER_SECTORS);
    worker_do(front, 0, VIRTIO_BLK_T_IN, 2 * WORKER_SECTORS - 1, 512, DATA);
    front_free(front);
}

/* Without FLUSH, what a driver has written is there when it is told so. */
static void
test_write_through(Worker *worker, gconstpointer data)
{
    for (guint flush = 0; flush < 2; flush++) {
        gantry_autofd fd = worker_connect(worker);
        guint64 features = worker_ask_u64(fd, VU_GET_FEATURES);
        g_autoptr(JsonObject) status = NULL;

        features &= ~((guint64)!flush << VIRTIO_BLK_F_FLUSH);
        worker_send(fd, VU_SET_FEATURES, &features, 8, NULL, 0);
        worker_ask_u64(fd, VU_GET_FEATURES); /* the other has been taken */
        status = worker_status(worker);
        g_assert_cmpint(json_object_get_boolean_member(status, "write_back"), ==, flush);
    }
}

/* CPUs that went away after the disk was set up. */
static void
test_absent_cpus(gconstpointer data)
{
    Worker worker = {0};
    Front *front;

    worker_start(&worker, &(const WorkerOptions){.cpus = "1000-1001"});
    front = worker_front(&worker, &(const FrontOptions){0});
    worker_do(front, 0, VIRTIO_BLK_T_IN, 0, 512, DATA);
    front_free(front);
    worker_stop(&worker);
}

/* A device that was reset begins anew, whatever stood in its in-flight region. */
static void
test_reset_of_region(Worker *worker, gconstpointer data)
{
    const gsize bytes = 256;
    Front *front = worker_front(worker, &(const FrontOptions){.inflight = TRUE, .packed = TRUE});
    g_autofree char *zeroes = g_malloc0(bytes);
    g_autofree char *region = g_malloc0(bytes);

    worker_do(front, 0, VIRTIO_BLK_T_IN, 0, 512, DATA);
    g_assert_cmpint(pread(front->inflight_fd, region, bytes, (off_t)front->inflight.mmap_offset),
                    ==, (gssize)bytes);
    g_assert_cmpint(memcmp(region, zeroes, bytes), !=, 0);
    g_assert_cmpint(worker_ack(front->fd, VU_RESET_DEVICE, NULL, 0, NULL, 0), ==, 0);
    g_assert_cmpint(pread(front->inflight_fd, region, bytes, (off_t)front->inflight.mmap_offset),
                    ==, (gssize)bytes);
    g_assert_cmpmem(region, bytes, zeroes, bytes);
    front_free(front);
}

/* A table that lacks the ring of one queue is refused for all of them. */
static void
test_refused_memory(Worker *worker, gconstpointer data)
{
    Front *front = worker_front(worker, &(const FrontOptions){.n_queues = 2});
    gsize ring_bytes = driver_ring_bytes(WORKER_QUEUE_SIZE);
    const VuMemoryTable table = {
        .n_regions = 1,
        .regions = {{FRONT_GUEST_BASE, ring_bytes, (guint64)(gsize)front->memory, 0}},
    };

    g_assert_cmpint(worker_ack(front->fd, VU_SET_MEM_TABLE, &table, 8 + sizeof(VuMemoryRegion),
                               &front->memory_fd, 1),
                    ==, 1);
    worker_do(front, 0, VIRTIO_BLK_T_IN, 2, 512, DATA);
    worker_do(front, 1, VIRTIO_BLK_T_IN, 3, 512, DATA);
    g_assert_cmpint(front->buffers[DATA], ==, 'd');
    front_free(front);
}

/* Memory that is cut off ends the connection, and no more. */
static void
test_cut_off_memory(Worker *worker, gconstpointer data)
{
    for (guint packed = 0; packed < 2; packed++) {
        Front *front = worker_front(worker, &(const FrontOptions){.packed = packed});

        worker_do(front, 0, VIRTIO_BLK_T_IN, 0, 512, DATA);
        g_assert_cmpint(ftruncate(front->memory_fd, 0), ==, 0);
        eventfd_write(front->queues[0].kick_fd, 1);
        worker_assert_ends(front->fd);
        front_free(front);
        worker_assert_serves(worker);
    }
}

/* Ends while a hundred requests are in the store: that they end is waited for. */
static void
test_end_under_load(gconstpointer data)
{
    for (guint i = 0; i < 5; i++) {
        Worker worker = {0};
        Front *front;

        worker_start(&worker, &(const WorkerOptions){.delay_usec = 20000});
        front = worker_front(&worker, &(const FrontOptions){.n_queues = 8});
        for (guint16 id = 0; id < WORKER_QUEUE_SIZE / 4; id++) {
            for (guint queue = 0; queue < 8; queue++) {
                worker_submit(front, queue, id, VIRTIO_BLK_T_IN, id, 512, DATA);
            }
        }
        worker_stop(&worker);
        front_free(front);
    }
}

/* Stopping a queue */

enum { N_SLOW = 16 };

/* Takes what the ring says; no id twice. */
static guint
take_ended(Front *front, gboolean *seen)
{
    guint n = 0;
    guint16 id;
    guint32 length;

    while (driver_ring_take_used(&front->queues[0].ring, &id, &length)) {
        g_assert_cmpuint(id, <, N_SLOW);
        g_assert_false(seen[id]);
        seen[id] = TRUE;
        n++;
    }
    return n;
}

/* No front end is let in before the store has answered for the last one; it is not kept waiting
 * either. Returns: how many were turned away. */
static guint
wait_for_store(const Worker *worker)
{
    guint n_refused = 0;

    for (;; n_refused++) {
        gantry_autofd fd = worker_connect(worker);
        const VuHeader header = {VU_GET_FEATURES, VU_VERSION, 0};
        g_auto(VuMessage) answer = {0};

        if (vu_channel_send(fd, PLENTY_MSEC, &header, NULL, NULL, 0, NULL) &&
            vu_channel_receive(fd, PLENTY_MSEC, &answer, NULL)) {
            return n_refused;
        }
    }
}

static void
submit_slowly(Worker *worker, Front *front)
{
    for (guint16 id = 0; id < N_SLOW; id++) {
        worker_submit(front, 0, id, VIRTIO_BLK_T_IN, 0, 512, DATA);
    }
    while (count_fetched(worker) == 0) {
        /* they come */
    }
}

/* Storage that hangs does not make the VM hang: when the limit has passed the connection ends. It
 * is not said that the queue has stopped, and what was in the store is done, once. */
static void
test_drain_limit(gconstpointer data)
{
    static const guint64 zero = 0;

    for (guint by = 0; by < 3; by++) {
        Worker worker = {0};
        Front *front;
        gboolean seen[N_SLOW] = {FALSE};
        guint n;

        worker_start(&worker, &(const WorkerOptions){.delay_usec = 900000, .drain_msec = 1});
        front = worker_front(
            &worker, &(const FrontOptions){.inflight = TRUE, .packed = GPOINTER_TO_INT(data)});
        submit_slowly(&worker, front);
        if (by == 0) {
            g_assert_false(front_stop_queue(front, 0, NULL, NULL));
        } else {
            g_assert_cmpint(by == 1 ? worker_ack(front->fd, VU_SET_STATUS, &zero, 8, NULL, 0)
                                    : worker_ack(front->fd, VU_RESET_DEVICE, NULL, 0, NULL, 0),
                            ==, WORKER_ENDED);
        }
        n = take_ended(front, seen);
        g_assert_cmpuint(n, <, N_SLOW);
        g_assert_cmpuint(wait_for_store(&worker), >, 0);
        g_assert_cmpuint(n + take_ended(front, seen), ==, N_SLOW);
        g_assert_true(front_connect(front, NULL));
        worker_do(front, 0, VIRTIO_BLK_T_IN, 0, 512, DATA);
        front_free(front);
        worker_stop(&worker);
    }
}

/* Requests that a back end has begun and not ended, and a queue that is started again, but not
 * enabled, before it is stopped: without the feature they are done first, with it they are left. */
static void
test_leave_inflight(gconstpointer data)
{
    gboolean leaves = GPOINTER_TO_INT(data);
    Worker worker = {0};
    Front *front;
    gboolean seen[N_SLOW] = {FALSE};
    guint n;

    worker_start(&worker, &(const WorkerOptions){.delay_usec = 900000});
    front = worker_front(&worker, &(const FrontOptions){.inflight = TRUE});
    submit_slowly(&worker, front);
    worker_kill(&worker);
    n = take_ended(front, seen);
    g_assert_cmpuint(n, <, N_SLOW);

    front->options.disabled = TRUE;
    front->options.leaves_inflight = leaves;
    g_assert_true(front_connect(front, NULL));
    g_assert_cmpuint(count_in_flight(&worker), ==, 0);
    g_assert_true(front_stop_queue(front, 0, NULL, NULL));
    if (leaves) {
        g_assert_cmpuint(take_ended(front, seen), ==, 0);
    } else {
        n += take_ended(front, seen);
        g_assert_cmpuint(n, ==, N_SLOW);
    }

    front->options.disabled = FALSE;
    g_assert_true(front_connect(front, NULL));
    for (n += take_ended(front, seen); n < N_SLOW; n++) {
        guint16 id;

        g_assert_cmpuint(worker_finish(front, 0, &id), ==, VIRTIO_BLK_S_OK);
        g_assert_false(seen[id]);
        seen[id] = TRUE;
    }
    front_free(front);
    worker_stop(&worker);
}

/* A worker that is told to end closes its connection when all has ended, and not before: the front
 * end may find the next back end at once. */
static void
test_connection_ends_last(gconstpointer data)
{
    Worker worker = {0};
    Front *front;
    gboolean seen[N_SLOW] = {FALSE};
    guint n = 0;

    worker_start(&worker, &(const WorkerOptions){.delay_usec = 300000});
    front = worker_front(&worker, &(const FrontOptions){.inflight = TRUE});
    for (guint16 id = 0; id < N_SLOW; id++) {
        worker_submit(front, 0, id, VIRTIO_BLK_T_IN, 0, 512, DATA);
    }
    while (n + count_in_flight(&worker) < N_SLOW) {
        n += take_ended(front, seen);
    }
    g_subprocess_send_signal(worker.process, SIGTERM);
    g_assert_true(front_is_gone(front, PLENTY_MSEC));
    g_assert_cmpuint(n + take_ended(front, seen), ==, N_SLOW);
    worker_stop(&worker);
    front_free(front);
}

/* The rest */

static int
open_backend_channel(Front *front)
{
    guint64 features = worker_ask_u64(front->fd, VU_GET_PROTOCOL_FEATURES);
    int channel[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), ==, 0);
    worker_send(front->fd, VU_SET_PROTOCOL_FEATURES, &features, 8, NULL, 0);
    g_assert_cmpint(worker_ack(front->fd, VU_SET_BACKEND_REQ_FD, NULL, 0, &channel[1], 1), ==, 0);
    close(channel[1]);
    return channel[0];
}

static void
assert_told_of_config(int channel)
{
    g_auto(VuMessage) change = {0};

    g_assert_true(vu_channel_receive(channel, PLENTY_MSEC, &change, NULL));
    g_assert_cmpuint(change.header.request, ==, VU_BACKEND_CONFIG_CHANGE_MSG);
    g_assert_cmpuint(change.header.size, ==, 0);
}

static void
test_resize(Worker *worker, gconstpointer data)
{
    Front *front = worker_front(worker, &(const FrontOptions){0});
    int channel = open_backend_channel(front);

    g_assert_cmpint(truncate(worker->image, 2 * WORKER_SECTORS * 512), ==, 0);
    worker_refresh(worker);
    assert_told_of_config(channel);
    assert_sectors(front, 2 * WORKER_SECTORS);
    worker_do(front, 0, VIRTIO_BLK_T_IN, 2 * WORKER_SECTORS - 1, 512, DATA);
    close(channel);
    front_free(front);
}

/* The disk grows between two starts of the driver; then a front end is told at the second. */
static void
test_resize_unseen(Worker *worker, gconstpointer data)
{
    Front *front = worker_front(worker, &(const FrontOptions){0});
    int channel;

    g_assert_true(front_stop_queue(front, 0, NULL, NULL));
    g_assert_cmpint(truncate(worker->image, 2 * WORKER_SECTORS * 512), ==, 0);
    worker_refresh(worker);
    channel = open_backend_channel(front);
    g_assert_true(front_start_queue(front, 0, NULL));
    assert_told_of_config(channel);
    assert_sectors(front, 2 * WORKER_SECTORS);
    close(channel);
    front_free(front);
}

/* Threads of the started queues, by queue. */
static void
read_threads(Worker *worker, guint n_queues, gint64 *ret_threads)
{
    g_autoptr(JsonObject) status = worker_status(worker);
    JsonArray *queues = json_object_get_array_member(status, "queues");

    g_assert_cmpuint(json_array_get_length(queues), ==, n_queues);
    for (guint i = 0; i < n_queues; i++) {
        JsonObject *queue = json_array_get_object_element(queues, i);

        g_assert_cmpint(json_object_get_int_member(queue, "queue"), ==, (gint64)i);
        ret_threads[i] = json_object_get_int_member(queue, "thread");
    }
}

static void
test_threads(gconstpointer data)
{
    guint k = GPOINTER_TO_UINT(data);
    const WorkerOptions options = {.n_queues_per_thread = k};
    Worker worker = {0};

    worker_start(&worker, &options);
    for (guint n = 1; n <= WORKER_MAX_QUEUES; n++) {
        Front *front = worker_front(&worker, &(const FrontOptions){.n_queues = n});
        gint64 threads[WORKER_MAX_QUEUES];
        gint64 again[WORKER_MAX_QUEUES];
        g_autoptr(GHashTable) different = g_hash_table_new(g_int64_hash, g_int64_equal);

        read_threads(&worker, n, threads);
        for (guint i = 0; i < n; i++) {
            g_assert_true(threads[i] == threads[i / k * k]); /* queue i is of thread i / k */
            g_hash_table_add(different, &threads[i]);
            worker_do(front, i, VIRTIO_BLK_T_IN, i, 512, DATA);
        }
        g_assert_cmpuint(g_hash_table_size(different), ==, (n + k - 1) / k);
        read_threads(&worker, n, again);
        g_assert_cmpmem(threads, n * sizeof(*threads), again, n * sizeof(*again));
        front_free(front);
    }
    worker_stop(&worker);
}

/* Firmware reads from the first queue only; the system after it starts all of them. Threads are
 * made from what is started, and a queue's thread hangs on its number alone. */
static void
test_hand_over(gconstpointer data)
{
    enum { N = 4, K = 2 };
    Worker worker = {0};
    Front *front;
    gint64 threads[N];

    worker_start(&worker, &(const WorkerOptions){.n_queues_per_thread = K});
    front = worker_front(&worker, &(const FrontOptions){.n_queues = N});
    for (guint round = 0; round < 2; round++) {
        for (guint i = 0; i < N; i++) {
            g_assert_true(front_stop_queue(front, i, NULL, NULL));
        }
        read_threads(&worker, 0, threads);
        g_assert_true(front_start_queue(front, 0, NULL));
        worker_do(front, 0, VIRTIO_BLK_T_IN, 0, 512, DATA);
        read_threads(&worker, 1, threads);
        g_assert_true(front_stop_queue(front, 0, NULL, NULL));
        for (guint i = N; i > 0; i--) {
            g_assert_true(front_start_queue(front, i - 1, NULL));
        }
        for (guint i = 0; i < N; i++) {
            worker_do(front, i, VIRTIO_BLK_T_IN, i, 512, DATA);
        }
        read_threads(&worker, N, threads);
        g_assert_cmpint(threads[0], ==, threads[1]);
        g_assert_cmpint(threads[2], ==, threads[3]);
        g_assert_cmpint(threads[0], !=, threads[2]);
    }
    front_free(front);
    worker_stop(&worker);
}

static void
test_dirty_log(Worker *worker, gconstpointer data)
{
    enum { PAGE = 4096, LOG_BYTES = 0x30000 }; /* to the front's guest addresses and beyond */
    Front *front = worker_front(worker, &(const FrontOptions){.memory_bytes = 1U << 20});
    DriverRing *ring = &front->queues[0].ring;
    gantry_autofd file = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const VuLog log = {LOG_BYTES, 0};
    guint64 features = front->features | 1ULL << VHOST_F_LOG_ALL;
    guint8 *bits;
    const struct {
        gconstpointer start;
        gsize length;
    } touched[] = {
        {front->buffers + DATA + 100, 3 * PAGE},
        {(char *)ring->used, 16},
        {front->buffers, 64},
    };

    g_assert_cmpint(ftruncate(file, LOG_BYTES), ==, 0);
    g_assert_cmpint(worker_ack(front->fd, VU_SET_LOG_BASE, &log, sizeof(log), &file, 1), ==, 1);
    g_assert_cmpint(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    g_assert_cmpint(worker_ack(front->fd, VU_SET_LOG_BASE, &log, sizeof(log), &file, 1), ==, 0);
    for (guint on = 0; on < 3; on++) { /* off, on, off again */
        const guint64 now = on == 1 ? features : front->features;
        g_autofree guint8 *expected = g_malloc0(LOG_BYTES);

        g_assert_cmpint(worker_ack(front->fd, VU_SET_FEATURES, &now, 8, NULL, 0), ==, 0);
        memset(bits, 0, LOG_BYTES);
        worker_do(front, 0, VIRTIO_BLK_T_IN, 8, 3 * PAGE, DATA + 100);
        worker_do(front, 0, VIRTIO_BLK_T_OUT, 8, 3 * PAGE, DATA + 8 * PAGE); /* is only read */
        g_assert_cmpint(worker_ack(front->fd, VU_SET_FEATURES, &now, 8, NULL, 0), ==, 0);
        for (guint i = 0; i < G_N_ELEMENTS(touched) && on == 1; i++) {
            guint64 first = front_guest_address(front, touched[i].start) / PAGE;
            guint64 last =
                (front_guest_address(front, touched[i].start) + touched[i].length - 1) / PAGE;

            for (guint64 page = first; page <= last; page++) {
                expected[page / 8] |= (guint8)(1U << page % 8);
            }
        }
        g_assert_cmpmem(bits, LOG_BYTES, expected, LOG_BYTES);
    }
    munmap(bits, LOG_BYTES);
    front_free(front);
}

int
main(int argc, char **argv)
{
    static const guint per_thread[] = {1, 2, 4};

    g_test_init(&argc, &argv, NULL);
#define ADD(name, set_up_of, function) \
    g_test_add("/ioq/device/" name, Worker, NULL, set_up_of, function, tear_down)
    ADD("reset", set_up_slow, test_reset);
    ADD("memory/slots", set_up, test_memory_slots);
    ADD("memory/under-load", set_up_slow, test_memory_under_load);
    ADD("memory/refused", set_up, test_refused_memory);
    ADD("memory/cut-off", set_up, test_cut_off_memory);
    ADD("resize", set_up, test_resize);
    ADD("grown-before-the-start", set_up, test_grown_before_the_start);
    ADD("reset-of-region", set_up, test_reset_of_region);
    ADD("write-through", set_up, test_write_through);
    g_test_add_data_func("/ioq/device/absent-cpus", NULL, test_absent_cpus);
    ADD("resize-unseen", set_up, test_resize_unseen);
    ADD("dirty-log", set_up, test_dirty_log);
    g_test_add_data_func("/ioq/device/end-under-load", NULL, test_end_under_load);
    g_test_add_data_func("/ioq/device/hand-over", NULL, test_hand_over);
    g_test_add_data_func("/ioq/device/connection-ends-last", NULL, test_connection_ends_last);
    g_test_add_data_func("/ioq/device/leave-inflight/no", GINT_TO_POINTER(FALSE),
                         test_leave_inflight);
    g_test_add_data_func("/ioq/device/leave-inflight/yes", GINT_TO_POINTER(TRUE),
                         test_leave_inflight);
    g_test_add_data_func("/ioq/device/drain-limit/split", GINT_TO_POINTER(FALSE), test_drain_limit);
    g_test_add_data_func("/ioq/device/drain-limit/packed", GINT_TO_POINTER(TRUE), test_drain_limit);
    for (guint i = 0; i < G_N_ELEMENTS(per_thread); i++) {
        g_autofree char *path = g_strdup_printf("/ioq/device/threads/%u", per_thread[i]);

        g_test_add_data_func(path, GUINT_TO_POINTER(per_thread[i]), test_threads);
    }
    return g_test_run();
}
