/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * GKeyFile parses, but forgives more than a configuration should be forgiven: of a key given twice
 * it silently keeps the last, and its errors hold no line number. So check_lines() goes over the
 * text first, by GKeyFile's own notion of lines, and refuses these; then GKeyFile has its say. It
 * also takes away white space at the ends of lines, which GKeyFile would leave in the values.
 */
#include "common/base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/i18n.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define WORD_MAX_BYTES 64 /* longer words are not compared: cost is the product of the lengths */

static char *check_lines(const char *text, const char *name, GError **error);
static gboolean check_mode(const char *path, GError **error);

GKeyFile *
gantry_key_file_load(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize length;

    text = gantry_file_read(AT_FDCWD, path, FILE_MAX_BYTES, &length, error);
    if (!text || !check_mode(path, error)) {
        return NULL;
    }
    return gantry_key_file_parse(text, length, path, error);
}

GKeyFile *
gantry_key_file_parse(const char *text, gsize length, const char *name, GError **error)
{
    g_autoptr(GKeyFile) key_file = g_key_file_new();
    g_autofree char *stripped = NULL;
    g_autoptr(GError) parse_error = NULL;

    if (length > FILE_MAX_BYTES) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                    _("%s: More than the %d bytes that are accepted"), name, FILE_MAX_BYTES);
        return NULL;
    }
    /* Also refuses NUL bytes, which would hide the rest of a line. */
    if (!g_utf8_validate(text, (gssize)length, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%s: not text in UTF-8; store it in that encoding"), name);
        return NULL;
    }
    stripped = check_lines(text, name, error);
    if (!stripped) {
        return NULL;
    }
    /* Without this flag "key[de]" would be dropped unseen instead of being an unknown key. */
    if (*stripped && !g_key_file_load_from_data(key_file, stripped, strlen(stripped),
                                                G_KEY_FILE_KEEP_TRANSLATIONS, &parse_error)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, "%s: %s", name,
                    parse_error->message);
        return NULL;
    }
    return g_steal_pointer(&key_file);
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GStrv
gantry_config_drop_ins(const char *directory, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) open_error = NULL;
    g_autoptr(GDir) dir = g_dir_open(directory, 0, &open_error);
    const char *name;

    if (!dir && !g_error_matches(open_error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM, _("Cannot list the folder: %s"),
                    open_error->message);
        return NULL;
    }
    if (dir && !check_mode(directory, error)) {
        return NULL;
    }
    while (dir && (name = g_dir_read_name(dir))) {
        if (name[0] != '.' && g_str_has_suffix(name, ".conf")) {
            g_ptr_array_add(paths, g_build_filename(directory, name, NULL));
        }
    }
    g_ptr_array_sort(paths, compare_names);
    g_ptr_array_add(paths, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&paths), FALSE);
}

gboolean
gantry_parse_bool(const char *text, gboolean *ret_value, GError **error)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};

    for (gsize i = 0; i < G_N_ELEMENTS(yes); i++) {
        gboolean is_yes = g_ascii_strcasecmp(text, yes[i]) == 0;

        if (is_yes || g_ascii_strcasecmp(text, no[i]) == 0) {
            *ret_value = is_yes;
            return TRUE;
        }
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("'%s' is not yes or no"), text);
    return FALSE;
}

gboolean
gantry_parse_uint(const char *text, guint64 min, guint64 max, guint64 *ret_value, GError **error)
{
    if (!g_ascii_string_to_unsigned(text, 10, min, max, ret_value, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("'%1$s' is not a whole number from %2$" PRIu64 " to %3$" PRIu64), text, min,
                    max);
        return FALSE;
    }
    return TRUE;
}

gboolean
gantry_parse_duration(const char *text, const char *default_unit, guint64 *ret_msec, GError **error)
{
    static const struct {
        const char *name;
        guint64 msec;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
    gsize n_digits = strspn(text, "0123456789");
    g_autofree char *digits = g_strndup(text, n_digits);
    const char *unit = text[n_digits] ? text + n_digits : default_unit;
    guint64 number;

    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        if (g_str_equal(unit, units[i].name) &&
            g_ascii_string_to_unsigned(digits, 10, 0, G_MAXINT64 / units[i].msec, &number, NULL)) {
            *ret_msec = number * units[i].msec;
            return TRUE;
        }
    }
    g_set_error(
        error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
        _("'%1$s' is not a duration; write a whole number and ms, s, m or h (no unit: %2$s)"), text,
        default_unit);
    return FALSE;
}

/* Letters added, left out, replaced, or swapped with their neighbour. */
static gsize
edit_distance(const char *a, const char *b)
{
    gsize rows[3][WORD_MAX_BYTES +
                  1]; /* rows[i % 3][j]: from the first i of @a to the first j of @b */
    gsize n_a = strlen(a);
    gsize n_b = strlen(b);

    for (gsize i = 0; i <= n_a; i++) {
        gsize *row = rows[i % 3];
        const gsize *above = rows[(i + 2) % 3];
        const gsize *above_that = rows[(i + 1) % 3];

        for (gsize j = 0; j <= n_b; j++) {
            if (i == 0 || j == 0) {
                row[j] = i + j;
                continue;
            }
            row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = MIN(row[j], above_that[j - 2] + 1);
            }
        }
    }
    return rows[n_a % 3][n_b];
}

const char *
gantry_nearest_word(const char *word, const char *const *known)
{
    gsize nearest_distance = strlen(word) / 3;
    const char *nearest = NULL;

    if (strlen(word) > WORD_MAX_BYTES) {
        return NULL;
    }
    for (gsize i = 0; known[i]; i++) {
        gsize distance;

        if (strlen(known[i]) > WORD_MAX_BYTES) {
            continue;
        }
        distance = edit_distance(word, known[i]);
        if (nearest ? distance < nearest_distance : distance <= nearest_distance) {
            nearest = known[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}

static gboolean
check_mode(const char *path, GError **error)
{
    struct stat status;

    if (stat(path, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot examine %s"), path);
        return FALSE;
    }
    if (status.st_mode & S_IWOTH) {
        g_set_error(
            error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
            _("%1$s may be written by everybody, so it is not trusted; run: chmod o-w %1$s"), path);
        return FALSE;
    }
    return TRUE;
}

/* @line, stripped, is in @section, which it may change. */
static gboolean
check_line(const char *line, int number, const char *name, char **section, GHashTable *seen,
           GError **error)
{
    const char *equals = strchr(line, '=');
    g_autofree char *key = NULL;

    if (line[0] == '\0' || line[0] == '#') {
        return TRUE;
    }
    if (line[0] == '[' && g_str_has_suffix(line, "]")) {
        g_free(*section);
        *section = g_strdup(line);
        return TRUE;
    }
    if (!equals || equals == line) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s:%2$d: '%3$s' is not a [section], KEY=VALUE or # comment"), name, number,
                    line);
        return FALSE;
    }
    key = g_strchomp(g_strndup(line, (gsize)(equals - line)));
    if (!*section) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s:%2$d: key '%3$s' stands before the first [section]"), name, number,
                    key);
        return FALSE;
    }
    if (!g_hash_table_add(seen, g_strconcat(*section, "\n", key, NULL))) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s:%2$d: %3$s %4$s is given a second time; keep one of the two"), name,
                    number, *section, key);
        return FALSE;
    }
    return TRUE;
}

/* (transfer full): the text with each line stripped. */
static char *
check_lines(const char *text, const char *name, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) stripped = g_string_new(NULL);
    g_autofree char *section = NULL;
    int number = 0;

    while (*text) {
        gsize length = strcspn(text, "\n");
        g_autofree char *line = g_strstrip(g_strndup(text, length));

        number++;
        if (!check_line(line, number, name, &section, seen, error)) {
            return NULL;
        }
        g_string_append_printf(stripped, "%s\n", line);
        text += length + (text[length] == '\n');
    }
    return g_string_free(g_steal_pointer(&stripped), FALSE);
}
