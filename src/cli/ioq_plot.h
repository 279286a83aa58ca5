/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Draws the rows of a test (element-type IoqTuneRow) into an SVG file: for each candidate its IOPS,
 * IOPS for each CPU second, each as a share of the best, and the utilisation of its threads. A
 * file is replaced; what is none, as a pipe, is written into. */
gboolean cli_ioq_plot(const char *path, const GPtrArray *rows, GError **error);
