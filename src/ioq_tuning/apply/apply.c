/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From settings to libvirt's iothreads. First the whole plan is made, then the edits: so what
 * cannot be done is found out before anything is changed. The plan is compared with what the XML
 * means, not with how it is written: libvirt writes it in its own way.
 */
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "ioq_tuning/apply/iothreads.h"
#include "ioq_tuning/apply/target.h"
#include "ioq_tuning/ioq_ext.h"

/* What a target is to have. */
typedef struct {
    const IoqTarget *target;
    GArray *ids; /* of guint: its iothreads, in the order of its queues */
} Plan;

static gboolean plan_targets(GPtrArray *targets, const IoqApplyOptions *options,
                             IoqThreads *threads, GPtrArray *plans, GPtrArray *left,
                             GError **error);
static void edit_target(const Plan *plan, GantryXmlEdit *edit, GPtrArray *changes);
static void edit_pins(GantryXml *domain, const GPtrArray *plans, GantryXmlEdit *edit,
                      GPtrArray *changes);

static void
plan_free(gpointer data)
{
    Plan *plan = data;

    g_array_unref(plan->ids);
    g_free(plan);
}

static void
change_free(gpointer data)
{
    IoqChange *change = data;

    g_free(change->what);
    g_free(change->before);
    g_free(change->after);
    g_free(change);
}

/* Takes all three. */
static void
add_change(GPtrArray *changes, char *what, char *before, char *after)
{
    IoqChange *change = g_new(IoqChange, 1);

    *change = (IoqChange){what, before, after};
    g_ptr_array_add(changes, change);
}

gboolean
ioq_apply(GantryXml *domain, const GantryElement *tuning, const IoqApplyOptions *options,
          GantryXmlEdit *edit, GPtrArray **ret_changes, GPtrArray **ret_left, GError **error)
{
    g_autoptr(GPtrArray) targets = ioq_targets_read(domain, tuning, error);
    g_autoptr(IoqThreads) before = targets ? ioq_threads_read(domain, error) : NULL;
    g_autoptr(IoqThreads) after = before ? ioq_threads_read(domain, error) : NULL;
    g_autoptr(GPtrArray) plans = g_ptr_array_new_with_free_func(plan_free);
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(change_free);
    g_autoptr(GPtrArray) left = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *ids_before = NULL;
    g_autofree char *ids_after = NULL;

    if (!after || !plan_targets(targets, options, after, plans, left, error)) {
        return FALSE;
    }
    ids_before = ioq_threads_format(before);
    ids_after = ioq_threads_format(after);
    if (!g_str_equal(ids_before, ids_after)) {
        ioq_threads_edit(domain, before, after, edit);
        add_change(changes, g_strdup(_("iothreads")), g_steal_pointer(&ids_before),
                   g_steal_pointer(&ids_after));
    }
    for (guint i = 0; i < plans->len; i++) {
        edit_target(plans->pdata[i], edit, changes);
    }
    edit_pins(domain, plans, edit, changes);
    *ret_changes = g_steal_pointer(&changes);
    *ret_left = g_steal_pointer(&left);
    return TRUE;
}

/* Keeps the target's own iothreads as far as it needs them, and gives and takes the rest. */
static Plan *
plan_target(const IoqTarget *target, IoqThreads *threads)
{
    guint n = (target->n_queues + target->queues_per_thread - 1) / target->queues_per_thread;
    g_autoptr(GArray) named = ioq_driver_ids(target->driver);
    Plan *plan = g_new0(Plan, 1);

    plan->target = target;
    plan->ids = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < named->len; i++) {
        guint id = g_array_index(named, guint, i);

        if (ioq_threads_users(threads, id) != 1 || !ioq_threads_has(threads, id)) {
            continue;
        }
        if (plan->ids->len < n) {
            g_array_append_val(plan->ids, id);
        } else {
            ioq_threads_remove(threads, id);
        }
    }
    while (plan->ids->len < n) {
        guint id = ioq_threads_add(threads);

        g_array_append_val(plan->ids, id);
    }
    return plan;
}

static void
warn_of_many(const Plan *plan, const IoqApplyOptions *options)
{
    guint n_cpus = options->online ? gantry_cpuset_count(options->online) : 0;

    if (options->warnings && n_cpus > 0 && plan->ids->len > n_cpus) {
        g_ptr_array_add(
            options->warnings,
            g_strdup_printf(_("%1$s gets %2$u iothreads, and the number of this host's CPUs is "
                              "%3$u: give it a larger queues-per-thread, or fewer queues"),
                            plan->target->name, plan->ids->len, n_cpus));
    }
}

static gboolean
plan_targets(GPtrArray *targets, const IoqApplyOptions *options, IoqThreads *threads,
             GPtrArray *plans, GPtrArray *left, GError **error)
{
    for (guint i = 0; i < targets->len; i++) {
        const IoqTarget *target = targets->pdata[i];

        if (!ioq_cpus_are_online(target->name, target->cpus, options->online, error)) {
            return FALSE;
        }
        if (options->guest_runs && !target->says_queues) {
            g_ptr_array_add(left, g_strdup_printf(_("%s is left as it is: its XML does not say how "
                                                    "many queues it has; 'gantry ioq apply' "
                                                    "writes it, for the next start"),
                                                  target->name));
            continue;
        }
        g_ptr_array_add(plans, plan_target(target, threads));
        warn_of_many(plans->pdata[plans->len - 1], options);
        if (threads->ids->len > IOQ_MAX_IOTHREADS) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                        _("%1$s would bring the domain to more than %2$u iothreads: give it a "
                          "larger queues-per-thread"),
                        target->name, IOQ_MAX_IOTHREADS);
            return FALSE;
        }
    }
    return TRUE;
}

/* The driver's content: which iothread serves which queue. */
static char *
format_map(const Plan *plan)
{
    GString *text = g_string_new("<iothreads>");
    guint k = plan->target->queues_per_thread;

    for (guint i = 0; i < plan->ids->len; i++) {
        g_string_append_printf(text, "<iothread id='%u'>", g_array_index(plan->ids, guint, i));
        for (guint queue = i * k; queue < MIN((i + 1) * k, plan->target->n_queues); queue++) {
            g_string_append_printf(text, "<queue id='%u'/>", queue);
        }
        g_string_append(text, "</iothread>");
    }
    g_string_append(text, "</iothreads>");
    return g_string_free(text, FALSE);
}

/* (transfer full): as it will be described once it is edited. */
static char *
describe_plan(const Plan *plan)
{
    g_autofree char *map = plan->ids->len > 1 ? format_map(plan) : NULL;
    g_autofree char *driver =
        map ? g_strdup_printf("<driver>%s</driver>", map)
            : g_strdup_printf("<driver iothread='%u'/>", g_array_index(plan->ids, guint, 0));
    g_autoptr(GantryXml) xml = gantry_xml_parse(driver, strlen(driver), "driver", NULL);

    return ioq_driver_describe(gantry_xml_root(xml));
}

/* A driver that is there: only what is about queues and iothreads. */
static void
edit_driver(const Plan *plan, gboolean maps, gboolean writes_queues, GantryXmlEdit *edit)
{
    const IoqTarget *target = plan->target;
    const xmlNode *map = gantry_xml_next_child(target->driver, NULL, NULL, "iothreads");
    g_autofree char *queues = g_strdup_printf("%u", target->n_queues);
    g_autofree char *id = g_strdup_printf("%u", g_array_index(plan->ids, guint, 0));
    g_autofree char *content = maps ? format_map(plan) : g_strdup("");

    if (writes_queues) {
        gantry_xml_edit_set_attribute(edit, target->driver, "queues", queues);
    }
    if (maps) {
        gantry_xml_edit_remove_attribute(edit, target->driver, "iothread");
    } else {
        gantry_xml_edit_set_attribute(edit, target->driver, "iothread", id);
    }
    if (map) {
        gantry_xml_edit_replace(edit, map, content);
    } else if (maps) {
        gantry_xml_edit_append(edit, target->driver, content);
    }
}

static void
add_driver(const Plan *plan, gboolean maps, gboolean writes_queues, GantryXmlEdit *edit)
{
    g_autofree char *map = maps ? format_map(plan) : NULL;
    g_autofree char *queues =
        writes_queues ? g_strdup_printf(" queues='%u'", plan->target->n_queues) : g_strdup("");
    g_autofree char *driver =
        maps ? g_strdup_printf("<driver%s>%s</driver>", queues, map)
             : g_strdup_printf("<driver iothread='%u'/>", g_array_index(plan->ids, guint, 0));

    gantry_xml_edit_append(edit, plan->target->device, driver);
}

/* One iothread for all queues is what libvirt has had for long; a mapping takes libvirt 10.0, and
 * the number of queues. */
static void
edit_target(const Plan *plan, GantryXmlEdit *edit, GPtrArray *changes)
{
    const IoqTarget *target = plan->target;
    gboolean maps = plan->ids->len > 1;
    gboolean writes_queues = maps && !target->says_queues;
    g_autofree char *before = ioq_driver_describe(target->driver);
    g_autofree char *after = describe_plan(plan);

    if (writes_queues) {
        add_change(changes, g_strdup_printf(_("%s: number of queues"), target->name),
                   g_strdup(_("not given")), g_strdup_printf("%u", target->n_queues));
    } else if (g_str_equal(before, after)) {
        return;
    }
    if (target->driver) {
        edit_driver(plan, maps, writes_queues, edit);
    } else {
        add_driver(plan, maps, writes_queues, edit);
    }
    add_change(changes, g_strdup_printf(_("%s: served by"), target->name), g_steal_pointer(&before),
               g_steal_pointer(&after));
}

/* Sets an iothread's CPUs; what has no element yet is appended to @more. */
static void
edit_pin(const xmlNode *pin, guint id, const char *cpus, GString *more, GantryXmlEdit *edit,
         GPtrArray *changes)
{
    g_autofree char *text = pin ? gantry_xml_attribute(pin, "cpuset") : NULL;
    g_autoptr(GantryCpuset) now = text ? gantry_cpuset_parse(text, NULL) : NULL;
    g_autoptr(GantryCpuset) wanted = gantry_cpuset_parse(cpus, NULL);

    if (now && gantry_cpuset_equal(now, wanted)) {
        return;
    }
    if (pin) {
        gantry_xml_edit_set_attribute(edit, pin, "cpuset", cpus);
    } else {
        g_string_append_printf(more, "<iothreadpin iothread='%u' cpuset='%s'/>", id, cpus);
    }
    add_change(changes, g_strdup_printf(_("iothread %u: CPUs"), id),
               text ? g_steal_pointer(&text) : g_strdup(_("not given")), g_strdup(cpus));
}

/* Where the settings say no CPUs, pins stay as they are. */
static void
edit_pins(GantryXml *domain, const GPtrArray *plans, GantryXmlEdit *edit, GPtrArray *changes)
{
    const xmlNode *cputune = gantry_xml_path(domain, "cputune");
    g_autoptr(GString) more = g_string_new(NULL);

    for (guint i = 0; i < plans->len; i++) {
        const Plan *plan = plans->pdata[i];

        for (guint k = 0; plan->target->cpus && k < plan->ids->len; k++) {
            guint id = g_array_index(plan->ids, guint, k);

            edit_pin(ioq_threads_pin(domain, id), id, plan->target->cpus, more, edit, changes);
        }
    }
    if (cputune && more->len > 0) {
        gantry_xml_edit_append(edit, cputune, more->str);
    } else if (more->len > 0) {
        g_autofree char *element = g_strdup_printf("<cputune>%s</cputune>", more->str);

        gantry_xml_edit_append(edit, gantry_xml_root(domain), element);
    }
}
