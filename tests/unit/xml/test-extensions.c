/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of all extensions, held against themselves and against their RELAX NG schemas, which
 * operators check their files with: reader and schema must say the same of every field.
 */
#include <libxml/relaxng.h>
#include <string.h>

#include "common/base/error.h"
#include "extensions/extensions.h"
#include "samples.h"

static void
ignore_error(void *data, xmlErrorPtr error)
{
}

static xmlRelaxNG *
compile_schema(const GantryExtension *extension)
{
    gsize length;
    const char *text = gantry_extension_schema(extension, &length);
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewMemParserCtxt(text, (int)length);
    xmlRelaxNG *schema = xmlRelaxNGParse(parser);

    xmlRelaxNGFreeParserCtxt(parser);
    g_assert_nonnull(schema);
    return schema;
}

static gboolean
schema_accepts(xmlRelaxNG *schema, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) xml = gantry_xml_parse(text, strlen(text), "sample", &error);
    xmlRelaxNGValidCtxt *validator = xmlRelaxNGNewValidCtxt(schema);
    gboolean valid;

    g_assert_no_error(error);
    xmlRelaxNGSetValidStructuredErrors(validator, ignore_error, NULL);
    valid = xmlRelaxNGValidateDoc(validator, gantry_xml_root(xml)->doc) == 0;
    xmlRelaxNGFreeValidCtxt(validator);
    return valid;
}

static gboolean
reader_accepts(const GantryExtension *extension, const char *text)
{
    g_autoptr(GantryXml) xml = gantry_xml_parse(text, strlen(text), "sample", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryElement) element =
        gantry_element_read(xml, gantry_xml_root(xml), extension->uri, extension->root, &error);

    g_assert_true((element != NULL) == (error == NULL));
    return element != NULL;
}

static void
check(const GantryExtension *extension, xmlRelaxNG *schema, const char *text, gboolean valid)
{
    if (reader_accepts(extension, text) != valid) {
        g_error("the reader %s %s", valid ? "refuses" : "accepts", text);
    }
    if (schema_accepts(schema, text) != valid) {
        g_error("%s.rng %s %s", extension->feature, valid ? "refuses" : "accepts", text);
    }
}

typedef void (*Visit)(const GantryExtension *extension, xmlRelaxNG *schema, GantryElement *tree,
                      GantryElement *element, gpointer data);

/* Calls @visit for @tree's elements: each spec in it once or more. */
static void
visit_elements(const GantryExtension *extension, xmlRelaxNG *schema, GantryElement *tree,
               GantryElement *element, Visit visit, gpointer data)
{
    visit(extension, schema, tree, element, data);
    for (guint i = 0; i < element->children->len; i++) {
        visit_elements(extension, schema, tree, element->children->pdata[i], visit, data);
    }
}

/* Replaces *@slot by each text in turn, and looks at the whole tree. */
static void
try_texts(const GantryExtension *extension, xmlRelaxNG *schema, const GantryElement *tree,
          char **slot, const GantryField *field)
{
    g_auto(FieldSamples) samples = {0};
    char *kept = *slot;

    field_samples_init(&samples, field);
    for (char **text = samples.valid; *text; text++) {
        g_autofree char *xml = NULL;

        *slot = *text;
        xml = gantry_element_format(tree, extension->uri);
        check(extension, schema, xml, TRUE);
    }
    for (char **text = samples.invalid; *text; text++) {
        g_autofree char *xml = NULL;

        *slot = *text;
        xml = gantry_element_format(tree, extension->uri);
        if (field->type == GANTRY_FIELD_IP && **text && g_ascii_isspace(**text)) {
            continue; /* white space around content is fine */
        }
        check(extension, schema, xml, FALSE);
    }
    for (char **text = samples.beyond; *text; text++) {
        g_autofree char *xml = NULL;

        *slot = *text;
        xml = gantry_element_format(tree, extension->uri);
        g_assert_false(reader_accepts(extension, xml));
    }
    *slot = kept;
}

static void
try_values(const GantryExtension *extension, xmlRelaxNG *schema, GantryElement *tree,
           GantryElement *element, gpointer data)
{
    const GantryElementSpec *spec = element->spec;

    for (guint i = 0; spec->fields && spec->fields[i].name; i++) {
        char *kept = element->values[i];
        g_autofree char *without = NULL;

        try_texts(extension, schema, tree, &element->values[i], &spec->fields[i]);
        element->values[i] = NULL;
        without = gantry_element_format(tree, extension->uri);
        check(extension, schema, without, !spec->fields[i].required);
        element->values[i] = kept;
    }
    if (spec->content) {
        try_texts(extension, schema, tree, &element->content, spec->content);
    }
}

/* Puts what is in no table into each element. */
static void
try_strangers(const GantryExtension *extension, xmlRelaxNG *schema, GantryElement *tree,
              GantryElement *element, gpointer data)
{
    static const GantryField stranger[] = {{.name = "stranger", .type = GANTRY_FIELD_TEXT},
                                           GANTRY_FIELD_END};
    static const GantryElementSpec strange_element = {.name = "stranger"};
    GantryElementSpec strange_spec = *element->spec;
    const GantryElementSpec *spec = element->spec;
    char *values[] = {(char *)"1", NULL};
    char **kept = element->values;
    g_autofree char *with_attribute = NULL;
    g_autofree char *with_element = NULL;

    strange_spec.fields = stranger;
    element->spec = &strange_spec;
    element->values = values;
    with_attribute = gantry_element_format(tree, extension->uri);
    check(extension, schema, with_attribute, FALSE);
    element->spec = spec;
    element->values = kept;

    g_ptr_array_add(element->children, gantry_element_new(&strange_element));
    with_element = gantry_element_format(tree, extension->uri);
    check(extension, schema, with_element, FALSE);
    g_ptr_array_remove_index(element->children, element->children->len - 1);

    if (!spec->content) {
        char *no_content = element->content;
        g_autofree char *with_text = NULL;

        element->content = (char *)"stray";
        with_text = gantry_element_format(tree, extension->uri);
        check(extension, schema, with_text, FALSE);
        element->content = no_content;
    }
}

static void
try_too_few_children(const GantryExtension *extension, xmlRelaxNG *schema, GantryElement *tree,
                     GantryElement *element, gpointer data)
{
    for (const GantryElementSpec *const *child = element->spec->children; child && *child;
         child++) {
        g_autoptr(GPtrArray) kept = element->children;
        g_autofree char *text = NULL;

        element->children = g_ptr_array_new();
        text = gantry_element_format(tree, extension->uri);
        check(extension, schema, text, (*child)->min_occurs == 0);
        g_ptr_array_unref(element->children);
        element->children = g_steal_pointer(&kept);
    }
}

/* A tree with one child of each kind at least. */
static GantryElement *
full_tree(GRand *random, const GantryElementSpec *spec)
{
    GantryElement *element = random_element_new(random, spec);

    g_ptr_array_set_size(element->children, 0);
    for (const GantryElementSpec *const *child = spec->children; child && *child; child++) {
        g_ptr_array_add(element->children, full_tree(random, *child));
    }
    return element;
}

static void
test_schema_agrees(gconstpointer data)
{
    const GantryExtension *extension = data;
    xmlRelaxNG *schema = compile_schema(extension);
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());
    g_autoptr(GantryElement) tree = full_tree(random, extension->root);
    static const Visit visits[] = {try_values, try_strangers, try_too_few_children};
    g_autofree char *text = gantry_element_format(tree, extension->uri);
    g_autofree char *foreign = gantry_element_format(tree, "urn:gantry:other:1");
    g_autofree char *none = gantry_element_format(tree, NULL);

    check(extension, schema, text, TRUE);
    g_assert_false(schema_accepts(schema, foreign));
    g_assert_false(schema_accepts(schema, none));
    for (guint i = 0; i < G_N_ELEMENTS(visits); i++) {
        visit_elements(extension, schema, tree, tree, visits[i], NULL);
    }
    xmlRelaxNGFree(schema);
}

/* read -> format -> read is the identity, and the schema takes all that is formatted. */
static void
test_round_trip(gconstpointer data)
{
    const GantryExtension *extension = data;
    xmlRelaxNG *schema = compile_schema(extension);
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());

    for (guint i = 0; i < 200; i++) {
        g_autoptr(GantryElement) element = random_element_new(random, extension->root);
        g_autofree char *text = gantry_element_format(element, extension->uri);
        g_autoptr(GantryXml) xml = gantry_xml_parse(text, strlen(text), "sample", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(GantryElement) back =
            gantry_element_read(xml, gantry_xml_root(xml), extension->uri, extension->root, &error);
        g_autofree char *again = NULL;

        g_assert_no_error(error);
        again = gantry_element_format(back, extension->uri);
        g_assert_cmpstr(again, ==, text);
        g_assert_true(schema_accepts(schema, text));
    }
    xmlRelaxNGFree(schema);
}

static void
check_field(const GantryField *field, GHashTable *names)
{
    g_assert_true(g_hash_table_add(names, (gpointer)field->name));
    g_assert_nonnull(field->summary);
    g_assert_false(g_str_has_suffix(field->summary, "."));
    g_assert_true(field->type != GANTRY_FIELD_CHOICE || field->choices != NULL);
    g_assert_true(field->type != GANTRY_FIELD_UINT || field->max > field->min);
    g_assert_true(!field->required || !field->fallback);
    if (field->fallback) {
        g_autoptr(GError) error = NULL;
        g_autofree char *canonical =
            gantry_field_canonical(field, field->fallback, field->name, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(canonical, ==, field->fallback);
    }
}

static void
check_spec(const GantryElementSpec *spec)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (const GantryField *field = spec->fields; field && field->name; field++) {
        check_field(field, names);
    }
    if (spec->content) {
        check_field(spec->content, names);
    }
    g_assert_cmpuint(spec->min_occurs, <=, MAX(spec->max_occurs, 1));
    for (const GantryElementSpec *const *child = spec->children; child && *child; child++) {
        check_spec(*child);
    }
}

/* What the tables promise each other, and the laws for all extensions. */
static void
test_tables(gconstpointer data)
{
    const GantryExtension *extension = data;
    g_autofree char *uri = g_strdup_printf("urn:gantry:%s:1", extension->feature);
    gboolean has_required = FALSE;

    g_assert_cmpstr(extension->uri, ==, uri);
    g_assert_true(gantry_extension_by_feature(gantry_extensions, extension->feature) == extension);
    check_spec(extension->root);
    for (const GantryField *field = extension->root->fields; field && field->name; field++) {
        g_assert_false(field->required); /* it may come from elsewhere */
        has_required = has_required || g_str_equal(field->name, "required");
    }
    g_assert_true(has_required == (extension->daemon != NULL));
}

static void
test_list(void)
{
    g_autoptr(GHashTable) features = g_hash_table_new(g_str_hash, g_str_equal);

    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        g_assert_true(g_hash_table_add(features, (gpointer)(*e)->feature));
    }
    g_assert_cmpuint(g_hash_table_size(features), ==, 6);
    g_assert_null(gantry_extension_by_feature(gantry_extensions, "balanc"));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc function;
    } tests[] = {{"tables", test_tables},
                 {"round-trip", test_round_trip},
                 {"schema-agrees", test_schema_agrees}};

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/extensions/list", test_list);
    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path =
                g_strdup_printf("/xml/extensions/%s/%s", (*e)->feature, tests[i].name);

            g_test_add_data_func(path, *e, tests[i].function);
        }
    }
    return g_test_run();
}
