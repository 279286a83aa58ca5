/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/subcommand.h"

/* Values that no command line gives. */
#define NO_NUMBER  G_MAXUINT64
#define NO_PERCENT (-1.0)

static void
set_not_given(const GantryOption *option, gpointer target)
{
    if (option->type == GANTRY_OPTION_UINT || option->type == GANTRY_OPTION_DURATION) {
        G_STRUCT_MEMBER(guint64, target, option->offset) = NO_NUMBER;
    } else if (option->type == GANTRY_OPTION_PERCENT) {
        G_STRUCT_MEMBER(double, target, option->offset) = NO_PERCENT;
    }
}

static gboolean
is_given(const GantryOption *option, gconstpointer target)
{
    switch (option->type) {
    case GANTRY_OPTION_FLAG:
        return G_STRUCT_MEMBER(const gboolean, target, option->offset);
    case GANTRY_OPTION_UINT:
    case GANTRY_OPTION_DURATION:
        return G_STRUCT_MEMBER(const guint64, target, option->offset) != NO_NUMBER;
    case GANTRY_OPTION_PERCENT:
        return G_STRUCT_MEMBER(const double, target, option->offset) >= 0;
    case GANTRY_OPTION_STRING:
    case GANTRY_OPTION_CHOICE:
    case GANTRY_OPTION_LIST:
        return G_STRUCT_MEMBER(const gpointer, target, option->offset) != NULL;
    }
    g_assert_not_reached();
}

const GantryOption *
cli_foreign_option(const GantryOption *options, gsize size, int argc, char **argv,
                   const char *const *allowed)
{
    g_autofree gpointer given = g_malloc0(size);
    g_autofree char **words = g_memdup2(argv, ((gsize)argc + 1) * sizeof(*argv));
    char **parsed = words;
    const GantryOption *foreign = NULL;

    for (const GantryOption *option = options; option->name; option++) {
        set_not_given(option, given);
    }
    if (gantry_options_parse_argv(options, given, "", NULL, &argc, &parsed, NULL)) {
        for (const GantryOption *option = options; option->name && !foreign; option++) {
            if (is_given(option, given) && !g_strv_contains(allowed, option->name)) {
                foreign = option;
            }
        }
    }
    gantry_options_clear(options, given);
    return foreign;
}
