/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * gantry_keyed_uint:
 * @text: lines of "KEY VALUE" or "KEY: VALUE [UNIT]", as the kernel writes them
 * @file: for messages
 * @max: larger values are GANTRY_ERROR_INVALID; callers scale
 *
 * Finds one number. Where @key is absent: GANTRY_ERROR_NOT_FOUND if @required, else 0.
 */
gboolean gantry_keyed_uint(const char *text, const char *file, const char *key, gboolean required,
                           guint64 max, guint64 *ret_value, GError **error);
