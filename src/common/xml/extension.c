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

#include "common/base/error.h"
#include "common/base/i18n.h"

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

/* Every element in a urn:gantry: namespace must be the root of a known extension, and each may
 * stand there once. */
static gboolean
check_namespaces(const GantryExtension *const *extensions, GantryXml *domain, GError **error)
{
    const xmlNode *metadata = gantry_xml_path(domain, "metadata");
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (const xmlNode *node = metadata ? metadata->children : NULL; node; node = node->next) {
        const char *uri =
            node->type == XML_ELEMENT_NODE && node->ns ? (const char *)node->ns->href : "";
        const GantryExtension *owner = NULL;

        if (!g_str_has_prefix(uri, GANTRY_EXTENSION_URI_PREFIX)) {
            continue;
        }
        for (const GantryExtension *const *e = extensions; *e && !owner; e++) {
            owner = g_str_equal((*e)->uri, uri) ? *e : NULL;
        }
        if (!owner) {
            g_autoptr(GPtrArray) known = g_ptr_array_new();
            g_autofree char *all = NULL;

            for (const GantryExtension *const *e = extensions; *e; e++) {
                g_ptr_array_add(known, (gpointer)(*e)->uri);
            }
            g_ptr_array_add(known, NULL);
            all = g_strjoinv(", ", (char **)known->pdata);
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s:%2$ld: <%3$s>: unknown namespace '%4$s' (known: %5$s)"),
                        gantry_xml_name(domain), xmlGetLineNo(node), (const char *)node->name, uri,
                        all);
            return FALSE;
        }
        if (!g_str_equal(owner->root->name, node->name)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s:%2$ld: <%3$s>: the element of namespace '%4$s' is <%5$s>"),
                        gantry_xml_name(domain), xmlGetLineNo(node), (const char *)node->name, uri,
                        owner->root->name);
            return FALSE;
        }
        if (!g_hash_table_add(seen, (gpointer)uri)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s:%2$ld: <%3$s>: a second element of namespace '%4$s'; only one is "
                          "allowed"),
                        gantry_xml_name(domain), xmlGetLineNo(node), (const char *)node->name, uri);
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
        *message = g_strstrip(g_strdup(problem->message));
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
                    _("%1$s:%2$ld: <%3$s>: does not match the schema %4$s.rng: %5$s"),
                    gantry_xml_name(domain), xmlGetLineNo(node), (const char *)node->name,
                    extension->feature, message ? message : "");
        return FALSE;
    }
    return TRUE;
}
