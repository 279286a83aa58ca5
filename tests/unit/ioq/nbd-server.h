/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * An NBD server with a small disk in memory, in threads of this process, that does what a test
 * tells it to, and remembers what it was asked for.
 */
enum {
    NBD_READ_ONLY = 1 << 1,
    NBD_FLUSH = 1 << 2,
    NBD_FUA = 1 << 3,
    NBD_TRIM = 1 << 5,
    NBD_ZEROES = 1 << 6,
    NBD_MULTI_CONN = 1 << 8,
};

typedef struct {
    guint16 type; /* NBD_CMD_* */
    guint16 flags;
    guint64 offset;
    guint32 length;
    guint connection;
} NbdCommand;

enum { NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_DISC, NBD_CMD_FLUSH, NBD_CMD_TRIM, NBD_CMD_ZEROES = 6 };

typedef struct {
    guint16 flags;
    guint32 smallest, largest; /* block sizes; 0: not told */
    guint hold;                /* collects so many commands, and answers the last one first */
    guint drop;                /* ends the connection at the command of this number, from 1 */
    guint32 error;             /* NBD's number, for every command */
    gboolean silent;           /* no greeting */
} NbdBehaviour;

#define NBD_DISK_BYTES (1024 * 1024)

typedef struct {
    NbdBehaviour behaviour;
    GMutex lock;
    GArray *commands; /* by lock: of NbdCommand */
    GPtrArray *threads;
    guint8 *disk; /* by lock */
} NbdServer;

NbdServer *nbd_server_new(const NbdBehaviour *behaviour);
/* A socket that is connected to it. */
int nbd_server_connect(NbdServer *server);
guint nbd_server_count(NbdServer *server, guint16 type);
/* All connections must have ended. */
void nbd_server_free(NbdServer *server);
