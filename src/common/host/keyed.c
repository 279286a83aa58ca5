/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/keyed.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

/* (nullable): what follows @key at the start of a line. */
static const char *
find_value(const char *text, const char *key)
{
    gsize key_length = strlen(key);

    while (text) {
        if (strncmp(text, key, key_length) == 0 && strchr(": \t", text[key_length]) &&
            text[key_length] != '\0') {
            return text + key_length + 1;
        }
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return NULL;
}

gboolean
gantry_keyed_uint(const char *text, const char *file, const char *key, gboolean required,
                  guint64 max, guint64 *ret_value, GError **error)
{
    const char *value = find_value(text, key);
    g_autofree char *number = NULL;

    if (!value && required) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("%1$s has no line '%2$s'"), file,
                    key);
        return FALSE;
    }
    if (!value) {
        *ret_value = 0;
        return TRUE;
    }
    value += strspn(value, " \t");
    number = g_strndup(value, strcspn(value, " \t\n"));
    if (!g_ascii_string_to_unsigned(number, 10, 0, max, ret_value, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: '%3$.32s' is not the number that should stand after '%2$s'"), file,
                    key, number);
        return FALSE;
    }
    return TRUE;
}
