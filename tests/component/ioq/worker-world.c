/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker-world.h"

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/rpc/rpc.h"
#include "ioq_tuning/vhost_user/channel.h"
#include "scratch.h"

#define DEADLINE_MSEC 20000
#define SLOT_BYTES    64 /* of a request's header and status, at the start of the buffers */
#define STATUS_AT     32

static struct sockaddr_un
address_of(const Worker *worker)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_assert_cmpuint(g_strlcpy(address.sun_path, worker->socket, sizeof(address.sun_path)), <,
                     sizeof(address.sun_path));
    return address;
}

static int
listen_on(const Worker *worker)
{
    struct sockaddr_un address = address_of(worker);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(fd, 8), ==, 0);
    return fd;
}

static void
make_image(Worker *worker)
{
    g_autofree char *content = g_malloc(WORKER_SECTORS * 512);

    for (gsize i = 0; i < WORKER_SECTORS * (gsize)512; i++) {
        content[i] = (char)('a' + i / 512 % 26);
    }
    scratch_write_bytes(worker->root, "image", content, WORKER_SECTORS * 512);
}

static int
config_fd_of(const WorkerConfig *config)
{
    g_autofree char *text = worker_config_format(config);
    int fd = memfd_create("config", MFD_CLOEXEC);

    g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize)strlen(text));
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    return fd;
}

/* In the child, descriptors have the numbers that the configuration names. */
enum { CONFIG_FD = 10, LISTEN_FD, IMAGE_FD, DIRECT_FD };

/* A test that is aborted leaves no worker, which would hold the test's output open. */
static void
die_with_test(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void
spawn(Worker *worker)
{
    const WorkerOptions *options = &worker->options;
    g_autoptr(WorkerConfig) config = worker_config_new(1);
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_autofree char *config_fd = g_strdup_printf("%d", CONFIG_FD);
    const char *argv[] = {g_getenv("GANTRY_TEST_IOQ_WORKER"), "--config-fd", config_fd, NULL};
    g_autoptr(GError) error = NULL;
    WorkerDisk *disk = &config->disks[0];

    g_assert_nonnull(argv[0]);
    g_subprocess_launcher_set_child_setup(launcher, die_with_test, NULL, NULL);
    config->control = g_strdup(worker->control);
    disk->name = g_strdup("vda");
    disk->listen_fd = LISTEN_FD;
    disk->max_queues = WORKER_MAX_QUEUES;
    disk->queue_size = 128;
    disk->queues_per_thread = MAX(options->n_queues_per_thread, 1);
    disk->drain_msec = options->drain_msec;
    disk->cpus = g_strdup(options->cpus);
    if (options->delay_usec > 0) {
        disk->null_mib = 1;
        disk->delay_usec = options->delay_usec;
    } else {
        disk->buffered_fd = IMAGE_FD;
    }
    g_subprocess_launcher_take_fd(launcher, fcntl(worker->listen_fd, F_DUPFD_CLOEXEC, 0),
                                  LISTEN_FD);
    g_subprocess_launcher_take_fd(launcher, open(worker->image, O_RDWR | O_CLOEXEC), IMAGE_FD);
    if (options->direct) {
        disk->direct_fd = DIRECT_FD;
        g_subprocess_launcher_take_fd(launcher, open(worker->image, O_RDWR | O_CLOEXEC | O_DIRECT),
                                      DIRECT_FD);
    }
    g_subprocess_launcher_take_fd(launcher, config_fd_of(config), CONFIG_FD);
    disk->listen_fd = disk->buffered_fd = disk->direct_fd = -1; /* are not ours */
    worker->process = g_subprocess_launcher_spawnv(launcher, argv, &error);
    g_assert_no_error(error);
}

void
worker_start(Worker *worker, const WorkerOptions *options)
{
    worker->options = *options;
    worker->root = scratch_new();
    worker->socket = g_build_filename(worker->root, "d.sock", NULL);
    worker->image =
        options->image ? g_strdup(options->image) : g_build_filename(worker->root, "image", NULL);
    worker->control = g_build_filename(worker->root, "c.sock", NULL);
    if (!options->image) {
        make_image(worker);
    }
    worker->listen_fd = listen_on(worker);
    spawn(worker);
}

void
worker_kill(Worker *worker)
{
    g_autoptr(GError) error = NULL;

    g_subprocess_force_exit(worker->process);
    g_subprocess_wait(worker->process, NULL, &error);
    g_assert_no_error(error);
    g_clear_object(&worker->process);
    spawn(worker);
}

void
worker_stop(Worker *worker)
{
    g_autoptr(GError) error = NULL;

    g_subprocess_send_signal(worker->process, SIGTERM);
    g_subprocess_wait(worker->process, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_if_exited(worker->process));
    g_assert_cmpint(g_subprocess_get_exit_status(worker->process), ==, 0);
    g_clear_object(&worker->process);
    gantry_fd_clear(&worker->listen_fd);
    scratch_remove(worker->root);
    g_free(worker->socket);
    g_free(worker->image);
    g_free(worker->control);
}

int
worker_connect(const Worker *worker)
{
    struct sockaddr_un address = address_of(worker);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

JsonObject *
worker_status(const Worker *worker)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) result =
        gantry_rpc_call(worker->control, "ioq/status", NULL, DEADLINE_MSEC, &error);
    JsonArray *disks;

    g_assert_no_error(error);
    disks = json_object_get_array_member(json_node_get_object(result), "disks");
    return json_object_ref(json_array_get_object_element(disks, 0));
}

void
worker_refresh(const Worker *worker)
{
    g_autoptr(GError) error = NULL;
    JsonNode *result = gantry_rpc_call(worker->control, "ioq/refresh", NULL, DEADLINE_MSEC, &error);

    g_assert_no_error(error);
    json_node_unref(result);
}

Front *
worker_front(const Worker *worker, const FrontOptions *options)
{
    FrontOptions all = *options;
    Front *front;

    all.socket = worker->socket;
    all.n_queues = MAX(all.n_queues, 1);
    all.queue_size = MAX(all.queue_size, WORKER_QUEUE_SIZE);
    all.memory_bytes = MAX(all.memory_bytes, 1U << 20);
    front = front_new(&all, NULL);
    g_assert_true(front_connect(front, NULL));
    return front;
}

void
worker_submit(Front *front, guint index, guint16 id, guint32 type, guint64 sector, guint32 length,
              gsize offset)
{
    FrontQueue *queue = &front->queues[index];
    char *slot = front->buffers + SLOT_BYTES * (index * (gsize)front->options.queue_size / 4 + id);
    struct virtio_blk_outhdr *header = (gpointer)slot;
    guint64 at = front_guest_address(front, slot);
    DriverPiece pieces[] = {
        {at, sizeof(*header), FALSE},
        {front_guest_address(front, front->buffers + offset), length, type == VIRTIO_BLK_T_IN},
        {at + STATUS_AT, 1, TRUE},
    };

    *header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
    slot[STATUS_AT] = (char)0xaa;
    if (length == 0) {
        pieces[1] = pieces[2];
    }
    driver_ring_add(&queue->ring, id, pieces, length == 0 ? 2 : 3, NULL, 0);
    if (driver_ring_wants_kick(&queue->ring)) {
        g_assert_cmpint(eventfd_write(queue->kick_fd, 1), ==, 0);
    }
}

guint8
worker_finish(Front *front, guint index, guint16 *ret_id)
{
    FrontQueue *queue = &front->queues[index];
    guint32 length;

    while (!driver_ring_take_used(&queue->ring, ret_id, &length)) {
        struct pollfd poll_fd = {.fd = queue->call_fd, .events = POLLIN};
        eventfd_t value;

        if (driver_ring_want_notification(&queue->ring)) {
            g_assert_cmpint(poll(&poll_fd, 1, DEADLINE_MSEC), ==, 1);
            eventfd_read(queue->call_fd, &value);
        }
    }
    return (guint8)
        front->buffers[SLOT_BYTES * (index * (gsize)front->options.queue_size / 4 + *ret_id) +
                       STATUS_AT];
}

void
worker_do(Front *front, guint index, guint32 type, guint64 sector, guint32 length, gsize offset)
{
    guint16 id;

    worker_submit(front, index, 0, type, sector, length, offset);
    g_assert_cmpuint(worker_finish(front, index, &id), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(id, ==, 0);
}

gint64
worker_ack(int fd, guint32 request, gconstpointer payload, gsize length, const int *fds,
           guint n_fds)
{
    const VuHeader header = {request, VU_VERSION | VU_FLAG_NEED_REPLY, (guint32)length};
    g_auto(VuMessage) message = {0};

    if (!vu_channel_send(fd, DEADLINE_MSEC, &header, payload, fds, n_fds, NULL) ||
        !vu_channel_receive(fd, DEADLINE_MSEC, &message, NULL)) {
        return WORKER_ENDED;
    }
    g_assert_cmpuint(message.header.request, ==, request);
    g_assert_true(message.header.flags & VU_FLAG_REPLY);
    g_assert_cmpuint(message.header.size, ==, 8);
    return (gint64)message.payload.u64;
}

gint64
worker_ack_state(int fd, guint32 request, guint32 index, guint32 num)
{
    const VuVringState state = {index, num};

    return worker_ack(fd, request, &state, sizeof(state), NULL, 0);
}

void
worker_send(int fd, guint32 request, gconstpointer payload, gsize length, const int *fds,
            guint n_fds)
{
    const VuHeader header = {request, VU_VERSION, (guint32)length};

    g_assert_true(vu_channel_send(fd, DEADLINE_MSEC, &header, payload, fds, n_fds, NULL));
}

gboolean
worker_ask(int fd, guint32 request, gconstpointer payload, gsize length, VuMessage *ret_message)
{
    const VuHeader header = {request, VU_VERSION, (guint32)length};

    return vu_channel_send(fd, DEADLINE_MSEC, &header, payload, NULL, 0, NULL) &&
           vu_channel_receive(fd, DEADLINE_MSEC, ret_message, NULL) &&
           ret_message->header.request == request;
}

guint64
worker_ask_u64(int fd, guint32 request)
{
    g_auto(VuMessage) message = {0};

    g_assert_true(worker_ask(fd, request, NULL, 0, &message));
    g_assert_cmpuint(message.header.size, ==, 8);
    return message.payload.u64;
}

int
worker_negotiate(const Worker *worker)
{
    int fd = worker_connect(worker);
    guint64 features = worker_ask_u64(fd, VU_GET_PROTOCOL_FEATURES);

    worker_send(fd, VU_SET_PROTOCOL_FEATURES, &features, sizeof(features), NULL, 0);
    return fd;
}

void
worker_assert_ends(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};

    g_assert_cmpint(poll(&poll_fd, 1, DEADLINE_MSEC), ==, 1);
}

void
worker_assert_serves(const Worker *worker)
{
    gantry_autofd fd = worker_connect(worker);

    g_assert_cmphex(worker_ask_u64(fd, VU_GET_FEATURES) >> VIRTIO_F_VERSION_1 & 1, ==, 1);
}
