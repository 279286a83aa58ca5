/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * S7's test for a preset: which number of queues for each thread fits a disk best, found by trying
 * each under load.
 */
typedef struct {
    const char *worker; /* program */
    const char *image;  /* NULL: a disk that does nothing */
    guint n_queues;
    guint depth;
    const char *cpus; /* NULL: all */
    guint64 msec;     /* of load for each candidate */
    /* NULL: none. @share: 0 to 1, of this candidate's time. */
    void (*progress)(double share, gpointer data);
    gpointer data;
} IoqTuneOptions;

typedef struct {
    guint n_queues;
    double utilisation; /* of a CPU, 0 to 1 */
} IoqTuneThread;

/* What one candidate did. */
typedef struct {
    guint queues_per_thread;
    GArray *threads;    /* of IoqTuneThread */
    double utilisation; /* mean of its threads */
    double iops;
    double p50_usec;
    double p99_usec;
    double cpu_seconds;  /* of the whole back end, the kernel's work for it as well */
    double iops_per_cpu; /* requests for each CPU second */
} IoqTuneRow;

IoqTuneRow *ioq_tune_row_new(guint queues_per_thread); /* all else 0, no threads */
void ioq_tune_row_free(IoqTuneRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoqTuneRow, ioq_tune_row_free)

/* (transfer full) (element-type guint): 1, 2, 4, ... below @n_queues, and @n_queues. */
GArray *ioq_tune_candidates(guint n_queues);

/* Starts a back end with this candidate and puts load on it: random reads only. NULL with what went
 * wrong. */
IoqTuneRow *ioq_tune_measure(const IoqTuneOptions *options, guint queues_per_thread,
                             GError **error);

/* By the letter of S7's source: the row whose threads were used most; the first of equals. @rows:
 * (element-type IoqTuneRow), at least one. */
const IoqTuneRow *ioq_tune_most_used(const GPtrArray *rows);

#define IOQ_TUNE_GOOD_SHARE 0.95

/* Ours: the most requests for each CPU second, among those rows that have at least
 * IOQ_TUNE_GOOD_SHARE of the best row's IOPS; the first of equals. */
const IoqTuneRow *ioq_tune_best(const GPtrArray *rows);
