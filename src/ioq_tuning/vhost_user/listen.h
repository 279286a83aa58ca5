/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * vu_listen:
 * @path: absolute, at most 107 bytes
 * @take_over: also from somebody who listens there, who will end: his connections stay his
 *
 * A listening unix stream socket, mode 0600. What is there already is replaced only if it is a
 * socket, and, without @take_over, one that nobody listens on.
 *
 * Returns: the descriptor, close-on-exec and non-blocking. -1 with GANTRY_ERROR_REFUSED (too long,
 * or something else is there) or _SYSTEM.
 */
int vu_listen(const char *path, gboolean take_over, GError **error);
