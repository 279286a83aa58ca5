/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Where drawings and pages go that a user asks for. */

/* Before anything is measured: can the drawing be written to @path? It must not be @image (NULL:
 * there is none), nor a disk. */
gboolean cli_plot_check(const char *path, const char *image, GError **error);

/* A file is replaced; what is none, as a pipe, is written into. */
gboolean cli_plot_write(const char *path, const char *text, gsize length, GError **error);
