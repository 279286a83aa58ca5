/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The typed reader and the canonical formatter, generic over the tables. Reading never trusts the
 * tree: each attribute, element and text node must be named by the table, or the document is
 * refused with the line, what was found, and what would be right.
 */
#include "common/xml/spec.h"

#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

static gboolean read_attributes(GantryElement *element, const xmlNode *node, const char *where,
                                GError **error);
static gboolean read_content(GantryElement *element, GantryXml *xml, const xmlNode *node,
                             const char *uri, const char *where, GError **error);
static guint count_fields(const GantryElementSpec *spec);
static gssize find_field(const GantryElementSpec *spec, const char *name);
static void format_into(GString *out, const GantryElement *element, const char *uri);

GantryElement *
gantry_element_read(GantryXml *xml, const xmlNode *node, const char *uri,
                    const GantryElementSpec *spec, GError **error)
{
    g_autoptr(GantryElement) element = gantry_element_new(spec);
    g_autofree char *where = NULL;

    element->line = gantry_xml_line(xml, node);
    where = g_strdup_printf("%s:%d: <%s>", gantry_xml_name(xml), element->line, spec->name);
    if (!read_attributes(element, node, where, error) ||
        !read_content(element, xml, node, uri, where, error)) {
        return NULL;
    }
    return g_steal_pointer(&element);
}

GantryElement *
gantry_element_new(const GantryElementSpec *spec)
{
    GantryElement *element = g_new0(GantryElement, 1);

    element->spec = spec;
    element->values = g_new0(char *, count_fields(spec) + 1);
    element->children = g_ptr_array_new_with_free_func((GDestroyNotify)gantry_element_free);
    return element;
}

GantryElement *
gantry_element_copy(const GantryElement *element)
{
    GantryElement *copy = gantry_element_new(element->spec);

    for (guint i = 0; i < count_fields(element->spec); i++) {
        copy->values[i] = g_strdup(element->values[i]);
    }
    copy->content = g_strdup(element->content);
    copy->line = element->line;
    for (guint i = 0; i < element->children->len; i++) {
        g_ptr_array_add(copy->children, gantry_element_copy(element->children->pdata[i]));
    }
    return copy;
}

void
gantry_element_free(GantryElement *element)
{
    if (!element) {
        return;
    }
    for (guint i = 0; i < count_fields(element->spec); i++) {
        g_free(element->values[i]);
    }
    g_free(element->values);
    g_free(element->content);
    g_ptr_array_unref(element->children);
    g_free(element);
}

char *
gantry_element_format(const GantryElement *element, const char *uri)
{
    GString *out = g_string_new(NULL);

    format_into(out, element, uri);
    return g_string_free(out, FALSE);
}

const char *
gantry_element_string(const GantryElement *element, const char *name)
{
    gssize index = find_field(element->spec, name);

    g_assert(index >= 0);
    return element->values[index] ? element->values[index] : element->spec->fields[index].fallback;
}

guint64
gantry_element_uint(const GantryElement *element, const char *name)
{
    const char *text = gantry_element_string(element, name);
    guint64 value = 0;

    if (text) {
        gantry_parse_uint(text, 0, G_MAXUINT64, &value, NULL);
    }
    return value;
}

gboolean
gantry_element_bool(const GantryElement *element, const char *name)
{
    return g_strcmp0(gantry_element_string(element, name), "yes") == 0;
}

gboolean
gantry_element_check_unique(const GantryElement *element, const char *child_name, const char *name,
                            const char *where, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < element->children->len; i++) {
        const GantryElement *child = element->children->pdata[i];
        const char *value;

        if (!g_str_equal(child->spec->name, child_name)) {
            continue;
        }
        value = gantry_element_string(child, name);
        if (value && !g_hash_table_add(seen, (gpointer)value)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: two <%2$s> elements with %3$s='%4$s'"), where, child_name, name,
                        value);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
gantry_element_has(const GantryElement *element, const char *name)
{
    gssize index = find_field(element->spec, name);

    g_assert(index >= 0);
    return element->values[index] != NULL;
}

void
gantry_element_set(GantryElement *element, const char *name, const char *canonical)
{
    gssize index = find_field(element->spec, name);

    g_assert(index >= 0);
    g_free(element->values[index]);
    element->values[index] = g_strdup(canonical);
}

static guint
count_fields(const GantryElementSpec *spec)
{
    guint count = 0;

    while (spec->fields && spec->fields[count].name) {
        count++;
    }
    return count;
}

static gssize
find_field(const GantryElementSpec *spec, const char *name)
{
    guint count = count_fields(spec);

    for (guint i = 0; i < count; i++) {
        if (g_str_equal(spec->fields[i].name, name)) {
            return (gssize)i;
        }
    }
    return -1;
}

/* "no attribute 'x'", with the nearest known name, and all of them. */
static void
set_unknown_error(GError **error, const char *where, const char *what, const char *name,
                  GPtrArray *known)
{
    g_autofree char *excerpt = gantry_excerpt(name);
    g_autofree char *all = NULL;
    const char *nearest;

    g_ptr_array_add(known, NULL);
    all = g_strjoinv(", ", (char **)known->pdata);
    nearest = gantry_nearest_word(name, (const char *const *)known->pdata);
    if (nearest) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: no %2$s '%3$s' here; did you mean '%4$s'? (known: %5$s)"), where, what,
                    excerpt, nearest, all);
    } else if (*all) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: no %2$s '%3$s' here (known: %4$s)"), where, what, excerpt, all);
    } else {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: no %2$s '%3$s' here; there may be none"), where, what, excerpt);
    }
}

static void
set_prefixed_attribute_error(GError **error, const char *where, const xmlAttr *attribute)
{
    g_autofree char *name = gantry_excerpt((const char *)attribute->name);
    g_autofree char *uri = gantry_excerpt((const char *)attribute->ns->href);

    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("%1$s: attribute '%2$s' stands in namespace '%3$s'; here, attributes have no "
                  "prefix"),
                where, name, uri);
}

static void
set_foreign_element_error(GError **error, const char *where, const xmlNode *node, const char *uri)
{
    g_autofree char *name = gantry_excerpt((const char *)node->name);
    g_autofree char *foreign = gantry_excerpt(node->ns ? (const char *)node->ns->href : "");

    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("%1$s: element '%2$s' stands in namespace '%3$s'; here, it must stand in '%4$s'"),
                where, name, foreign, uri);
}

static gboolean
read_attributes(GantryElement *element, const xmlNode *node, const char *where, GError **error)
{
    const GantryElementSpec *spec = element->spec;
    guint count = count_fields(spec);

    for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
        const char *name = (const char *)attribute->name;
        gssize index = find_field(spec, name);
        g_autofree char *value_where = NULL;
        g_autofree char *value = NULL;

        if (attribute->ns) {
            set_prefixed_attribute_error(error, where, attribute);
            return FALSE;
        }
        if (index < 0) {
            g_autoptr(GPtrArray) known = g_ptr_array_new();

            for (guint i = 0; i < count; i++) {
                g_ptr_array_add(known, (gpointer)spec->fields[i].name);
            }
            set_unknown_error(error, where, _("attribute"), name, known);
            return FALSE;
        }
        value_where = g_strdup_printf(_("%1$s: attribute '%2$s'"), where, name);
        value = gantry_xml_attribute(node, name);
        element->values[index] =
            gantry_field_canonical(&spec->fields[index], value, value_where, error);
        if (!element->values[index]) {
            return FALSE;
        }
    }
    for (guint i = 0; i < count; i++) {
        if (spec->fields[i].required && !element->values[i]) {
            g_autofree char *allowed = gantry_field_allowed(&spec->fields[i]);

            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: attribute '%2$s' is missing; allowed: %3$s"), where,
                        spec->fields[i].name, allowed);
            return FALSE;
        }
    }
    return TRUE;
}

static const GantryElementSpec *
find_child_spec(const GantryElementSpec *spec, const char *name)
{
    for (const GantryElementSpec *const *child = spec->children; child && *child; child++) {
        if (g_str_equal((*child)->name, name)) {
            return *child;
        }
    }
    return NULL;
}

static guint
count_children(const GantryElement *element, const GantryElementSpec *spec)
{
    guint count = 0;

    for (guint i = 0; i < element->children->len; i++) {
        const GantryElement *child = element->children->pdata[i];

        count += child->spec == spec;
    }
    return count;
}

/* Looked at with every child, so that a flood of them ends early. */
static gboolean
check_most(const GantryElement *element, const GantryElementSpec *spec, const char *where,
           GError **error)
{
    guint most = MAX(spec->max_occurs, 1);

    if (count_children(element, spec) > most) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: more than %2$u elements <%3$s>"), where, most, spec->name);
        return FALSE;
    }
    return TRUE;
}

static gboolean
check_least(const GantryElement *element, const char *where, GError **error)
{
    for (const GantryElementSpec *const *spec = element->spec->children; spec && *spec; spec++) {
        guint count = count_children(element, *spec);

        if (count < (*spec)->min_occurs) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: %2$u elements <%3$s>; at least %4$u must be given"), where, count,
                        (*spec)->name, (*spec)->min_occurs);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
read_child(GantryElement *element, GantryXml *xml, const xmlNode *node, const char *uri,
           const char *where, GError **error)
{
    const GantryElementSpec *spec = find_child_spec(element->spec, (const char *)node->name);
    GantryElement *child;

    if (!spec) {
        g_autoptr(GPtrArray) known = g_ptr_array_new();

        for (const GantryElementSpec *const *s = element->spec->children; s && *s; s++) {
            g_ptr_array_add(known, (gpointer)(*s)->name);
        }
        set_unknown_error(error, where, _("element"), (const char *)node->name, known);
        return FALSE;
    }
    if (!node->ns || !g_str_equal(node->ns->href, uri)) {
        set_foreign_element_error(error, where, node, uri);
        return FALSE;
    }
    child = gantry_element_read(xml, node, uri, spec, error);
    if (!child) {
        return FALSE;
    }
    g_ptr_array_add(element->children, child);
    return check_most(element, spec, where, error);
}

static gboolean
read_content(GantryElement *element, GantryXml *xml, const xmlNode *node, const char *uri,
             const char *where, GError **error)
{
    const GantryElementSpec *spec = element->spec;

    for (const xmlNode *child = node->children; child; child = child->next) {
        gboolean is_text = child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE;

        if (child->type == XML_ELEMENT_NODE) {
            if (!read_child(element, xml, child, uri, where, error)) {
                return FALSE;
            }
        } else if (is_text && !spec->content && !xmlIsBlankNode(child)) {
            g_autofree char *text = g_strstrip(g_strdup((const char *)child->content));
            g_autofree char *stray = gantry_excerpt(text);

            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: text '%2$s' is not allowed here"), where, stray);
            return FALSE;
        }
    }
    if (spec->content) {
        g_autofree char *text = gantry_xml_content(node);

        element->content = gantry_field_canonical(spec->content, text, where, error);
        if (!element->content) {
            return FALSE;
        }
    }
    return check_least(element, where, error);
}

static void
format_into(GString *out, const GantryElement *element, const char *uri)
{
    guint count = count_fields(element->spec);

    g_string_append_printf(out, "<%s", element->spec->name);
    if (uri) {
        g_string_append_printf(out, " xmlns='%s'", uri);
    }
    for (guint i = 0; i < count; i++) {
        if (element->values[i]) {
            g_autofree char *escaped = gantry_xml_escape(element->values[i]);

            g_string_append_printf(out, " %s='%s'", element->spec->fields[i].name, escaped);
        }
    }
    if (!element->content && element->children->len == 0) {
        g_string_append(out, "/>");
        return;
    }
    g_string_append_c(out, '>');
    if (element->content) {
        g_autofree char *escaped = gantry_xml_escape(element->content);

        g_string_append(out, escaped);
    }
    for (guint i = 0; i < element->children->len; i++) {
        format_into(out, element->children->pdata[i], NULL);
    }
    g_string_append_printf(out, "</%s>", element->spec->name);
}
