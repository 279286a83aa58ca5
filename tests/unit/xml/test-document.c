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
    g_assert_nonnull(xml);
    return xml;
}

static void
assert_refused(const char *text, gssize length, int code, const char *pattern)
{
    g_autoptr(GError) error = NULL;
    gsize n = length < 0 ? strlen(text) : (gsize)length;

    if (gantry_xml_parse(text, n, "test.xml", &error)) {
        g_error("accepted: %.100s", text);
    }
    g_assert_error(error, GANTRY_ERROR, code);
    if (!g_pattern_match_simple(pattern, error->message)) {
        g_error("message '%s' does not match '%s'", error->message, pattern);
    }
    g_assert_null(strchr(error->message, '\n'));
}

/* Depth first, as the generator counts. */
static void
check_spans(const GantryXml *xml, const xmlNode *node, const RandomXml *random, guint *index)
{
    const GantryXmlSpan *span = gantry_xml_span(xml, node);
    const RandomElement *element = &g_array_index(random->elements, RandomElement, (*index)++);

    g_assert_cmpuint(span->start, ==, element->start);
    g_assert_cmpuint(span->tag_end, ==, element->tag_end);
    g_assert_cmpuint(span->end, ==, element->end);
    g_assert_cmpint(gantry_xml_line(xml, node), ==, element->line);
    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type == XML_ELEMENT_NODE) {
            check_spans(xml, child, random, index);
        }
    }
}

static void
check_random(GRand *random, gsize wanted_bytes)
{
    g_autoptr(RandomXml) made = random_xml_new(random, wanted_bytes);
    g_autoptr(GantryXml) xml = parse(made->text->str);
    guint index = 0;

    check_spans(xml, gantry_xml_root(xml), made, &index);
    g_assert_cmpuint(index, ==, made->elements->len);
}

/* Each element of a random document stands where the generator put it. The large ones are beyond
 * what the parser keeps in its buffer. */
static void
test_spans(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());

    for (guint i = 0; i < 600; i++) {
        check_random(random, 200);
    }
    for (guint i = 0; i < 3; i++) {
        check_random(random, 400 * 1000);
    }
}

/* One attribute value, one comment, one text larger than the parser's chunks, each before a tag. */
static void
test_spans_behind_large_pieces(void)
{
    static const struct {
        const char *before, *after;
    } forms[] = {{"<r><a b='", "'/><c/></r>"},
                 {"<r><!--", "--><c/></r>"},
                 {"<r>", "<c/></r>"},
                 {"<r><![CDATA[", "]]><c/></r>"},
                 {"<r><?p ", "?><c/></r>"}};

    for (guint i = 0; i < G_N_ELEMENTS(forms); i++) {
        for (guint bytes = 100; bytes < 2 * 1000 * 1000; bytes *= 7) {
            g_autofree char *filling = g_strnfill(bytes, '>');
            g_autofree char *text = NULL;
            g_autoptr(GantryXml) xml = NULL;
            const GantryXmlSpan *span;

            text = g_strconcat(forms[i].before, filling, forms[i].after, NULL);
            xml = parse(text);
            span =
                gantry_xml_span(xml, gantry_xml_next_child(gantry_xml_root(xml), NULL, NULL, "c"));
            g_assert_cmpuint(span->start, ==, strlen(text) - strlen("<c/></r>"));
            g_assert_cmpuint(span->end, ==, strlen(text) - strlen("</r>"));
        }
    }
}

static void
test_navigation(void)
{
    g_autoptr(GantryXml) xml = parse(
        "<domain><!-- <os/> --><x:os xmlns:x='urn:x'/><os q:a='2' xmlns:q='urn:q' a=' 1&amp;'>"
        "<boot/><boot n='2'/></os><name>\n w&lt;<![CDATA[ü ]]><!-- no -->eb\t</name></domain>");
    xmlNode *os = gantry_xml_path(xml, "os");
    const xmlNode *boot = gantry_xml_path(xml, "os/boot");
    g_autofree char *a = gantry_xml_attribute(os, "a");
    g_autofree char *name = gantry_xml_content(gantry_xml_path(xml, "name"));
    g_autofree char *empty = gantry_xml_content(boot);
    g_autofree char *n = NULL;

    g_assert_cmpstr(gantry_xml_name(xml), ==, "test.xml");
    g_assert_cmpstr(a, ==, " 1&");
    g_assert_null(gantry_xml_attribute(os, "b"));
    g_assert_cmpstr(name, ==, "w<ü eb");
    g_assert_cmpstr(empty, ==, "");
    g_assert_null(gantry_xml_path(xml, "os/loader"));
    g_assert_null(gantry_xml_path(xml, "no/boot"));
    g_assert_null(gantry_xml_path(xml, "x:os"));
    g_assert_true(gantry_xml_path(xml, "") == gantry_xml_root(xml));
    g_assert_nonnull(gantry_xml_next_child(gantry_xml_root(xml), NULL, "urn:x", "os"));
    boot = gantry_xml_next_child(os, boot, NULL, "boot");
    n = gantry_xml_attribute(boot, "n");
    g_assert_cmpstr(n, ==, "2");
    g_assert_null(gantry_xml_next_child(os, boot, NULL, "boot"));
}

static void
test_line_beyond_65535(void)
{
    g_autofree char *lines = g_strnfill(100 * 1000, '\n');
    g_autofree char *text = g_strdup_printf("<r>%s<a\n\n/></r>", lines);
    g_autofree char *broken = g_strdup_printf("<r>%s<a", lines);
    g_autoptr(GantryXml) xml = parse(text);

    g_assert_cmpint(gantry_xml_line(xml, gantry_xml_path(xml, "a")), ==, 100 * 1000 + 1);
    assert_refused(broken, -1, GANTRY_ERROR_INVALID, "test.xml:100001: *");
}

static void
test_malformed(void)
{
    static const struct {
        const char *text;
        const char *pattern;
    } cases[] = {
        {"", "test.xml:*: *"},
        {" \n", "test.xml:*: *"},
        {"domain", "test.xml:1: *"},
        {"<domain>", "test.xml:1: *"},
        {"<domain>\n<name>x</nam>\n</domain>", "test.xml:2: *name*"},
        {"<domain/><domain/>", "test.xml:1: *"},
        {"<domain/>x", "test.xml:1: *"},
        {"<a b='1' b='2'/>", "test.xml:1: *b*"},
        {"<a b=<c>/>", "test.xml:1: *"},
        {"<a b='<'/>", "test.xml:1: *"},
        {"<a>\n\n&unknown;</a>", "test.xml:3: *unknown*"},
        {"<a>&#0;</a>", "test.xml:1: *"},
        {"<a>\x01</a>", "test.xml:1: *"},
        {"<a>]]></a>", "test.xml:1: *"},
        {"<a \n'\x1b[31m\n' b></a>", "test.xml:*: *"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_refused(cases[i].text, -1, GANTRY_ERROR_INVALID, cases[i].pattern);
    }
}

/* Cut anywhere, a document is refused; only what follows its root may be missing. */
static void
test_truncated(void)
{
    static const char text[] = "<?xml version='1.0'?><!-- c --><a b='1'>t<b/>&amp;<![CDATA[x]]><?p "
                               "i?></a>";

    for (gsize length = 0; length < strlen(text); length++) {
        assert_refused(text, (gssize)length, GANTRY_ERROR_INVALID, "test.xml:*");
    }
    gantry_xml_free(parse(text));
}

static void
test_bytes(void)
{
    assert_refused("<a>\0</a>", 8, GANTRY_ERROR_INVALID, "test.xml: *NUL*");
    assert_refused("<a>\xff</a>", -1, GANTRY_ERROR_INVALID, "test.xml: *UTF-8*");
    assert_refused("<a>\xed\xa0\x80</a>", -1, GANTRY_ERROR_INVALID, "test.xml: *UTF-8*");
    assert_refused("\xff\xfe<\0a\0/\0>\0", 10, GANTRY_ERROR_INVALID, "test.xml: *");
}

/* Also those that are no more than a subset of UTF-8: a converter would stand before the parser,
 * and its positions would not be ours. */
static void
test_encodings(void)
{
    static const char *const refused[] = {
        "ISO-8859-1", "US-ASCII", "ASCII", "UTF-16",       "UTF-16LE",  "UCS-4", "EBCDIC",
        "latin1",     "UTF-7",    "HTML",  "windows-1252", "x-unknown", "IBM037"};

    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *text =
            g_strdup_printf("<?xml version='1.0' encoding='%s'?>\n<a b='ü'>ü<b/></a>", refused[i]);

        assert_refused(text, -1, GANTRY_ERROR_INVALID, "test.xml:1: encoding *");
    }
    gantry_xml_free(parse("<?xml version='1.0' encoding='UTF-8'?><a/>"));
    gantry_xml_free(parse("<?xml version='1.0' encoding='utf-8'?><a/>"));
}

static void
test_doctype(void)
{
    static const char *const texts[] = {
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd'><a/>",
        "<!DOCTYPE a PUBLIC 'p' 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>",
        "<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]><a/>",
        "<!DOCTYPE a [<!ATTLIST a b CDATA 'default'>]><a/>",
        "<!DOCTYPE a [<!ENTITY a '1234567890'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
        "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
        "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'><!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>"
        "]><a>&f;&f;&f;&f;&f;&f;&f;&f;</a>",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        assert_refused(texts[i], -1, GANTRY_ERROR_INVALID, "test.xml:1: *document type*");
    }
}

static char *
nested(guint depth)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < depth; i++) {
        g_string_append(text, "<a>");
    }
    for (guint i = 0; i < depth; i++) {
        g_string_append(text, "</a>");
    }
    return g_string_free(text, FALSE);
}

static void
test_depth(void)
{
    g_autofree char *deep = nested(GANTRY_XML_MAX_DEPTH);
    g_autofree char *too_deep = nested(GANTRY_XML_MAX_DEPTH + 1);
    g_autofree char *far_too_deep = nested(400 * 1000);

    gantry_xml_free(parse(deep));
    assert_refused(too_deep, -1, GANTRY_ERROR_LIMIT, "test.xml:1: *nested too deeply*");
    assert_refused(far_too_deep, -1, GANTRY_ERROR_LIMIT, "test.xml:1: *nested too deeply*");
}

/* libvirt takes a disk with a chain of 200 backing stores, each within the other. */
static void
test_backing_chain(void)
{
    GString *text = g_string_new("<domain><devices><disk type='file'>");
    g_autofree char *whole = NULL;

    for (guint i = 0; i < 200; i++) {
        g_string_append(text,
                        "<backingStore type='file'><format type='qcow2'/><source file='/a'/>");
    }
    for (guint i = 0; i < 200; i++) {
        g_string_append(text, "</backingStore>");
    }
    g_string_append(text, "</disk></devices></domain>");
    whole = g_string_free(text, FALSE);
    gantry_xml_free(parse(whole));
}

/* A document of exactly @bytes. */
static char *
sized(gsize bytes)
{
    g_autofree char *filling = g_strnfill(bytes - strlen("<a></a>"), 'x');

    return g_strdup_printf("<a>%s</a>", filling);
}

static void
test_size(void)
{
    g_autofree char *large = sized(GANTRY_XML_MAX_BYTES);
    g_autofree char *too_large = sized(GANTRY_XML_MAX_BYTES + 1);
    g_autofree char *far_too_large = sized(10 * 1000 * 1000);

    gantry_xml_free(parse(large));
    assert_refused(too_large, -1, GANTRY_ERROR_LIMIT, "test.xml: 4194305 bytes*4194304*");
    assert_refused(far_too_large, -1, GANTRY_ERROR_LIMIT, "test.xml: 10000000 bytes*");
}

/* Nothing of libxml2 reaches stdout, which is a domain's XML in a hook, or stderr. */
static void
test_silence(void)
{
    if (g_test_subprocess()) {
        static const char *const texts[] = {
            "<a>&e;</a>",         "<a",        "<x:a/>", "<a xmlns='rel/uri'/>", "<!DOCTYPE a><a/>",
            "<a xmlns:xml='u'/>", "<a>]]></a>"};

        for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
            gantry_xml_free(gantry_xml_parse(texts[i], strlen(texts[i]), "t", NULL));
        }
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("");
    g_test_trap_assert_stdout_unmatched("*rror*");
}

/* libvirt takes a prefix without a namespace, so a domain may have one. */
static void
test_unbound_prefix(void)
{
    g_autoptr(GantryXml) xml = parse("<domain><metadata><x:a y:b='1'/></metadata></domain>");
    const xmlNode *metadata = gantry_xml_path(xml, "metadata");

    g_assert_nonnull(gantry_xml_next_child(metadata, NULL, NULL, "x:a"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/document/spans", test_spans);
    g_test_add_func("/xml/document/spans-behind-large-pieces", test_spans_behind_large_pieces);
    g_test_add_func("/xml/document/navigation", test_navigation);
    g_test_add_func("/xml/document/line-beyond-65535", test_line_beyond_65535);
    g_test_add_func("/xml/document/malformed", test_malformed);
    g_test_add_func("/xml/document/truncated", test_truncated);
    g_test_add_func("/xml/document/bytes", test_bytes);
    g_test_add_func("/xml/document/encodings", test_encodings);
    g_test_add_func("/xml/document/doctype", test_doctype);
    g_test_add_func("/xml/document/depth", test_depth);
    g_test_add_func("/xml/document/backing-chain", test_backing_chain);
    g_test_add_func("/xml/document/size", test_size);
    g_test_add_func("/xml/document/silence", test_silence);
    g_test_add_func("/xml/document/unbound-prefix", test_unbound_prefix);
    return g_test_run();
}
