/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/pressure.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

static gboolean parse_line(const char *line, GantryPressureLine *ret_line);

gboolean
gantry_host_pressure(const GantryHost *host, const char *resource, GantryPressure *ret_pressure,
                     GError **error)
{
    g_autofree char *file = g_strdup_printf("proc/pressure/%s", resource);
    g_autofree char *text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, "%s", file);

    return text && gantry_pressure_parse(text, file, ret_pressure, error);
}

gboolean
gantry_pressure_parse(const char *text, const char *file, GantryPressure *ret_pressure,
                      GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GantryPressure pressure = {0};
    gboolean has_some = FALSE;

    for (gsize i = 0; lines[i]; i++) {
        gboolean ok = TRUE;

        if (g_str_has_prefix(lines[i], "some ")) {
            ok = has_some = parse_line(lines[i], &pressure.some);
        } else if (g_str_has_prefix(lines[i], "full ")) {
            ok = parse_line(lines[i], &pressure.full);
        }
        if (!ok) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: the line '%2$.64s' is not as the kernel writes it"), file,
                        lines[i]);
            return FALSE;
        }
    }
    if (!has_some) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%1$s has no line '%2$s'"), file,
                    "some");
        return FALSE;
    }
    *ret_pressure = pressure;
    return TRUE;
}

/* (nullable): what follows "KEY=" at the start of a word. */
static const char *
find_word(char *const *words, const char *key)
{
    for (gsize i = 0; words[i]; i++) {
        if (g_str_has_prefix(words[i], key)) {
            return words[i] + strlen(key);
        }
    }
    return NULL;
}

static gboolean
parse_percent(const char *text, double *ret_percent)
{
    char *end = NULL;

    if (!text || !g_ascii_isdigit(*text) || strspn(text, "0123456789.") != strlen(text)) {
        return FALSE;
    }
    *ret_percent = g_ascii_strtod(text, &end);
    return *end == '\0' && *ret_percent <= 100;
}

/* "some avg10=0.12 avg60=0.34 avg300=0.56 total=789" */
static gboolean
parse_line(const char *line, GantryPressureLine *ret_line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    const char *total = find_word(words, "total=");

    return parse_percent(find_word(words, "avg10="), &ret_line->avg10_percent) &&
           parse_percent(find_word(words, "avg60="), &ret_line->avg60_percent) &&
           parse_percent(find_word(words, "avg300="), &ret_line->avg300_percent) && total &&
           g_ascii_string_to_unsigned(total, 10, 0, G_MAXUINT64, &ret_line->total_usec, NULL);
}
