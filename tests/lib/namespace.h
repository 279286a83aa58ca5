/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * namespace_enter:
 *
 * Moves this process, which must have one thread, into a mount namespace of its own, where it may
 * mount what it likes without anybody seeing it: as root, or in a user namespace.
 *
 * Returns: FALSE with errno where that is not allowed here.
 */
gboolean namespace_enter(void);
