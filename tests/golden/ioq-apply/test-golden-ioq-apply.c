/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domain in, domain out: what the settings of feature ioq make of each document, in NAME.out.
 * Documents whose name ends in -invalid must fail, with the message in NAME.err; those whose name
 * begins with wire- are treated as of a guest that runs. Host CPUs are 0-7.
 */
#include <string.h>

#include "common/base/error.h"
#include "common/xml/settings.h"
#include "extensions/extensions.h"
#include "golden.h"
#include "ioq_tuning/ioq_ext.h"

#define ONLINE "0-7"

static char *directory;

typedef struct {
    char *text; /* NULL: nothing changed */
    GPtrArray *changes;
    GPtrArray *left;
} Result;

static void
result_clear(Result *result)
{
    g_free(result->text);
    g_clear_pointer(&result->changes, g_ptr_array_unref);
    g_clear_pointer(&result->left, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

static char *
load(const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* @k: instead of what the document says; NULL: as it says. */
static gboolean
apply(const char *name, const char *text, const char *k, Result *result, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GantryXml) domain = gantry_xml_parse(text, strlen(text), name, &local);
    g_autoptr(GantrySettings) settings =
        domain ? gantry_settings_resolve(gantry_extensions, domain, NULL, &local) : NULL;
    g_autoptr(GantryElement) tuning = NULL;
    g_autoptr(GantryCpuset) online = gantry_cpuset_parse(ONLINE, NULL);
    g_autoptr(GantryXmlEdit) edit = domain ? gantry_xml_edit_new(domain) : NULL;
    const IoqApplyOptions options = {.online = online,
                                     .guest_runs = g_str_has_prefix(name, "wire-")};
    gsize length;

    g_assert_no_error(local);
    tuning = gantry_element_copy(gantry_settings_get(settings, "ioq")->element);
    for (guint i = 0; k && i < tuning->children->len; i++) {
        gantry_element_set(tuning->children->pdata[i], "queues-per-thread", k);
    }
    if (!ioq_apply(domain, tuning, &options, edit, &result->changes, &result->left, error)) {
        g_assert_cmpuint(gantry_xml_edit_count(edit), ==, 0);
        return FALSE;
    }
    g_assert_cmpint(gantry_xml_edit_count(edit) > 0, ==, result->changes->len > 0);
    if (result->changes->len > 0) {
        result->text = gantry_xml_edit_apply(edit, &length, error);
        return result->text != NULL;
    }
    return TRUE;
}

static char *
golden_path(const char *name, const char *suffix)
{
    g_autofree char *base = g_strndup(name, strlen(name) - strlen(".xml"));
    g_autofree char *file = g_strconcat(base, suffix, NULL);

    return g_build_filename(directory, file, NULL);
}

static void
test_case(gconstpointer data)
{
    const char *name = data;
    g_autofree char *before = load(name);
    g_autofree char *expected = golden_path(name, ".out");
    g_autoptr(GString) told = g_string_new(NULL);
    g_auto(Result) result = {0};
    g_auto(Result) again = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(apply(name, before, NULL, &result, &error));
    g_assert_no_error(error);
    for (guint i = 0; i < result.changes->len; i++) {
        const IoqChange *change = result.changes->pdata[i];

        g_string_append_printf(told, "%s\n  - %s\n  + %s\n", change->what, change->before,
                               change->after);
    }
    for (guint i = 0; i < result.left->len; i++) {
        g_string_append_printf(told, "%s\n", (const char *)result.left->pdata[i]);
    }
    g_string_append_printf(told, "\n%s", result.text ? result.text : "no change\n");
    golden_compare(expected, told->str);

    g_assert_true(apply(name, result.text ? result.text : before, NULL, &again, &error));
    g_assert_no_error(error);
    g_assert_null(again.text);
}

static void
test_invalid(gconstpointer data)
{
    const char *name = data;
    g_autofree char *text = load(name);
    g_autofree char *expected = golden_path(name, ".err");
    g_autofree char *message = NULL;
    g_auto(Result) result = {0};
    g_autoptr(GError) error = NULL;

    g_assert_false(apply(name, text, NULL, &result, &error));
    g_assert_nonnull(error);
    g_assert_cmpuint(error->domain, ==, GANTRY_ERROR);
    g_assert_null(strchr(error->message, '\n'));
    message = g_strdup_printf("%s\n", error->message);
    golden_compare(expected, message);
}

/* Control of idempotence: what was applied with one k is changed by another, and back again gives
 * what was there: no iothread is left over. */
static void
test_other_k_and_back(void)
{
    static const char name[] = "blk-four-queues.xml";
    g_autofree char *text = load(name);
    g_auto(Result) two = {0};
    g_auto(Result) one = {0};
    g_auto(Result) back = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(apply(name, text, "2", &two, &error));
    g_assert_nonnull(two.text);
    g_assert_true(apply(name, two.text, "1", &one, &error));
    g_assert_nonnull(one.text);
    g_assert_nonnull(strstr(one.text, "<iothreads>4</iothreads>"));
    g_assert_true(apply(name, one.text, "2", &back, &error));
    g_assert_cmpstr(back.text, ==, two.text);
}

/* ceil(queues / k) iothreads, and each queue on thread queue / k, for each number of queues and k.
 */
static void
test_each_queue_has_its_thread(void)
{
    for (guint n = 1; n <= 16; n++) {
        for (guint k = 1; k <= n; k++) {
            g_autofree char *text = g_strdup_printf(
                "<domain><name>d</name><uuid>11111111-2222-4333-8444-555555555555</uuid><metadata>"
                "<tuning xmlns='urn:gantry:ioq:1'><device target='vda' queues-per-thread='%u'/>"
                "</tuning></metadata><devices><disk type='file'><driver queues='%u'/>"
                "<target dev='vda' bus='virtio'/></disk></devices></domain>",
                k, n);
            g_auto(Result) result = {0};
            g_autoptr(GError) error = NULL;
            guint n_threads = (n + k - 1) / k;
            g_autofree char *count = g_strdup_printf("<iothreads>%u</iothreads>", n_threads);

            g_assert_true(apply("d", text, NULL, &result, &error));
            g_assert_no_error(error);
            g_assert_nonnull(strstr(result.text, count));
            for (guint queue = 0; n_threads > 1 && queue < n; queue++) {
                g_autofree char *thread =
                    g_strdup_printf("<iothread id='%u'><queue", queue / k + 1);
                g_autofree char *element = g_strdup_printf("<queue id='%u'/>", queue);
                const char *begin = strstr(result.text, thread);
                const char *end = begin ? strstr(begin, "</iothread>") : NULL;
                const char *at = begin ? strstr(begin, element) : NULL;

                g_assert_nonnull(at);
                g_assert_true(at < end);
            }
        }
    }
}

int
main(int argc, char **argv)
{
    g_auto(GStrv) names = NULL;
    int status;

    g_test_init(&argc, &argv, NULL);
    directory = g_test_build_filename(G_TEST_DIST, "golden", "ioq-apply", NULL);
    names = golden_cases(directory, ".xml");
    for (char **name = names; *name; name++) {
        g_autofree char *path = g_strconcat("/ioq-apply/", *name, NULL);

        g_test_add_data_func(path, *name,
                             g_str_has_suffix(*name, "-invalid.xml") ? test_invalid : test_case);
    }
    g_test_add_func("/ioq-apply/other-k-and-back", test_other_k_and_back);
    g_test_add_func("/ioq-apply/each-queue-has-its-thread", test_each_queue_has_its_thread);
    status = g_test_run();
    g_free(directory);
    return status;
}
