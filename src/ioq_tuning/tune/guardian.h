/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * A folder for temporary files, and a process that takes it away when ours has ended, however it
 * did: by a signal, too. It ends a child of ours as well. PR_SET_PDEATHSIG would not do: whoever
 * gives up privileges loses it, and it removes no files.
 */
typedef struct Guardian Guardian;

/* @files: (NULL-terminated): names of all that may be in the folder; kept, not copied. */
Guardian *guardian_new(const char *const *files, GError **error);

const char *guardian_folder(const Guardian *guardian);

/* @child is to end with us. */
void guardian_watch(Guardian *guardian, pid_t child);

/* Ends the child, where it has not ended, and removes the folder. */
void guardian_free(Guardian *guardian);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guardian, guardian_free)
