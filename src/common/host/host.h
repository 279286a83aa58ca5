/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "common/base/cpuset.h"

/**
 * The machine as /proc and /sys show it, below a root folder: "/" in production, a folder that a
 * test has built otherwise.
 *
 * Paths are resolved as if the root were "/" (openat2(2), RESOLVE_IN_ROOT): neither ".." nor a link
 * leads out of it. Every file has a limit. What the kernel would not write is an error
 * (GANTRY_ERROR_INVALID, naming the file), never a crash: inside a container /proc may be anybody's
 * work.
 *
 * Nothing is cached, so a GantryHost may be used from any thread.
 */
typedef struct GantryHost GantryHost;

#define GANTRY_HOST_FILE_MAX_BYTES (64 * 1024) /* of the usual small file */

GantryHost *gantry_host_open(const char *root, GError **error);
void gantry_host_free(GantryHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryHost, gantry_host_free)

/* All below take a printf(3) format for a path relative to the root, with or without leading '/'.
 */

/* (transfer full): content, NUL-terminated and without white space at the end. */
char *gantry_host_read(const GantryHost *host, gsize limit, GError **error, const char *path_format,
                       ...) G_GNUC_PRINTF(4, 5);

/* A file that holds one decimal number. */
gboolean gantry_host_read_int(const GantryHost *host, gint64 min, gint64 max, gint64 *ret_value,
                              GError **error, const char *path_format, ...) G_GNUC_PRINTF(6, 7);

/* (transfer full): a file that holds a CPU or node list; empty for an empty file. */
GantryCpuset *gantry_host_read_cpuset(const GantryHost *host, GError **error,
                                      const char *path_format, ...) G_GNUC_PRINTF(3, 4);

/* (transfer full): names in a folder, without "." and "..", in byte order; at most 65536. */
GStrv gantry_host_list(const GantryHost *host, GError **error, const char *path_format, ...)
    G_GNUC_PRINTF(3, 4);

/* (transfer full): the last component of a symbolic link's target, e.g. a device's driver. */
char *gantry_host_link_name(const GantryHost *host, GError **error, const char *path_format, ...)
    G_GNUC_PRINTF(3, 4);

gboolean gantry_host_exists(const GantryHost *host, const char *path_format, ...)
    G_GNUC_PRINTF(2, 3);
