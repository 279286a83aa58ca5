/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Scratch folders for tests. What fails ends the test. */

/* A new empty folder below $TMPDIR. End it with scratch_remove(). */
char *scratch_new(void);

/* Removes the folder with all that is in it and frees the path. Links are removed, not followed. */
void scratch_remove(char *root);

/* Writes ROOT/PATH, making folders as needed; mode 0644 whatever the umask. */
void scratch_write(const char *root, const char *path, const char *text);
void scratch_write_bytes(const char *root, const char *path, const char *data, gsize length);

/* Makes ROOT/PATH a folder. */
void scratch_mkdir(const char *root, const char *path);

/* Makes ROOT/PATH a symbolic link to @target as it stands. */
void scratch_link(const char *root, const char *path, const char *target);

/* (transfer full): content of ROOT/PATH. */
char *scratch_read(const char *root, const char *path);

/* Number of entries in ROOT/PATH, hidden ones too. */
guint scratch_count(const char *root, const char *path);
