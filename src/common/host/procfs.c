/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/procfs.h"

#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/host/keyed.h"

#define STAT_FILE      "proc/stat"
#define STAT_MAX_BYTES (4 * 1024 * 1024) /* a line a CPU, and one of all interrupts */
#define MEMINFO_FILE   "proc/meminfo"
#define N_TIMES        (sizeof(GantryCpuTimes) / sizeof(guint64))
#define N_TIMES_MIN    4 /* kernels before 2.6 wrote no more; later ones only added */
#define TIME_MAX_USEC  (G_MAXUINT64 / 16) /* their sum still fits */
#define START_FIELD    20 /* field 22 of proc(5), counted from the space behind the name */
#define KIB_MAX        (G_MAXUINT64 / 1024)

static gboolean parse_stat_line(const char *line, GantryProcStat *stat, GError **error);
static gboolean parse_times(const char *text, GantryCpuTimes *ret_times);

void
gantry_proc_stat_clear(GantryProcStat *stat)
{
    g_clear_pointer(&stat->cpus, g_array_unref);
}

gboolean
gantry_host_proc_stat(const GantryHost *host, GantryProcStat *ret_stat, GError **error)
{
    g_autofree char *text = gantry_host_read(host, STAT_MAX_BYTES, error, STAT_FILE);
    g_auto(GantryProcStat) stat = {0};
    g_auto(GStrv) lines = NULL;

    if (!text || !gantry_keyed_uint(text, STAT_FILE, "btime", TRUE, G_MAXUINT64,
                                    &stat.boot_time_sec, error)) {
        return FALSE;
    }
    if (!g_str_has_prefix(text, "cpu ")) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%s does not begin with the times of all CPUs"), STAT_FILE);
        return FALSE;
    }
    stat.cpus = g_array_new(FALSE, FALSE, sizeof(GantryCpuTimesOf));
    lines = g_strsplit(text, "\n", -1);
    for (gsize i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], "cpu") && !parse_stat_line(lines[i], &stat, error)) {
            return FALSE;
        }
    }
    *ret_stat = stat;
    stat.cpus = NULL;
    return TRUE;
}

guint64
gantry_cpu_times_busy_usec(const GantryCpuTimes *times)
{
    return times->user_usec + times->nice_usec + times->system_usec + times->irq_usec +
           times->softirq_usec + times->steal_usec;
}

guint64
gantry_cpu_times_total_usec(const GantryCpuTimes *times)
{
    return gantry_cpu_times_busy_usec(times) + times->idle_usec + times->iowait_usec;
}

gboolean
gantry_host_meminfo(const GantryHost *host, GantryMeminfo *ret_meminfo, GError **error)
{
    const struct {
        const char *key;
        gboolean required;
        guint64 unit;
        gsize offset;
    } lines[] = {
        {"MemTotal", TRUE, 1024, G_STRUCT_OFFSET(GantryMeminfo, total_bytes)},
        {"MemFree", TRUE, 1024, G_STRUCT_OFFSET(GantryMeminfo, free_bytes)},
        {"MemAvailable", TRUE, 1024, G_STRUCT_OFFSET(GantryMeminfo, available_bytes)},
        {"SwapTotal", FALSE, 1024, G_STRUCT_OFFSET(GantryMeminfo, swap_total_bytes)},
        {"SwapFree", FALSE, 1024, G_STRUCT_OFFSET(GantryMeminfo, swap_free_bytes)},
        {"Hugepagesize", FALSE, 1024, G_STRUCT_OFFSET(GantryMeminfo, huge_page_bytes)},
        {"HugePages_Total", FALSE, 1, G_STRUCT_OFFSET(GantryMeminfo, huge_pages_total)},
        {"HugePages_Free", FALSE, 1, G_STRUCT_OFFSET(GantryMeminfo, huge_pages_free)},
    };
    g_autofree char *text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, MEMINFO_FILE);
    GantryMeminfo meminfo = {0};

    for (gsize i = 0; text && i < G_N_ELEMENTS(lines); i++) {
        guint64 value;

        if (!gantry_keyed_uint(text, MEMINFO_FILE, lines[i].key, lines[i].required, KIB_MAX, &value,
                               error)) {
            return FALSE;
        }
        G_STRUCT_MEMBER(guint64, &meminfo, lines[i].offset) = value * lines[i].unit;
    }
    if (!text) {
        return FALSE;
    }
    *ret_meminfo = meminfo;
    return TRUE;
}

gboolean
gantry_host_process_start(const GantryHost *host, pid_t pid, gint64 *ret_time_sec, GError **error)
{
    g_autofree char *text =
        gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, "proc/%d/stat", (int)pid);
    g_auto(GantryProcStat) stat = {0};
    g_auto(GStrv) fields = NULL;
    const char *after_name;
    guint64 ticks;

    if (!text || !gantry_host_proc_stat(host, &stat, error)) {
        return FALSE;
    }
    /* The name, in parentheses, may hold anything, also parentheses and spaces. */
    after_name = strrchr(text, ')');
    fields = g_strsplit(after_name ? after_name + 1 : "", " ", -1);
    if (g_strv_length(fields) <= START_FIELD ||
        !g_ascii_string_to_unsigned(fields[START_FIELD], 10, 0, G_MAXINT64, &ticks, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("proc/%d/stat is not as the kernel writes it"), (int)pid);
        return FALSE;
    }
    *ret_time_sec = (gint64)(stat.boot_time_sec + ticks / (guint64)sysconf(_SC_CLK_TCK));
    return TRUE;
}

gboolean
gantry_host_thread_cpu(const GantryHost *host, pid_t pid, pid_t tid, guint64 *ret_nsec,
                       GError **error)
{
    g_autofree char *text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error,
                                             "proc/%d/task/%d/schedstat", (int)pid, (int)tid);
    g_auto(GStrv) words = text ? g_strsplit(text, " ", 2) : NULL;

    if (!text) {
        return FALSE;
    }
    if (!words[0] || !g_ascii_string_to_unsigned(words[0], 10, 0, G_MAXINT64, ret_nsec, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("proc/%1$d/task/%2$d/schedstat is not as the kernel writes it"), (int)pid,
                    (int)tid);
        return FALSE;
    }
    return TRUE;
}

/* "cpu  TIMES" or "cpuN TIMES". */
static gboolean
parse_stat_line(const char *line, GantryProcStat *stat, GError **error)
{
    const char *rest = line + strlen("cpu");
    g_autofree char *number = g_strndup(rest, strcspn(rest, " "));
    GantryCpuTimesOf of = {0};
    guint64 cpu = 0;
    gboolean is_total = *number == '\0';

    if ((!is_total &&
         !g_ascii_string_to_unsigned(number, 10, 0, GANTRY_CPUSET_MAX_CPUS - 1, &cpu, NULL)) ||
        !parse_times(rest + strlen(number), &of.times)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: the line '%2$.64s' is not as the kernel writes it"), STAT_FILE, line);
        return FALSE;
    }
    if (is_total) {
        stat->total = of.times;
        return TRUE;
    }
    of.cpu = (guint)cpu;
    g_array_append_val(stat->cpus, of);
    return TRUE;
}

static gboolean
parse_times(const char *text, GantryCpuTimes *ret_times)
{
    guint64 usec_per_tick = G_USEC_PER_SEC / (guint64)sysconf(_SC_CLK_TCK);
    g_auto(GStrv) words = g_strsplit(text + strspn(text, " "), " ", -1);
    guint64 values[N_TIMES] = {0};
    gsize n = 0;

    for (; words[n] && n < N_TIMES; n++) {
        guint64 ticks;

        if (!g_ascii_string_to_unsigned(words[n], 10, 0, TIME_MAX_USEC / usec_per_tick, &ticks,
                                        NULL)) {
            return FALSE;
        }
        values[n] = ticks * usec_per_tick;
    }
    if (n < N_TIMES_MIN) {
        return FALSE;
    }
    /* In the order of the columns. */
    memcpy(ret_times, values, sizeof(values));
    return TRUE;
}
