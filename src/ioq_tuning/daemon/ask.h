/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

/**
 * IoqAsk: calls to control sockets of workers, each in a thread of its own, so that one that does
 * not answer keeps nobody else waiting.
 */
typedef struct IoqAsk IoqAsk;

typedef struct {
    char *socket;
    JsonNode *answer; /* NULL: @error */
    GError *error;
} IoqQuestion;

/* In the main thread, when all have been answered or not. */
typedef void (*IoqAskDone)(const IoqQuestion *questions, guint n, gpointer data);

IoqAsk *ioq_ask_new(void);
void ioq_ask_free(IoqAsk *ask); /* waits for what is on its way */

/**
 * ioq_ask:
 * @sockets: (transfer full): NULL-terminated
 * @method: a literal
 * @timeout_msec: for each, and so for all, since they are asked at once
 */
void ioq_ask(IoqAsk *ask, GStrv sockets, const char *method, guint timeout_msec, IoqAskDone done,
             gpointer data);
