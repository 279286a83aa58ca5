/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/error.h"

#include <errno.h>
#include <string.h>

#define MAX_EXCERPT 160 /* characters */

G_DEFINE_QUARK(gantry - error - quark, gantry_error)

static GantryError
code_for_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
        return GANTRY_ERROR_NOT_FOUND;
    case ETIMEDOUT:
        return GANTRY_ERROR_TIMEOUT;
    case ECONNREFUSED:
        return GANTRY_ERROR_UNAVAILABLE;
    default:
        return GANTRY_ERROR_SYSTEM;
    }
}

void
gantry_set_error_errno(GError **error, int errno_value, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, GANTRY_ERROR, code_for_errno(errno_value), "%s: %s", what,
                g_strerror(errno_value));
}

char *
gantry_excerpt(const char *text)
{
    GString *excerpt = g_string_new(NULL);
    /* More bytes than the excerpt can take, so that a huge text is not looked at as a whole. */
    g_autofree char *start = g_strndup(text, 4096);
    g_autofree char *valid = g_utf8_make_valid(start, -1);
    guint count = 0;

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (++count > MAX_EXCERPT) {
            g_string_append(excerpt, "...");
            break;
        }
        if (c == ' ' || g_unichar_isgraph(c)) {
            g_string_append_unichar(excerpt, c);
        } else {
            g_string_append_printf(excerpt, "\\x%02x", c);
        }
    }
    return g_string_free(excerpt, FALSE);
}
