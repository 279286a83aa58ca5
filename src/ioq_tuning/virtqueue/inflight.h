/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The in-flight region: what lets a restarted back end lose no request. Layout and protocol are the
 * vhost-user specification's ("Inflight I/O tracking"); the array of marks is the idea of
 * US10997099B2. The memory is shared with the front end, which keeps it over our death, so whatever
 * is read from it is checked; while we run, private copies are used and the region is only written.
 *
 * All of it belongs to the queue's thread.
 */

#define IOQ_INFLIGHT_ALIGN 64

typedef struct {
    guint8 inflight;
    guint8 padding[5];
    guint16 next;
    guint64 counter;
} IoqInflightSplitEntry;

typedef struct {
    guint64 features;
    guint16 version;
    guint16 desc_num;
    guint16 last_batch_head;
    guint16 used_idx;
    IoqInflightSplitEntry desc[];
} IoqInflightSplit;

typedef struct {
    guint8 inflight;
    guint8 padding;
    guint16 next;
    guint16 last;
    guint16 num;
    guint64 counter;
    guint16 id;
    guint16 flags;
    guint32 len;
    guint64 addr;
} IoqInflightPackedEntry;

typedef struct {
    guint64 features;
    guint16 version;
    guint16 desc_num;
    guint16 free_head;
    guint16 old_free_head;
    guint16 used_idx;
    guint16 old_used_idx;
    guint8 used_wrap_counter;
    guint8 old_used_wrap_counter;
    guint8 padding[7];
    IoqInflightPackedEntry desc[];
} IoqInflightPacked;

enum { IOQ_INFLIGHT_VERSION = 1 };

/* Bytes of one queue's part, a multiple of IOQ_INFLIGHT_ALIGN. */
gsize ioq_inflight_queue_bytes(gboolean packed, guint queue_size);

/* One request that was in flight when the back end died. */
typedef struct {
    guint64 counter;
    guint16 entry; /* split: the chain's head; packed: the head's entry in the region */
} IoqReplay;

int ioq_replay_compare(gconstpointer a, gconstpointer b); /* by counter */
