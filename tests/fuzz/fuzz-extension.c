/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domain XML with extensions. Promises: each element stands where its span says; an edit that
 * changes nothing changes no byte, and one of an attribute reads back; what is resolved is
 * formatted to an element that is found, schema included, to be the same; each failure is one line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/xml/document_priv.h"
#include "common/xml/settings.h"
#include "extensions/extensions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUE "<a b=\"'\n\t&é"

static void
check(gboolean holds, const char *what, const char *detail)
{
    if (!holds) {
        fprintf(stderr, "fuzz-extension: %s: %s\n", what, detail);
        abort();
    }
}

static void
check_error(const GError *error)
{
    check(error && error->domain == GANTRY_ERROR, "failed without an error of ours", "");
    check(!strchr(error->message, '\n') && g_utf8_validate(error->message, -1, NULL),
          "not a line of text", error->message);
}

/* Places within those of the parent, behind those of the elements before, in text of that shape. */
static void
check_spans(const GantryXml *xml, const xmlNode *node, gsize from, gsize to)
{
    for (; node; node = node->next) {
        const GantryXmlSpan *span;
        gsize n_name;

        if (node->type != XML_ELEMENT_NODE) {
            continue;
        }
        span = gantry_xml_span(xml, node);
        check(from <= span->start && span->start < span->tag_end && span->tag_end < span->end &&
                  span->end <= to,
              "span out of place", (const char *)node->name);
        n_name = strcspn(xml->text + span->start + 1, " \t\r\n/>");
        check(
            xml->text[span->start] == '<' && xml->text[span->end - 1] == '>' &&
                g_strstr_len(xml->text + span->start + 1, (gssize)n_name, (const char *)node->name),
            "span of something else", (const char *)node->name);
        check_spans(xml, node->children, span->tag_end, span->end);
        from = span->end;
    }
}

static void
check_edits(GantryXml *xml)
{
    g_autoptr(GantryXmlEdit) none = gantry_xml_edit_new(xml);
    g_autoptr(GantryXmlEdit) one = gantry_xml_edit_new(xml);
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) again = NULL;
    g_autofree char *same = NULL;
    g_autofree char *other = NULL;
    g_autofree char *value = NULL;
    gsize length;

    same = gantry_xml_edit_apply(none, &length, &error);
    check(same && length == xml->length && memcmp(same, xml->text, length) == 0, "no edit",
          error ? error->message : "changed something");
    gantry_xml_edit_set_attribute(one, gantry_xml_root(xml), "new", VALUE);
    gantry_xml_edit_append(one, gantry_xml_root(xml), "<new/>");
    other = gantry_xml_edit_apply(one, &length, &error);
    if (!other) { /* too large, now */
        check(error->code == GANTRY_ERROR_LIMIT, "an edit broke it", error->message);
        return;
    }
    again = gantry_xml_parse(other, length, "edited", &error);
    check(again != NULL, "an edit broke it", error ? error->message : "");
    value = gantry_xml_attribute(gantry_xml_root(again), "new");
    check(g_strcmp0(value, VALUE) == 0, "an attribute is another", value ? value : "gone");
}

/* The effective element, put into a domain, is found again. */
static void
check_feature(const GantryFeatureSettings *feature)
{
    const GantryExtension *extension = feature->extension;
    g_autofree char *text = gantry_element_format(feature->element, extension->uri);
    g_autofree char *domain = g_strdup_printf("<domain><metadata>%s</metadata></domain>", text);
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) xml = gantry_xml_parse(domain, strlen(domain), "formatted", &error);
    g_autoptr(GantryElement) element = NULL;
    g_autofree char *again = NULL;

    if (!xml) { /* canonical text may be longer than what was read */
        check(error->code == GANTRY_ERROR_LIMIT, error->message, text);
        return;
    }
    check(gantry_extension_find(gantry_extensions, extension, xml, &element, &error) && element,
          error ? error->message : "not found", text);
    again = gantry_element_format(element, extension->uri);
    check(g_str_equal(text, again), text, again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) xml = gantry_xml_parse((const char *)data, size, "fuzz", &error);
    g_autoptr(GantrySettings) settings = NULL;

    if (!xml) {
        check_error(error);
        return 0;
    }
    check(error == NULL, "both a document and an error", "");
    check_spans(xml, gantry_xml_root(xml), 0, size);
    check_edits(xml);
    settings = gantry_settings_resolve(gantry_extensions, xml, NULL, &error);
    if (!settings) {
        check_error(error);
        return 0;
    }
    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        const GantryFeatureSettings *feature = gantry_settings_get(settings, (*e)->feature);

        if (feature->enabled) {
            check_feature(feature);
        }
    }
    return 0;
}
