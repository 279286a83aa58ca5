/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Connects @n stream sockets to the unix socket @path, without waiting for whoever listens there to
 * accept. FALSE: none is open. */
gboolean ioq_nbd_connect(const char *path, int *ret_fds, guint n, GError **error);
