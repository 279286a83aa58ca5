/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/simulate/trace.h"

#include <math.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/config.h"
#include "common/base/text.h"

#define HEADING      "vm,vcpus,memory_mib,cpu_percent..."
#define MAX_VCPUS    4096U
#define MAX_MIB      (1U << 30)
#define CSV_SUFFIX   ".csv"
#define MAX_FILE_LEN ((gsize)1 << 30)

void
lb_trace_free(gpointer data)
{
    LbTrace *trace = data;

    g_free(trace->name);
    g_free(trace->percent);
    g_free(trace);
}

static gboolean
wrong(GError **error, const char *path, guint line, const char *what, const char *text)
{
    g_autofree char *excerpt = gantry_excerpt(text);

    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, "%s:%u: %s: '%s'", path, line, what,
                excerpt);
    return FALSE;
}

static gboolean
read_percent(const char *text, float *ret_value)
{
    char *end;
    double value = g_ascii_strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0 && value <= 100)) {
        return FALSE;
    }
    *ret_value = (float)value;
    return TRUE;
}

/* A text cut into lines, without those that are empty at the end. */
static char **
split_lines(char *text)
{
    g_strchomp(text);
    g_strdelimit(text, "\r", ' ');
    return g_strsplit(text, "\n", 0);
}

static LbTrace *
trace_new(const char *name, guint n_values)
{
    LbTrace *trace = g_new0(LbTrace, 1);

    trace->name = g_strdup(name);
    trace->n_values = n_values;
    trace->percent = g_new0(float, n_values + 1);
    return trace;
}

/* Not 288 values exactly: other sets in this format have other lengths. */
static gboolean
read_cloudsim(const char *path, const char *name, char *text, GPtrArray *traces, GError **error)
{
    g_auto(GStrv) lines = split_lines(text);
    guint n = g_strv_length(lines);
    LbTrace *trace;

    if (n == 0 || n > LB_TRACE_MAX_VALUES) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: has %2$u lines; 1 to %3$u are possible, one value in each"), path, n,
                    LB_TRACE_MAX_VALUES);
        return FALSE;
    }
    trace = trace_new(name, n);
    g_ptr_array_add(traces, trace);
    for (guint i = 0; i < n; i++) {
        if (!read_percent(g_strstrip(lines[i]), &trace->percent[i])) {
            return wrong(error, path, i + 1, _("not a percentage from 0 to 100"), lines[i]);
        }
    }
    return TRUE;
}

static gboolean
read_csv_line(const char *path, guint line, char **fields, GPtrArray *traces, GError **error)
{
    guint n = g_strv_length(fields);
    guint64 n_vcpus;
    guint64 mib;
    LbTrace *trace;

    if (n < 4 || n - 3 > LB_TRACE_MAX_VALUES) {
        return wrong(error, path, line, _("a VM's line needs name, vcpus, memory_mib and values"),
                     fields[0]);
    }
    if (!gantry_parse_uint(g_strstrip(fields[1]), 1, MAX_VCPUS, &n_vcpus, NULL)) {
        return wrong(error, path, line, _("not a number of vCPUs"), fields[1]);
    }
    if (!gantry_parse_uint(g_strstrip(fields[2]), 1, MAX_MIB, &mib, NULL)) {
        return wrong(error, path, line, _("not a number of MiB"), fields[2]);
    }
    trace = trace_new(g_strstrip(fields[0]), n - 3);
    g_ptr_array_add(traces, trace);
    trace->n_vcpus = (guint)n_vcpus;
    trace->memory_bytes = mib << 20;
    for (guint i = 0; i < n - 3; i++) {
        if (!read_percent(g_strstrip(fields[i + 3]), &trace->percent[i])) {
            return wrong(error, path, line, _("not a percentage from 0 to 100"), fields[i + 3]);
        }
    }
    return TRUE;
}

static gboolean
read_csv(const char *path, char *text, GPtrArray *traces, GError **error)
{
    g_auto(GStrv) lines = split_lines(text);

    if (!lines[0] || !g_str_equal(g_strstrip(lines[0]), HEADING)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s:1: the first line is not '%2$s'"), path, HEADING);
        return FALSE;
    }
    for (guint i = 1; lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], ",", 0);

        if (!read_csv_line(path, i + 1, fields, traces, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
read_file(const char *path, GPtrArray *traces, GError **error)
{
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *text = NULL;
    gsize length;

    if (!g_file_get_contents(path, &text, &length, error)) {
        return FALSE;
    }
    if (length > MAX_FILE_LEN || strlen(text) != length) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%s: is not a text of traces"),
                    path);
        return FALSE;
    }
    return g_str_has_suffix(name, CSV_SUFFIX) ? read_csv(path, text, traces, error)
                                              : read_cloudsim(path, name, text, traces, error);
}

static int
compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* (transfer full): paths in a folder, or the path itself. */
static GPtrArray *
list_files(const char *path, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = NULL;
    const char *name;

    if (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_ptr_array_add(paths, g_strdup(path));
        return g_steal_pointer(&paths);
    }
    dir = g_dir_open(path, 0, error);
    if (!dir) {
        return NULL;
    }
    while ((name = g_dir_read_name(dir))) {
        char *file = g_build_filename(path, name, NULL);

        if (name[0] != '.' && g_file_test(file, G_FILE_TEST_IS_REGULAR)) {
            g_ptr_array_add(paths, file);
        } else {
            g_free(file);
        }
    }
    g_ptr_array_sort(paths, compare_texts);
    return g_steal_pointer(&paths);
}

GPtrArray *
lb_traces_load(const char *path, GError **error)
{
    g_autoptr(GPtrArray) traces = g_ptr_array_new_with_free_func(lb_trace_free);
    g_autoptr(GPtrArray) paths = list_files(path, error);

    if (!paths) {
        return NULL;
    }
    for (guint i = 0; i < paths->len; i++) {
        if (!read_file(paths->pdata[i], traces, error)) {
            return NULL;
        }
    }
    if (traces->len == 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("%s: no traces are there"),
                    path);
        return NULL;
    }
    for (guint i = 0; i < traces->len; i++) {
        const LbTrace *first = traces->pdata[0];
        const LbTrace *trace = traces->pdata[i];

        if (trace->n_values != first->n_values) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: VM '%2$s' has %3$u values, VM '%4$s' has %5$u: all must have as "
                          "many"),
                        path, trace->name, trace->n_values, first->name, first->n_values);
            return NULL;
        }
    }
    return g_steal_pointer(&traces);
}
