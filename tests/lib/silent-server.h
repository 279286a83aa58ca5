/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* A server that takes connections and never says a word, or hangs up at once. */
typedef struct SilentServer SilentServer;

typedef enum {
    SILENT_SERVER_HOLDS,    /* keeps connections open */
    SILENT_SERVER_HANGS_UP, /* closes each at once */
} SilentServerManner;

SilentServer *silent_server_new_tcp(SilentServerManner manner);
SilentServer *silent_server_new_unix(SilentServerManner manner);

/* Closes the listener and all connections. */
void silent_server_free(SilentServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SilentServer, silent_server_free)

/* A libvirt URI that leads to it. */
const char *silent_server_uri(const SilentServer *server);

/* Waits until @n connections have come, in all. */
void silent_server_wait_for(SilentServer *server, guint n);
