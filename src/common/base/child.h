/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

typedef struct {
    int exit_status;    /* as g_spawn_check_wait_status() takes it */
    char *output;       /* stdout, NUL-terminated; at most @max_output bytes, more is an error */
    char *error_output; /* stderr, cut at 64 KiB */
} GantryChildResult;

void gantry_child_result_clear(GantryChildResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GantryChildResult, gantry_child_result_clear)

/**
 * gantry_child_run:
 * @argv: program (absolute path) and arguments, NULL-terminated; no shell is involved
 * @input: for its stdin, or NULL for /dev/null; @n_input bytes
 * @max_output: limit for its stdout, bytes
 * @timeout_msec: deadline for the whole run; then the child's process group gets SIGKILL and is
 * reaped
 *
 * Runs a program with a clean environment (PATH, LC_ALL=C.UTF-8) and waits. A non-zero exit is not
 * an error of this function. Returns: FALSE with GANTRY_ERROR_TIMEOUT, _LIMIT, _NOT_FOUND or
 * _SYSTEM.
 */
gboolean gantry_child_run(const char *const *argv, const char *input, gsize n_input,
                          gsize max_output, guint timeout_msec, GantryChildResult *ret_result,
                          GError **error);
