/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source takes the candidate with the highest utilisation of its threads. But a thread that is
 * busy is not a thread that does much: one that serves all queues is always the busiest, also where
 * the disk could do twice as much. So there is a second answer, by what is done and what it costs.
 */
#include "ioq_tuning/tune/tune.h"

#include "ioq_tuning/front/read_load.h"
#include "ioq_tuning/tune/scratch_worker.h"

#define WARM_UP_MSEC  200
#define LOOK_MSEC     50
#define NSEC_PER_SEC  1e9
#define USEC_PER_MSEC G_GINT64_CONSTANT(1000)

IoqTuneRow *
ioq_tune_row_new(guint queues_per_thread)
{
    IoqTuneRow *row = g_new0(IoqTuneRow, 1);

    row->queues_per_thread = queues_per_thread;
    row->threads = g_array_new(FALSE, FALSE, sizeof(IoqTuneThread));
    return row;
}

void
ioq_tune_row_free(IoqTuneRow *row)
{
    if (row) {
        g_array_unref(row->threads);
        g_free(row);
    }
}

GArray *
ioq_tune_candidates(guint n_queues)
{
    GArray *candidates = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint k = 1; k < n_queues; k *= 2) {
        g_array_append_val(candidates, k);
    }
    g_array_append_val(candidates, n_queues);
    return candidates;
}

/* Until the time is over, or the back end has gone. */
static void
wait_under_load(const IoqTuneOptions *options, Front *front, guint64 msec)
{
    gint64 begin = g_get_monotonic_time();
    gint64 length = (gint64)msec * USEC_PER_MSEC;
    gint64 elapsed = 0;

    while (elapsed < length && !front_is_gone(front, LOOK_MSEC)) {
        elapsed = g_get_monotonic_time() - begin;
        if (options->progress && msec == options->msec) {
            options->progress(MIN((double)elapsed / (double)length, 1), options->data);
        }
    }
}

/* What the back end had used at some time. */
typedef struct {
    gint64 at_nsec;
    gint64 cpu_nsec;
    GArray *threads; /* of ScratchWorkerThread */
} Usage;

static void
usage_clear(Usage *usage)
{
    g_clear_pointer(&usage->threads, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Usage, usage_clear)

static gboolean
read_usage(const ScratchWorker *worker, Usage *usage, GError **error)
{
    usage->threads = scratch_worker_threads(worker, error);
    usage->at_nsec = front_now_nsec();
    return usage->threads && scratch_worker_cpu_nsec(worker, &usage->cpu_nsec, error);
}

static void
fill_row(IoqTuneRow *row, const Usage *before, const Usage *after, const FrontReadResult *result)
{
    double nsec = (double)(after->at_nsec - before->at_nsec);

    for (guint i = 0; i < MIN(before->threads->len, after->threads->len); i++) {
        const ScratchWorkerThread *begin = &g_array_index(before->threads, ScratchWorkerThread, i);
        const ScratchWorkerThread *end = &g_array_index(after->threads, ScratchWorkerThread, i);
        IoqTuneThread thread = {.n_queues = end->n_queues,
                                .utilisation = (double)(end->cpu_nsec - begin->cpu_nsec) / nsec};

        g_array_append_val(row->threads, thread);
        row->utilisation += thread.utilisation / after->threads->len;
    }
    row->iops = (double)result->requests * NSEC_PER_SEC / (double)result->nsec;
    row->p50_usec = front_latency_percentile(&result->latency, 0.5);
    row->p99_usec = front_latency_percentile(&result->latency, 0.99);
    row->cpu_seconds = (double)(after->cpu_nsec - before->cpu_nsec) / NSEC_PER_SEC;
    row->iops_per_cpu = row->cpu_seconds > 0 ? (double)result->requests / row->cpu_seconds : 0;
}

static gboolean
measure(const IoqTuneOptions *options, const ScratchWorker *worker, Front *front, IoqTuneRow *row,
        GError **error)
{
    FrontReadLoad *load = front_read_load_start(front, options->depth, error);
    g_auto(Usage) before = {0};
    g_auto(Usage) after = {0};
    FrontReadResult result = {0};
    gboolean measured, ended;

    if (!load) {
        return FALSE;
    }
    wait_under_load(options, front, WARM_UP_MSEC);
    measured = read_usage(worker, &before, error);
    if (measured) {
        front_read_load_count(load);
        wait_under_load(options, front, options->msec);
        measured = read_usage(worker, &after, error);
    }
    ended = front_read_load_end(load, &result, measured ? error : NULL);
    if (measured && ended) {
        fill_row(row, &before, &after, &result);
    }
    front_latency_clear(&result.latency);
    return measured && ended;
}

IoqTuneRow *
ioq_tune_measure(const IoqTuneOptions *options, guint queues_per_thread, GError **error)
{
    const ScratchWorkerOptions worker_options = {
        .program = options->worker,
        .image = options->image,
        .n_queues = options->n_queues,
        .queues_per_thread = queues_per_thread,
        .cpus = options->cpus,
    };
    g_autoptr(ScratchWorker) worker = scratch_worker_start(&worker_options, error);
    g_autoptr(Front) front = NULL;
    g_autoptr(IoqTuneRow) row = ioq_tune_row_new(queues_per_thread);
    FrontOptions front_options;

    if (!worker) {
        return NULL;
    }
    front_options = (FrontOptions){
        .socket = scratch_worker_socket(worker),
        .n_queues = options->n_queues,
        .queue_size = FRONT_READ_QUEUE_SIZE,
        .memory_bytes = front_read_load_bytes(options->n_queues, options->depth),
        .event_idx = TRUE, /* as a guest's driver */
        .inflight = TRUE,
    };
    front = front_new(&front_options, error);
    if (!front || !front_connect(front, error) || !measure(options, worker, front, row, error)) {
        return NULL;
    }
    return g_steal_pointer(&row);
}

const IoqTuneRow *
ioq_tune_most_used(const GPtrArray *rows)
{
    const IoqTuneRow *most = rows->pdata[0];

    for (guint i = 1; i < rows->len; i++) {
        const IoqTuneRow *row = rows->pdata[i];

        if (row->utilisation > most->utilisation) {
            most = row;
        }
    }
    return most;
}

const IoqTuneRow *
ioq_tune_best(const GPtrArray *rows)
{
    const IoqTuneRow *best = NULL;
    double most = 0;

    for (guint i = 0; i < rows->len; i++) {
        most = MAX(most, ((const IoqTuneRow *)rows->pdata[i])->iops);
    }
    for (guint i = 0; i < rows->len; i++) {
        const IoqTuneRow *row = rows->pdata[i];

        if (row->iops >= most * IOQ_TUNE_GOOD_SHARE &&
            (!best || row->iops_per_cpu > best->iops_per_cpu)) {
            best = row;
        }
    }
    return best;
}
