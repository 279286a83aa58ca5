/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding an extension's element in a domain. The typed reader speaks first, since its messages
 * name the value and what is allowed; the RELAX NG schema, which an operator's own tools use, has
 * the last word, so that a document which passes here passes there, too.
 */
#include "common/xml/extension.h"

#include <libxml/relaxng.h>
#include <string.h>

#include "gantry-schemas.h"

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

static gboolean check_namespaces(const GantryExtension *const *extensions, GantryXml *domain,
                                 GError **error);
static gboolean check_schema(const GantryExtension *extension, GantryXml *domain,
                             const xmlNode *node, GError **error);

gboolean
gantry_extension_find(const GantryExtension *const *extensions, const GantryExtension *extension,
                      GantryXml *domain, GantryElement **ret_element, GError **error)
{
    const xmlNode *metadata = gantry_xml_path(domain, "metadata");
    const xmlNode *node;
    g_autoptr(GantryElement) element = NULL;

    if (!check_namespaces(extensions, domain, error)) {
        return FALSE;
    }
    node = metadata ? gantry_xml_next_child(metadata, NULL, extension->uri, extension->root->name)
                    : NULL;
    if (node) {
        element = gantry_element_read(domain, node, extension->uri, extension->root, error);
        if (!element || !check_schema(extension, domain, node, error)) {
            return FALSE;
        }
    }
    *ret_element = g_steal_pointer(&element);
    return TRUE;
}

const GantryExtension *
gantry_extension_by_feature(const GantryExtension *const *extensions, const char *feature)
{
    for (; *extensions; extensions++) {
        if (g_str_equal((*extensions)->feature, feature)) {
            return *extensions;
        }
    }
    return NULL;
}

static void
set_unknown_uri_error(GError **error, const GantryExtension *const *extensions, const char *where,
                      const char *uri)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    g_autofree char *excerpt = gantry_excerpt(uri);
    g_autofree char *all = NULL;
    const char *nearest;

    for (const GantryExtension *const *e = extensions; *e; e++) {
        g_ptr_array_add(known, (gpointer)(*e)->uri);
    }
    g_ptr_array_add(known, NULL);
    all = g_strjoinv(", ", (char **)known->pdata);
    nearest = gantry_nearest_word(uri, (const char *const *)known->pdata);
    if (nearest) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: unknown namespace '%2$s'; did you mean '%3$s'? (known: %4$s)"), where,
                    excerpt, nearest, all);
    } else {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: unknown namespace '%2$s' (known: %3$s)"), where, excerpt, all);
    }
}

/* An element in a urn:gantry: namespace must be the root of a known extension. */
static const GantryExtension *
find_owner(const GantryExtension *const *extensions, GantryXml *domain, const xmlNode *node,
           GError **error)
{
    const char *uri = (const char *)node->ns->href;
    g_autofree char *name = gantry_excerpt((const char *)node->name);
    g_autofree char *where = g_strdup_printf("%s:%d: <%s>", gantry_xml_name(domain),
                                             gantry_xml_line(domain, node), name);

    for (const GantryExtension *const *e = extensions; *e; e++) {
        if (!g_str_equal((*e)->uri, uri)) {
            continue;
        }
        if (!g_str_equal((*e)->root->name, node->name)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: the element of namespace '%2$s' is <%3$s>"), where, uri,
                        (*e)->root->name);
            return NULL;
        }
        return *e;
    }
    set_unknown_uri_error(error, extensions, where, uri);
    return NULL;
}

/* Each may stand there once. */
static gboolean
check_namespaces(const GantryExtension *const *extensions, GantryXml *domain, GError **error)
{
    const xmlNode *metadata = gantry_xml_path(domain, "metadata");
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (const xmlNode *node = metadata ? metadata->children : NULL; node; node = node->next) {
        const GantryExtension *owner;

        if (node->type != XML_ELEMENT_NODE || !node->ns ||
            !g_str_has_prefix((const char *)node->ns->href, GANTRY_EXTENSION_URI_PREFIX)) {
            continue;
        }
        owner = find_owner(extensions, domain, node, error);
        if (!owner) {
            return FALSE;
        }
        if (!g_hash_table_add(seen, (gpointer)owner)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s:%2$d: <%3$s>: a second element of namespace '%4$s'; only one is "
                          "allowed"),
                        gantry_xml_name(domain), gantry_xml_line(domain, node), owner->root->name,
                        owner->uri);
            return FALSE;
        }
    }
    return TRUE;
}

const char *
gantry_extension_schema(const GantryExtension *extension, gsize *ret_length)
{
    g_autofree char *path = g_strdup_printf("/gantry/schemas/%s.rng", extension->feature);
    g_autoptr(GBytes) bytes = g_resource_lookup_data(gantry_schemas_get_resource(), path,
                                                     G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);

    g_assert(bytes);
    /* The bytes lie in the program itself, so they outlive the GBytes. */
    return g_bytes_get_data(bytes, ret_length);
}

static void
keep_first(void *data, xmlErrorPtr problem)
{
    char **message = data;

    if (!*message && problem->message) {
        g_autofree char *text = g_strchomp(g_strdup(problem->message));

        *message = gantry_excerpt(text);
    }
}

static gboolean
check_schema(const GantryExtension *extension, GantryXml *domain, const xmlNode *node,
             GError **error)
{
    gsize length;
    const char *schema_text = gantry_extension_schema(extension, &length);
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewMemParserCtxt(schema_text, (int)length);
    xmlRelaxNG *schema;
    xmlRelaxNGValidCtxt *validator;
    xmlDoc *alone;
    g_autofree char *message = NULL;
    int result;

    xmlRelaxNGSetParserStructuredErrors(parser, keep_first, &message);
    schema = xmlRelaxNGParse(parser);
    xmlRelaxNGFreeParserCtxt(parser);
    if (!schema) {
        g_error("schema %s.rng: %s", extension->feature, message);
    }
    alone = xmlNewDoc((const xmlChar *)"1.0");
    xmlDocSetRootElement(alone, xmlDocCopyNode((xmlNode *)node, alone, 1));
    validator = xmlRelaxNGNewValidCtxt(schema);
    xmlRelaxNGSetValidStructuredErrors(validator, keep_first, &message);
    result = xmlRelaxNGValidateDoc(validator, alone);
    xmlRelaxNGFreeValidCtxt(validator);
    xmlFreeDoc(alone);
    xmlRelaxNGFree(schema);
    if (result != 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s:%2$d: <%3$s>: does not match the schema %4$s.rng: %5$s"),
                    gantry_xml_name(domain), gantry_xml_line(domain, node), extension->root->name,
                    extension->feature, message ? message : "");
        return FALSE;
    }
    return TRUE;
}
