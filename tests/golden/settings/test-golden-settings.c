/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domain in, settings out: each document, of Nova, of libvirt's hook and made for this, is resolved
 * with no policy and with each folder policy-NAME, and told with where each value comes from, in
 * NAME.out. Documents and policies whose name ends in -invalid must fail, with the message in
 * NAME.err. Paths are relative to the top of the source tree, so that messages are the same
 * everywhere.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "common/base/error.h"
#include "common/xml/settings.h"
#include "extensions/extensions.h"
#include "golden.h"

#define HERE          "tests/golden/settings"
#define INVALID       "-invalid"
#define POLICY_PREFIX "policy-"

/* Seen in any document: [winner][overruled]. */
static gboolean overruled[GANTRY_SOURCE_METADATA + 1][GANTRY_SOURCE_METADATA + 1];

static void
tell_setting(GString *text, const GantrySetting *setting)
{
    GantrySource winner = GANTRY_SOURCE_DEFAULT;

    g_string_append_printf(text, "  %s = %s", setting->field->name,
                           setting->value ? setting->value : "(not set)");
    for (guint i = 0; i < setting->origins->len; i++) {
        const GantryProvenance *origin = setting->origins->pdata[i];

        if (i == 0) {
            winner = origin->source;
            g_string_append_printf(text, ", %s: %s", gantry_source_name(winner), origin->origin);
        } else {
            g_string_append_printf(text, "\n      not '%s', %s: %s", origin->value,
                                   gantry_source_name(origin->source), origin->origin);
            overruled[winner][origin->source] = TRUE;
        }
    }
    overruled[winner][GANTRY_SOURCE_DEFAULT] |= setting->field->fallback != NULL;
    g_string_append_c(text, '\n');
}

static void
tell_features(GString *text, const GantrySettings *settings)
{
    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        const GantryFeatureSettings *feature = gantry_settings_get(settings, (*e)->feature);
        g_autofree char *xml = NULL;

        if (!feature->enabled) {
            continue;
        }
        g_string_append_printf(text, "%s is on\n", (*e)->feature);
        for (guint i = 0; i < feature->settings->len; i++) {
            tell_setting(text, feature->settings->pdata[i]);
        }
        xml = gantry_element_format(feature->element, (*e)->uri);
        g_string_append_printf(text, "  %s\n", xml);
    }
}

static GantryXml *
load(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    return gantry_xml_parse(text, length, path, error);
}

/* (transfer full) (nullable): what is told of @domain under the policies in @folder. */
static char *
tell(GantryXml *domain, const char *folder, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GantryPolicy) policy = NULL;
    g_autoptr(GantrySettings) settings = NULL;

    if (folder) {
        policy = gantry_policy_load(folder, gantry_extensions, error);
        if (!policy) {
            return NULL;
        }
    }
    settings = gantry_settings_resolve(gantry_extensions, domain, policy, error);
    if (!settings) {
        return NULL;
    }
    tell_features(text, settings);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
tell_identity(GString *text, GantryXml *domain)
{
    g_auto(GantryDomainIdentity) identity = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(gantry_domain_identity_read(domain, &identity, &error));
    g_string_append_printf(text, "name '%s', uuid '%s', %s, flavor '%s', project '%s'\n",
                           identity.name, identity.uuid, identity.nova ? "Nova's" : "not Nova's",
                           identity.flavor, identity.project);
}

/* HERE/NAME.SUFFIX for .../NAME.xml or a folder .../NAME. */
static char *
golden_path(const char *path, const char *suffix)
{
    g_autofree char *name = g_path_get_basename(path);

    if (g_str_has_suffix(name, ".xml")) {
        name[strlen(name) - strlen(".xml")] = '\0';
    }
    return g_strdup_printf(HERE "/%s.%s", name, suffix);
}

static gboolean
is_invalid(const char *name)
{
    return g_str_has_suffix(name, INVALID) || g_str_has_suffix(name, INVALID ".xml");
}

/* Folders of policies in @HERE. */
static GStrv
policies(void)
{
    g_autoptr(GDir) dir = g_dir_open(HERE, 0, NULL);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(HERE, name, NULL);

        if (g_str_has_prefix(name, POLICY_PREFIX) && g_file_test(path, G_FILE_TEST_IS_DIR)) {
            g_strv_builder_add(names, path);
        }
    }
    return g_strv_builder_end(names);
}

static int
compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
assert_error_golden(const char *path, const GError *error)
{
    g_autofree char *expected = golden_path(path, "err");
    g_autofree char *text = NULL;

    g_assert_nonnull(error);
    g_assert_cmpuint(error->domain, ==, GANTRY_ERROR);
    g_assert_null(strchr(error->message, '\n'));
    text = g_strdup_printf("%s\n", error->message);
    golden_compare(expected, text);
}

static char *
tell_document(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) domain = load(path, &error);
    GString *text = g_string_new(NULL);
    g_autofree char *plain = NULL;
    g_auto(GStrv) folders = policies();

    g_assert_no_error(error);
    tell_identity(text, domain);
    plain = tell(domain, NULL, &error);
    g_assert_no_error(error);
    g_string_append_printf(text, "\n* without policies\n%s", plain);
    qsort(folders, g_strv_length(folders), sizeof(char *), compare_paths);
    for (char **folder = folders; *folder; folder++) {
        g_autofree char *told = is_invalid(*folder) ? NULL : tell(domain, *folder, &error);

        g_assert_no_error(error);
        if (told) {
            g_string_append_printf(text, "\n* with %s\n%s", *folder, told);
        }
    }
    return g_string_free(text, FALSE);
}

static void
test_document(gconstpointer data)
{
    g_autofree char *expected = golden_path(data, "out");
    g_autofree char *told = tell_document(data);

    golden_compare(expected, told);
}

static void
test_invalid_document(gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) domain = load(data, &error);

    if (domain) {
        g_assert_null(tell(domain, NULL, &error));
    }
    assert_error_golden(data, error);
}

static void
test_invalid_policy(gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_policy_load(data, gantry_extensions, &error));
    assert_error_golden(data, error);
}

/* Control: among the documents, each source wins over each lower one, and policies over each other.
 * Else a resolution that mixed them up could pass. */
static void
test_each_rank_seen(gconstpointer data)
{
    const GPtrArray *paths = data;

    memset(overruled, 0, sizeof(overruled));
    for (guint i = 0; i < paths->len; i++) {
        if (!is_invalid(paths->pdata[i])) {
            g_free(tell_document(paths->pdata[i]));
        }
    }
    for (int winner = GANTRY_SOURCE_POLICY; winner <= GANTRY_SOURCE_METADATA; winner++) {
        for (int loser = GANTRY_SOURCE_DEFAULT; loser < winner; loser++) {
            if (!overruled[winner][loser]) {
                g_test_message("%s never overrules %s", gantry_source_name(winner),
                               gantry_source_name(loser));
                g_test_fail();
            }
        }
    }
    g_assert_true(overruled[GANTRY_SOURCE_POLICY][GANTRY_SOURCE_POLICY]);
}

static void
add_documents(GPtrArray *paths, const char *directory)
{
    g_auto(GStrv) names = golden_cases(directory, ".xml");

    for (char **name = names; *name; name++) {
        g_ptr_array_add(paths, g_build_filename(directory, *name, NULL));
    }
}

int
main(int argc, char **argv)
{
    static const char *const directories[] = {"tests/data/hook", "tests/data/nova-xml", HERE};
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *top = NULL;
    g_auto(GStrv) folders = NULL;

    g_test_init(&argc, &argv, NULL);
    top = g_test_build_filename(G_TEST_DIST, "..", NULL);
    if (g_chdir(top) != 0) {
        g_error("cannot change to %s", top);
    }
    for (guint i = 0; i < G_N_ELEMENTS(directories); i++) {
        add_documents(paths, directories[i]);
    }
    for (guint i = 0; i < paths->len; i++) {
        g_autofree char *test = g_strdup_printf("/settings/%s", (char *)paths->pdata[i]);

        g_test_add_data_func(test, paths->pdata[i],
                             is_invalid(paths->pdata[i]) ? test_invalid_document : test_document);
    }
    folders = policies();
    for (char **folder = folders; *folder; folder++) {
        g_autofree char *test = g_strdup_printf("/settings/%s", *folder);

        if (is_invalid(*folder)) {
            g_test_add_data_func(test, *folder, test_invalid_policy);
        }
    }
    g_test_add_data_func("/settings/each-rank-seen", paths, test_each_rank_seen);
    return g_test_run();
}
