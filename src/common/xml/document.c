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

/* What the callbacks need; hangs on the parser as ctxt->_private. */
typedef struct {
    GArray *spans;
    const char *text;
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

static gsize
position(xmlParserCtxt *parser)
{
    return (gsize)xmlByteConsumed(parser);
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
keep_quiet(void *data, xmlErrorPtr error)
{
}

static void
set_parse_error(GError **error, const char *name, xmlParserCtxt *parser, const Parse *parse)
{
    const xmlError *problem = xmlCtxtGetLastError(parser);
    int line = parser->input ? parser->input->line : 0;
    g_autofree char *text = NULL;

    if (parse->message) {
        g_set_error(error, GANTRY_ERROR, parse->refusal, "%s:%d: %s", name, line,
                    _(parse->message));
        return;
    }
    text = g_strdup(problem && problem->message ? problem->message : _("not well-formed XML"));
    g_strstrip(text);
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, "%s:%d: %s", name,
                problem && problem->line > 0 ? problem->line : line, text);
}

static gboolean
is_utf8_declared(const xmlDoc *doc)
{
    return !doc->encoding || g_ascii_strcasecmp((const char *)doc->encoding, "UTF-8") == 0 ||
           g_ascii_strcasecmp((const char *)doc->encoding, "US-ASCII") == 0;
}

GantryXml *
gantry_xml_parse(const char *text, gsize length, const char *name, GError **error)
{
    g_autoptr(GantryXml) xml = NULL;
    xmlParserCtxt *parser;
    Parse parse = {0};
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
    parse.spans = xml->spans;
    parse.text = xml->text;

    xmlInitParser();
    parser = xmlNewParserCtxt();
    g_assert(parser);
    parser->_private = &parse;
    parser->sax->startElementNs = on_start_element;
    parser->sax->endElementNs = on_end_element;
    parser->sax->internalSubset = on_doctype;
    parser->sax->serror = keep_quiet;
    xml->doc = xmlCtxtReadMemory(parser, xml->text, (int)length, NULL, NULL,
                                 XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    ok = xml->doc && parser->wellFormed && !parse.message && xmlDocGetRootElement(xml->doc);
    if (!ok) {
        set_parse_error(error, name, parser, &parse);
    } else if (!is_utf8_declared(xml->doc)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: encoding '%2$s'; only UTF-8 is accepted"), name,
                    (const char *)xml->doc->encoding);
        ok = FALSE;
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
