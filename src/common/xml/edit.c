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
    gsize length;
    char *replacement;
    guint order; /* of insertions at the same place */
} Change;

struct GantryXmlEdit {
    GantryXml *xml;
    GArray *changes; /* of Change */
};

static void
change_clear(gpointer data)
{
    Change *change = data;

    g_free(change->replacement);
}

static void
add_change(GantryXmlEdit *edit, gsize start, gsize length, char *replacement)
{
    Change change = {start, length, replacement, edit->changes->len};

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

/* Where the value of an attribute without prefix stands, without its quotes. The tag is
 * well-formed: it has been parsed. */
static gboolean
find_value(const char *text, const GantryXmlSpan *span, const char *name, gsize *ret_start,
           gsize *ret_length)
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
            *ret_start = value_start;
            *ret_length = at - value_start;
            return TRUE;
        }
        at++;
    }
    return FALSE;
}

void
gantry_xml_edit_set_attribute(GantryXmlEdit *edit, const xmlNode *element, const char *name,
                              const char *value)
{
    const GantryXmlSpan *span = gantry_xml_span(edit->xml, element);
    g_autofree char *escaped = g_markup_escape_text(value, -1); /* both quotes, too */
    gsize start, length;

    if (find_value(edit->xml->text, span, name, &start, &length)) {
        add_change(edit, start, length, g_steal_pointer(&escaped));
        return;
    }
    start = span->tag_end;
    while (g_ascii_isspace(edit->xml->text[start - 1])) {
        start--;
    }
    add_change(edit, start, 0, g_strdup_printf(" %s='%s'", name, escaped));
}

void
gantry_xml_edit_replace(GantryXmlEdit *edit, const xmlNode *element, const char *fragment)
{
    const GantryXmlSpan *span = gantry_xml_span(edit->xml, element);

    add_change(edit, span->start, span->end - span->start, g_strdup(fragment));
}

void
gantry_xml_edit_append(GantryXmlEdit *edit, const xmlNode *parent, const char *fragment)
{
    const GantryXmlSpan *span = gantry_xml_span(edit->xml, parent);
    const char *text = edit->xml->text;

    if (text[span->tag_end] == '/') {
        gsize name_end = span->start + 1;

        while (!g_ascii_isspace(text[name_end]) && text[name_end] != '/') {
            name_end++;
        }
        add_change(edit, span->tag_end, 2,
                   g_strdup_printf(">%s</%.*s>", fragment, (int)(name_end - span->start - 1),
                                   text + span->start + 1));
    } else {
        gsize at = span->end;

        while (text[at - 1] != '<') {
            at--; /* the end tag holds no other '<' */
        }
        add_change(edit, at - 1, 0, g_strdup(fragment));
    }
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
    if ((x->length == 0) != (y->length == 0)) {
        return x->length == 0 ? -1 : 1;
    }
    return x->order < y->order ? -1 : 1;
}

char *
gantry_xml_edit_apply(GantryXmlEdit *edit, gsize *ret_length, GError **error)
{
    g_autoptr(GString) result = g_string_sized_new(edit->xml->length + 256);
    g_autoptr(GantryXml) check = NULL;
    gsize at = 0;

    g_array_sort(edit->changes, compare_changes);
    for (guint i = 0; i < edit->changes->len; i++) {
        const Change *change = &g_array_index(edit->changes, Change, i);

        if (change->start < at) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: two edits concern the same bytes, at offset %2$zu"),
                        edit->xml->name, change->start);
            return NULL;
        }
        g_string_append_len(result, edit->xml->text + at, (gssize)(change->start - at));
        g_string_append(result, change->replacement);
        at = change->start + change->length;
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
