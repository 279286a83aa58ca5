/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/text.h"

#define MAX_CHARACTERS 1024
#define MAX_EXCERPT    160

static char *escape(const char *text, guint max_characters, gboolean escape_backslash);

char *
gantry_printable(const char *text)
{
    return escape(text, MAX_CHARACTERS, TRUE);
}

char *
gantry_one_line(const char *text)
{
    return escape(text, G_MAXUINT, FALSE);
}

char *
gantry_excerpt(const char *text)
{
    return escape(text, MAX_EXCERPT, FALSE);
}

static gboolean
is_harmless(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT: /* has the marks of direction */
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_UNASSIGNED:
        return FALSE;
    default:
        return TRUE;
    }
}

static char *
escape(const char *text, guint max_characters, gboolean escape_backslash)
{
    GString *out = g_string_new(NULL);

    for (guint n = 0; *text; n++) {
        gunichar c = g_utf8_get_char_validated(text, -1);

        if (n == max_characters) {
            g_string_append(out, "...");
            break;
        }
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (guchar)*text);
            text++;
            continue;
        }
        if (c == '\\' ? !escape_backslash : is_harmless(c)) {
            g_string_append_unichar(out, c);
        } else {
            g_string_append_printf(out, c < 0x80 ? "\\x%02x" : "\\u{%04x}", c);
        }
        text = g_utf8_next_char(text);
    }
    return g_string_free(out, FALSE);
}
