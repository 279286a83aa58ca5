/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A table is only ever read; values live in the caller's struct at each option's offset. All text,
 * be it a default, an argument or a line of a file, goes through gantry_option_value_parse(), so
 * that one value means the same everywhere.
 *
 * Files are read in order into a list of assignments, each checked; only when all files are good
 * are the assignments carried out, so that a bad drop-in leaves the target as it was.
 */
#include "common/base/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/option_value.h"

#define MEMBER(option, target, Type) G_STRUCT_MEMBER(Type, (target), (option)->offset)

/* A line of a file, checked. */
typedef struct {
    const GantryOption *option;
    GantryOptionValue value;
} Assignment;

static gboolean read_key_file(const GantryOption *options, const char *path, GKeyFile *file,
                              GArray *assignments, GError **error);
static void assignment_clear(gpointer data);
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
        GantryOptionValue zero = {0};

        gantry_option_value_store(option, target, &zero);
    }
}

gboolean
gantry_option_set(const GantryOption *option, gpointer target, const char *text, const char *where,
                  GError **error)
{
    GantryOptionValue value;

    if (!gantry_option_value_parse(option, text, where, &value, error)) {
        return FALSE;
    }
    gantry_option_value_store(option, target, &value);
    return TRUE;
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

/* GOptionContext would take "--flag=no" for "--flag". */
static gboolean
check_flags(const GantryOption *options, int argc, char **argv, GError **error)
{
    for (int i = 1; i < argc && !g_str_equal(argv[i], "--"); i++) {
        for (const GantryOption *option = options; option->name; option++) {
            g_autofree char *start = g_strdup_printf("--%s=", option->name);

            if (option->type == GANTRY_OPTION_FLAG && g_str_has_prefix(argv[i], start)) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                            _("%s: the option takes no value; see --help"), argv[i]);
                return FALSE;
            }
        }
    }
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

    if (!check_flags(options, *argc, *argv, error)) {
        return FALSE;
    }
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
    /* GLib leaves "--" where an argument behind it looks like an option. */
    if (*argc > 1 && g_str_equal((*argv)[1], "--")) {
        memmove(*argv + 1, *argv + 2, (gsize)(*argc - 1) * sizeof(**argv)); /* with the NULL */
        (*argc)--;
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
    g_autoptr(GArray) assignments = g_array_new(FALSE, FALSE, sizeof(Assignment));
    g_autoptr(GError) load_error = NULL;
    g_autoptr(GKeyFile) main_file = NULL;

    g_array_set_clear_func(assignments, assignment_clear);
    if (!drop_ins) {
        return FALSE;
    }
    main_file = gantry_key_file_load(path, &load_error);
    if (!main_file && !g_error_matches(load_error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&load_error));
        return FALSE;
    }
    if (main_file && !read_key_file(options, path, main_file, assignments, error)) {
        return FALSE;
    }
    for (gsize i = 0; drop_ins[i]; i++) {
        g_autoptr(GKeyFile) file = gantry_key_file_load(drop_ins[i], error);

        if (!file || !read_key_file(options, drop_ins[i], file, assignments, error)) {
            return FALSE;
        }
    }
    for (guint i = 0; i < assignments->len; i++) {
        Assignment *assignment = &g_array_index(assignments, Assignment, i);

        gantry_option_value_store(assignment->option, target, &assignment->value);
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
        text = gantry_option_value_text(option, target);
        key = file_key(option);
        if (text) {
            g_key_file_set_value(file, option->section, key, text);
        }
    }
    return g_key_file_to_data(file, NULL, NULL);
}

/* (transfer full): " (did you mean ...)" for the nearest of @known, or "". */
static char *
suggestion(const char *word, GPtrArray *known)
{
    const char *nearest;

    g_ptr_array_add(known, NULL);
    nearest = gantry_nearest_word(word, (const char *const *)known->pdata);
    return nearest ? g_strdup_printf(_("; did you mean '%s'?"), nearest) : g_strdup("");
}

static gboolean
check_section(const GantryOption *options, const char *path, const char *section, GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (const GantryOption *option = options; option->name; option++) {
        if (g_strcmp0(option->section, section) == 0) {
            return TRUE;
        }
        if (option->section) {
            g_ptr_array_add(known, (gpointer)option->section);
        }
    }
    hint = suggestion(section, known);
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%1$s: unknown section [%2$s]%3$s"),
                path, section, hint);
    return FALSE;
}

static const GantryOption *
find_option(const GantryOption *options, const char *path, const char *section, const char *key,
            GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *hint = NULL;

    for (const GantryOption *option = options; option->name; option++) {
        g_autofree char *option_key = file_key(option);

        if (g_strcmp0(option->section, section) != 0) {
            continue;
        }
        if (g_str_equal(option_key, key)) {
            return option;
        }
        g_ptr_array_add(known, g_steal_pointer(&option_key));
    }
    hint = suggestion(key, known);
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("%1$s: [%2$s]: unknown key '%3$s'%4$s"), path, section, key, hint);
    return NULL;
}

static gboolean
read_key_file(const GantryOption *options, const char *path, GKeyFile *file, GArray *assignments,
              GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);

    for (char **section = sections; *section; section++) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, *section, NULL, NULL);

        if (!check_section(options, path, *section, error)) {
            return FALSE;
        }
        for (char **key = keys; *key; key++) {
            g_autofree char *text = g_key_file_get_value(file, *section, *key, NULL);
            g_autofree char *where = g_strdup_printf("%s: [%s] %s", path, *section, *key);
            Assignment assignment;

            assignment.option = find_option(options, path, *section, *key, error);
            if (!assignment.option || !gantry_option_value_parse(assignment.option, text, where,
                                                                 &assignment.value, error)) {
                return FALSE;
            }
            g_array_append_val(assignments, assignment);
        }
    }
    return TRUE;
}

static void
assignment_clear(gpointer data)
{
    Assignment *assignment = data;

    gantry_option_value_clear(assignment->option, &assignment->value);
}

static char *
file_key(const GantryOption *option)
{
    return g_strdelimit(g_strdup(option->name), "-", '_');
}
