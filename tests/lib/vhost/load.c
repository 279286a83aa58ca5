/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhost-load - load on a vhost-user-blk back end, with or without checking each byte.
 *
 * Each queue has a thread, and keeps DEPTH requests in flight. A slot is one request in flight, and
 * owns its blocks of the disk: so what a block holds is known at any time, whatever the order of
 * completions, and across crashes of the back end. A buffer id rests for a while before it is used
 * again: a completion that comes twice is seen.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ioq_tuning/front/front.h"
#include "ioq_tuning/front/latency.h"

#define BLOCK         4096
#define SECTORS       (BLOCK / 512)
#define BLOCKS_A_SLOT 16
#define UNSET_STATUS  0xff
#define HUNG_SECONDS  20

static char *socket_path;
static gint n_queues = 1;
static gint depth = 1;
static gint queue_size = 256;
static gint seconds = 2;
static gint mib = 256;
static gint write_percent;
static gboolean packed, event_idx, indirect, inflight, verify, reconnect, busy;
static gint stop_after_reconnects;

static const GOptionEntry entries[] = {
    {"socket", 's', 0, G_OPTION_ARG_FILENAME, &socket_path, "vhost-user socket", "PATH"},
    {"queues", 'q', 0, G_OPTION_ARG_INT, &n_queues, "queues, a thread each", "N"},
    {"depth", 'd', 0, G_OPTION_ARG_INT, &depth, "requests in flight in each queue", "N"},
    {"queue-size", 0, 0, G_OPTION_ARG_INT, &queue_size, "entries of a ring", "N"},
    {"seconds", 't', 0, G_OPTION_ARG_INT, &seconds, "how long", "N"},
    {"mib", 0, 0, G_OPTION_ARG_INT, &mib, "part of the disk that is used", "N"},
    {"write", 'w', 0, G_OPTION_ARG_INT, &write_percent, "share of writes, of 100", "PERCENT"},
    {"packed", 0, 0, G_OPTION_ARG_NONE, &packed, "packed rings", NULL},
    {"event-idx", 0, 0, G_OPTION_ARG_NONE, &event_idx, "event indices", NULL},
    {"indirect", 0, 0, G_OPTION_ARG_NONE, &indirect, "indirect descriptors", NULL},
    {"inflight", 0, 0, G_OPTION_ARG_NONE, &inflight, "in-flight tracking", NULL},
    {"verify", 0, 0, G_OPTION_ARG_NONE, &verify, "check what is read", NULL},
    {"reconnect", 0, 0, G_OPTION_ARG_NONE, &reconnect, "connect again, for ever", NULL},
    {"stop-after", 0, 0, G_OPTION_ARG_INT, &stop_after_reconnects,
     "end after N reconnections, if that is earlier", "N"},
    {"busy", 0, 0, G_OPTION_ARG_NONE, &busy, "poll the used ring", NULL},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

typedef struct {
    struct virtio_blk_outhdr header;
    guint8 status;
    char table[4 * 16];
} Shared; /* with the back end, a request */

typedef struct {
    guint slot;
    gboolean is_busy;
    gboolean is_write;
    guint64 block;
    guint64 version; /* that is written */
    gint64 begin_nsec;
} Buffer;

typedef struct {
    FrontQueue *queue;
    guint index;
    Shared *shared; /* a buffer id */
    char *data;     /* BLOCK a slot */
    Buffer *buffers;
    guint n_ids;
    guint16 *rested; /* n_ids ids in a circle, the one that has rested longest first */
    guint first_rested, n_rested;
    guint64 *versions; /* BLOCKS_A_SLOT a slot */
    guint32 random;
    guint in_flight; /* atomic */
    guint64 requests, errors, duplicates, bad;
    gint64 last_done_nsec; /* atomic */
    FrontLatency latency;
} Load;

static Front *front;
static gint is_stopping, is_giving_up; /* atomic */
static volatile sig_atomic_t ended_early;

static void
on_sigterm(int number)
{
    ended_early = 1;
}

static guint32
next_random(Load *load)
{
    load->random = load->random * 1664525 + 1013904223;
    return load->random >> 8;
}

/* Each sector says which one it is, of which version of its block. */
static void
fill(char *data, guint64 block, guint64 version)
{
    for (guint i = 0; i < SECTORS; i++) {
        guint64 *words = (guint64 *)(gpointer)(data + i * 512);

        for (guint k = 0; k < 64; k += 4) {
            words[k] = block;
            words[k + 1] = version;
            words[k + 2] = i;
            words[k + 3] = (block + 1) * (version + 3) * 0x9e3779b97f4a7c15u + k;
        }
    }
}

static gboolean
is_as_filled(const char *data, guint64 block, guint64 version)
{
    char wanted[BLOCK] __attribute__((aligned(8)));

    fill(wanted, block, version);
    return memcmp(data, wanted, BLOCK) == 0;
}

static void
submit(Load *load, guint slot)
{
    guint16 id = load->rested[load->first_rested];
    Buffer *buffer = &load->buffers[id];
    Shared *shared = &load->shared[id];
    char *data = load->data + (gsize)slot * BLOCK;
    guint64 slots = (guint64)n_queues * (guint)depth;
    guint64 blocks = verify ? BLOCKS_A_SLOT : (guint64)mib * (1024 * 1024 / BLOCK) / slots;
    guint64 place = next_random(load) % blocks;
    guint64 *version = &load->versions[slot * BLOCKS_A_SLOT + place % BLOCKS_A_SLOT];
    DriverPiece pieces[3];

    g_assert(load->n_rested > 0);
    load->n_rested--;
    load->first_rested = (load->first_rested + 1) % load->n_ids;
    buffer->slot = slot;
    buffer->is_busy = TRUE;
    buffer->is_write = next_random(load) % 100 < (guint)write_percent;
    buffer->block = (load->index * (guint64)depth + slot) * blocks + place;
    buffer->version = *version + buffer->is_write;
    shared->header = (struct virtio_blk_outhdr){
        buffer->is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0, buffer->block * SECTORS};
    shared->status = UNSET_STATUS;
    if (verify && buffer->is_write) {
        fill(data, buffer->block, buffer->version);
    } else if (verify) {
        memset(data, 0xee, BLOCK);
    }
    pieces[0] = (DriverPiece){front_guest_address(front, &shared->header), 16, FALSE};
    pieces[1] = (DriverPiece){front_guest_address(front, data), BLOCK, !buffer->is_write};
    pieces[2] = (DriverPiece){front_guest_address(front, &shared->status), 1, TRUE};
    buffer->begin_nsec = front_now_nsec();
    g_atomic_int_inc((gint *)&load->in_flight);
    driver_ring_add(&load->queue->ring, id, pieces, 3, indirect ? shared->table : NULL,
                    front_guest_address(front, shared->table));
}

static void
kick(Load *load)
{
    if (driver_ring_wants_kick(&load->queue->ring)) {
        eventfd_write(load->queue->kick_fd, 1);
    }
}

static void
check(Load *load, Buffer *buffer, Shared *shared)
{
    const char *data = load->data + (gsize)buffer->slot * BLOCK;
    guint64 blocks = BLOCKS_A_SLOT;
    guint64 *version = &load->versions[buffer->slot * BLOCKS_A_SLOT + buffer->block % blocks];

    if (shared->status == UNSET_STATUS) {
        load->bad++; /* it was told to be done before it was */
    } else if (shared->status != VIRTIO_BLK_S_OK) {
        load->errors++;
    } else if (verify && buffer->is_write) {
        *version = buffer->version;
    } else if (verify && buffer->version > 0 &&
               !is_as_filled(data, buffer->block, buffer->version)) {
        load->bad++;
    }
}

/* Takes what is used; starts as much anew unless the end has come. */
static gboolean
reap(Load *load)
{
    guint16 id;
    guint32 length;
    gboolean any = FALSE;

    while (driver_ring_take_used(&load->queue->ring, &id, &length)) {
        gint64 now = front_now_nsec();
        Buffer *buffer;
        gint64 nsec;

        any = TRUE;
        if (id >= load->n_ids || !load->buffers[id].is_busy) {
            load->duplicates++;
            continue;
        }
        buffer = &load->buffers[id];
        nsec = now - buffer->begin_nsec;
        buffer->is_busy = FALSE;
        load->requests++;
        front_latency_add(&load->latency, nsec);
        __atomic_store_n(&load->last_done_nsec, now, __ATOMIC_RELAXED);
        check(load, buffer, &load->shared[id]);
        load->rested[(load->first_rested + load->n_rested++) % load->n_ids] = id;
        g_atomic_int_add((gint *)&load->in_flight, -1);
        if (!g_atomic_int_get(&is_stopping)) {
            submit(load, buffer->slot);
        }
    }
    if (any) {
        kick(load);
    }
    return any;
}

static gpointer
run(gpointer data)
{
    Load *load = data;
    eventfd_t value;

    load->queue->ring.busy = busy;
    driver_ring_want_notification(&load->queue->ring);
    for (guint i = 0; i < (guint)depth; i++) {
        submit(load, i);
    }
    kick(load);
    while (g_atomic_int_get((gint *)&load->in_flight) > 0 && !g_atomic_int_get(&is_giving_up)) {
        struct pollfd poll_fd = {.fd = load->queue->call_fd, .events = POLLIN};

        if (reap(load) || busy || !driver_ring_want_notification(&load->queue->ring)) {
            continue;
        }
        if (poll(&poll_fd, 1, 100) > 0) {
            eventfd_read(load->queue->call_fd, &value);
        }
    }
    return NULL;
}

static void
load_init(Load *load, guint index, char *memory)
{
    load->queue = &front->queues[index];
    load->index = index;
    load->n_ids = MIN((guint)queue_size / 4, (guint)depth * 2);
    load->shared = (Shared *)(gpointer)memory;
    load->data = memory + (load->n_ids * sizeof(Shared) + BLOCK - 1) / BLOCK * BLOCK;
    load->buffers = g_new0(Buffer, load->n_ids);
    load->versions = g_new0(guint64, (gsize)depth * BLOCKS_A_SLOT);
    front_latency_init(&load->latency);
    load->random = index * 7919 + 12345;
    load->rested = g_new(guint16, load->n_ids);
    for (guint i = 0; i < load->n_ids; i++) {
        load->rested[load->n_rested++] = (guint16)i;
    }
}

static gsize
load_bytes(void)
{
    return ((MIN((gsize)queue_size / 4, (gsize)depth * 2) * sizeof(Shared) + BLOCK - 1) / BLOCK +
            (gsize)depth) *
           BLOCK;
}

static guint64
total_in_flight(const Load *loads)
{
    guint64 sum = 0;

    for (gint i = 0; i < n_queues; i++) {
        sum += (guint)g_atomic_int_get((gint *)&loads[i].in_flight);
    }
    return sum;
}

/* Connects anew until somebody is there, and says how long the disk stood still. */
static void
connect_again(Load *loads, gint64 *max_outage_nsec)
{
    gint64 gone = front_now_nsec();
    gint64 latest = 0;

    while (!front_connect(front, NULL)) {
        g_usleep(2000); /* between two looks whether it is back */
    }
    while (latest <= gone && !front_is_gone(front, 1)) {
        for (gint i = 0; i < n_queues; i++) {
            latest = MAX(latest, __atomic_load_n(&loads[i].last_done_nsec, __ATOMIC_RELAXED));
        }
        if (front_now_nsec() - gone > HUNG_SECONDS * G_GINT64_CONSTANT(1000000000)) {
            return;
        }
    }
    *max_outage_nsec = MAX(*max_outage_nsec, latest - gone);
}

static int
report(const Load *loads, gint64 nsec, guint reconnections, gint64 outage_nsec)
{
    guint64 requests = 0, errors = 0, duplicates = 0, bad = 0, lost = total_in_flight(loads);
    struct rusage usage;
    FrontLatency latency;
    double cpu;

    front_latency_init(&latency);
    for (gint i = 0; i < n_queues; i++) {
        front_latency_merge(&latency, &loads[i].latency);
        requests += loads[i].requests;
        errors += loads[i].errors;
        duplicates += loads[i].duplicates;
        bad += loads[i].bad;
    }
    getrusage(RUSAGE_SELF, &usage);
    cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"requests\": %" G_GUINT64_FORMAT ", \"iops\": %.0f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"client_cpu_s\": %.3f, \"errors\": %" G_GUINT64_FORMAT
           ", \"lost\": %" G_GUINT64_FORMAT ", \"duplicated\": %" G_GUINT64_FORMAT
           ", \"bad\": %" G_GUINT64_FORMAT ", \"reconnections\": %u, \"max_outage_ms\": %.1f}\n",
           requests, (double)requests * 1e9 / (double)nsec, front_latency_percentile(&latency, 0.5),
           front_latency_percentile(&latency, 0.99), cpu, errors, lost, duplicates, bad,
           reconnections, (double)outage_nsec / 1e6);
    front_latency_clear(&latency);
    return errors + lost + duplicates + bad > 0;
}

int
main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autofree Load *loads = NULL;
    g_autofree GThread **threads = NULL;
    gint64 begin, nsec, stopped, outage = 0;
    guint reconnections = 0;
    FrontOptions options;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !socket_path ||
        depth > queue_size / 4) {
        fprintf(stderr, "vhost-load: %s\n", error ? error->message : "wrong arguments; see --help");
        return 2;
    }
    options = (FrontOptions){
        socket_path, (guint)n_queues, (guint)queue_size, load_bytes() * (gsize)n_queues,
        packed,      event_idx,       indirect,          inflight};
    front = front_new(&options, &error);
    if (!front || !front_connect(front, &error)) {
        fprintf(stderr, "vhost-load: %s\n", error->message);
        return 2;
    }
    loads = g_new0(Load, n_queues);
    threads = g_new0(GThread *, n_queues);
    begin = front_now_nsec();
    for (gint i = 0; i < n_queues; i++) {
        load_init(&loads[i], (guint)i, front->buffers + load_bytes() * (gsize)i);
        threads[i] = g_thread_new("load", run, &loads[i]);
    }
    sigaction(SIGTERM, &(const struct sigaction){.sa_handler = on_sigterm}, NULL);
    while (!ended_early && front_now_nsec() - begin < seconds * G_GINT64_CONSTANT(1000000000) &&
           (stop_after_reconnects == 0 || (gint)reconnections < stop_after_reconnects)) {
        if (front_is_gone(front, 50)) {
            if (!reconnect) {
                fprintf(stderr, "vhost-load: the back end has gone\n");
                break;
            }
            reconnections++;
            connect_again(loads, &outage);
        }
    }
    nsec = front_now_nsec() - begin;
    g_atomic_int_set(&is_stopping, TRUE);
    for (stopped = front_now_nsec();
         total_in_flight(loads) > 0 &&
         front_now_nsec() - stopped < HUNG_SECONDS * G_GINT64_CONSTANT(1000000000);) {
        if (front_is_gone(front, 5)) {
            if (!reconnect) {
                break;
            }
            connect_again(loads, &outage);
        }
    }
    g_atomic_int_set(&is_giving_up, TRUE);
    for (gint i = 0; i < n_queues; i++) {
        g_thread_join(threads[i]);
    }
    return report(loads, nsec, reconnections, outage);
}
