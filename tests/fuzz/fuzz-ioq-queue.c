/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver, and a front end that writes the in-flight region, with no rules at all. The input is a
 * header (kind, size, base) and then operations: writing memory or the region, a round of the
 * device, its death and restart. No more is fetched than the ring has, each piece of a chain lies
 * in guest memory, and nothing is read or written outside of ring and region.
 */
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/error.h"
#include "ioq_tuning/virtqueue/inflight.h"
#include "ioq_tuning/virtqueue/queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_BYTES = 64 * 1024, USER = 0x100000, AVAIL_AT = 0x1000, USED_AT = 0x2000 };
enum { KIND_PACKED = 1, KIND_EVENT_IDX = 2, KIND_INDIRECT = 4, KIND_TRACKED = 8 };
enum { MAX_SIZE_BITS = 7, MAX_ROUNDS = 64 };

typedef enum { OP_MEMORY, OP_REGION, OP_ROUND, OP_HOLD, OP_SLEEP, OP_RESTART, N_OPS } Op;

static char *bytes; /* of guest memory */
static IoqMemory *memory;

typedef struct {
    const uint8_t *data;
    size_t size;
} Input;

typedef struct {
    IoqQueueConfig config;
    gsize region_bytes;
    IoqQueue *queue; /* NULL: it did not start, or is broken */
    GPtrArray *chains;
} Device;

static void
clean_up(void)
{
    ioq_memory_unref(memory);
    munmap(bytes, MEMORY_BYTES);
}

static void
set_up(void)
{
    /* Two regions, so that pieces can span them. */
    static const VuMemoryRegion regions[] = {
        {0, MEMORY_BYTES / 2, USER, 0},
        {MEMORY_BYTES / 2, MEMORY_BYTES / 2, USER + MEMORY_BYTES, MEMORY_BYTES / 2},
    };
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    g_assert_cmpint(ftruncate(fd, MEMORY_BYTES), ==, 0);
    bytes = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memory = ioq_memory_new();
    for (guint i = 0; i < G_N_ELEMENTS(regions); i++) {
        IoqMemory *larger = ioq_memory_with(memory, &regions[i], fd, NULL);

        g_assert_nonnull(larger);
        ioq_memory_unref(memory);
        memory = larger;
    }
    close(fd);
    g_assert_cmpint(atexit(clean_up), ==, 0);
}

static guint
take(Input *input, guint n)
{
    guint value = 0;

    for (guint i = 0; i < n && input->size > 0; i++) {
        value |= (guint)*input->data++ << (8 * i);
        input->size--;
    }
    return value;
}

/* A place, a length, and what is to be written there. */
static void
patch(Input *input, char *target, gsize n)
{
    gsize at = take(input, 2);
    gsize length = take(input, 1);

    length = MIN(length, input->size);
    if (at < n) {
        memcpy(target + at, input->data, MIN(length, n - at));
    }
    input->data += length;
    input->size -= length;
}

static void
chain_free(gpointer data)
{
    ioq_chain_clear(data);
    g_free(data);
}

static void
start(Device *device)
{
    g_autoptr(GError) error = NULL;

    g_ptr_array_set_size(device->chains, 0);
    ioq_queue_free(device->queue);
    device->queue = ioq_queue_start(&device->config, memory, &error);
    g_assert_true(!device->queue == !!error);
    g_assert_true(!error || error->domain == GANTRY_ERROR);
}

static void
check_chain(const IoqChain *chain)
{
    guint64 address;

    g_assert_cmpuint(chain->n_out + chain->n_in, <=, IOQ_CHAIN_MAX_IOV);
    for (guint i = 0; i < chain->n_out + (guint)chain->n_in; i++) {
        char *base = chain->iov[i].iov_base;
        gsize length = chain->iov[i].iov_len;

        g_assert_cmpuint(length, >, 0);
        g_assert_true(ioq_memory_guest_address(memory, base, &address));
        g_assert_true(ioq_memory_guest_address(memory, base + length - 1, &address));
        if (i >= chain->n_out) {
            base[0] = base[length - 1] = 1; /* as a disk may: over the ring itself, if it is told */
        }
    }
}

static void
fetch_all(Device *device)
{
    while (device->queue) {
        IoqChain *chain = g_new0(IoqChain, 1);
        g_autoptr(GError) error = NULL;
        IoqFetch result = ioq_queue_fetch(device->queue, chain, &error);

        g_assert_true((result == IOQ_FETCH_BROKEN) == !!error);
        if (result != IOQ_FETCH_CHAIN) {
            g_free(chain);
            if (result == IOQ_FETCH_BROKEN) {
                g_ptr_array_set_size(device->chains, 0);
                g_clear_pointer(&device->queue, ioq_queue_free);
            }
            return;
        }
        g_ptr_array_add(device->chains, chain);
        g_assert_cmpuint(device->chains->len, <=, device->config.size);
        g_assert_cmpuint(device->chains->len, ==, ioq_queue_n_in_flight(device->queue));
        check_chain(chain);
    }
}

static void
end_all(Device *device, guint but)
{
    while (device->queue && device->chains->len > but) {
        /* The last first: out of order. */
        ioq_queue_push(device->queue, device->chains->pdata[device->chains->len - 1], 1);
        g_ptr_array_set_size(device->chains, (gint)device->chains->len - 1);
    }
    if (device->queue) {
        ioq_queue_publish(device->queue);
        ioq_queue_base(device->queue);
    }
}

static void
run(Device *device, Input *input)
{
    guint rounds = 0;

    start(device);
    while (input->size > 0 && rounds < MAX_ROUNDS) {
        switch ((Op)(take(input, 1) % N_OPS)) {
        case OP_MEMORY:
            patch(input, bytes, MEMORY_BYTES);
            break;
        case OP_REGION:
            if (device->config.inflight) {
                patch(input, device->config.inflight, device->region_bytes);
            }
            break;
        case OP_ROUND:
            fetch_all(device);
            end_all(device, 0);
            rounds++;
            break;
        case OP_HOLD:
            fetch_all(device);
            end_all(device, take(input, 1));
            rounds++;
            break;
        case OP_SLEEP:
            if (device->queue && ioq_queue_sleep(device->queue)) {
                ioq_queue_wake(device->queue);
            }
            break;
        case OP_RESTART:
        case N_OPS:
            start(device);
            rounds++;
            break;
        }
    }
    fetch_all(device);
    end_all(device, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};
    Device device = {0};
    guint kind;

    if (!memory) {
        set_up();
    }
    memset(bytes, 0, MEMORY_BYTES);
    kind = take(&input, 1);
    device.config = (IoqQueueConfig){
        .packed = (kind & KIND_PACKED) != 0,
        .event_idx = (kind & KIND_EVENT_IDX) != 0,
        .indirect = (kind & KIND_INDIRECT) != 0,
        .size = (guint16)(1U << take(&input, 1) % (MAX_SIZE_BITS + 1)),
        .address = {.descriptor = USER, .available = USER + AVAIL_AT, .used = USER + USED_AT},
    };
    device.config.base = take(&input, 4);
    if (kind & KIND_TRACKED) {
        device.region_bytes = ioq_inflight_queue_bytes(device.config.packed, device.config.size);
        device.config.inflight = g_malloc0(device.region_bytes);
        device.config.inflight_entries = device.config.size;
    }
    device.chains = g_ptr_array_new_with_free_func(chain_free);
    run(&device, &input);
    g_ptr_array_unref(device.chains);
    ioq_queue_free(device.queue);
    g_free(device.config.inflight);
    return 0;
}
