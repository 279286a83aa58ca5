/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Option tables: one const table a tool feeds its command line, its configuration file, --help and
 * --dump-config, and a test holds it against the tool's man page and example file.
 */
typedef enum {
    GANTRY_OPTION_FLAG,     /* gboolean; on the command line without a value, in a file
                               yes|no|true|false|on|off|1|0 */
    GANTRY_OPTION_UINT,     /* guint64, decimal, within [min, max] */
    GANTRY_OPTION_DURATION, /* guint64 milliseconds; text is NUMBER[ms|s|m|h], no unit means
                               seconds; [min, max] in ms */
    GANTRY_OPTION_PERCENT,  /* double 0..100; text with or without "%"; [min, max] */
    GANTRY_OPTION_STRING,   /* char *, owned by the target struct */
    GANTRY_OPTION_CHOICE,   /* char *, one of @choices */
    GANTRY_OPTION_LIST,     /* GStrv: comma-separated, and the option may be given again */
} GantryOptionType;

typedef struct {
    const char *name; /* long option; in the file the key, with '-' as '_' */
    char short_name;  /* 0: none */
    GantryOptionType type;
    gsize offset;               /* of the member in the target struct */
    const char *section;        /* section of the configuration file; NULL: command line only */
    const char *fallback;       /* default as text, parsed like input; NULL: zero */
    double min, max;            /* both 0: no bounds */
    const char *const *choices; /* GANTRY_OPTION_CHOICE: NULL-terminated */
    const char *metavar;        /* for --help; NULL for flags */
    const char *summary;        /* one sentence for --help, N_() */
} GantryOption;

#define GANTRY_OPTION_END \
    { \
        .name = NULL \
    }

/* Puts every option's default into @target (a zeroed struct). A default that does not parse is a
 * programming error. */
void gantry_options_init(const GantryOption *options, gpointer target);

/* Frees the strings and lists in @target and zeroes every option's member. */
void gantry_options_clear(const GantryOption *options, gpointer target);

/**
 * gantry_option_set:
 * @where: what to name in an error, e.g. "/etc/gantry/hook.conf: [hook] call_timeout"
 *
 * Parses @text into @option's member; white space at its ends is not part of it. Returns FALSE with
 * GANTRY_ERROR_INVALID: where, the value, and what is allowed.
 */
gboolean gantry_option_set(const GantryOption *option, gpointer target, const char *text,
                           const char *where, GError **error);

/**
 * gantry_options_parse_argv:
 * @usage: the line after "Usage: " in --help, e.g. "gantry status [OPTION...] [DOMAIN...]"
 * @description: text for --help below the options (examples), or NULL
 * @argc, @argv: as g_option_context_parse(): what was consumed is removed; argv[0] stays
 *
 * By GOptionContext. --help prints on stdout and exits 0.
 */
gboolean gantry_options_parse_argv(const GantryOption *options, gpointer target, const char *usage,
                                   const char *description, int *argc, char ***argv,
                                   GError **error);

/**
 * gantry_options_load_file:
 * @path: an INI file (GKeyFile); and its drop-ins, @path with ".d" added: *.conf in byte order of
 * their names, later files win
 *
 * A missing @path is not an error. Unknown section or key: GANTRY_ERROR_INVALID, naming file,
 * section and key, and the nearest known one. Otherwise errors are those of gantry_key_file_load().
 * On failure @target is unchanged. A file's list replaces the list of an earlier file.
 */
gboolean gantry_options_load_file(const GantryOption *options, gpointer target, const char *path,
                                  GError **error);

/* The effective values as a configuration file that can be loaded again. Free with g_free(). */
char *gantry_options_dump(const GantryOption *options, gconstpointer target);
