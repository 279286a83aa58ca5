/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt makes the iothreads of a domain from two elements: <iothreadids> lists ids, and where
 * <iothreads> counts more than it lists, the smallest free ids make up for the rest.
 */
#include "ioq_tuning/apply/iothreads.h"

#include "common/base/config.h"
#include "common/base/cpuset.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

#define MAX_ID    (GANTRY_CPUSET_MAX_CPUS - 1) /* so that a GantryCpuset may hold them */
#define MAX_QUEUE 1023U                        /* of a virtio device: VIRTIO_QUEUE_MAX */

static int
compare_ids(gconstpointer a, gconstpointer b)
{
    const guint *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

gboolean
ioq_attribute_uint(const xmlNode *element, const char *name, guint max, guint *ret_value)
{
    g_autofree char *text = element ? gantry_xml_attribute(element, name) : NULL;
    guint64 value;

    if (!text || !gantry_parse_uint(text, 0, max, &value, NULL)) {
        return FALSE;
    }
    *ret_value = (guint)value;
    return TRUE;
}

static void
add_once(GArray *ids, guint id)
{
    for (guint i = 0; i < ids->len; i++) {
        if (g_array_index(ids, guint, i) == id) {
            return;
        }
    }
    g_array_append_val(ids, id);
}

GArray *
ioq_driver_ids(const xmlNode *driver)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(guint));
    const xmlNode *map = driver ? gantry_xml_next_child(driver, NULL, NULL, "iothreads") : NULL;
    const xmlNode *thread = NULL;
    guint id;

    if (ioq_attribute_uint(driver, "iothread", MAX_ID, &id)) {
        add_once(ids, id);
    }
    while (map && (thread = gantry_xml_next_child(map, thread, NULL, "iothread"))) {
        if (ioq_attribute_uint(thread, "id", MAX_ID, &id)) {
            add_once(ids, id);
        }
    }
    return ids;
}

/* ": queues 0-1" of one <iothread> of a mapping. */
static void
describe_queues(const xmlNode *thread, GString *text)
{
    g_autoptr(GantryCpuset) queues = gantry_cpuset_new();
    g_autofree char *list = NULL;
    const xmlNode *queue = NULL;
    guint id;

    while ((queue = gantry_xml_next_child(thread, queue, NULL, "queue"))) {
        if (ioq_attribute_uint(queue, "id", MAX_QUEUE, &id)) {
            gantry_cpuset_add(queues, id);
        }
    }
    if (!gantry_cpuset_is_empty(queues)) {
        list = gantry_cpuset_format(queues);
        g_string_append_printf(text, _(" for queues %s"), list);
    }
}

char *
ioq_driver_describe(const xmlNode *driver)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const xmlNode *map = driver ? gantry_xml_next_child(driver, NULL, NULL, "iothreads") : NULL;
    const xmlNode *thread = NULL;
    guint id;

    if (ioq_attribute_uint(driver, "iothread", MAX_ID, &id)) {
        g_string_append_printf(text, _("iothread %u"), id);
    }
    while (map && (thread = gantry_xml_next_child(map, thread, NULL, "iothread"))) {
        if (ioq_attribute_uint(thread, "id", MAX_ID, &id)) {
            g_string_append(text, text->len > 0 ? ", " : "");
            g_string_append_printf(text, _("iothread %u"), id);
            describe_queues(thread, text);
        }
    }
    return text->len > 0 ? g_string_free(g_steal_pointer(&text), FALSE)
                         : g_strdup(_("QEMU's main loop"));
}

static void
count_users(GantryXml *domain, GHashTable *users)
{
    static const char *const names[] = {"disk", "controller"};
    const xmlNode *devices = gantry_xml_path(domain, "devices");

    for (gsize i = 0; devices && i < G_N_ELEMENTS(names); i++) {
        const xmlNode *device = NULL;

        while ((device = gantry_xml_next_child(devices, device, NULL, names[i]))) {
            g_autoptr(GArray) ids =
                ioq_driver_ids(gantry_xml_next_child(device, NULL, NULL, "driver"));

            for (guint k = 0; k < ids->len; k++) {
                gpointer id = GUINT_TO_POINTER(g_array_index(ids, guint, k));
                guint n = GPOINTER_TO_UINT(g_hash_table_lookup(users, id));

                g_hash_table_insert(users, id, GUINT_TO_POINTER(n + 1));
            }
        }
    }
}

static void
read_scheduled(GantryXml *domain, GHashTable *scheduled)
{
    const xmlNode *cputune = gantry_xml_path(domain, "cputune");
    const xmlNode *sched = NULL;

    while (cputune && (sched = gantry_xml_next_child(cputune, sched, NULL, "iothreadsched"))) {
        g_autofree char *text = gantry_xml_attribute(sched, "iothreads");
        g_autoptr(GantryCpuset) ids = text ? gantry_cpuset_parse(text, NULL) : NULL;

        for (int id = ids ? gantry_cpuset_next(ids, 0) : -1; id >= 0;
             id = gantry_cpuset_next(ids, (guint)id + 1)) {
            g_hash_table_add(scheduled, GINT_TO_POINTER(id));
        }
    }
}

static gboolean
read_ids(GantryXml *domain, IoqThreads *threads, GError **error)
{
    const xmlNode *count = gantry_xml_path(domain, "iothreads");
    const xmlNode *list = gantry_xml_path(domain, "iothreadids");
    const xmlNode *thread = NULL;
    g_autoptr(GArray) listed = NULL;
    guint64 n = 0;

    while (list && (thread = gantry_xml_next_child(list, thread, NULL, "iothread"))) {
        guint id;

        if (!ioq_attribute_uint(thread, "id", MAX_ID, &id) || id == 0) {
            g_autofree char *text = gantry_xml_attribute(thread, "id");
            g_autofree char *excerpt = gantry_excerpt(text ? text : "");

            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("<iothreadids>: id '%1$s' is not a number from 1 to %2$u"), excerpt,
                        MAX_ID);
            return FALSE;
        }
        add_once(threads->ids, id);
    }
    g_array_sort(threads->ids, compare_ids);
    if (count) {
        g_autofree char *text = gantry_xml_content(count);

        if (!gantry_parse_uint(text, 0, IOQ_MAX_IOTHREADS, &n, NULL)) {
            g_autofree char *excerpt = gantry_excerpt(text);

            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                        _("<iothreads> is '%1$s'; at most %2$u are taken"), excerpt,
                        IOQ_MAX_IOTHREADS);
            return FALSE;
        }
    }
    listed = g_array_copy(threads->ids);
    for (guint id = 1; threads->ids->len < n; id++) {
        if (!g_array_binary_search(listed, &id, compare_ids, NULL)) {
            g_array_append_val(threads->ids, id);
        }
    }
    g_array_sort(threads->ids, compare_ids);
    return TRUE;
}

IoqThreads *
ioq_threads_read(GantryXml *domain, GError **error)
{
    g_autoptr(IoqThreads) threads = g_new0(IoqThreads, 1);

    threads->ids = g_array_new(FALSE, FALSE, sizeof(guint));
    threads->users = g_hash_table_new(NULL, NULL);
    threads->scheduled = g_hash_table_new(NULL, NULL);
    if (!read_ids(domain, threads, error)) {
        return NULL;
    }
    count_users(domain, threads->users);
    read_scheduled(domain, threads->scheduled);
    return g_steal_pointer(&threads);
}

void
ioq_threads_free(IoqThreads *threads)
{
    if (threads) {
        g_array_unref(threads->ids);
        g_hash_table_unref(threads->users);
        g_hash_table_unref(threads->scheduled);
        g_free(threads);
    }
}

gboolean
ioq_threads_has(const IoqThreads *threads, guint id)
{
    return g_array_binary_search(threads->ids, &id, compare_ids, NULL);
}

guint
ioq_threads_users(const IoqThreads *threads, guint id)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(threads->users, GUINT_TO_POINTER(id)));
}

guint
ioq_threads_add(IoqThreads *threads)
{
    guint id = 1;

    while (ioq_threads_has(threads, id) || ioq_threads_users(threads, id) > 0) {
        id++;
    }
    g_array_append_val(threads->ids, id);
    g_array_sort(threads->ids, compare_ids);
    return id;
}

void
ioq_threads_remove(IoqThreads *threads, guint id)
{
    guint index;

    if (!g_hash_table_contains(threads->scheduled, GUINT_TO_POINTER(id)) &&
        g_array_binary_search(threads->ids, &id, compare_ids, &index)) {
        g_array_remove_index(threads->ids, index);
    }
}

char *
ioq_threads_format(const IoqThreads *threads)
{
    g_autoptr(GantryCpuset) set = gantry_cpuset_new();

    for (guint i = 0; i < threads->ids->len; i++) {
        gantry_cpuset_add(set, MIN(g_array_index(threads->ids, guint, i), MAX_ID));
    }
    return gantry_cpuset_is_empty(set) ? g_strdup(_("none")) : gantry_cpuset_format(set);
}

/* All ids are listed from now on, old entries as they are: they may hold a <poll>. */
static void
edit_ids(GantryXml *domain, const IoqThreads *after, GantryXmlEdit *edit)
{
    g_autoptr(GString) more = g_string_new(NULL);
    g_autoptr(GArray) listed = g_array_new(FALSE, FALSE, sizeof(guint));
    const xmlNode *list = gantry_xml_path(domain, "iothreadids");
    const xmlNode *thread = NULL;
    guint id;

    while (list && (thread = gantry_xml_next_child(list, thread, NULL, "iothread"))) {
        if (!ioq_attribute_uint(thread, "id", MAX_ID, &id)) {
            continue;
        }
        if (ioq_threads_has(after, id)) {
            g_array_append_val(listed, id);
        } else {
            gantry_xml_edit_replace(edit, thread, "");
        }
    }
    g_array_sort(listed, compare_ids);
    for (guint i = 0; i < after->ids->len; i++) {
        id = g_array_index(after->ids, guint, i);
        if (!g_array_binary_search(listed, &id, compare_ids, NULL)) {
            g_string_append_printf(more, "<iothread id='%u'/>", id);
        }
    }
    if (list && more->len > 0) {
        gantry_xml_edit_append(edit, list, more->str);
    } else if (more->len > 0) {
        g_autofree char *element = g_strdup_printf("<iothreadids>%s</iothreadids>", more->str);

        gantry_xml_edit_append(edit, gantry_xml_root(domain), element);
    }
}

static void
edit_count(GantryXml *domain, const IoqThreads *after, GantryXmlEdit *edit)
{
    const xmlNode *count = gantry_xml_path(domain, "iothreads");
    g_autofree char *element = g_strdup_printf("<iothreads>%u</iothreads>", after->ids->len);

    if (count) {
        gantry_xml_edit_replace(edit, count, element);
    } else {
        gantry_xml_edit_append(edit, gantry_xml_root(domain), element);
    }
}

void
ioq_threads_edit(GantryXml *domain, const IoqThreads *before, const IoqThreads *after,
                 GantryXmlEdit *edit)
{
    const xmlNode *cputune = gantry_xml_path(domain, "cputune");
    const xmlNode *pin = NULL;
    gboolean same = before->ids->len == after->ids->len;
    guint id;

    for (guint i = 0; same && i < before->ids->len; i++) {
        same = g_array_index(before->ids, guint, i) == g_array_index(after->ids, guint, i);
    }
    if (same) {
        return;
    }
    edit_count(domain, after, edit);
    edit_ids(domain, after, edit);
    while (cputune && (pin = gantry_xml_next_child(cputune, pin, NULL, "iothreadpin"))) {
        if (ioq_attribute_uint(pin, "iothread", MAX_ID, &id) && !ioq_threads_has(after, id)) {
            gantry_xml_edit_replace(edit, pin, "");
        }
    }
}

const xmlNode *
ioq_threads_pin(GantryXml *domain, guint id)
{
    const xmlNode *cputune = gantry_xml_path(domain, "cputune");
    const xmlNode *pin = NULL;
    guint pinned;

    while (cputune && (pin = gantry_xml_next_child(cputune, pin, NULL, "iothreadpin"))) {
        if (ioq_attribute_uint(pin, "iothread", MAX_ID, &pinned) && pinned == id) {
            return pin;
        }
    }
    return NULL;
}
