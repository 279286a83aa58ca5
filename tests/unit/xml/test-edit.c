/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "common/base/error.h"
#include "common/xml/document_priv.h"
#include "random-xml.h"

static GantryXml *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    GantryXml *xml = gantry_xml_parse(text, strlen(text), "test.xml", &error);

    g_assert_no_error(error);
    return xml;
}

static char *
apply(GantryXmlEdit *edit)
{
    g_autoptr(GError) error = NULL;
    gsize length;
    char *text = gantry_xml_edit_apply(edit, &length, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(length, ==, strlen(text));
    return text;
}

static void
assert_fails(GantryXmlEdit *edit, int code, const char *pattern)
{
    g_autoptr(GError) error = NULL;
    gsize length = 12345;

    g_assert_null(gantry_xml_edit_apply(edit, &length, &error));
    g_assert_error(error, GANTRY_ERROR, code);
    g_assert_cmpuint(length, ==, 12345);
    if (!g_pattern_match_simple(pattern, error->message)) {
        g_error("message '%s' does not match '%s'", error->message, pattern);
    }
}

/* The element number @index in document order. */
static const xmlNode *
nth_element(const xmlNode *node, guint *index)
{
    if ((*index)-- == 0) {
        return node;
    }
    for (const xmlNode *child = node->children; child; child = child->next) {
        const xmlNode *found = child->type == XML_ELEMENT_NODE ? nth_element(child, index) : NULL;

        if (found) {
            return found;
        }
    }
    return NULL;
}

static const xmlNode *
element_at(GantryXml *xml, guint index)
{
    const xmlNode *node = nth_element(gantry_xml_root(xml), &index);

    g_assert_nonnull(node);
    return node;
}

/* Bytes before @start, and those from @end on, are what they were. */
static void
assert_kept(const char *before, const char *after, gsize start, gsize end)
{
    gsize n_tail = strlen(before) - end;

    g_assert_cmpuint(strlen(after), >=, start + n_tail);
    g_assert_cmpmem(before, start, after, start);
    g_assert_cmpstr(before + end, ==, after + strlen(after) - n_tail);
}

static const char *const values[] = {"",     "v",  "'",        "\"",    "<&>'\"",     "ü 漢",
                                     "a\nb", "\t", " \r\n\t ", "&amp;", "--]]>?></a>"};

static void
check_set_attribute(GRand *random, const RandomXml *made, GantryXml *xml, guint index)
{
    static const char *const names[] = {"b", "bb", "file", "ä", "new"};
    const RandomElement *place = &g_array_index(made->elements, RandomElement, index);
    const char *name = names[g_rand_int_range(random, 0, G_N_ELEMENTS(names))];
    const char *value = values[g_rand_int_range(random, 0, G_N_ELEMENTS(values))];
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);
    g_autofree char *text = NULL;
    g_autofree char *got = NULL;
    g_autoptr(GantryXml) edited = NULL;

    gantry_xml_edit_set_attribute(edit, element_at(xml, index), name, value);
    g_assert_cmpuint(gantry_xml_edit_count(edit), ==, 1);
    text = apply(edit);
    assert_kept(made->text->str, text, place->start, place->tag_end);
    edited = parse(text);
    got = gantry_xml_attribute(element_at(edited, index), name);
    g_assert_cmpstr(got, ==, value);
}

static void
check_append(GRand *random, const RandomXml *made, GantryXml *xml, guint index)
{
    const RandomElement *place = &g_array_index(made->elements, RandomElement, index);
    const char *closing = made->text->str + place->tag_end;
    gboolean is_empty_tag = *closing == '/';
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);
    g_autofree char *text = NULL;
    g_autoptr(GantryXml) edited = NULL;
    const xmlNode *last;

    gantry_xml_edit_append(edit, element_at(xml, index), "<first/>");
    gantry_xml_edit_append(edit, element_at(xml, index), "<last/>");
    text = apply(edit);
    assert_kept(made->text->str, text, place->tag_end, place->end);
    edited = parse(text);
    last = element_at(edited, index)->last;
    g_assert_cmpstr((const char *)last->name, ==, "last");
    g_assert_cmpstr((const char *)last->prev->name, ==, "first");
    g_assert_true(!is_empty_tag || last->prev->prev == NULL);
}

static void
check_replace(GRand *random, const RandomXml *made, GantryXml *xml, guint index)
{
    const RandomElement *place = &g_array_index(made->elements, RandomElement, index);
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);
    g_autofree char *text = NULL;
    g_autofree char *expected = NULL;

    gantry_xml_edit_replace(edit, element_at(xml, index), "<x/>");
    text = apply(edit);
    expected = g_strdup_printf("%.*s<x/>%s", (int)place->start, made->text->str,
                               made->text->str + place->end);
    g_assert_cmpstr(text, ==, expected);
}

/* Random edits of random documents: the edit is there, and no other byte has changed. */
static void
test_random(void)
{
    static void (*const checks[])(GRand *, const RandomXml *, GantryXml *,
                                  guint) = {check_set_attribute, check_append, check_replace};
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());

    for (guint i = 0; i < 1000; i++) {
        g_autoptr(RandomXml) made = random_xml_new(random, i % 200 == 0 ? 300 * 1000 : 300);
        g_autoptr(GantryXml) xml = parse(made->text->str);
        guint index = (guint)g_rand_int_range(random, 0, (gint32)made->elements->len);

        checks[i % G_N_ELEMENTS(checks)](random, made, xml, index);
    }
}

/* Many edits at once give what they give one after the other. */
static void
test_together(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());

    for (guint i = 0; i < 60; i++) {
        g_autoptr(RandomXml) made = random_xml_new(random, 2000);
        g_autoptr(GantryXml) xml = parse(made->text->str);
        g_autoptr(GantryXmlEdit) together = gantry_xml_edit_new(xml);
        g_autofree char *one_by_one = g_strdup(made->text->str);
        g_autofree char *at_once = NULL;

        for (guint index = 0; index < made->elements->len; index++) {
            const char *name = g_rand_boolean(random) ? "b" : "new";
            const char *value = values[g_rand_int_range(random, 0, G_N_ELEMENTS(values))];
            gboolean appends = g_rand_boolean(random);
            g_autoptr(GantryXml) step = NULL;
            g_autoptr(GantryXmlEdit) single = NULL;
            GantryXmlEdit *edits[2];

            if (g_rand_boolean(random)) {
                continue;
            }
            step = parse(one_by_one);
            single = gantry_xml_edit_new(step);
            edits[0] = together;
            edits[1] = single;
            for (guint k = 0; k < 2; k++) {
                GantryXml *document = k == 0 ? xml : step;
                const xmlNode *element = element_at(document, index);

                gantry_xml_edit_set_attribute(edits[k], element, name, value);
                if (appends) { /* text, so that elements keep their numbers */
                    gantry_xml_edit_append(edits[k], element, "more");
                }
            }
            g_free(one_by_one);
            one_by_one = apply(single);
        }
        at_once = apply(together);
        g_assert_cmpstr(at_once, ==, one_by_one);
    }
}

static void
test_exact(void)
{
    g_autoptr(GantryXml) xml =
        parse("<d>\r\n  <a  one = \"1\"\two='x>y'\n/><b></b ><c x:n='' n=''/><e />\n</d>\n");
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);
    g_autofree char *text = NULL;

    gantry_xml_edit_set_attribute(edit, gantry_xml_path(xml, "c"), "n", "'n'");
    gantry_xml_edit_set_attribute(edit, gantry_xml_path(xml, "a"), "two", "\"");
    gantry_xml_edit_set_attribute(edit, gantry_xml_path(xml, "a"), "one", "<2>");
    gantry_xml_edit_set_attribute(edit, gantry_xml_path(xml, "a"), "three", "3");
    gantry_xml_edit_append(edit, gantry_xml_path(xml, "b"), "B");
    gantry_xml_edit_append(edit, gantry_xml_path(xml, "e"), "<f/>");
    gantry_xml_edit_set_attribute(edit, gantry_xml_path(xml, "e"), "g", "h");
    gantry_xml_edit_append(edit, gantry_xml_path(xml, "e"), "E");
    gantry_xml_edit_append(edit, gantry_xml_root(xml), "  <z/>\n");
    g_assert_cmpuint(gantry_xml_edit_count(edit), ==, 8);
    text = apply(edit);
    g_assert_cmpstr(text, ==,
                    "<d>\r\n  <a  one = \"&lt;2&gt;\"\two='x>y' two='&quot;' three='3'\n/><b>B</b >"
                    "<c x:n='' n='&apos;n&apos;'/><e g='h' ><f/>E</e>\n  <z/>\n</d>\n");
}

/* An append at the very place where a neighbour ends, opens, or is replaced. */
static void
test_neighbours(void)
{
    g_autoptr(GantryXml) xml = parse("<d><a/><b/></d>");
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);
    g_autofree char *text = NULL;

    gantry_xml_edit_append(edit, gantry_xml_root(xml), "<last/>");
    gantry_xml_edit_replace(edit, gantry_xml_path(xml, "b"), "<B/>");
    gantry_xml_edit_append(edit, gantry_xml_path(xml, "a"), "in");
    gantry_xml_edit_set_attribute(edit, gantry_xml_path(xml, "a"), "n", "1");
    gantry_xml_edit_append(edit, gantry_xml_root(xml), "<really/>");
    text = apply(edit);
    g_assert_cmpstr(text, ==, "<d><a n='1'>in</a><B/><last/><really/></d>");
}

/* With the white space before it, and beside edits of the same tag. */
static void
test_remove_attribute(void)
{
    g_autoptr(GantryXml) xml = parse("<d><a one='1'\n  two = \"2\" x:two='3' xmlns:x='x'/>"
                                     "<b n='1'>t</b><c n='1' /></d>");
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);
    g_autofree char *text = NULL;

    gantry_xml_edit_remove_attribute(edit, gantry_xml_path(xml, "a"), "two");
    gantry_xml_edit_remove_attribute(edit, gantry_xml_path(xml, "a"), "none");
    gantry_xml_edit_set_attribute(edit, gantry_xml_path(xml, "b"), "m", "2");
    gantry_xml_edit_append(edit, gantry_xml_path(xml, "b"), "u");
    gantry_xml_edit_remove_attribute(edit, gantry_xml_path(xml, "b"), "n");
    gantry_xml_edit_append(edit, gantry_xml_path(xml, "c"), "u");
    gantry_xml_edit_remove_attribute(edit, gantry_xml_path(xml, "c"), "n");
    g_assert_cmpuint(gantry_xml_edit_count(edit), ==, 6);
    text = apply(edit);
    g_assert_cmpstr(text, ==, "<d><a one='1' x:two='3' xmlns:x='x'/><b m='2'>tu</b><c >u</c></d>");
}

static void
test_nothing(void)
{
    g_autoptr(GantryXml) xml = parse("<d \n> </d>\r\n");
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);
    g_autofree char *text = apply(edit);

    g_assert_cmpstr(text, ==, "<d \n> </d>\r\n");
    g_assert_cmpuint(gantry_xml_edit_count(edit), ==, 0);
}

static void
test_overlap(void)
{
    static const char text[] = "<d><a n='1' e=''><b/></a></d>";
    g_autoptr(GantryXml) xml = parse(text);
    const xmlNode *a = gantry_xml_path(xml, "a");
    const xmlNode *b = gantry_xml_path(xml, "a/b");

    for (guint i = 0; i < 5; i++) {
        g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);

        switch (i) {
        case 0:
            gantry_xml_edit_set_attribute(edit, a, "n", "2");
            gantry_xml_edit_set_attribute(edit, a, "n", "3");
            break;
        case 1:
            gantry_xml_edit_set_attribute(edit, a, "e", "2");
            gantry_xml_edit_set_attribute(edit, a, "e", "3");
            break;
        case 2:
            gantry_xml_edit_replace(edit, a, "<a/>");
            gantry_xml_edit_set_attribute(edit, b, "n", "3");
            break;
        case 3:
            gantry_xml_edit_append(edit, a, "<c/>");
            gantry_xml_edit_replace(edit, a, "");
            break;
        case 4:
            gantry_xml_edit_replace(edit, b, "");
            gantry_xml_edit_append(edit, b, "x");
            break;
        }
        assert_fails(edit, GANTRY_ERROR_CONFLICT, "test.xml: two edits*");
    }
}

static void
test_broken_result(void)
{
    static const char *const fragments[] = {"<x>", "</d>", "a<b", "&nope;", "\x02", "]]>", "\xff"};
    g_autoptr(GantryXml) xml = parse("<d><a/></d>");
    g_autoptr(GantryXmlEdit) twice = gantry_xml_edit_new(xml);
    g_autoptr(GantryXmlEdit) control = gantry_xml_edit_new(xml);
    g_autoptr(GantryXmlEdit) nothing_left = gantry_xml_edit_new(xml);
    g_autoptr(GantryXmlEdit) large = gantry_xml_edit_new(xml);
    g_autofree char *filling = g_strnfill(GANTRY_XML_MAX_BYTES, 'x');

    for (guint i = 0; i < G_N_ELEMENTS(fragments); i++) {
        g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(xml);

        gantry_xml_edit_append(edit, gantry_xml_path(xml, "a"), fragments[i]);
        assert_fails(edit, GANTRY_ERROR_INVALID, "after editing: test.xml:*");
    }
    gantry_xml_edit_set_attribute(twice, gantry_xml_path(xml, "a"), "n", "1");
    gantry_xml_edit_set_attribute(twice, gantry_xml_path(xml, "a"), "n", "1");
    assert_fails(twice, GANTRY_ERROR_INVALID, "after editing: test.xml:1: *n*redefined*");
    gantry_xml_edit_set_attribute(control, gantry_xml_path(xml, "a"), "n", "\x01");
    assert_fails(control, GANTRY_ERROR_INVALID, "after editing: test.xml:1: *");
    gantry_xml_edit_replace(nothing_left, gantry_xml_root(xml), "");
    assert_fails(nothing_left, GANTRY_ERROR_INVALID, "after editing: test.xml:*");
    gantry_xml_edit_append(large, gantry_xml_root(xml), filling);
    assert_fails(large, GANTRY_ERROR_LIMIT, "after editing: test.xml: *");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/edit/random", test_random);
    g_test_add_func("/xml/edit/together", test_together);
    g_test_add_func("/xml/edit/exact", test_exact);
    g_test_add_func("/xml/edit/neighbours", test_neighbours);
    g_test_add_func("/xml/edit/remove-attribute", test_remove_attribute);
    g_test_add_func("/xml/edit/nothing", test_nothing);
    g_test_add_func("/xml/edit/overlap", test_overlap);
    g_test_add_func("/xml/edit/broken-result", test_broken_result);
    return g_test_run();
}
