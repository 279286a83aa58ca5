/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * gantry_key_file_load:
 * @path: a regular file of at most 1 MiB in GKeyFile's INI dialect, UTF-8
 *
 * White space around keys and values is not part of them. A key given twice in one section is an
 * error. So is a file that everybody may write (mode o+w), since what stands in it is acted upon by
 * root; its owner and group are the administrator's affair.
 *
 * Returns: (transfer full): the key file, or NULL: GANTRY_ERROR_NOT_FOUND, _LIMIT, _REFUSED (mode),
 * or _INVALID with file and line where known.
 */
GKeyFile *gantry_key_file_load(const char *path, GError **error);

/* The same for text that is in memory; @name stands for the file in messages. */
GKeyFile *gantry_key_file_parse(const char *text, gsize length, const char *name, GError **error);

/**
 * gantry_config_drop_ins:
 * @directory: e.g. "/etc/gantry/policy.d"
 *
 * Returns: (transfer full): paths of its *.conf files in byte order of their names (no hidden
 * files); an empty vector where the directory does not exist; NULL with @error where it cannot be
 * read, or everybody may write in it (GANTRY_ERROR_REFUSED).
 */
GStrv gantry_config_drop_ins(const char *directory, GError **error);

/* "yes|no|true|false|on|off|1|0", case ignored. FALSE with GANTRY_ERROR_INVALID, "VALUE is not yes
 * or no". */
gboolean gantry_parse_bool(const char *text, gboolean *ret_value, GError **error);

/* Decimal digits only, within [min, max]. GANTRY_ERROR_INVALID names value and range. */
gboolean gantry_parse_uint(const char *text, guint64 min, guint64 max, guint64 *ret_value,
                           GError **error);

/* NUMBER[ms|s|m|h] to milliseconds; a bare number means @default_unit ("ms", "s", ...). */
gboolean gantry_parse_duration(const char *text, const char *default_unit, guint64 *ret_msec,
                               GError **error);

/* The known word nearest to @word (edit distance at most a third of its length), or NULL: for "did
 * you mean". */
const char *gantry_nearest_word(const char *word, const char *const *known);
