/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * gantry_file_read:
 * @dirfd: directory that @path is relative to, or AT_FDCWD
 * @limit: most bytes accepted; more is GANTRY_ERROR_LIMIT
 *
 * Regular files, and the files of /proc and /sys, which have no size. Returns: (transfer full):
 * NUL-terminated content.
 */
char *gantry_file_read(int dirfd, const char *path, gsize limit, gsize *ret_length, GError **error);

/* The same from an open descriptor, which stays open; @name stands for the file in messages. */
char *gantry_file_read_fd(int fd, const char *name, gsize limit, gsize *ret_length, GError **error);

/**
 * gantry_file_write_atomic:
 *
 * Readers see the old content or the new one, also after a power cut: temporary file in the same
 * directory, fsync, rename, fsync of the directory. On failure (disk full) the old file is
 * untouched and no temporary file is left.
 */
gboolean gantry_file_write_atomic(int dirfd, const char *path, const char *data, gsize length,
                                  mode_t mode, GError **error);
