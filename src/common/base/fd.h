/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* A descriptor closed at the end of its scope; initialise with -1. */
#define gantry_autofd __attribute__((cleanup(gantry_fd_clear))) int

/* Closes *@fd unless negative, sets it to -1, keeps errno. */
void gantry_fd_clear(int *fd);

/* Hands the descriptor over: returns *@fd and sets it to -1. */
int gantry_fd_steal(int *fd);

/**
 * gantry_fd_read_all:
 * @limit: most bytes taken; one more is GANTRY_ERROR_LIMIT
 * @timeout_msec: deadline for all of it, or -1
 *
 * Reads until end of file. Returns: (transfer full): the bytes with a NUL after them, or NULL.
 */
char *gantry_fd_read_all(int fd, gsize limit, int timeout_msec, gsize *ret_length, GError **error);

/* Writes all of it, over short writes and EINTR. FALSE with GANTRY_ERROR_SYSTEM. */
gboolean gantry_fd_write_all(int fd, const char *data, gsize length, GError **error);
