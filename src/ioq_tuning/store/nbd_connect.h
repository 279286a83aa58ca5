/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Connects up to @n stream sockets to the unix socket @path, without waiting for whoever listens
 * there to accept. Returns: how many; 0 with @error. */
guint ioq_nbd_connect(const char *path, int *ret_fds, guint n, GError **error);
