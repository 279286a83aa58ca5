/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "random-xml.h"

#include <string.h>

#define MAX_DEPTH 40

static const char *const names[] = {"a", "disk", "vcpu", "x:b", "y:long-name.with_all", "é", "_0"};
static const char *const blanks[] = {" ", "\n", "\r\n", "\t", "  \n\t "};
static const char *const value_parts[] = {
    ">",  "/>",   "-->",  "]]>",    "a",      "=",      "?>",     "ü",
    "漢", "🙂", "&lt;", "&gt;",   "&amp;",  "\n",     "\r\n",   " ",
    "\t", "x='",  "y=\"", "&quot;", "&apos;", "&#60;/", "&#x3e;", "&#10;",
};
/* Not "]]" before ">": that is not well-formed. */
static const char *const texts[] = {
    "text",
    "\n  ",
    "\r\n",
    ">",
    "/>",
    "'",
    "\"",
    "&lt;a>",
    "&#x10ffff;",
    "漢字 🙂",
    "&amp;&#38;",
    "<!---->",
    "<!-- <a b='>'></a> - > -->",
    "<?pi <a> </a> ?>",
    "<![CDATA[<a b=\">\"></a> & ]] > ]]>",
    "<![CDATA[]]>",
};

static void add_element(RandomXml *xml, GRand *random, guint depth, gsize wanted_bytes);

#define PICK(random, list) ((list)[g_rand_int_range((random), 0, G_N_ELEMENTS(list))])

RandomXml *
random_xml_new(GRand *random, gsize wanted_bytes)
{
    static const char *const heads[] = {
        "",
        "\xef\xbb\xbf",
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone='yes'?>\r\n",
        "\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?><!-- <a/> -->\n\n",
        "<!-- ü -->\n<?pi?>\n",
    };
    static const char *const tails[] = {"", "\n", "\r\n<!-- </a> -->", "<?pi />?> "};
    RandomXml *xml = g_new0(RandomXml, 1);

    xml->text = g_string_new(PICK(random, heads));
    xml->elements = g_array_new(FALSE, FALSE, sizeof(RandomElement));
    add_element(xml, random, 1, wanted_bytes);
    g_string_append(xml->text, PICK(random, tails));
    return xml;
}

void
random_xml_free(RandomXml *xml)
{
    g_string_free(xml->text, TRUE);
    g_array_unref(xml->elements);
    g_free(xml);
}

/* Of the text so far; what was counted before is not looked at again. */
static int
count_lines(RandomXml *xml)
{
    for (; xml->counted < xml->text->len; xml->counted++) {
        xml->lines += xml->text->str[xml->counted] == '\n';
    }
    return xml->lines + 1;
}

static void
maybe_blank(RandomXml *xml, GRand *random)
{
    if (g_rand_boolean(random)) {
        g_string_append(xml->text, PICK(random, blanks));
    }
}

static void
add_value(RandomXml *xml, GRand *random)
{
    char quote = g_rand_boolean(random) ? '"' : '\'';

    g_string_append_c(xml->text, quote);
    for (gint32 n = g_rand_int_range(random, 0, 6); n > 0; n--) {
        const char *part = PICK(random, value_parts);

        if (!strchr(part, quote)) {
            g_string_append(xml->text, part);
        }
    }
    g_string_append_c(xml->text, quote);
}

static void
add_attribute(RandomXml *xml, GRand *random, const char *name)
{
    g_string_append(xml->text, PICK(random, blanks));
    g_string_append(xml->text, name);
    maybe_blank(xml, random);
    g_string_append_c(xml->text, '=');
    maybe_blank(xml, random);
    add_value(xml, random);
}

static void
add_attributes(RandomXml *xml, GRand *random, gboolean is_root)
{
    static const char *const attributes[] = {"b", "bb", "x:b", "file", "ä", "c.d-e"};

    if (is_root) {
        g_string_append(xml->text, " xmlns:x='urn:x'\nxmlns:y=\"urn:y>\"");
    }
    for (guint i = 0; i < G_N_ELEMENTS(attributes); i++) {
        if (g_rand_int_range(random, 0, 3) == 0) {
            add_attribute(xml, random, attributes[i]);
        }
    }
    maybe_blank(xml, random);
}

static void
add_content(RandomXml *xml, GRand *random, guint depth, gsize wanted_bytes)
{
    gint32 parts = g_rand_int_range(random, 0, 7);

    while (parts-- > 0 || (depth == 1 && xml->text->len < wanted_bytes)) {
        if (depth < MAX_DEPTH && g_rand_int_range(random, 0, 3) == 0) {
            add_element(xml, random, depth + 1, wanted_bytes);
        } else {
            g_string_append(xml->text, PICK(random, texts));
        }
    }
}

static void
add_element(RandomXml *xml, GRand *random, guint depth, gsize wanted_bytes)
{
    const char *name = PICK(random, names);
    RandomElement element = {.start = xml->text->len, .line = count_lines(xml)};
    guint index = xml->elements->len;

    g_array_append_val(xml->elements, element);
    g_string_append_printf(xml->text, "<%s", name);
    add_attributes(xml, random, depth == 1);
    element.tag_end = xml->text->len;
    if (depth > 1 && g_rand_int_range(random, 0, 3) == 0) {
        g_string_append(xml->text, "/>");
    } else {
        g_string_append_c(xml->text, '>');
        add_content(xml, random, depth, wanted_bytes);
        g_string_append_printf(xml->text, "</%s", name);
        maybe_blank(xml, random);
        g_string_append_c(xml->text, '>');
    }
    element.end = xml->text->len;
    g_array_index(xml->elements, RandomElement, index) = element;
}
