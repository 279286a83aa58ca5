/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What operators read agrees with the tables: gantry(7) describes each setting, and the example of
 * a policy file is one.
 */
#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/xml/settings_priv.h"
#include "extensions/extensions.h"

/* A file of the source tree, white space as single blanks if @flat. */
static char *
read_source(const char *folder, const char *name, gboolean flat)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", folder, name, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) words = NULL;
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    if (!flat) {
        return g_steal_pointer(&text);
    }
    words = g_strsplit_set(text, " \n\t", -1);
    for (char **word = words; *word; word++) {
        if (**word) {
            g_ptr_array_add(kept, *word);
        }
    }
    g_ptr_array_add(kept, NULL);
    return g_strjoinv(" ", (char **)kept->pdata);
}

/* The page's section on a feature, flat. */
static char *
section_of(const char *page, const char *feature)
{
    g_autofree char *rule = g_strnfill(strlen(feature), '-');
    g_autofree char *heading = g_strdup_printf(" %s %s ", feature, rule);
    const char *start = strstr(page, heading);
    const char *end;

    if (!start) {
        return g_strdup("");
    }
    start += strlen(heading);
    end = g_strstr_len(start, -1, " ---");
    if (!end) {
        end = g_strstr_len(start, -1, " ====");
    }
    return g_strndup(start, end ? (gsize)(end - start) : strlen(start));
}

static char *
key_of(const char *feature, const GantryField *field)
{
    g_autofree char *name = g_strdelimit(g_strdup(field->name), "-", '_');

    return g_strdup_printf("%s.%s", feature, name);
}

/* Whether @section has the entry of @field, which is an attribute of an extension's own element if
 * @feature is not NULL. */
static gboolean
describes(const char *section, const GantryField *field, const char *feature)
{
    g_autofree char *allowed = gantry_field_allowed(field);
    g_autofree char *key = feature ? key_of(feature, field) : NULL;
    g_autofree char *entry = g_strdup_printf(
        " **%s**%s%s%s %s; %s%s. %s. Since ", field->name, key ? ", key *" : "", key ? key : "",
        key ? "*" : "", allowed,
        field->required ? "required" : (field->fallback ? "default " : "no default"),
        field->fallback ? field->fallback : "", field->summary);

    return strstr(section, entry) != NULL;
}

static guint
check_element(const char *section, const GantryElementSpec *spec, const char *feature)
{
    guint n_entries = 0;

    for (const GantryField *field = spec->fields; field && field->name; field++, n_entries++) {
        if (!describes(section, field, feature)) {
            g_test_message("<%s>: no such entry for '%s'", spec->name, field->name);
            g_test_fail();
        }
    }
    for (const GantryElementSpec *const *child = spec->children; child && *child; child++) {
        g_autofree char *line =
            g_strdup_printf("**<%s>**, %u to %u in *<%s>*", (*child)->name, (*child)->min_occurs,
                            MAX((*child)->max_occurs, 1), spec->name);

        if (!strstr(section, line)) {
            g_test_message("not in the page: %s", line);
            g_test_fail();
        }
        n_entries += 1 + check_element(section, *child, NULL);
    }
    return n_entries;
}

static guint
count(const char *text, const char *word)
{
    guint n = 0;

    while ((text = strstr(text, word))) {
        text += strlen(word);
        n++;
    }
    return n;
}

/* Each field and child element has its entry, and there is no entry more. */
static void
test_page(void)
{
    g_autofree char *page = read_source("docs/man", "gantry.7.rst", TRUE);

    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        g_autofree char *section = section_of(page, (*e)->feature);
        g_autofree char *element =
            g_strdup_printf("**<%s xmlns='%s'>**", (*e)->root->name, (*e)->uri);
        guint n_entries = check_element(section, (*e)->root, (*e)->feature);

        if (!g_str_has_prefix(section, element)) {
            g_test_message("section '%s' does not start with %s", (*e)->feature, element);
            g_test_fail();
        }
        g_assert_cmpuint(count(section, " Since 0."), ==, 1 + n_entries);
    }
}

/* Control: what the table does not say is not found. */
static void
test_page_control(void)
{
    g_autofree char *page = read_source("docs/man", "gantry.7.rst", TRUE);
    g_autofree char *section = section_of(page, "balance");
    const GantryElementSpec *spec = gantry_extension_by_feature(gantry_extensions, "balance")->root;
    GantryField field = spec->fields[1];

    g_assert_true(describes(section, &field, "balance"));
    g_assert_false(describes(section, &field, "ioq"));
    g_assert_false(describes(section, &field, NULL));
    field.fallback = "51";
    g_assert_false(describes(section, &field, "balance"));
    field = spec->fields[1];
    field.max = 101;
    g_assert_false(describes(section, &field, "balance"));
    field = spec->fields[1];
    field.name = "priorities";
    g_assert_false(describes(section, &field, "balance"));
}

/* An operator can copy it as it is; it shows each condition and settings of several features. */
static void
test_example_policy(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "data", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryPolicy) policy = gantry_policy_load(path, gantry_extensions, &error);
    g_autofree char *text = read_source("data", "policy.d-example.conf", FALSE);
    const GantryDomainIdentity identity = {.name = (char *)"db-1",
                                           .uuid = (char *)"",
                                           .flavor = (char *)"gold.large",
                                           .project = (char *)""};
    g_autoptr(GPtrArray) pairs = NULL;

    g_assert_no_error(error);
    pairs = gantry_policy_match(policy, &identity);
    g_assert_cmpuint(pairs->len, ==, 6); /* of the policies all, gold, and databases */
    for (guint i = 0; i < pairs->len; i++) {
        const GantryKeyValue *pair = pairs->pdata[i];

        g_assert_nonnull(strstr(pair->origin, "policy.d-example.conf [policy "));
    }
    g_assert_nonnull(strstr(text, "\nmatch_flavor = "));
    g_assert_nonnull(strstr(text, "\nmatch_project = "));
    g_assert_nonnull(strstr(text, "\nmatch_instance = "));
    g_assert_nonnull(strstr(text, "\nmatch_domain = "));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/manual/page", test_page);
    g_test_add_func("/xml/manual/page-control", test_page_control);
    g_test_add_func("/xml/manual/example-policy", test_example_policy);
    return g_test_run();
}
