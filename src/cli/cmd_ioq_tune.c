/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry ioq tune: which number of queues for each thread fits a disk best. All is measured on a
 * back end of our own that can only read the image; the domain may run meanwhile, and has less of
 * its storage.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/domain.h"
#include "cli/ioq.h"
#include "cli/ioq_plot.h"
#include "cli/plot_file.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"
#include "extensions/extensions.h"
#include "ioq_tuning/apply/target.h"
#include "ioq_tuning/ioq_ext.h"
#include "ioq_tuning/tune/tune.h"

#define BAR_CELLS    30
#define PER_CENT     100.0
#define MAX_SHOWN    8 /* threads whose utilisation stands in the table */
#define USED_COLUMNS 34
#define K_COLUMNS    12
#define N_COLUMNS    7
#define MEAN_COLUMNS 6

/* What is to be tuned. */
typedef struct {
    char *target; /* "vda"; NULL: no disk of a domain */
    char *image;  /* NULL: the null disk */
    char *cpus;
    guint n_queues;
} Subject;

static void
subject_clear(Subject *subject)
{
    g_free(subject->target);
    g_free(subject->image);
    g_free(subject->cpus);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Subject, subject_clear)

/* The <device> that is meant; NULL with @error, or where --target names a disk without one. */
static const GantryElement *
find_device(const GantryElement *tuning, const char *target, GError **error)
{
    for (guint i = 0; target && i < tuning->children->len; i++) {
        if (g_str_equal(gantry_element_string(tuning->children->pdata[i], "target"), target)) {
            return tuning->children->pdata[i];
        }
    }
    if (target || tuning->children->len == 1) {
        return target ? NULL : tuning->children->pdata[0];
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                _("the domain's settings name %u disks: say which by --target"),
                tuning->children->len);
    return NULL;
}

/* (transfer full): the raw image of a disk that QEMU serves. */
static char *
image_of_disk(const xmlNode *disk, const char *target, GError **error)
{
    const xmlNode *driver = gantry_xml_next_child(disk, NULL, NULL, "driver");
    const xmlNode *source = gantry_xml_next_child(disk, NULL, NULL, "source");
    g_autofree char *format = driver ? gantry_xml_attribute(driver, "type") : NULL;
    char *path = source ? gantry_xml_attribute(source, "file") : NULL;

    if (source && !path) {
        path = gantry_xml_attribute(source, "dev");
    }
    if (path && (!format || g_str_equal(format, "raw"))) {
        return path;
    }
    g_free(path);
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                _("disk '%s' is not a raw file or block device, which is all that can be read for "
                  "this: give --image or --null"),
                target);
    return NULL;
}

static char *
image_of_device(const GantryElement *device, const xmlNode *disk, const char *target,
                GError **error)
{
    const char *format = device ? gantry_element_string(device, "format") : NULL;

    if (!format) {
        return image_of_disk(disk, target, error);
    }
    if (g_str_equal(format, "raw")) {
        return g_strdup(gantry_element_string(device, "source"));
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                _("disk '%1$s' has format='%2$s'; only raw images can be read for this: give "
                  "--image or --null"),
                target, format);
    return NULL;
}

static gboolean
read_disk(GantryXml *domain, const GantryElement *tuning, const CliIoqOptions *options,
          Subject *subject, GError **error)
{
    g_autoptr(GError) local = NULL;
    const GantryElement *device = find_device(tuning, options->target, &local);
    const xmlNode *disk;

    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    subject->target = g_strdup(device ? gantry_element_string(device, "target") : options->target);
    subject->cpus = device ? g_strdup(gantry_element_string(device, "cpuset")) : NULL;
    disk = ioq_domain_disk(domain, subject->target);
    if (!disk) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("the domain has no disk '%s'"),
                    subject->target);
        return FALSE;
    }
    subject->n_queues =
        ioq_driver_queues(domain, gantry_xml_next_child(disk, NULL, NULL, "driver"));
    if (!options->image && !options->null) {
        subject->image = image_of_device(device, disk, subject->target, error);
        return subject->image != NULL;
    }
    return TRUE;
}

static gboolean
read_domain(const char *name, const CliIoqOptions *options, Subject *subject, GError **error)
{
    const char *const names[] = {name, NULL};
    g_autoptr(GantryPolicy) policy = cli_policy_load(options->policy_dir, error);
    g_autoptr(GPtrArray) domains =
        policy
            ? cli_domains_from_libvirt(options->connect, names, (guint)options->timeout_msec, error)
            : NULL;
    g_autoptr(GantryXml) domain = domains ? cli_domain_parse(domains->pdata[0], error) : NULL;
    g_autoptr(GantrySettings) settings =
        domain ? gantry_settings_resolve(gantry_extensions, domain, policy, error) : NULL;

    return settings &&
           read_disk(domain, gantry_settings_get(settings, ioq_extension.feature)->element, options,
                     subject, error);
}

static gboolean
find_subject(const char *domain, const CliIoqOptions *options, Subject *subject, GError **error)
{
    if (options->image && options->null) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("--image and --null exclude each other"));
        return FALSE;
    }
    if (domain ? !read_domain(domain, options, subject, error)
               : !options->image && !options->null) {
        if (!domain) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("tune what? Give a domain, --image, or --null"));
        }
        return FALSE;
    }
    if (options->image) {
        subject->image = g_canonicalize_filename(options->image, NULL);
    }
    if (options->n_queues > 0) {
        subject->n_queues = (guint)options->n_queues;
    }
    if (subject->n_queues == 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("how many queues are there? Give --queues"));
        return FALSE;
    }
    subject->n_queues = MIN(subject->n_queues, CLI_IOQ_MAX_QUEUES);
    return TRUE;
}

/* Measuring */

typedef struct {
    guint queues_per_thread;
    guint number;
    guint n;
    gboolean is_shown;
} Progress;

static void
show_progress(double share, gpointer data)
{
    const Progress *progress = data;
    g_autofree char *bar = cli_bar((progress->number + share) / progress->n, BAR_CELLS);

    if (progress->is_shown) {
        fprintf(stderr, "\r[%s] queues-per-thread %u ", bar, progress->queues_per_thread);
    }
}

/* (transfer full) (element-type IoqTuneRow) (nullable) */
static GPtrArray *
measure_all(const Subject *subject, const CliIoqOptions *options, GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ioq_tune_row_free);
    g_autoptr(GArray) candidates = ioq_tune_candidates(subject->n_queues);
    Progress progress = {.n = candidates->len, .is_shown = isatty(STDERR_FILENO)};
    const IoqTuneOptions tune_options = {
        .worker = options->worker,
        .image = subject->image,
        .n_queues = subject->n_queues,
        .depth = (guint)options->depth,
        .cpus = subject->cpus,
        .msec = options->time_msec,
        .progress = show_progress,
        .data = &progress,
    };
    gboolean measured = TRUE;

    for (guint i = 0; measured && i < candidates->len; i++) {
        IoqTuneRow *row;

        progress.number = i;
        progress.queues_per_thread = g_array_index(candidates, guint, i);
        row = ioq_tune_measure(&tune_options, progress.queues_per_thread, error);
        measured = row != NULL;
        if (row) {
            g_ptr_array_add(rows, row);
        }
    }
    if (progress.is_shown) {
        fputs("\r\033[K", stderr);
    }
    return measured ? g_steal_pointer(&rows) : NULL;
}

/* What came out */

/* (transfer full): "61 58 60 59" */
static char *
format_threads(const IoqTuneRow *row)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < MIN(row->threads->len, MAX_SHOWN); i++) {
        g_string_append_printf(text, "%s%.0f", i > 0 ? " " : "",
                               g_array_index(row->threads, IoqTuneThread, i).utilisation *
                                   PER_CENT);
    }
    if (row->threads->len > MAX_SHOWN) {
        g_string_append(text, " ...");
    }
    return g_string_free(text, FALSE);
}

static void
print_table(const GPtrArray *rows)
{
    g_autofree char *queues = cli_padded(_("QUEUES/THR"), K_COLUMNS);
    g_autofree char *number = cli_padded(_("THREADS"), N_COLUMNS);
    g_autofree char *mean = cli_padded(_("MEAN"), MEAN_COLUMNS);
    g_autofree char *used = cli_padded(_("UTILISATION % OF EACH"), USED_COLUMNS);

    printf("%s %s %s  %s %9s %10s %9s %9s\n", queues, number, mean, used, "IOPS", "IOPS/CPU s",
           "P50 us", "P99 us");
    for (guint i = 0; i < rows->len; i++) {
        const IoqTuneRow *row = rows->pdata[i];
        g_autofree char *threads = format_threads(row);
        g_autofree char *cell = cli_padded(threads, USED_COLUMNS);

        printf("%-*u %-*u %-*.0f  %s %9.0f %10.0f %9.1f %9.1f\n", K_COLUMNS, row->queues_per_thread,
               N_COLUMNS, row->threads->len, MEAN_COLUMNS, row->utilisation * PER_CENT, cell,
               row->iops, row->iops_per_cpu, row->p50_usec, row->p99_usec);
    }
}

static void
print_text(const Subject *subject, const GPtrArray *rows)
{
    const IoqTuneRow *used = ioq_tune_most_used(rows);
    const IoqTuneRow *best = ioq_tune_best(rows);

    print_table(rows);
    putchar('\n');
    printf(_("Highest utilisation of threads: queues-per-thread %u.\n"), used->queues_per_thread);
    printf(_("Most requests in a CPU second, of those with 95 %% of the most IOPS or more: %u.\n"),
           best->queues_per_thread);
    if (used != best) {
        puts(_("They differ: a thread that is busy is not one that does much."));
    }
    if (subject->target) {
        printf(_("Recommended: <device target='%1$s' queues-per-thread='%2$u'/>\n"),
               subject->target, best->queues_per_thread);
    } else {
        printf(_("Recommended: queues-per-thread='%u'\n"), best->queues_per_thread);
    }
}

static void
add_number(JsonBuilder *builder, const char *member, double value)
{
    json_builder_set_member_name(builder, member);
    json_builder_add_double_value(builder, value);
}

static void
add_count(JsonBuilder *builder, const char *member, guint value)
{
    json_builder_set_member_name(builder, member);
    json_builder_add_int_value(builder, value);
}

static void
add_row(JsonBuilder *builder, const IoqTuneRow *row)
{
    json_builder_begin_object(builder);
    add_count(builder, "queues_per_thread", row->queues_per_thread);
    cli_json_begin_array(builder, "threads");
    for (guint i = 0; i < row->threads->len; i++) {
        const IoqTuneThread *thread = &g_array_index(row->threads, IoqTuneThread, i);

        json_builder_begin_object(builder);
        add_count(builder, "queues", thread->n_queues);
        add_number(builder, "utilisation", thread->utilisation);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    add_number(builder, "utilisation", row->utilisation);
    add_number(builder, "iops", row->iops);
    add_number(builder, "cpu_seconds", row->cpu_seconds);
    add_number(builder, "iops_per_cpu_second", row->iops_per_cpu);
    add_number(builder, "p50_us", row->p50_usec);
    add_number(builder, "p99_us", row->p99_usec);
    json_builder_end_object(builder);
}

static void
print_json(const Subject *subject, const CliIoqOptions *options, const GPtrArray *rows)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    cli_json_string(builder, "target", subject->target);
    cli_json_string(builder, "image", subject->image);
    add_count(builder, "queues", subject->n_queues);
    add_count(builder, "depth", (guint)options->depth);
    cli_json_begin_array(builder, "candidates");
    for (guint i = 0; i < rows->len; i++) {
        add_row(builder, rows->pdata[i]);
    }
    json_builder_end_array(builder);
    add_count(builder, "most_used", ioq_tune_most_used(rows)->queues_per_thread);
    add_count(builder, "recommended", ioq_tune_best(rows)->queues_per_thread);
    json_builder_end_object(builder);
    cli_print_json(json_builder_get_root(builder));
}

int
cli_ioq_tune(const CliIoqOptions *options, const char *domain)
{
    g_autoptr(GError) error = NULL;
    g_auto(Subject) subject = {0};
    g_autoptr(GPtrArray) rows = NULL;

    if (!find_subject(domain, options, &subject, &error)) {
        return cli_report_error("ioq", &error, domain ? CLI_EXIT_FAILED : CLI_EXIT_USAGE);
    }
    if (options->plot && !cli_plot_check(options->plot, subject.image, &error)) {
        return cli_report_error("ioq", &error, CLI_EXIT_FAILED);
    }
    rows = measure_all(&subject, options, &error);
    if (!rows) {
        return cli_report_error("ioq", &error, CLI_EXIT_FAILED);
    }
    if (options->json) {
        print_json(&subject, options, rows);
    } else {
        print_text(&subject, rows);
    }
    /* Last, so that what was measured is not lost with it. */
    if (options->plot && !cli_ioq_plot(options->plot, rows, &error)) {
        return cli_report_error("ioq", &error, CLI_EXIT_FAILED);
    }
    return CLI_EXIT_OK;
}
