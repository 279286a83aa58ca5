/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Edits of a document's text. Each is "replace these bytes by those"; they are sorted and applied
 * in one pass, and what lies between them is copied as it is.
 */
#include "common/xml/document_priv.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

typedef struct {
    gsize start;
    gsize length; /* 0: insertion, but where @exclusive an empty value is replaced */
    gboolean exclusive;
    char *replacement;
    guint order; /* of insertions at the same place */
} Change;

struct GantryXmlEdit {
    GantryXml *xml;
    GArray *changes; /* of Change */
};

static gboolean find_value(const char *text, const GantryXmlSpan *span, const char *name,
                           gsize *ret_attribute, gsize *ret_start, gsize *ret_length);

static void
change_clear(gpointer data)
{
    Change *change = data;

    g_free(change->replacement);
}

static void
add_change(GantryXmlEdit *edit, gsize start, gsize length, gboolean exclusive, char *replacement)
{
    Change change = {start, length, exclusive, replacement, edit->changes->len};

    g_array_append_val(edit->changes, change);
}

GantryXmlEdit *
gantry_xml_edit_new(GantryXml *xml)
{
    GantryXmlEdit *edit = g_new0(GantryXmlEdit, 1);

    edit->xml = xml;
    edit->changes = g_array_new(FALSE, FALSE, sizeof(Change));
    g_array_set_clear_func(edit->changes, change_clear);
    return edit;
}

void
gantry_xml_edit_free(GantryXmlEdit *edit)
{
    if (edit) {
        g_array_unref(edit->changes);
        g_free(edit);
    }
}

void
gantry_xml_edit_set_attribute(GantryXmlEdit *edit, const xmlNode *element, const char *name,
                              const char *value)
{
    const GantryXmlSpan *span = gantry_xml_span(edit->xml, element);
    g_autofree char *escaped = gantry_xml_escape(value);
    gsize attribute, start, length;

    if (find_value(edit->xml->text, span, name, &attribute, &start, &length)) {
        add_change(edit, start, length, TRUE, g_steal_pointer(&escaped));
        return;
    }
    start = span->tag_end;
    while (g_ascii_isspace(edit->xml->text[start - 1])) {
        start--;
    }
    add_change(edit, start, 0, FALSE, g_strdup_printf(" %s='%s'", name, escaped));
}

void
gantry_xml_edit_remove_attribute(GantryXmlEdit *edit, const xmlNode *element, const char *name)
{
    const GantryXmlSpan *span = gantry_xml_span(edit->xml, element);
    gsize attribute, start, length;

    if (find_value(edit->xml->text, span, name, &attribute, &start, &length)) {
        while (g_ascii_isspace(edit->xml->text[attribute - 1])) {
            attribute--;
        }
        add_change(edit, attribute, start + length + 1 - attribute, TRUE, g_strdup(""));
    }
}

void
gantry_xml_edit_replace(GantryXmlEdit *edit, const xmlNode *element, const char *fragment)
{
    const GantryXmlSpan *span = gantry_xml_span(edit->xml, element);

    add_change(edit, span->start, span->end - span->start, TRUE, g_strdup(fragment));
}

/* "/>" becomes ">FRAGMENT</NAME>"; a further fragment goes into what the first one made. */
static void
append_to_empty(GantryXmlEdit *edit, const GantryXmlSpan *span, const char *fragment)
{
    const char *name = edit->xml->text + span->start + 1;
    int name_length = 0;
    g_autofree char *end_tag = NULL;

    while (!g_ascii_isspace(name[name_length]) && name[name_length] != '/') {
        name_length++;
    }
    end_tag = g_strdup_printf("</%.*s>", name_length, name);
    for (guint i = 0; i < edit->changes->len; i++) {
        Change *change = &g_array_index(edit->changes, Change, i);

        if (change->start == span->tag_end && change->length == 2) {
            gsize content = strlen(change->replacement) - strlen(end_tag);
            char *more =
                g_strdup_printf("%.*s%s%s", (int)content, change->replacement, fragment, end_tag);

            g_free(change->replacement);
            change->replacement = more;
            return;
        }
    }
    add_change(edit, span->tag_end, 2, TRUE, g_strdup_printf(">%s%s", fragment, end_tag));
}

void
gantry_xml_edit_append(GantryXmlEdit *edit, const xmlNode *parent, const char *fragment)
{
    const GantryXmlSpan *span = gantry_xml_span(edit->xml, parent);
    gsize at = span->end;

    if (edit->xml->text[span->tag_end] == '/') {
        append_to_empty(edit, span, fragment);
        return;
    }
    while (edit->xml->text[at - 1] != '<') {
        at--; /* the end tag holds no other '<' */
    }
    add_change(edit, at - 1, 0, FALSE, g_strdup(fragment));
}

gsize
gantry_xml_edit_count(const GantryXmlEdit *edit)
{
    return edit->changes->len;
}

static int
compare_changes(gconstpointer a, gconstpointer b)
{
    const Change *x = a, *y = b;

    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    /* An insertion stands before what replaces the bytes behind it. */
    if (x->exclusive != y->exclusive) {
        return x->exclusive ? 1 : -1;
    }
    return x->order < y->order ? -1 : 1;
}

char *
gantry_xml_edit_apply(GantryXmlEdit *edit, gsize *ret_length, GError **error)
{
    g_autoptr(GString) result = g_string_sized_new(edit->xml->length + 256);
    g_autoptr(GantryXml) check = NULL;
    const Change *before = NULL;
    gsize at = 0;

    g_array_sort(edit->changes, compare_changes);
    for (guint i = 0; i < edit->changes->len; i++) {
        const Change *change = &g_array_index(edit->changes, Change, i);

        if (change->start < at || (before && before->start == change->start && before->exclusive)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: two edits concern the same bytes, at offset %2$zu"),
                        edit->xml->name, change->start);
            return NULL;
        }
        g_string_append_len(result, edit->xml->text + at, (gssize)(change->start - at));
        g_string_append(result, change->replacement);
        at = change->start + change->length;
        before = change;
    }
    g_string_append_len(result, edit->xml->text + at, (gssize)(edit->xml->length - at));

    check = gantry_xml_parse(result->str, result->len, edit->xml->name, error);
    if (!check) {
        g_prefix_error(error, _("after editing: "));
        return NULL;
    }
    *ret_length = result->len;
    return g_string_free(g_steal_pointer(&result), FALSE);
}

/* Where an attribute without prefix stands, and its value, without its quotes. The tag is
 * well-formed: it has been parsed. */
static gboolean
find_value(const char *text, const GantryXmlSpan *span, const char *name, gsize *ret_attribute,
           gsize *ret_start, gsize *ret_length)
{
    gsize at = span->start + 1;

    while (at < span->tag_end && !g_ascii_isspace(text[at])) {
        at++; /* the element's name */
    }
    while (at < span->tag_end) {
        gsize name_start, name_length, value_start;
        char quote;

        while (at < span->tag_end && g_ascii_isspace(text[at])) {
            at++;
        }
        name_start = at;
        while (at < span->tag_end && text[at] != '=' && !g_ascii_isspace(text[at])) {
            at++;
        }
        name_length = at - name_start;
        while (at < span->tag_end && text[at] != '"' && text[at] != '\'') {
            at++;
        }
        if (at >= span->tag_end) {
            break;
        }
        quote = text[at];
        value_start = ++at;
        while (at < span->tag_end && text[at] != quote) {
            at++;
        }
        if (name_length == strlen(name) && memcmp(text + name_start, name, name_length) == 0) {
            *ret_attribute = name_start;
            *ret_start = value_start;
            *ret_length = at - value_start;
            return TRUE;
        }
        at++;
    }
    return FALSE;
}
