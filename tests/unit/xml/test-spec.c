/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "common/base/error.h"
#include "samples.h"

#define URI "urn:test:1"

static const GantryField leaf_fields[] = {
    {.name = "key", .type = GANTRY_FIELD_NAME, .required = TRUE},
    GANTRY_FIELD_END,
};
static const GantryField number = {
    .name = "number", .type = GANTRY_FIELD_UINT, .min = 1, .max = 9, .unit = "s"};
static const GantryElementSpec leaf = {
    .name = "leaf", .fields = leaf_fields, .content = &number, .min_occurs = 1, .max_occurs = 3};
static const GantryElementSpec bare = {.name = "bare"};
static const GantryField root_fields[] = {
    {.name = "movable", .type = GANTRY_FIELD_BOOL, .fallback = "yes"},
    {.name = "max-size", .type = GANTRY_FIELD_UINT, .max = 100},
    {.name = "note", .type = GANTRY_FIELD_TEXT},
    GANTRY_FIELD_END,
};
static const GantryElementSpec *const root_children[] = {&leaf, &bare, NULL};
static const GantryElementSpec root = {
    .name = "root", .fields = root_fields, .children = root_children};

/* Reads the document's root element. */
static GantryElement *
read_text(const char *text, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GantryXml) xml = gantry_xml_parse(text, strlen(text), "dom.xml", &local);

    g_assert_no_error(local);
    return gantry_element_read(xml, gantry_xml_root(xml), URI, &root, error);
}

static void
test_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryElement) element =
        read_text("\n<p:root xmlns:p='" URI "'\n max-size='007' xmlns:o='urn:other'>\n"
                  "<!-- c --><p:leaf key='a'> 3\n<!-- c --></p:leaf><?pi?><leaf xmlns='" URI
                  "' key='b'><![CDATA[4]]></leaf>\n<p:bare/></p:root>",
                  &error);
    const GantryElement *first;
    const GantryElement *second;

    g_assert_no_error(error);
    g_assert_cmpint(element->line, ==, 2);
    g_assert_cmpstr(gantry_element_string(element, "max-size"), ==, "7");
    g_assert_cmpuint(gantry_element_uint(element, "max-size"), ==, 7);
    g_assert_false(gantry_element_has(element, "movable"));
    g_assert_true(gantry_element_bool(element, "movable"));
    g_assert_null(gantry_element_string(element, "note"));
    g_assert_cmpuint(gantry_element_uint(element, "note"), ==, 0);
    g_assert_false(gantry_element_bool(element, "note"));
    g_assert_cmpuint(element->children->len, ==, 3);
    first = element->children->pdata[0];
    second = element->children->pdata[1];
    g_assert_cmpstr(first->content, ==, "3");
    g_assert_cmpint(first->line, ==, 4);
    g_assert_cmpstr(second->content, ==, "4");
    g_assert_cmpstr(gantry_element_string(second, "key"), ==, "b");
}

static void
test_set(void)
{
    g_autoptr(GantryElement) element = gantry_element_new(&root);
    g_autoptr(GantryElement) copy = NULL;

    gantry_element_set(element, "movable", "no");
    copy = gantry_element_copy(element);
    gantry_element_set(element, "movable", NULL);
    g_assert_true(gantry_element_bool(element, "movable"));
    g_assert_false(gantry_element_has(element, "movable"));
    g_assert_false(gantry_element_bool(copy, "movable"));
    g_assert_true(gantry_element_has(copy, "movable"));
}

static void
test_refused(void)
{
    static const struct {
        const char *inside; /* of <root xmlns='...' */
        const char *message;
    } cases[] = {
        {" movable='maybe'>",
         "dom.xml:1: <root>: attribute 'movable' is 'maybe'; allowed: yes or no"},
        {"\n\n\nmax-size='101'>",
         "dom.xml:1: <root>: attribute 'max-size' is '101'; allowed: 0 to 100"},
        {" moveable='yes'>", "dom.xml:1: <root>: no attribute 'moveable' here; did you mean "
                             "'movable'? (known: movable, max-size, note)"},
        {" x='1'>", "dom.xml:1: <root>: no attribute 'x' here (known: movable, max-size, note)"},
        {" xmlns:o='u' o:movable='no'>", "dom.xml:1: <root>: attribute 'movable' stands in "
                                         "namespace 'u'; here, attributes have no prefix"},
        {" xml:lang='en'>", "dom.xml:1: <root>: attribute 'lang' stands in namespace 'http:*"},
        {">\n<laef key='a'>1</laef>", "dom.xml:1: <root>: no element 'laef' here; did you mean "
                                      "'leaf'? (known: leaf, bare)"},
        {">\n<leaf key='a' xmlns='urn:test:2'>1</leaf>",
         "dom.xml:1: <root>: element 'leaf' stands in namespace 'urn:test:2'; here, it must stand "
         "in '" URI "'"},
        {"><leaf key='a' xmlns=''>1</leaf>",
         "dom.xml:1: <root>: element 'leaf' stands in namespace ''; here, it must stand in '" URI
         "'"},
        {">\n<leaf>1</leaf>", "dom.xml:2: <leaf>: attribute 'key' is missing; allowed: 1 to 64 *"},
        {">\n\n<leaf key='a'/>", "dom.xml:3: <leaf> is ''; allowed: 1 to 9 s"},
        {">\n<leaf key='a'>10</leaf>", "dom.xml:2: <leaf> is '10'; allowed: 1 to 9 s"},
        {">\n<leaf key='a'>1<bare/></leaf>",
         "dom.xml:2: <leaf>: no element 'bare' here; there may be none"},
        {">\n<leaf key='a'>1</leaf><bare x='1'/>",
         "dom.xml:2: <bare>: no attribute 'x' here; there may be none"},
        {"> stray\n<leaf key='a'>1</leaf>", "dom.xml:1: <root>: text 'stray' is not allowed here"},
        {"><leaf key='a'>1</leaf><![CDATA[more]]>",
         "dom.xml:1: <root>: text 'more' is not allowed here"},
        {"><leaf key='a'>1</leaf>&#65;", "dom.xml:1: <root>: text 'A' is not allowed here"},
        {">", "dom.xml:1: <root>: 0 elements <leaf>; at least 1 must be given"},
        {"><leaf key='a'>1</leaf><leaf key='a'>1</leaf><leaf key='a'>1</leaf><leaf key='a'>1</leaf>"
         "<leaf key=''/>",
         "dom.xml:1: <root>: more than 3 elements <leaf>"},
        {"><leaf key='a'>1</leaf><bare/><bare/>", "dom.xml:1: <root>: more than 1 elements <bare>"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("<root xmlns='" URI "'%s</root>", cases[i].inside);
        g_autoptr(GError) error = NULL;

        if (read_text(text, &error)) {
            g_error("accepted: %s", text);
        }
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        if (!g_pattern_match_simple(cases[i].message, error->message)) {
            g_error("message '%s' does not match '%s'", error->message, cases[i].message);
        }
    }
}

/* Whatever the document holds, the message is one line of bounded length. */
static void
test_long_names(void)
{
    g_autofree char *name = g_strnfill(40 * 1000, 'n');
    char *texts[] = {
        g_strdup_printf("<root xmlns='" URI "' %s='1'/>", name),
        g_strdup_printf("<root xmlns='" URI "'><%s/></root>", name),
        g_strdup_printf("<root xmlns='" URI "'>&#10;&#x7f;%s</root>", name),
        g_strdup_printf("<root xmlns='" URI "' movable='%s'/>", name),
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(read_text(texts[i], &error));
        g_assert_cmpuint(strlen(error->message), <, 500);
        g_assert_null(strpbrk(error->message, "\n\x7f"));
        g_free(texts[i]);
    }
}

static void
test_format(void)
{
    g_autoptr(GantryElement) element = gantry_element_new(&root);
    g_autoptr(GantryElement) empty = gantry_element_new(&root);
    GantryElement *child = gantry_element_new(&leaf);
    g_autofree char *text = NULL;
    g_autofree char *none = gantry_element_format(empty, URI);

    gantry_element_set(element, "note", "<'\"&>ü");
    gantry_element_set(element, "movable", "no");
    gantry_element_set(child, "key", "k");
    child->content = g_strdup("5");
    g_ptr_array_add(element->children, child);
    g_ptr_array_add(element->children, gantry_element_new(&bare));
    text = gantry_element_format(element, URI);
    g_assert_cmpstr(text, ==,
                    "<root xmlns='" URI "' movable='no' note='&lt;&apos;&quot;&amp;&gt;ü'>"
                    "<leaf key='k'>5</leaf><bare/></root>");
    g_assert_cmpstr(none, ==, "<root xmlns='" URI "'/>");
}

static void
test_round_trip(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());

    for (guint i = 0; i < 500; i++) {
        g_autoptr(GantryElement) element = random_element_new(random, &root);
        g_autofree char *text = gantry_element_format(element, URI);
        g_autoptr(GError) error = NULL;
        g_autoptr(GantryElement) back = read_text(text, &error);
        g_autofree char *again = NULL;

        g_assert_no_error(error);
        again = gantry_element_format(back, URI);
        g_assert_cmpstr(again, ==, text);
    }
}

static void
test_unique(void)
{
    static const char text[] = "<root xmlns='" URI "'><leaf key='a'>1</leaf><leaf key='%s'>1"
                               "</leaf></root>";
    g_autofree char *good = g_strdup_printf(text, "b");
    g_autofree char *bad = g_strdup_printf(text, "a");
    g_autoptr(GantryElement) unique = read_text(good, NULL);
    g_autoptr(GantryElement) twice = read_text(bad, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(gantry_element_check_unique(unique, "leaf", "key", "w", &error));
    g_assert_no_error(error);
    g_assert_false(gantry_element_check_unique(twice, "leaf", "key", "w", &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==, "w: two <leaf> elements with key='a'");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/spec/read", test_read);
    g_test_add_func("/xml/spec/set", test_set);
    g_test_add_func("/xml/spec/refused", test_refused);
    g_test_add_func("/xml/spec/long-names", test_long_names);
    g_test_add_func("/xml/spec/format", test_format);
    g_test_add_func("/xml/spec/round-trip", test_round_trip);
    g_test_add_func("/xml/spec/unique", test_unique);
    return g_test_run();
}
