/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * gantry_log_full() decides by level and module, formats the text, and hands it with its fields to
 * GLib, which calls our writer; what GLib and other libraries log comes to the same writer. The
 * writer sends to the journal where stderr is the journal, else it makes one line and writes it
 * with one write(2), to the log file or to stderr. Before gantry_log_init() our own messages go to
 * the writer directly, since GLib's default writer prints some levels on stdout.
 *
 * Names of domains, devices and files are chosen by users and guests and end up in messages. The
 * writer therefore replaces whatever could forge a second line or drive a terminal by an escape.
 *
 * All state stands under one lock; only the most verbose level in use is also kept in an atomic, so
 * that a debug message nobody wants costs one load.
 */
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

/* A write of at most PIPE_BUF bytes is never mixed with another process's on the same pipe. */
#define LINE_MAX_BYTES PIPE_BUF
#define CUT_MARK       "..."

/* Indices into level_names, and syslog's priorities minus 3. */
typedef enum {
    LEVEL_ERR,
    LEVEL_WARN,
    LEVEL_NOTICE,
    LEVEL_INFO,
    LEVEL_DEBUG,
} Level;

static const char *const level_names[] = {"err", "warn", "notice", "info", "debug", NULL};
static const char *const level_priorities[] = {"3", "4", "5", "6", "7"};
/* Stands before the text; what is merely told needs no word. */
static const char *const level_prefixes[] = {"error: ", "warning: ", "", "", "debug: "};

typedef struct {
    char *module;
    Level level;
} ModuleLevel;

static GMutex lock;
static char *program_name;    /* by lock, as all below */
static GArray *module_levels; /* of ModuleLevel, or NULL */
static Level default_level = LEVEL_NOTICE;
static int log_fd = -1;                  /* -1: stderr */
static gint most_verbose = LEVEL_NOTICE; /* atomic: of default_level and module_levels */
static gint writer_installed;            /* atomic */

static gboolean is_wanted(Level level, const char *module);
static Level level_of(GLogLevelFlags flags);
static gboolean parse_level(const char *word, Level *ret_level, GError **error);
static gboolean add_module_level(GArray *modules, const char *module, const char *level_word,
                                 GError **error);
static void module_level_clear(gpointer data);
static GLogWriterOutput writer(GLogLevelFlags flags, const GLogField *fields, gsize n_fields,
                               gpointer user_data);

void
gantry_log_init(const char *program)
{
    const char *levels = g_getenv("GANTRY_LOG");
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&lock);
    g_free(program_name);
    program_name = g_strdup(program);
    g_mutex_unlock(&lock);
    if (g_atomic_int_compare_and_exchange(&writer_installed, FALSE, TRUE)) {
        g_log_set_writer_func(writer, NULL, NULL);
    }
    if (levels && *levels && !gantry_log_set_levels(levels, &error)) {
        gantry_warn(_("The environment variable GANTRY_LOG is ignored: %s"), error->message);
    }
}

/* (transfer full): of ModuleLevel; *@ret_level is that of all other modules. */
static GArray *
parse_levels(const char *levels, Level *ret_level, GError **error)
{
    g_auto(GStrv) words = g_strsplit(*levels ? levels : " ", ",", -1);
    g_autoptr(GArray) modules = g_array_new(FALSE, FALSE, sizeof(ModuleLevel));

    *ret_level = LEVEL_NOTICE;
    g_array_set_clear_func(modules, module_level_clear);
    for (gsize i = 0; words[i]; i++) {
        char *word = g_strstrip(words[i]);
        char *equals = strchr(word, '=');

        if (!equals) {
            if (!parse_level(word, ret_level, error)) {
                return NULL;
            }
            continue;
        }
        *equals = '\0';
        if (!add_module_level(modules, word, equals + 1, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&modules);
}

gboolean
gantry_log_levels_are_valid(const char *levels, GError **error)
{
    Level level;
    g_autoptr(GArray) modules = parse_levels(levels, &level, error);

    return modules != NULL;
}

gboolean
gantry_log_set_levels(const char *levels, GError **error)
{
    Level level, verbose;
    g_autoptr(GArray) modules = parse_levels(levels, &level, error);

    if (!modules) {
        return FALSE;
    }
    verbose = level;
    for (guint i = 0; i < modules->len; i++) {
        verbose = MAX(verbose, g_array_index(modules, ModuleLevel, i).level);
    }

    g_mutex_lock(&lock);
    g_clear_pointer(&module_levels, g_array_unref);
    module_levels = g_steal_pointer(&modules);
    default_level = level;
    g_atomic_int_set(&most_verbose, (gint)verbose);
    g_mutex_unlock(&lock);
    return TRUE;
}

gboolean
gantry_log_set_file(const char *path, GError **error)
{
    gantry_autofd fd = -1;
    int old;

    if (path) {
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        if (fd < 0) {
            gantry_set_error_errno(error, errno, _("Cannot open the log file %s"), path);
            return FALSE;
        }
    }
    g_mutex_lock(&lock);
    old = log_fd;
    log_fd = gantry_fd_steal(&fd);
    g_mutex_unlock(&lock);
    gantry_fd_clear(&old);
    return TRUE;
}

void
gantry_log_full(GLogLevelFlags flags, const char *module, const char *file, int line,
                const char *function, const char *const *fields, const char *format, ...)
{
    Level level = level_of(flags);
    g_autofree char *message = NULL;
    g_autofree char *line_text = NULL;
    g_autoptr(GArray) array = NULL;
    va_list args;

    if ((gint)level > g_atomic_int_get(&most_verbose) || !is_wanted(level, module)) {
        return;
    }
    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    line_text = g_strdup_printf("%d", line);

    {
        const GLogField own[] = {
            {"MESSAGE", message, -1},      {"PRIORITY", level_priorities[level], -1},
            {"GANTRY_MODULE", module, -1}, {"CODE_FILE", file, -1},
            {"CODE_LINE", line_text, -1},  {"CODE_FUNC", function, -1},
        };

        array = g_array_new(FALSE, FALSE, sizeof(GLogField));
        g_array_append_vals(array, own, G_N_ELEMENTS(own));
    }
    for (gsize i = 0; fields && fields[i] && fields[i + 1]; i += 2) {
        GLogField field = {fields[i], fields[i + 1], -1};

        g_array_append_val(array, field);
    }
    if (g_atomic_int_get(&writer_installed)) {
        g_log_structured_array(flags, (const GLogField *)array->data, array->len);
    } else {
        writer(flags, (const GLogField *)array->data, array->len, NULL);
    }
}

static gboolean
is_wanted(Level level, const char *module)
{
    Level limit;

    g_mutex_lock(&lock);
    limit = default_level;
    for (guint i = 0; module_levels && i < module_levels->len; i++) {
        const ModuleLevel *entry = &g_array_index(module_levels, ModuleLevel, i);

        if (g_strcmp0(entry->module, module) == 0) {
            limit = entry->level;
        }
    }
    g_mutex_unlock(&lock);
    return level <= limit;
}

static Level
level_of(GLogLevelFlags flags)
{
    if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) {
        return LEVEL_ERR;
    }
    if (flags & G_LOG_LEVEL_WARNING) {
        return LEVEL_WARN;
    }
    if (flags & G_LOG_LEVEL_MESSAGE) {
        return LEVEL_NOTICE;
    }
    return flags & G_LOG_LEVEL_INFO ? LEVEL_INFO : LEVEL_DEBUG;
}

static gboolean
parse_level(const char *word, Level *ret_level, GError **error)
{
    for (gsize i = 0; level_names[i]; i++) {
        if (g_str_equal(word, level_names[i])) {
            *ret_level = (Level)i;
            return TRUE;
        }
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("'%s' is not a log level; allowed: err, warn, notice, info, debug"), word);
    return FALSE;
}

static gboolean
add_module_level(GArray *modules, const char *module, const char *level_word, GError **error)
{
    Level level;
    guint index = modules->len;

    if (*module == '\0') {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("There is no module name before '=%s'; write MODULE=LEVEL"), level_word);
        return FALSE;
    }
    if (!parse_level(level_word, &level, error)) {
        return FALSE;
    }
    g_array_set_size(modules, index + 1);
    g_array_index(modules, ModuleLevel, index) = (ModuleLevel){g_strdup(module), level};
    return TRUE;
}

static void
module_level_clear(gpointer data)
{
    g_free(((ModuleLevel *)data)->module);
}

/* (transfer full) (nullable): the value of a field, with or without length. */
static char *
dup_field(const GLogField *fields, gsize n_fields, const char *key)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (g_str_equal(fields[i].key, key)) {
            return fields[i].length < 0 ? g_strdup(fields[i].value)
                                        : g_strndup(fields[i].value, (gsize)fields[i].length);
        }
    }
    return NULL;
}

/* Cuts between characters, so that the line stays UTF-8. */
static void
finish_line(GString *line)
{
    if (line->len > LINE_MAX_BYTES - 1) {
        const char *cut = line->str + LINE_MAX_BYTES - 1 - strlen(CUT_MARK);

        cut = g_utf8_find_prev_char(line->str, cut + 1);
        g_string_truncate(line, cut - line->str);
        g_string_append(line, CUT_MARK);
    }
    g_string_append_c(line, '\n');
}

static void
append_time_and_pid(GString *line, const char *program)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *text = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");

    g_string_append_printf(line, "%s.%03dZ %s[%d]: ", text, g_date_time_get_microsecond(now) / 1000,
                           program, (int)getpid());
}

static void
write_line(Level level, const char *module, const char *message)
{
    g_autoptr(GString) line = g_string_new(NULL);
    const char *program;
    gssize n;

    g_mutex_lock(&lock);
    program = program_name ? program_name : "gantry";
    if (log_fd >= 0) {
        append_time_and_pid(line, program);
    } else {
        g_string_append_printf(line, "%s: ", program);
    }
    g_string_append(line, level_prefixes[level]);
    if (level == LEVEL_DEBUG && module) {
        g_string_append_printf(line, "%s: ", module);
    }
    g_string_append(line, message);
    finish_line(line);
    /* A log that cannot be written has nowhere to say so. */
    do {
        n = write(log_fd >= 0 ? log_fd : STDERR_FILENO, line->str, line->len);
    } while (n < 0 && errno == EINTR);
    g_mutex_unlock(&lock);
}

static gboolean
write_to_journal(GLogLevelFlags flags, const GLogField *fields, gsize n_fields, const char *message)
{
    g_autofree GLogField *copy = NULL;
    g_autofree char *program = NULL;
    gboolean to_file;

    g_mutex_lock(&lock);
    to_file = log_fd >= 0;
    program = g_strdup(program_name ? program_name : "gantry");
    g_mutex_unlock(&lock);
    if (to_file || !g_log_writer_is_journald(STDERR_FILENO)) {
        return FALSE;
    }
    copy = g_new(GLogField, n_fields + 1);
    memcpy(copy, fields, n_fields * sizeof(GLogField));
    for (gsize i = 0; i < n_fields; i++) {
        if (g_str_equal(copy[i].key, "MESSAGE")) {
            copy[i].value = message;
            copy[i].length = -1;
        }
    }
    copy[n_fields] = (GLogField){"SYSLOG_IDENTIFIER", program, -1};
    return g_log_writer_journald(flags, copy, n_fields + 1, NULL) == G_LOG_WRITER_HANDLED;
}

static GLogWriterOutput
writer(GLogLevelFlags flags, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    g_autofree char *module = dup_field(fields, n_fields, "GANTRY_MODULE");
    g_autofree char *raw = dup_field(fields, n_fields, "MESSAGE");
    g_autofree char *message = gantry_one_line(raw ? raw : "");
    Level level = level_of(flags);

    if (!module) {
        /* Another library's message; ours were decided upon before they were formatted. */
        module = dup_field(fields, n_fields, "GLIB_DOMAIN");
        if (!is_wanted(level, module)) {
            return G_LOG_WRITER_HANDLED;
        }
    }
    if (!write_to_journal(flags, fields, n_fields, message)) {
        write_line(level, module, message);
    }
    return G_LOG_WRITER_HANDLED;
}
