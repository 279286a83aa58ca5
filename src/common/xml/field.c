/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed values. Each type has a function that takes text to its canonical form or refuses it; equal
 * settings are equal strings from then on.
 */
#include "common/xml/spec.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/config.h"
#include "common/base/cpuset.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

#define MAX_NAME   64
#define MAX_NAMES  64
#define MAX_TEXT   1024
#define MAX_PATH   4095
#define MAX_CPUSET (64 * 1024) /* more than any canonical one */

typedef char *(*Canonical)(const GantryField *field, const char *text); /* NULL: refused */

static char *
canonical_bool(const GantryField *field, const char *text)
{
    return g_str_equal(text, "yes") || g_str_equal(text, "no") ? g_strdup(text) : NULL;
}

static char *
canonical_uint(const GantryField *field, const char *text)
{
    gboolean bounded = field->min != 0 || field->max != 0;
    guint64 value;

    if (!gantry_parse_uint(text, bounded ? field->min : 0, bounded ? field->max : G_MAXUINT64,
                           &value, NULL)) {
        return NULL;
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, value);
}

static char *
canonical_choice(const GantryField *field, const char *text)
{
    return g_strv_contains(field->choices, text) ? g_strdup(text) : NULL;
}

static char *
canonical_name(const GantryField *field, const char *text)
{
    gsize length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789_.:-");

    return length > 0 && length <= MAX_NAME && text[length] == '\0' ? g_strdup(text) : NULL;
}

static char *
canonical_names(const GantryField *field, const char *text)
{
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    guint count = g_strv_length(names);

    if (count == 0 || count > MAX_NAMES) {
        return NULL;
    }
    for (guint i = 0; i < count; i++) {
        g_autofree char *name = canonical_name(field, g_strstrip(names[i]));

        if (!name) {
            return NULL;
        }
        for (guint k = 0; k < i; k++) {
            if (g_str_equal(names[k], name)) {
                return NULL;
            }
        }
    }
    return g_strjoinv(",", names);
}

/* XML can hold it, and a line of a terminal or a log. */
static gboolean
is_one_line(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL)) {
        return FALSE;
    }
    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);

        if (g_unichar_iscntrl(c) || c == 0xfffe || c == 0xffff) {
            return FALSE;
        }
    }
    return TRUE;
}

static char *
canonical_text(const GantryField *field, const char *text)
{
    glong length = is_one_line(text) ? g_utf8_strlen(text, -1) : 0;

    return length > 0 && length <= MAX_TEXT ? g_strdup(text) : NULL;
}

static char *
canonical_path(const GantryField *field, const char *text)
{
    g_auto(GStrv) parts = NULL;

    if (text[0] != '/' || strlen(text) > MAX_PATH || !is_one_line(text)) {
        return NULL;
    }
    parts = g_strsplit(text, "/", -1);
    return g_strv_contains((const char *const *)parts, "..") ? NULL : g_strdup(text);
}

static char *
canonical_cpuset(const GantryField *field, const char *text)
{
    g_autoptr(GantryCpuset) cpus = NULL;

    if (strlen(text) <= MAX_CPUSET) {
        cpus = gantry_cpuset_parse(text, NULL);
    }
    return cpus && gantry_cpuset_count(cpus) > 0 ? gantry_cpuset_format(cpus) : NULL;
}

static char *
canonical_mac(const GantryField *field, const char *text)
{
    gboolean shaped = strlen(text) == 17;

    for (guint i = 0; shaped && i < 17; i++) {
        shaped = i % 3 == 2 ? text[i] == ':' : g_ascii_isxdigit(text[i]);
    }
    /* The lowest bit of the first byte says "group address"; all zeroes is no address. */
    if (!shaped || g_ascii_xdigit_value(text[1]) % 2 != 0 ||
        g_str_equal(text, "00:00:00:00:00:00")) {
        return NULL;
    }
    return g_ascii_strdown(text, -1);
}

static char *
canonical_ip(const GantryField *field, const char *text)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (guint i = 0; i < G_N_ELEMENTS(families); i++) {
        unsigned char address[16];
        char buffer[INET6_ADDRSTRLEN];

        if (inet_pton(families[i], text, address) == 1) {
            return g_strdup(inet_ntop(families[i], address, buffer, sizeof(buffer)));
        }
    }
    return NULL;
}

static const Canonical canonicals[] = {
    [GANTRY_FIELD_BOOL] = canonical_bool,     [GANTRY_FIELD_UINT] = canonical_uint,
    [GANTRY_FIELD_CHOICE] = canonical_choice, [GANTRY_FIELD_NAME] = canonical_name,
    [GANTRY_FIELD_NAMES] = canonical_names,   [GANTRY_FIELD_TEXT] = canonical_text,
    [GANTRY_FIELD_PATH] = canonical_path,     [GANTRY_FIELD_CPUSET] = canonical_cpuset,
    [GANTRY_FIELD_MAC] = canonical_mac,       [GANTRY_FIELD_IP] = canonical_ip,
};

char *
gantry_field_canonical(const GantryField *field, const char *text, const char *where,
                       GError **error)
{
    char *canonical = canonicals[field->type](field, text);

    if (!canonical) {
        g_autofree char *allowed = gantry_field_allowed(field);
        g_autofree char *excerpt = gantry_excerpt(text);

        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%1$s is '%2$s'; allowed: %3$s"),
                    where, excerpt, allowed);
    }
    return canonical;
}

char *
gantry_field_allowed(const GantryField *field)
{
    switch (field->type) {
    case GANTRY_FIELD_BOOL:
        return g_strdup(_("yes or no"));
    case GANTRY_FIELD_UINT:
        if (field->min == 0 && field->max == 0) {
            return g_strdup(_("a whole number"));
        }
        return g_strdup_printf(_("%1$llu to %2$llu%3$s%4$s"), (unsigned long long)field->min,
                               (unsigned long long)field->max, field->unit ? " " : "",
                               field->unit ? field->unit : "");
    case GANTRY_FIELD_CHOICE: {
        g_autofree char *choices = g_strjoinv(", ", (char **)field->choices);

        return g_strdup_printf(_("one of: %s"), choices);
    }
    case GANTRY_FIELD_NAME:
        return g_strdup_printf(_("1 to %d letters, digits and any of _ . : -"), MAX_NAME);
    case GANTRY_FIELD_NAMES:
        return g_strdup_printf(_("1 to %d different names with commas between them"), MAX_NAMES);
    case GANTRY_FIELD_TEXT:
        return g_strdup_printf(_("1 to %d characters, no control characters"), MAX_TEXT);
    case GANTRY_FIELD_PATH:
        return g_strdup(_("an absolute path without '..'"));
    case GANTRY_FIELD_CPUSET:
        return g_strdup(_("CPU numbers below 8192, as 0-3,8"));
    case GANTRY_FIELD_MAC:
        return g_strdup(_("a unicast MAC address, as 52:54:00:00:00:01"));
    case GANTRY_FIELD_IP:
        return g_strdup(_("an IPv4 or IPv6 address"));
    }
    g_assert_not_reached();
}
