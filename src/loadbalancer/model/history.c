/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PERCENTILE 0.95

/* A ring; kept as small as it can be, since there is one for each VM of a fleet. */
typedef struct {
    guint32 generation; /* of the last sample */
    guint16 n;          /* in use */
    guint16 next;
    float values[];
} Series;

struct LbHistory {
    LbHistoryOptions options;
    guint32 generation;
    GHashTable *hosts; /* uuid, or name where there is none -> Series */
    GHashTable *vms;   /* uuid -> Series */
};

LbHistory *
lb_history_new(const LbHistoryOptions *options)
{
    LbHistory *history = g_new0(LbHistory, 1);

    history->options = *options;
    history->options.n_samples = CLAMP(options->n_samples, 1, LB_HISTORY_MAX_SAMPLES);
    history->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    history->vms = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return history;
}

void
lb_history_free(LbHistory *history)
{
    g_hash_table_unref(history->hosts);
    g_hash_table_unref(history->vms);
    g_free(history);
}

static int
compare_floats(const void *a, const void *b)
{
    float left = *(const float *)a;
    float right = *(const float *)b;

    return (left > right) - (left < right);
}

static double
percentile(const float *values, guint n)
{
    float sorted[LB_HISTORY_MAX_SAMPLES];
    guint index = (guint)ceil(PERCENTILE * n) - 1; /* nearest rank */

    memcpy(sorted, values, n * sizeof(float));
    qsort(sorted, n, sizeof(float), compare_floats);
    return sorted[index];
}

/* By how much a sample is more than the one before, by least squares. */
static double
slope(const float *values, guint n)
{
    double middle = (n - 1) / 2.0;
    double numerator = 0;
    double denominator = 0;

    for (guint i = 0; i < n; i++) {
        numerator += (i - middle) * values[i];
        denominator += (i - middle) * (i - middle);
    }
    return denominator > 0 ? numerator / denominator : 0;
}

double
lb_forecast(const float *values, guint n, double horizon)
{
    if (n == 0) {
        return 0;
    }
    n = MIN(n, LB_HISTORY_MAX_SAMPLES);
    return percentile(values, n) + MAX(slope(values, n), 0) * horizon;
}

static Series *
series_of(LbHistory *history, GHashTable *table, const char *key)
{
    Series *series = g_hash_table_lookup(table, key);

    if (!series) {
        series = g_malloc0(sizeof(Series) + history->options.n_samples * sizeof(float));
        series->generation = history->generation - 1;
        g_hash_table_insert(table, g_strdup(key), series);
    }
    return series;
}

static void
add_value(LbHistory *history, Series *series, double value)
{
    if (series->generation != history->generation - 1) {
        series->n = series->next = 0; /* there is a gap */
    }
    series->values[series->next] = (float)value;
    series->next = (guint16)((series->next + 1) % history->options.n_samples);
    series->n = (guint16)MIN(series->n + 1U, history->options.n_samples);
    series->generation = history->generation;
}

/* The last one at the end. @ordered: room for the window. */
static void
put_in_order(const LbHistory *history, const Series *series, float *ordered)
{
    guint size = history->options.n_samples;
    guint first = (series->next + size - series->n) % size;

    for (guint i = 0; i < series->n; i++) {
        ordered[i] = series->values[(first + i) % size];
    }
}

static double
forecast(const LbHistory *history, const Series *series, double limit)
{
    float ordered[LB_HISTORY_MAX_SAMPLES];

    if (series->n * 4 < history->options.n_samples) {
        return 0;
    }
    put_in_order(history, series, ordered);
    return MIN(lb_forecast(ordered, series->n, history->options.horizon), limit);
}

static guint
count_over(const LbHistory *history, const Series *series, double capacity)
{
    float ordered[LB_HISTORY_MAX_SAMPLES];
    guint n = MIN(history->options.n_trigger, series->n);
    guint n_over = 0;

    put_in_order(history, series, ordered);
    for (guint i = series->n - n; i < series->n; i++) {
        n_over += ordered[i] > history->options.threshold * capacity ? 1 : 0;
    }
    return n > 0 && ordered[series->n - 1] > history->options.threshold * capacity ? n_over : 0;
}

static void
add_host(LbHistory *history, LbHost *host)
{
    Series *series;

    if (host->status != LB_HOST_FRESH) {
        return;
    }
    series = series_of(history, history->hosts, *host->uuid ? host->uuid : host->name);
    add_value(history, series, host->busy);
    host->forecast = forecast(history, series, host->capacity);
    host->n_over = count_over(history, series, host->capacity);
    for (guint i = 0; i < host->vms->len; i++) {
        LbVm *vm = lb_host_vm(host, i);

        if (vm->measured && vm->running) {
            Series *mine = series_of(history, history->vms, vm->uuid);

            add_value(history, mine, vm->cpu + vm->delay);
            /* A VM wants no more than it has CPUs. */
            vm->forecast = forecast(history, mine, vm->n_vcpus > 0 ? vm->n_vcpus : host->capacity);
        }
    }
}

/* Of what has not been seen in this state: a window's length later it is forgotten. */
static gboolean
is_forgotten(gpointer key, gpointer value, gpointer data)
{
    const LbHistory *history = data;
    const Series *series = value;

    return history->generation - series->generation > history->options.n_samples;
}

void
lb_history_add(LbHistory *history, LbState *state)
{
    history->generation++;
    for (guint i = 0; i < state->hosts->len; i++) {
        add_host(history, lb_state_host(state, i));
    }
    g_hash_table_foreach_remove(history->hosts, is_forgotten, history);
    g_hash_table_foreach_remove(history->vms, is_forgotten, history);
}
