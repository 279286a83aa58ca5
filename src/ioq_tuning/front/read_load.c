/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each thread owns its queue and all counters of it. The caller's thread owns the control
 * connection, and tells the threads only in which of the phases they are.
 */
#include "ioq_tuning/front/read_load.h"

#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

#define BLOCK        4096U
#define SECTORS      (BLOCK / 512)
#define SLOT_BYTES   64U /* of a request's header and status */
#define STATUS_AT    32U
#define UNSET_STATUS 0xff
#define LOOK_MSEC    100 /* between two looks at the phase, with nothing to do */
#define DRAIN_MSEC   20000
#define DRAIN_LOOK   5

typedef enum {
    PHASE_RUN,
    PHASE_COUNT,
    PHASE_DRAIN, /* begin nothing more */
    PHASE_END,   /* whatever is in flight is given up */
} Phase;

typedef struct {
    FrontReadLoad *load;
    FrontQueue *queue;
    GThread *thread;
    char *memory; /* a slot a request, then their blocks */
    GRand *random;
    gint64 begun_nsec[FRONT_READ_MAX_DEPTH];
    gboolean is_busy[FRONT_READ_MAX_DEPTH];
    guint in_flight;
    guint64 requests;
    guint64 failed;
    guint64 strange;
    FrontLatency latency;
} Lane;

struct FrontReadLoad {
    Front *front;
    guint depth;
    guint64 n_blocks;
    gint phase;     /* atomic; Phase */
    gint n_running; /* atomic: threads */
    gint64 begin_nsec;
    guint n_lanes;
    Lane *lanes;
};

static gpointer run(gpointer data);

static gsize
lane_bytes(guint depth)
{
    return ((gsize)depth * SLOT_BYTES + BLOCK - 1) / BLOCK * BLOCK + (gsize)depth * BLOCK;
}

gsize
front_read_load_bytes(guint n_queues, guint depth)
{
    return n_queues * lane_bytes(depth);
}

FrontReadLoad *
front_read_load_start(Front *front, guint depth, GError **error)
{
    FrontReadLoad *load;

    if (front->capacity < SECTORS) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the disk has %1$" PRIu64 " sectors of 512 bytes; %2$u are wanted"),
                    front->capacity, SECTORS);
        return NULL;
    }
    g_assert(depth >= 1 && depth <= FRONT_READ_MAX_DEPTH);
    load = g_new0(FrontReadLoad, 1);
    load->front = front;
    load->depth = depth;
    load->n_blocks = front->capacity / SECTORS;
    load->n_lanes = front->options.n_queues;
    load->n_running = (gint)load->n_lanes;
    load->lanes = g_new0(Lane, load->n_lanes);
    for (guint i = 0; i < load->n_lanes; i++) {
        Lane *lane = &load->lanes[i];

        lane->load = load;
        lane->queue = &front->queues[i];
        lane->memory = front->buffers + i * lane_bytes(depth);
        lane->random = g_rand_new_with_seed(i + 1);
        front_latency_init(&lane->latency);
        lane->thread = g_thread_new("read-load", run, lane);
    }
    return load;
}

void
front_read_load_count(FrontReadLoad *load)
{
    load->begin_nsec = front_now_nsec();
    g_atomic_int_set(&load->phase, PHASE_COUNT);
}

/* Whether all threads have ended what they had begun. */
static gboolean
drain(FrontReadLoad *load)
{
    gint64 deadline = g_get_monotonic_time() + DRAIN_MSEC * G_GINT64_CONSTANT(1000);

    g_atomic_int_set(&load->phase, PHASE_DRAIN);
    while (g_atomic_int_get(&load->n_running) > 0 && g_get_monotonic_time() < deadline &&
           !front_is_gone(load->front, DRAIN_LOOK)) {
        continue;
    }
    return g_atomic_int_get(&load->n_running) == 0;
}

gboolean
front_read_load_end(FrontReadLoad *load, FrontReadResult *ret_result, GError **error)
{
    gint64 nsec = front_now_nsec() - load->begin_nsec;
    gboolean drained = drain(load);
    FrontReadResult result = {.nsec = nsec};
    guint64 failed = 0, strange = 0;

    g_atomic_int_set(&load->phase, PHASE_END);
    front_latency_init(&result.latency);
    for (guint i = 0; i < load->n_lanes; i++) {
        Lane *lane = &load->lanes[i];

        g_thread_join(lane->thread);
        g_rand_free(lane->random);
        result.requests += lane->requests;
        failed += lane->failed;
        strange += lane->strange;
        front_latency_merge(&result.latency, &lane->latency);
        front_latency_clear(&lane->latency);
    }
    g_free(load->lanes);
    g_free(load);
    if (drained && failed == 0 && strange == 0) {
        *ret_result = result;
        return TRUE;
    }
    front_latency_clear(&result.latency);
    if (strange > 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("the back end ended %" PRIu64 " requests that were not begun"), strange);
    } else if (failed > 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM, _("%" PRIu64 " reads failed"),
                    failed);
    } else {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE,
                    _("the back end has gone, or does not end what it has begun"));
    }
    return FALSE;
}

static void
submit(Lane *lane, guint slot)
{
    FrontReadLoad *load = lane->load;
    char *request = lane->memory + (gsize)slot * SLOT_BYTES;
    char *block = lane->memory + lane_bytes(load->depth) - (gsize)(load->depth - slot) * BLOCK;
    guint64 at =
        (((guint64)g_rand_int(lane->random) << 32) | g_rand_int(lane->random)) % load->n_blocks;
    const DriverPiece pieces[] = {
        {front_guest_address(load->front, request), sizeof(struct virtio_blk_outhdr), FALSE},
        {front_guest_address(load->front, block), BLOCK, TRUE},
        {front_guest_address(load->front, request + STATUS_AT), 1, TRUE},
    };

    *(struct virtio_blk_outhdr *)(gpointer)request =
        (struct virtio_blk_outhdr){VIRTIO_BLK_T_IN, 0, at * SECTORS};
    request[STATUS_AT] = (char)UNSET_STATUS;
    lane->is_busy[slot] = TRUE;
    lane->in_flight++;
    lane->begun_nsec[slot] = front_now_nsec();
    driver_ring_add(&lane->queue->ring, (guint16)slot, pieces, G_N_ELEMENTS(pieces), NULL, 0);
}

/* Takes what is done, and begins as much anew until the end. Returns: whether there was any. */
static gboolean
reap(Lane *lane)
{
    gboolean any = FALSE;
    guint32 length;
    guint16 slot;

    while (driver_ring_take_used(&lane->queue->ring, &slot, &length)) {
        gint phase = g_atomic_int_get(&lane->load->phase);

        any = TRUE;
        if (slot >= lane->load->depth || !lane->is_busy[slot]) {
            lane->strange++;
            continue;
        }
        lane->is_busy[slot] = FALSE;
        lane->in_flight--;
        if (lane->memory[(gsize)slot * SLOT_BYTES + STATUS_AT] != VIRTIO_BLK_S_OK) {
            lane->failed++;
        } else if (phase == PHASE_COUNT) {
            lane->requests++;
            front_latency_add(&lane->latency, front_now_nsec() - lane->begun_nsec[slot]);
        }
        if (phase < PHASE_DRAIN) {
            submit(lane, slot);
        }
    }
    return any;
}

static void
kick(Lane *lane)
{
    if (driver_ring_wants_kick(&lane->queue->ring)) {
        eventfd_write(lane->queue->kick_fd, 1);
    }
}

static gpointer
run(gpointer data)
{
    Lane *lane = data;

    driver_ring_want_notification(&lane->queue->ring);
    for (guint slot = 0; slot < lane->load->depth; slot++) {
        submit(lane, slot);
    }
    kick(lane);
    while (lane->in_flight > 0 && g_atomic_int_get(&lane->load->phase) != PHASE_END) {
        struct pollfd poll_fd = {.fd = lane->queue->call_fd, .events = POLLIN};
        eventfd_t value;

        if (reap(lane)) {
            kick(lane);
        } else if (driver_ring_want_notification(&lane->queue->ring) &&
                   poll(&poll_fd, 1, LOOK_MSEC) > 0) {
            eventfd_read(lane->queue->call_fd, &value);
        }
    }
    g_atomic_int_add(&lane->load->n_running, -1);
    return NULL;
}
