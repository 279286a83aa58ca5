/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * gantry_printable:
 * @text: a name that somebody else chose, in whatever encoding
 *
 * For terminals and lists: control characters, characters that change the direction of writing or
 * break lines, backslashes and bytes that are no UTF-8 become \xNN or \u{NNNN}; what is longer than
 * 1024 characters is cut, with "..." after it. All else stays as it is.
 *
 * Returns: (transfer full): never NULL.
 */
char *gantry_printable(const char *text);

/**
 * gantry_one_line:
 * @text: a message for a log, made of parts of any origin
 *
 * As gantry_printable(), but of any length, and backslashes stay: a part may have been through
 * gantry_printable() already.
 *
 * Returns: (transfer full): never NULL.
 */
char *gantry_one_line(const char *text);

/**
 * gantry_excerpt:
 * @text: from outside, of any length
 *
 * To be quoted in an error message: as gantry_one_line(), cut after 160 characters.
 *
 * Returns: (transfer full): never NULL.
 */
char *gantry_excerpt(const char *text);
