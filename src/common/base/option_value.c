/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/option_value.h"

#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"

#define MEMBER(option, target, Type) G_STRUCT_MEMBER(Type, (target), (option)->offset)

static gboolean parse(const GantryOption *option, const char *text, GantryOptionValue *ret_value);
static char *allowed_text(const GantryOption *option);
static char *duration_text(guint64 msec);
static gboolean is_bounded(const GantryOption *option);

gboolean
gantry_option_value_parse(const GantryOption *option, const char *text, const char *where,
                          GantryOptionValue *ret_value, GError **error)
{
    g_autofree char *stripped = g_strstrip(g_strdup(text));
    g_autofree char *allowed = NULL;

    if (parse(option, stripped, ret_value)) {
        return TRUE;
    }
    allowed = allowed_text(option);
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("%1$s: '%2$s' is not valid; allowed: %3$s"), where, text, allowed);
    return FALSE;
}

void
gantry_option_value_clear(const GantryOption *option, GantryOptionValue *value)
{
    switch (option->type) {
    case GANTRY_OPTION_STRING:
    case GANTRY_OPTION_CHOICE:
        g_clear_pointer(&value->string, g_free);
        break;
    case GANTRY_OPTION_LIST:
        g_clear_pointer(&value->list, g_strfreev);
        break;
    case GANTRY_OPTION_FLAG:
    case GANTRY_OPTION_UINT:
    case GANTRY_OPTION_DURATION:
    case GANTRY_OPTION_PERCENT:
        break;
    }
}

void
gantry_option_value_store(const GantryOption *option, gpointer target, GantryOptionValue *value)
{
    switch (option->type) {
    case GANTRY_OPTION_FLAG:
        MEMBER(option, target, gboolean) = value->flag;
        break;
    case GANTRY_OPTION_UINT:
    case GANTRY_OPTION_DURATION:
        MEMBER(option, target, guint64) = value->number;
        break;
    case GANTRY_OPTION_PERCENT:
        MEMBER(option, target, double) = value->percent;
        break;
    case GANTRY_OPTION_STRING:
    case GANTRY_OPTION_CHOICE:
        g_free(MEMBER(option, target, char *));
        MEMBER(option, target, char *) = g_steal_pointer(&value->string);
        break;
    case GANTRY_OPTION_LIST:
        g_strfreev(MEMBER(option, target, GStrv));
        MEMBER(option, target, GStrv) = g_steal_pointer(&value->list);
        break;
    }
}

char *
gantry_option_value_text(const GantryOption *option, gconstpointer target)
{
    switch (option->type) {
    case GANTRY_OPTION_FLAG:
        return g_strdup(MEMBER(option, target, const gboolean) ? "yes" : "no");
    case GANTRY_OPTION_UINT:
        return g_strdup_printf("%" G_GUINT64_FORMAT, MEMBER(option, target, const guint64));
    case GANTRY_OPTION_DURATION:
        return duration_text(MEMBER(option, target, const guint64));
    case GANTRY_OPTION_PERCENT: {
        char buffer[G_ASCII_DTOSTR_BUF_SIZE];

        g_ascii_formatd(buffer, sizeof(buffer), "%.15g", MEMBER(option, target, const double));
        return g_strdup(buffer);
    }
    case GANTRY_OPTION_STRING:
    case GANTRY_OPTION_CHOICE:
        return g_strdup(MEMBER(option, target, char *const));
    case GANTRY_OPTION_LIST: {
        GStrv list = MEMBER(option, target, GStrv const);

        return list ? g_strjoinv(",", list) : NULL;
    }
    }
    g_assert_not_reached();
}

static gboolean
parse_percent(const GantryOption *option, const char *text, double *ret_value)
{
    gsize n_number = strspn(text, "0123456789.");
    g_autofree char *number = g_strndup(text, n_number);
    const char *unit = text + n_number;
    char *end;
    double value = g_ascii_strtod(number, &end);

    if (!g_ascii_isdigit(text[0]) || *end != '\0' || (*unit && !g_str_equal(unit, "%"))) {
        return FALSE;
    }
    if (value > 100 || (is_bounded(option) && (value < option->min || value > option->max))) {
        return FALSE;
    }
    *ret_value = value;
    return TRUE;
}

static gboolean
parse_list(const char *text, GStrv *ret_list)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    if (!words[0]) {
        return FALSE;
    }
    for (gsize i = 0; words[i]; i++) {
        if (*g_strstrip(words[i]) == '\0') {
            return FALSE;
        }
    }
    *ret_list = g_steal_pointer(&words);
    return TRUE;
}

static gboolean
has_control_characters(const char *text)
{
    for (; *text; text++) {
        if (g_ascii_iscntrl(*text)) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
parse(const GantryOption *option, const char *text, GantryOptionValue *ret_value)
{
    gboolean bounded = is_bounded(option);
    guint64 number;

    if (has_control_characters(text)) {
        return FALSE;
    }
    switch (option->type) {
    case GANTRY_OPTION_FLAG:
        return gantry_parse_bool(text, &ret_value->flag, NULL);
    case GANTRY_OPTION_UINT:
        return gantry_parse_uint(text, bounded ? (guint64)option->min : 0,
                                 bounded ? (guint64)option->max : G_MAXUINT64, &ret_value->number,
                                 NULL);
    case GANTRY_OPTION_DURATION:
        if (!gantry_parse_duration(text, "s", &number, NULL) ||
            (bounded && ((double)number < option->min || (double)number > option->max))) {
            return FALSE;
        }
        ret_value->number = number;
        return TRUE;
    case GANTRY_OPTION_PERCENT:
        return parse_percent(option, text, &ret_value->percent);
    case GANTRY_OPTION_CHOICE:
        if (!g_strv_contains(option->choices, text)) {
            return FALSE;
        }
        ret_value->string = g_strdup(text);
        return TRUE;
    case GANTRY_OPTION_STRING:
        if (*text == '\0') {
            return FALSE;
        }
        ret_value->string = g_strdup(text);
        return TRUE;
    case GANTRY_OPTION_LIST:
        return parse_list(text, &ret_value->list);
    }
    g_assert_not_reached();
}

/* The examples are allowed themselves. */
static char *
allowed_durations(const GantryOption *option)
{
    static const guint64 examples[] = {500, 3 * 1000, 2 * 60 * 1000, 60 * 60 * 1000};
    gboolean bounded = is_bounded(option);
    g_autoptr(GString) list = g_string_new(NULL);
    g_autofree char *min = duration_text((guint64)option->min);
    g_autofree char *max = duration_text((guint64)option->max);

    for (gsize i = 0; i < G_N_ELEMENTS(examples); i++) {
        if (!bounded ||
            ((double)examples[i] >= option->min && (double)examples[i] <= option->max)) {
            g_autofree char *text = duration_text(examples[i]);

            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", text);
        }
    }
    if (!bounded) {
        return g_strdup_printf(_("a time, as %s"), list->str);
    }
    return list->len > 0
               ? g_strdup_printf(_("a time from %1$s to %2$s, as %3$s"), min, max, list->str)
               : g_strdup_printf(_("a time from %1$s to %2$s"), min, max);
}

static char *
allowed_text(const GantryOption *option)
{
    gboolean bounded = is_bounded(option);

    switch (option->type) {
    case GANTRY_OPTION_FLAG:
        return g_strdup(_("yes or no"));
    case GANTRY_OPTION_UINT:
        return bounded ? g_strdup_printf(_("a whole number from %1$.0f to %2$.0f"), option->min,
                                         option->max)
                       : g_strdup(_("a whole number"));
    case GANTRY_OPTION_DURATION:
        return allowed_durations(option);
    case GANTRY_OPTION_PERCENT:
        return g_strdup_printf(_("a percentage from %1$g to %2$g"), bounded ? option->min : 0.0,
                               bounded ? option->max : 100.0);
    case GANTRY_OPTION_STRING:
        return g_strdup(_("text of at least one character, in one line"));
    case GANTRY_OPTION_CHOICE: {
        g_autofree char *words = g_strjoinv(", ", (char **)option->choices);

        return g_strdup_printf(_("one of: %s"), words);
    }
    case GANTRY_OPTION_LIST:
        return g_strdup(_("words with commas between them"));
    }
    g_assert_not_reached();
}

/* In the largest unit that expresses it exactly. */
static char *
duration_text(guint64 msec)
{
    static const struct {
        const char *name;
        guint64 msec;
    } units[] = {{"h", 60 * 60 * 1000}, {"m", 60 * 1000}, {"s", 1000}};

    for (gsize i = 0; msec > 0 && i < G_N_ELEMENTS(units); i++) {
        if (msec % units[i].msec == 0) {
            return g_strdup_printf("%" G_GUINT64_FORMAT "%s", msec / units[i].msec, units[i].name);
        }
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT "ms", msec);
}

static gboolean
is_bounded(const GantryOption *option)
{
    return option->min != 0 || option->max != 0;
}
