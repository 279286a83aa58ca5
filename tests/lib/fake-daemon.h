/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The other end of a control socket, in a thread, as well or badly behaved as a test wants it.
 * It is not built on our server: what it sends need not be JSON.
 */
typedef enum {
    FAKE_ANSWER, /* sends @answer, with each "@ID@" replaced by the request's id, then waits for the
                    peer */
    FAKE_HANG_UP, /* reads the request, sends @answer, if any, and closes */
    FAKE_SILENT,  /* reads and never answers */
    FAKE_DEAF,    /* accepts, never reads */
    FAKE_DRIP,    /* answers one blank each 5 ms for as long as the peer bears it */
    FAKE_FULL,    /* listens, never accepts, and its backlog is taken */
    FAKE_GONE,    /* a socket file that nobody serves any more */
} FakeMode;

typedef struct FakeDaemon FakeDaemon;

FakeDaemon *fake_daemon_start(const char *path, FakeMode mode, const char *answer);

/* Waits, 20 s at most, until @n requests were read, and returns the last one's text. */
const char *fake_daemon_wait(FakeDaemon *daemon, guint n);
guint fake_daemon_n_calls(FakeDaemon *daemon);
const char *fake_daemon_call(FakeDaemon *daemon, guint index);

void fake_daemon_stop(FakeDaemon *daemon); /* removes the socket, frees */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeDaemon, fake_daemon_stop)
