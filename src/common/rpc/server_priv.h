/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "common/rpc/rpc.h"

/* What a server bears from its peers; tests set smaller ones. */
typedef struct {
    guint n_connections; /* at once */
    guint idle_msec;  /* since the last whole request of a connection, while none is being served */
    guint write_msec; /* for a peer to take one answer */
} GantryRpcLimits;

typedef struct GantryRpcConnection GantryRpcConnection;

struct GantryRpcServer {
    char *path;
    int lock_fd;
    gboolean bound; /* the socket file is ours to remove */
    const GantryRpcMethod *methods;
    gpointer user_data;
    gboolean has_group;
    gid_t group;
    GantryRpcLimits limits;
    GMainContext *context;
    GSocket *listener;
    GSource *accept_source; /* NULL while all connections are at work */
    GQueue connections;     /* of GantryRpcConnection */
};

struct GantryRpcConnection {
    gint n_refs;
    GantryRpcServer *server; /* NULL: closed */
    GSocket *socket;
    uid_t uid;
    GByteArray *in;
    guint n_searched; /* bytes of @in known to hold no newline */
    GBytes *out;      /* what is still to be sent, or NULL */
    gboolean busy;    /* a request is being served */
    gboolean running; /* connection_run() is on the stack */
    gboolean eof;     /* nothing more will come in */
    gboolean last;    /* close once @out is sent */
    gint64 active_usec;
    GSource *io_source;
    GSource *timer_source;
};

void gantry_rpc_server_set_limits(GantryRpcServer *server, const GantryRpcLimits *limits);
guint gantry_rpc_server_n_connections(const GantryRpcServer *server);

/* There may be room for a connection again: one has closed, or has nothing to do. */
void gantry_rpc_server_resume(GantryRpcServer *server);

/* Puts a new connection on the server's list, takes @socket over, and begins to serve it. */
void gantry_rpc_connection_open(GantryRpcServer *server, GSocket *socket, uid_t uid);

/* Off the list, and freed unless a request still refers to it. */
void gantry_rpc_connection_close(GantryRpcConnection *connection);
