/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Logging: structured (g_log_structured_array), one line on stderr or, where stderr is the journal,
 * journald.
 *
 * GLib's default writer prints INFO and DEBUG on stdout, and in a libvirt hook stdout *is* the
 * domain XML: every main calls gantry_log_init() before anything else, and nothing in Gantry ever
 * logs to stdout.
 *
 * A module names itself by defining GANTRY_LOG_MODULE before including this header. Libraries log
 * debug only. All functions may be called from any thread.
 */
#ifndef GANTRY_LOG_MODULE
#    define GANTRY_LOG_MODULE "gantry"
#endif

/**
 * gantry_log_init:
 * @program: name put before each line, e.g. "gantry-hook"
 *
 * Installs our writer. The level starts at notice; the environment variable GANTRY_LOG, if set and
 * valid, is taken as by gantry_log_set_levels().
 */
void gantry_log_init(const char *program);

/**
 * gantry_log_set_levels:
 * @levels: comma-separated "LEVEL" and "MODULE=LEVEL", LEVEL one of err, warn, notice, info, debug;
 * e.g. "notice,hook=debug"
 *
 * Returns: FALSE with GANTRY_ERROR_INVALID naming the bad word; nothing is changed then.
 */
gboolean gantry_log_set_levels(const char *levels, GError **error);

/* Whether gantry_log_set_levels() would take them; changes nothing. */
gboolean gantry_log_levels_are_valid(const char *levels, GError **error);

/**
 * gantry_log_set_file:
 * @path: file to append to, instead of stderr; NULL goes back to stderr
 *
 * One write(2) a line on an O_APPEND descriptor, so that several processes can share the file.
 * Created 0640.
 */
gboolean gantry_log_set_file(const char *path, GError **error);

/* The one way in. @fields: NULL-terminated pairs of structured key (upper case) and value, e.g.
 * "DOMAIN_UUID", uuid; may be none. */
void gantry_log_full(GLogLevelFlags level, const char *module, const char *file, int line,
                     const char *function, const char *const *fields, const char *format, ...)
    G_GNUC_PRINTF(7, 8);

#define gantry_log_at(level, ...) \
    gantry_log_full((level), GANTRY_LOG_MODULE, __FILE__, __LINE__, __func__, NULL, __VA_ARGS__)

#define gantry_err(...)    gantry_log_at(G_LOG_LEVEL_CRITICAL, __VA_ARGS__)
#define gantry_warn(...)   gantry_log_at(G_LOG_LEVEL_WARNING, __VA_ARGS__)
#define gantry_notice(...) gantry_log_at(G_LOG_LEVEL_MESSAGE, __VA_ARGS__)
#define gantry_info(...)   gantry_log_at(G_LOG_LEVEL_INFO, __VA_ARGS__)
#define gantry_dbg(...)    gantry_log_at(G_LOG_LEVEL_DEBUG, __VA_ARGS__)
