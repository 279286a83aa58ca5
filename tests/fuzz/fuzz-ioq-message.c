/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A front end that says anything to a whole device on the null store, with descriptors of memory
 * and of eventfds. The input is messages: which descriptors come with it, the request, its flags,
 * its length and its payload; or bytes as they are. Whatever is said, the connection ends when the
 * front end has, and the device waits for the next one with nothing left of the last.
 */
#include <errno.h>
#include <gio/gio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/log.h"
#include "ioq_tuning/vhost_user/channel.h"
#include "ioq_tuning/worker/device_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_BYTES = 64 * 1024, MAX_QUEUES = 4, INPUT_BYTES = 4096, SEND_MSEC = 10000 };
enum {
    FDS_NONE,
    FDS_MEMORY,
    FDS_EVENT,
    FDS_TWO_MEMORY,
    FDS_EIGHT,
    RAW_BYTES,
    MEMORY_PATCH,
    N_KINDS
};

static IoqDevice *device;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_length;
static int memory_fd;
static int event_fd;
static char *memory;

static void
clean_up(void)
{
    ioq_device_free(device);
    munmap(memory, MEMORY_BYTES);
    close(memory_fd);
    close(event_fd);
}

static void
set_up(void)
{
    static const IoqDeviceOptions options = {
        .name = "fuzz", .max_queues = MAX_QUEUES, .queue_size = 64, .queues_per_thread = 2};
    int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    gantry_log_init("fuzz-ioq-message");
    g_assert_true(gantry_log_set_levels("err", NULL));
    g_assert_true(gantry_log_set_file("/dev/null", NULL));
    /* An abstract name of the kernel's choice. */
    g_assert_cmpint(bind(listen_fd, (struct sockaddr *)&address, sizeof(sa_family_t)), ==, 0);
    address_length = sizeof(address);
    g_assert_cmpint(getsockname(listen_fd, (struct sockaddr *)&address, &address_length), ==, 0);
    g_assert_cmpint(listen(listen_fd, 1), ==, 0);
    memory_fd = memfd_create("fuzz", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(memory_fd, MEMORY_BYTES), ==, 0);
    memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    device = ioq_device_new(listen_fd, ioq_store_null_new(1 << 20), &options);
    g_assert_cmpint(atexit(clean_up), ==, 0);
}

static gsize
send_message(int fd, guint kind, const uint8_t *data, gsize size)
{
    static const guint n_memory_fds[N_KINDS] = {
        [FDS_MEMORY] = 1, [FDS_TWO_MEMORY] = 2, [FDS_EIGHT] = VU_MAX_FDS};
    int fds[VU_MAX_FDS];
    guint n_fds = 0;
    VuHeader header;
    gsize length;

    if (size < 3) {
        return size;
    }
    length = MIN(data[2], size - 3);
    header = (VuHeader){data[0], data[1], (guint32)length};
    if (kind == FDS_EVENT) {
        fds[n_fds++] = event_fd;
    }
    while (n_fds < n_memory_fds[kind]) {
        fds[n_fds++] = memory_fd;
    }
    vu_channel_send(fd, SEND_MSEC, &header, data + 3, fds, n_fds, NULL);
    return length + 3;
}

static gsize
send_raw(int fd, const uint8_t *data, gsize size)
{
    gsize length = size > 0 ? MIN(data[0], size - 1) : 0;

    if (length > 0 && send(fd, data + 1, length, MSG_NOSIGNAL) < 0) {
        return size;
    }
    return MIN(length + 1, size);
}

static gsize
patch_memory(const uint8_t *data, gsize size)
{
    gsize at;
    gsize length;

    if (size < 3) {
        return size;
    }
    at = data[0] | (gsize)data[1] << 8;
    length = MIN(data[2], size - 3);
    memcpy(memory + at, data + 3, MIN(length, MEMORY_BYTES - at));
    return length + 3;
}

/* All at once: the device sees the end of what there is without waiting for it. */
static void
say(int fd, const uint8_t *data, gsize size)
{
    while (size > 0) {
        guint kind = *data++ % N_KINDS;
        gsize used;

        size--;
        used = kind == RAW_BYTES      ? send_raw(fd, data, size)
               : kind == MEMORY_PATCH ? patch_memory(data, size)
                                      : send_message(fd, kind, data, size);
        data += used;
        size -= used;
    }
    shutdown(fd, SHUT_WR);
}

static void
wait_for_the_end(int fd)
{
    guint8 answers[4096];
    ssize_t n;

    while ((n = recv(fd, answers, sizeof(answers), MSG_DONTWAIT)) != 0) {
        if (n < 0 && errno != EAGAIN) {
            break; /* reset: it did not read all */
        }
        g_main_context_iteration(NULL, n < 0);
    }
    while (device->wait != WAIT_NOTHING || !device->listen_source) {
        g_main_context_iteration(NULL, TRUE);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gantry_autofd fd = -1;

    if (!device) {
        set_up();
    }
    memset(memory, 0, MEMORY_BYTES);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, address_length), ==, 0);
    say(fd, data, MIN(size, INPUT_BYTES));
    wait_for_the_end(fd);
    g_assert_cmpint(device->fd, <, 0);
    g_assert_cmpuint(device_n_started(device), ==, 0);
    for (guint i = 0; i < MAX_QUEUES; i++) {
        g_assert_null(device->threads[i].thread);
        g_assert_cmpint(device->vrings[i].call_fd, <, 0);
    }
    g_assert_null(device->inflight_base);
    g_assert_cmpuint(ioq_memory_n_regions(device->memory), ==, 0);
    return 0;
}
