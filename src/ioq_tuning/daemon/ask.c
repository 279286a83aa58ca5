/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/daemon/ask.h"

#include "common/rpc/rpc.h"

struct IoqAsk {
    GThreadPool *pool;
};

/* One call of ioq_ask(); each thread has one question of it. */
typedef struct {
    IoqQuestion *questions;
    guint n;
    gint n_left; /* atomic */
    const char *method;
    guint timeout_msec;
    IoqAskDone done;
    gpointer data;
} Round;

typedef struct {
    Round *round;
    IoqQuestion *question;
} Job;

static gboolean
on_end_of_round(gpointer data)
{
    Round *round = data;

    round->done(round->questions, round->n, round->data);
    for (guint i = 0; i < round->n; i++) {
        g_free(round->questions[i].socket);
        g_clear_pointer(&round->questions[i].answer, json_node_unref);
        g_clear_error(&round->questions[i].error);
    }
    g_free(round->questions);
    g_free(round);
    return G_SOURCE_REMOVE;
}

static void
run(gpointer data, gpointer user_data)
{
    Job *job = data;
    Round *round = job->round;
    IoqQuestion *question = job->question;

    g_free(job);
    question->answer = gantry_rpc_call(question->socket, round->method, NULL, round->timeout_msec,
                                       &question->error);
    if (g_atomic_int_dec_and_test(&round->n_left)) {
        g_idle_add(on_end_of_round, round);
    }
}

IoqAsk *
ioq_ask_new(void)
{
    IoqAsk *ask = g_new0(IoqAsk, 1);

    ask->pool = g_thread_pool_new(run, NULL, -1, FALSE, NULL);
    return ask;
}

void
ioq_ask_free(IoqAsk *ask)
{
    g_thread_pool_free(ask->pool, FALSE, TRUE);
    g_free(ask);
}

void
ioq_ask(IoqAsk *ask, GStrv sockets, const char *method, guint timeout_msec, IoqAskDone done,
        gpointer data)
{
    Round *round = g_new0(Round, 1);

    round->n = g_strv_length(sockets);
    round->questions = g_new0(IoqQuestion, MAX(round->n, 1));
    round->n_left = (gint)round->n;
    round->method = method;
    round->timeout_msec = timeout_msec;
    round->done = done;
    round->data = data;
    for (guint i = 0; i < round->n; i++) {
        round->questions[i].socket = sockets[i];
    }
    g_free(sockets); /* and not the strings */
    if (round->n == 0) {
        g_idle_add(on_end_of_round, round);
    }
    for (guint i = 0, n = round->n; i < n; i++) {
        Job *job = g_new0(Job, 1);

        job->round = round;
        job->question = &round->questions[i];
        g_thread_pool_push(ask->pool, job, NULL);
    }
}
