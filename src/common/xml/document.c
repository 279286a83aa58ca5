/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * libxml2 builds the tree from SAX2 callbacks. We stand in front of two of them, startElementNs and
 * endElementNs, and note the parser's position in the text: a start tag ends there (before its '>'
 * or '/>'), an element ends there (after it). In well-formed XML a raw '<' cannot stand inside a
 * tag, so the tag begins at the last '<' before that position. The spans are kept in an array; a
 * node's _private is its index plus one.
 *
 * A document type declaration stops the parser at once, so there are no entities to expand and
 * nothing to fetch.
 */
#include "common/xml/document_priv.h"

#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/SAX2.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

/* What the callbacks need; hangs on the parser as ctxt->_private. */
typedef struct {
    GArray *spans;
    const char *text;
    gsize length;
    gsize counted; /* lines are counted up to here */
    int line;
    guint depth;
    GantryError refusal; /* with a NULL message: none */
    const char *message;
} Parse;

static void
refuse(xmlParserCtxt *parser, GantryError code, const char *message)
{
    Parse *parse = parser->_private;

    if (!parse->message) {
        parse->refusal = code;
        parse->message = message;
    }
    xmlStopParser(parser);
}

/* Where the parser stands in the text; never behind its end, whatever libxml2 says. */
static gsize
position(xmlParserCtxt *parser)
{
    const Parse *parse = parser->_private;

    return CLAMP(xmlByteConsumed(parser), 0, (long)parse->length);
}

/* The declaration has been read, no element yet. check_encoding() has seen to it that there is no
 * converter between text and parser; if there is one after all, positions in the one would not be
 * positions in the other. */
static void
on_start_document(void *data)
{
    xmlParserCtxt *parser = data;

    if (parser->input->buf && parser->input->buf->encoder) {
        refuse(parser, GANTRY_ERROR_INVALID, N_("an encoding other than UTF-8 is not accepted"));
        return;
    }
    xmlSAX2StartDocument(data);
}

/* libxml2 knows the line that a tag ends on, and counts to 65535 only. */
static int
count_lines(Parse *parse, gsize up_to)
{
    const char *end = parse->text + up_to;

    for (const char *at = parse->text + parse->counted; (at = memchr(at, '\n', (gsize)(end - at)));
         at++) {
        parse->line++;
    }
    parse->counted = up_to;
    return parse->line;
}

static void
on_start_element(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                 int n_namespaces, const xmlChar **namespaces, int n_attributes, int n_defaulted,
                 const xmlChar **attributes)
{
    xmlParserCtxt *parser = data;
    Parse *parse = parser->_private;
    gsize end = position(parser);
    GantryXmlSpan span = {.tag_end = end};

    if (++parse->depth > GANTRY_XML_MAX_DEPTH) {
        refuse(parser, GANTRY_ERROR_LIMIT, N_("elements are nested too deeply"));
        return;
    }
    xmlSAX2StartElementNs(data, name, prefix, uri, n_namespaces, namespaces, n_attributes,
                          n_defaulted, attributes);
    if (!parser->node) {
        return;
    }
    span.start = end;
    while (span.start > 0 && parse->text[span.start] != '<') {
        span.start--;
    }
    span.line = count_lines(parse, span.start);
    g_array_append_val(parse->spans, span);
    parser->node->_private = GUINT_TO_POINTER(parse->spans->len);
}

static void
on_end_element(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    xmlParserCtxt *parser = data;
    Parse *parse = parser->_private;

    if (parser->node && parser->node->_private) {
        guint index = GPOINTER_TO_UINT(parser->node->_private) - 1;

        g_array_index(parse->spans, GantryXmlSpan, index).end = position(parser);
    }
    parse->depth--;
    xmlSAX2EndElementNs(data, name, prefix, uri);
}

static void
on_doctype(void *data, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id)
{
    refuse(data, GANTRY_ERROR_INVALID, N_("a document type declaration is not accepted"));
}

static void
set_parse_error(GError **error, const char *name, xmlParserCtxt *parser, const Parse *parse)
{
    const xmlError *problem = xmlCtxtGetLastError(parser);
    int line = parser->input ? parser->input->line : 0;
    g_autofree char *message = NULL;
    g_autofree char *text = NULL;

    if (parse->message) {
        g_set_error(error, GANTRY_ERROR, parse->refusal, "%s:%d: %s", name, line,
                    _(parse->message));
        return;
    }
    message = g_strdup(problem && problem->message ? problem->message : _("no XML in it"));
    text = gantry_excerpt(g_strchomp(message));
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, "%s:%d: %s", name,
                problem && problem->line > 0 ? problem->line : line, text);
}

/* The value of "encoding" in an XML declaration at the start of @text, or NULL. (transfer full) */
static char *
declared_encoding(const char *text)
{
    static const char mark[] = "\xef\xbb\xbf";
    const char *at = g_str_has_prefix(text, mark) ? text + strlen(mark) : text;
    const char *end = g_str_has_prefix(at, "<?xml") ? strstr(at, "?>") : NULL;
    g_autofree char *declaration = end ? g_strndup(at, (gsize)(end - at)) : NULL;
    const char *value = declaration ? strstr(declaration, "encoding") : NULL;
    gsize open = value ? strcspn(value, "'\"") : 0;

    if (!value || !value[open]) {
        return NULL;
    }
    value += open + 1;
    return g_strndup(value, strcspn(value, "'\""));
}

/* Looked at before the parser sees it: libxml2 begins to convert at once, and what goes wrong with
 * that it prints on stderr. */
static gboolean
check_encoding(const char *text, const char *name, GError **error)
{
    g_autofree char *encoding = declared_encoding(text);

    if (encoding && g_ascii_strcasecmp(encoding, "UTF-8") != 0) {
        g_autofree char *excerpt = gantry_excerpt(encoding);

        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s:1: encoding '%2$s' is not accepted, only UTF-8"), name, excerpt);
        return FALSE;
    }
    return TRUE;
}

GantryXml *
gantry_xml_parse(const char *text, gsize length, const char *name, GError **error)
{
    g_autoptr(GantryXml) xml = NULL;
    xmlParserCtxt *parser;
    Parse parse = {.line = 1};
    gboolean ok;

    if (length > GANTRY_XML_MAX_BYTES) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                    _("%1$s: %2$zu bytes of XML; at most %3$d are accepted"), name, length,
                    GANTRY_XML_MAX_BYTES);
        return NULL;
    }
    if (!g_utf8_validate_len(text, length, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%s: not UTF-8 text without NUL bytes"), name);
        return NULL;
    }
    xml = g_new0(GantryXml, 1);
    xml->name = g_strdup(name);
    xml->text = g_strndup(text, length);
    xml->length = length;
    xml->spans = g_array_new(FALSE, TRUE, sizeof(GantryXmlSpan));
    if (!check_encoding(xml->text, name, error)) {
        return NULL;
    }
    parse.spans = xml->spans;
    parse.text = xml->text;
    parse.length = length;

    xmlInitParser();
    parser = xmlNewParserCtxt();
    g_assert(parser);
    parser->_private = &parse;
    parser->sax->startDocument = on_start_document;
    parser->sax->startElementNs = on_start_element;
    parser->sax->endElementNs = on_end_element;
    parser->sax->internalSubset = on_doctype;
    xml->doc = xmlCtxtReadMemory(parser, xml->text, (int)length, NULL, NULL,
                                 XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    ok = xml->doc && !parse.message && xmlDocGetRootElement(xml->doc);
    if (!ok) {
        set_parse_error(error, name, parser, &parse);
    }
    xmlFreeParserCtxt(parser);
    return ok ? g_steal_pointer(&xml) : NULL;
}

void
gantry_xml_free(GantryXml *xml)
{
    if (!xml) {
        return;
    }
    g_clear_pointer(&xml->doc, xmlFreeDoc);
    g_clear_pointer(&xml->spans, g_array_unref);
    g_free(xml->name);
    g_free(xml->text);
    g_free(xml);
}

xmlNode *
gantry_xml_root(GantryXml *xml)
{
    return xmlDocGetRootElement(xml->doc);
}

const char *
gantry_xml_name(const GantryXml *xml)
{
    return xml->name;
}

const char *
gantry_xml_text(const GantryXml *xml, gsize *ret_length)
{
    if (ret_length) {
        *ret_length = xml->length;
    }
    return xml->text;
}

const GantryXmlSpan *
gantry_xml_span(const GantryXml *xml, const xmlNode *element)
{
    guint index = GPOINTER_TO_UINT(element->_private);

    g_assert(element->type == XML_ELEMENT_NODE && index >= 1 && index <= xml->spans->len);
    return &g_array_index(xml->spans, GantryXmlSpan, index - 1);
}

int
gantry_xml_line(const GantryXml *xml, const xmlNode *element)
{
    return gantry_xml_span(xml, element)->line;
}

static gboolean
is_element(const xmlNode *node, const char *uri, const char *name)
{
    const char *node_uri = node->ns ? (const char *)node->ns->href : NULL;

    return node->type == XML_ELEMENT_NODE && g_str_equal(name, node->name) &&
           g_strcmp0(uri, node_uri) == 0;
}

xmlNode *
gantry_xml_next_child(const xmlNode *parent, const xmlNode *previous, const char *uri,
                      const char *name)
{
    for (xmlNode *node = previous ? previous->next : parent->children; node; node = node->next) {
        if (is_element(node, uri, name)) {
            return node;
        }
    }
    return NULL;
}

xmlNode *
gantry_xml_path(GantryXml *xml, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    xmlNode *node = gantry_xml_root(xml);

    for (char **name = names; *name && node; name++) {
        node = gantry_xml_next_child(node, NULL, NULL, *name);
    }
    return node;
}

char *
gantry_xml_attribute(const xmlNode *element, const char *name)
{
    xmlChar *value = xmlGetNoNsProp(element, (const xmlChar *)name);
    char *copy = g_strdup((const char *)value);

    xmlFree(value);
    return copy;
}

char *
gantry_xml_content(const xmlNode *element)
{
    xmlChar *value = xmlNodeGetContent(element);
    char *copy = g_strdup(value ? (const char *)value : "");

    xmlFree(value);
    return g_strstrip(copy);
}

char *
gantry_xml_escape(const char *text)
{
    static const char *const references[128] = {
        ['&'] = "&amp;",  ['<'] = "&lt;",  ['>'] = "&gt;",   ['\''] = "&apos;",
        ['"'] = "&quot;", ['\t'] = "&#9;", ['\n'] = "&#10;", ['\r'] = "&#13;",
    };
    GString *escaped = g_string_new(NULL);

    for (; *text; text++) {
        const char *reference = (guchar)*text < 128 ? references[(guchar)*text] : NULL;

        if (reference) {
            g_string_append(escaped, reference);
        } else {
            g_string_append_c(escaped, *text);
        }
    }
    return g_string_free(escaped, FALSE);
}
