/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Option tables. A table is only ever read; values live in the caller's struct at each option's
 * offset. All text, be it a default, an argument or a line of a file, goes through
 * gantry_option_set(), so that one value means the same everywhere.
 */
#include "common/base/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"

#define MEMBER(option, target, Type) G_STRUCT_MEMBER(Type, (target), (option)->offset)

static gboolean load_key_file(const GantryOption *options, gpointer target, const char *path,
                              GError **error);
static gboolean parse_percent(const char *text, double *ret_value);
static char *allowed_range(const GantryOption *option);
static char *value_text(const GantryOption *option, gconstpointer target);
static char *file_key(const GantryOption *option);

void
gantry_options_init(const GantryOption *options, gpointer target)
{
    for (const GantryOption *option = options; option->name; option++) {
        g_autoptr(GError) error = NULL;

        if (option->fallback &&
            !gantry_option_set(option, target, option->fallback, option->name, &error)) {
            g_error("default of option %s: %s", option->name, error->message);
        }
    }
}

void
gantry_options_clear(const GantryOption *options, gpointer target)
{
    for (const GantryOption *option = options; option->name; option++) {
        switch (option->type) {
        case GANTRY_OPTION_STRING:
        case GANTRY_OPTION_CHOICE:
            g_clear_pointer(&MEMBER(option, target, char *), g_free);
            break;
        case GANTRY_OPTION_LIST:
            g_clear_pointer(&MEMBER(option, target, GStrv), g_strfreev);
            break;
        case GANTRY_OPTION_FLAG:
        case GANTRY_OPTION_UINT:
        case GANTRY_OPTION_DURATION:
        case GANTRY_OPTION_PERCENT:
            break;
        }
    }
}

gboolean
gantry_option_set(const GantryOption *option, gpointer target, const char *text, const char *where,
                  GError **error)
{
    gboolean bounded = option->min != 0 || option->max != 0;
    g_autofree char *allowed = allowed_range(option);
    gboolean ok = FALSE;

    switch (option->type) {
    case GANTRY_OPTION_FLAG: {
        gboolean value;

        if ((ok = gantry_parse_bool(text, &value, NULL))) {
            MEMBER(option, target, gboolean) = value;
        }
        break;
    }
    case GANTRY_OPTION_UINT: {
        guint64 value;

        ok = gantry_parse_uint(text, bounded ? (guint64)option->min : 0,
                               bounded ? (guint64)option->max : G_MAXUINT64, &value, NULL);
        if (ok) {
            MEMBER(option, target, guint64) = value;
        }
        break;
    }
    case GANTRY_OPTION_DURATION: {
        guint64 value;

        ok = gantry_parse_duration(text, "s", &value, NULL) &&
             (!bounded || ((double)value >= option->min && (double)value <= option->max));
        if (ok) {
            MEMBER(option, target, guint64) = value;
        }
        break;
    }
    case GANTRY_OPTION_PERCENT: {
        double value;

        ok = parse_percent(text, &value) &&
             (!bounded || (value >= option->min && value <= option->max));
        if (ok) {
            MEMBER(option, target, double) = value;
        }
        break;
    }
    case GANTRY_OPTION_STRING:
    case GANTRY_OPTION_CHOICE:
        ok = *text != '\0' &&
             (option->type == GANTRY_OPTION_STRING || g_strv_contains(option->choices, text));
        if (ok) {
            g_free(MEMBER(option, target, char *));
            MEMBER(option, target, char *) = g_strdup(text);
        }
        break;
    case GANTRY_OPTION_LIST: {
        g_auto(GStrv) words = g_strsplit(text, ",", -1);

        ok = words[0] != NULL;
        for (char **word = words; *word; word++) {
            g_strstrip(*word);
            ok = ok && **word != '\0';
        }
        if (ok) {
            g_strfreev(MEMBER(option, target, GStrv));
            MEMBER(option, target, GStrv) = g_steal_pointer(&words);
        }
        break;
    }
    }
    if (!ok) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: '%2$s' is not valid; allowed: %3$s"), where, text, allowed);
    }
    return ok;
}

/* What GOptionContext hands to on_argument(). */
typedef struct {
    const GantryOption *options;
    gpointer target;
    GHashTable *seen; /* lists that were given on this command line: the next one adds */
    gboolean help;
} ParseState;

static gboolean
on_argument(const char *name, const char *value, gpointer data, GError **error)
{
    ParseState *state = data;

    for (const GantryOption *option = state->options; option->name; option++) {
        gboolean is_long = g_str_has_prefix(name, "--") && g_str_equal(name + 2, option->name);
        gboolean is_short = option->short_name && name[1] == option->short_name && name[2] == '\0';

        if (!is_long && !is_short) {
            continue;
        }
        if (option->type == GANTRY_OPTION_LIST &&
            !g_hash_table_add(state->seen, (gpointer)option->name)) {
            g_autofree char *before = g_strjoinv(",", MEMBER(option, state->target, GStrv));
            g_autofree char *joined = g_strconcat(before, ",", value, NULL);

            return gantry_option_set(option, state->target, joined, name, error);
        }
        return gantry_option_set(option, state->target, value ? value : "yes", name, error);
    }
    g_assert_not_reached();
}

static gboolean
on_help(const char *name, const char *value, gpointer data, GError **error)
{
    ParseState *state = data;

    state->help = TRUE;
    return TRUE;
}

gboolean
gantry_options_parse_argv(const GantryOption *options, gpointer target, const char *usage,
                          const char *description, int *argc, char ***argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) summaries = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) local_error = NULL;
    ParseState state = {options, target, seen, FALSE};
    GOptionEntry help = {"help",
                         'h',
                         G_OPTION_FLAG_NO_ARG,
                         G_OPTION_ARG_CALLBACK,
                         (gpointer)on_help,
                         _("Show this help"),
                         NULL};
    GOptionGroup *group;

    for (const GantryOption *option = options; option->name; option++) {
        gboolean flag = option->type == GANTRY_OPTION_FLAG;
        char *summary =
            option->fallback && !flag
                ? g_strdup_printf(_("%1$s (default: %2$s)"), _(option->summary), option->fallback)
                : g_strdup(_(option->summary));
        GOptionEntry entry = {
            option->name,          option->short_name,    flag ? G_OPTION_FLAG_NO_ARG : 0,
            G_OPTION_ARG_CALLBACK, (gpointer)on_argument, summary,
            option->metavar};

        g_ptr_array_add(summaries, summary);
        g_array_append_val(entries, entry);
    }
    g_array_append_val(entries, help);
    group = g_option_group_new(NULL, NULL, NULL, &state, NULL);
    g_option_group_add_entries(group, (const GOptionEntry *)entries->data);
    g_option_context_set_main_group(context, group);
    g_option_context_set_description(context, description);
    g_option_context_set_help_enabled(context, FALSE); /* its first line cannot name a command */

    if (!g_option_context_parse(context, argc, argv, &local_error)) {
        if (local_error->domain == G_OPTION_ERROR) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%s; see --help"),
                        local_error->message);
        } else {
            g_propagate_error(error, g_steal_pointer(&local_error));
        }
        return FALSE;
    }
    if (state.help) {
        g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);
        const char *body = strstr(text, "\n\n");

        printf(_("Usage: %s\n"), usage);
        fputs(body ? body + 1 : "\n", stdout);
        exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return TRUE;
}

gboolean
gantry_options_load_file(const GantryOption *options, gpointer target, const char *path,
                         GError **error)
{
    g_autofree char *directory = g_strconcat(path, ".d", NULL);
    g_auto(GStrv) drop_ins = gantry_config_drop_ins(directory, error);
    g_autoptr(GPtrArray) files = g_ptr_array_new();

    if (!drop_ins) {
        return FALSE;
    }
    g_ptr_array_add(files, (gpointer)path);
    for (char **drop_in = drop_ins; *drop_in; drop_in++) {
        g_ptr_array_add(files, *drop_in);
    }
    /* First all are checked, then all are taken: on an error @target is as it was. */
    for (int pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < files->len; i++) {
            if (!load_key_file(options, pass == 0 ? NULL : target, files->pdata[i], error)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

char *
gantry_options_dump(const GantryOption *options, gconstpointer target)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    for (const GantryOption *option = options; option->name; option++) {
        g_autofree char *text = NULL;
        g_autofree char *key = NULL;

        if (!option->section) {
            continue;
        }
        text = value_text(option, target);
        key = file_key(option);
        if (text) {
            g_key_file_set_value(file, option->section, key, text);
        }
    }
    return g_key_file_to_data(file, NULL, NULL);
}

/* The option that @section and @key of a file mean, or NULL with an error that names the nearest.
 */
static const GantryOption *
find_option(const GantryOption *options, const char *path, const char *section, const char *key,
            GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);
    gboolean section_known = FALSE;
    const char *nearest;

    for (const GantryOption *option = options; option->name; option++) {
        g_autofree char *option_key = file_key(option);

        if (g_strcmp0(option->section, section) != 0) {
            continue;
        }
        section_known = TRUE;
        if (g_str_equal(option_key, key)) {
            return option;
        }
        g_ptr_array_add(known, g_steal_pointer(&option_key));
    }
    g_ptr_array_add(known, NULL);
    nearest = gantry_nearest_word(key, (const char *const *)known->pdata);
    if (!section_known) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%1$s: unknown section [%2$s]"),
                    path, section);
    } else if (nearest) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: [%2$s]: unknown key '%3$s'; did you mean '%4$s'?"), path, section, key,
                    nearest);
    } else {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: [%2$s]: unknown key '%3$s'"), path, section, key);
    }
    return NULL;
}

/* Reads one file into @target, or only checks it where @target is NULL. */
static gboolean
load_key_file(const GantryOption *options, gpointer target, const char *path, GError **error)
{
    g_autoptr(GError) local_error = NULL;
    g_autoptr(GKeyFile) file = gantry_key_file_load(path, &local_error);
    g_auto(GStrv) sections = NULL;

    if (!file) {
        if (g_error_matches(local_error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
            return TRUE;
        }
        g_propagate_error(error, g_steal_pointer(&local_error));
        return FALSE;
    }
    sections = g_key_file_get_groups(file, NULL);
    for (char **section = sections; *section; section++) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, *section, NULL, NULL);

        for (char **key = keys; *key; key++) {
            const GantryOption *option = find_option(options, path, *section, *key, error);
            g_autofree char *text = NULL;
            g_autofree char *where = NULL;
            union {
                guint64 number;
                double percent;
                gboolean flag;
                char *string;
                GStrv list;
            } checked = {0};
            GantryOption probe;
            gboolean ok;

            if (!option) {
                return FALSE;
            }
            text = g_key_file_get_value(file, *section, *key, NULL);
            where = g_strdup_printf("%s: [%s] %s", path, *section, *key);
            if (target) {
                ok = gantry_option_set(option, target, text, where, error);
            } else {
                GantryOption ends[] = {*option, GANTRY_OPTION_END};

                probe = *option;
                probe.offset = ends[0].offset = 0;
                ok = gantry_option_set(&probe, &checked, text, where, error);
                gantry_options_clear(ends, &checked);
            }
            if (!ok) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

static gboolean
parse_percent(const char *text, double *ret_value)
{
    char *end;
    double value;

    if (!g_ascii_isdigit(text[0])) {
        return FALSE;
    }
    value = g_ascii_strtod(text, &end);
    if (*end == '%') {
        end++;
    }
    if (*end != '\0' || !(value >= 0 && value <= 100)) {
        return FALSE;
    }
    *ret_value = value;
    return TRUE;
}

/* What an option allows, for messages. */
static char *
allowed_range(const GantryOption *option)
{
    gboolean bounded = option->min != 0 || option->max != 0;

    switch (option->type) {
    case GANTRY_OPTION_FLAG:
        return g_strdup(_("yes or no"));
    case GANTRY_OPTION_UINT:
        return bounded
                   ? g_strdup_printf(_("a number from %1$.0f to %2$.0f"), option->min, option->max)
                   : g_strdup(_("a number"));
    case GANTRY_OPTION_DURATION:
        return bounded ? g_strdup_printf(_("a time from %1$.0f to %2$.0f ms, as 500ms, 3s, 2m, 1h"),
                                         option->min, option->max)
                       : g_strdup(_("a time, as 500ms, 3s, 2m, 1h"));
    case GANTRY_OPTION_PERCENT:
        return g_strdup_printf(_("a percentage from %1$g to %2$g"), bounded ? option->min : 0.0,
                               bounded ? option->max : 100.0);
    case GANTRY_OPTION_STRING:
        return g_strdup(_("any text but none"));
    case GANTRY_OPTION_CHOICE: {
        g_autofree char *words = g_strjoinv(", ", (char **)option->choices);

        return g_strdup_printf(_("one of %s"), words);
    }
    case GANTRY_OPTION_LIST:
        return g_strdup(_("words with commas between them"));
    }
    g_assert_not_reached();
}

/* The value as gantry_option_set() takes it; NULL: a string or list that is not set. */
static char *
value_text(const GantryOption *option, gconstpointer target)
{
    switch (option->type) {
    case GANTRY_OPTION_FLAG:
        return g_strdup(MEMBER(option, target, const gboolean) ? "yes" : "no");
    case GANTRY_OPTION_UINT:
        return g_strdup_printf("%" G_GUINT64_FORMAT, MEMBER(option, target, const guint64));
    case GANTRY_OPTION_DURATION:
        return g_strdup_printf("%" G_GUINT64_FORMAT "ms", MEMBER(option, target, const guint64));
    case GANTRY_OPTION_PERCENT: {
        char buffer[G_ASCII_DTOSTR_BUF_SIZE];

        return g_strdup(
            g_ascii_dtostr(buffer, sizeof(buffer), MEMBER(option, target, const double)));
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

static char *
file_key(const GantryOption *option)
{
    return g_strdelimit(g_strdup(option->name), "-", '_');
}
