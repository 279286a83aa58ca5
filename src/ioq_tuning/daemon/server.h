/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * IoqServer: a qemu-nbd process, which serves one image in a format of QEMU's to one worker. It
 * ends by itself when the worker's connections have ended.
 */
typedef struct {
    gint64 pid;
    int pid_fd; /* readable when it has ended */
} IoqServer;

typedef struct {
    const char *program; /* absolute */
    const char *image;
    const char *format;
    gboolean read_only;
    guint n_connections;
    const char *socket; /* for a moment only */
    const char *log;    /* file for what it says; emptied first */
} IoqServerOptions;

/**
 * ioq_server_start:
 * @ret_fds: n_connections sockets that are connected to it, before it is up: whoever talks to them
 * waits, or sees them end if it does not come up
 *
 * It becomes the image's owner, and has no capabilities.
 */
IoqServer *ioq_server_start(const IoqServerOptions *options, int *ret_fds, GError **error);

/* One that an earlier gantry-ioqd has started. @pid_fd: (transfer full) */
IoqServer *ioq_server_adopt(gint64 pid, int pid_fd);

gboolean ioq_server_has_ended(IoqServer *server); /* with nothing of it left in the image */

/* Asks it to end; what is on its way is done first. @now: SIGKILL. */
void ioq_server_end(IoqServer *server, gboolean now);

void ioq_server_free(gpointer server); /* it goes on */
