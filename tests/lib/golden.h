/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * golden_compare:
 * @path: file with the expected text
 *
 * Fails the test, showing both texts, where @text differs. With GANTRY_TEST_REGENERATE=1 in the
 * environment it writes the file instead: look at the difference before you commit it.
 */
void golden_compare(const char *path, const char *text);

/* (transfer full): sorted names in @directory that end in @suffix; at least one, or the test fails.
 */
GStrv golden_cases(const char *directory, const char *suffix);
