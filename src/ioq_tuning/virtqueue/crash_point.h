/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Places in the life of a request at which tests kill the process: IOQ_CRASH_POINT=NAME:N in the
 * environment kills it when NAME is reached for the N-th time. Built in with -Dcrash_points=true
 * only; else nothing is left of them.
 */
typedef enum {
    IOQ_CRASH_FETCHED,   /* A: taken from the ring, not marked yet */
    IOQ_CRASH_MARKED,    /* marked, not submitted */
    IOQ_CRASH_COMPLETED, /* B: the store has done it, not on the batch list */
    IOQ_CRASH_LISTED,    /* C: on the batch list, used index not moved */
    IOQ_CRASH_USED,      /* D: used index moved, marks not wiped */
    IOQ_CRASH_WIPED,     /* E: marks wiped, copy of the used index not written */
} IoqCrashPoint;

#ifdef IOQ_CRASH_POINTS
void ioq_crash_point(IoqCrashPoint point);
#else
#define ioq_crash_point(point) ((void)0)
#endif
