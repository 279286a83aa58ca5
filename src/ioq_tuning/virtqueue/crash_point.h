/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Places in the life of a request at which tests kill the process: IOQ_CRASH_POINT=NAME:N in the
 * environment kills it when NAME is reached for the N-th time. They are in the worker that is built
 * for tests; of any other nothing is left of them.
 */
typedef enum {
    IOQ_CRASH_FETCHED,   /* A: taken from the ring, not marked yet */
    IOQ_CRASH_MARKED,    /* marked, not submitted */
    IOQ_CRASH_COMPLETED, /* B: the store has done it, not on the batch list */
    IOQ_CRASH_LISTED,    /* C: on the batch list, used index not moved */
    IOQ_CRASH_USED,      /* D: used index moved, marks not wiped */
    IOQ_CRASH_WIPED,     /* E: marks wiped, copy of the used index not written */
} IoqCrashPoint;

/* What tests leave out, to see themselves fail: IOQ_CONTROL=NAME. */
typedef enum {
    IOQ_CONTROL_COUNTER, /* replay in the order of the counter */
    IOQ_CONTROL_BATCH,   /* make a published batch whole before replay */
    IOQ_CONTROL_DURABLE, /* an NBD server's writes are on its medium before they are done */
    IOQ_CONTROL_FENCE,   /* wait for what a dead back end has on its way to storage */
    IOQ_CONTROL_SETTLE,  /* write and forget what is cached, for another host */
    IOQ_CONTROL_ONE_WAY, /* all data by O_DIRECT or none */
} IoqControl;

#ifdef IOQ_CRASH_POINTS
void ioq_crash_point(IoqCrashPoint point);
int ioq_control_is_off(IoqControl control);
#else
#    define ioq_crash_point(point)      ((void)0)
#    define ioq_control_is_off(control) 0
#endif
