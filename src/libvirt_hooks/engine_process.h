/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libvirt_hooks/paths.h"

/* How the engine ended, with an exit status. */
typedef struct {
    int status;
    int output;           /* a file with what it printed, at its beginning; ours to close */
    char last_words[960]; /* the last line on its stderr, as it is; "" if there was none */
} EngineEnd;

/**
 * engine_process_run:
 * @argv: of the hook; its first element is replaced
 * @keep_output: whether its output is wanted at all
 * @problem: (out): why there is no end with an exit status, and the engine's last words
 *
 * Runs the engine on @xml and waits for its end. Everything that it gets from us is a file in
 * memory: nothing that it leaves behind, be it itself in a hanging disk's grip, keeps a pipe of
 * libvirtd's open.
 */
bool engine_process_run(const HookPaths *paths, char **argv, const char *xml, size_t length,
                        bool keep_output, EngineEnd *ret_end, char *problem, size_t size);

/* Writes all of it, over short writes and EINTR. */
bool engine_process_write_all(int fd, const char *data, size_t length);
