/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * IoqLog: the dirty bitmap of a live migration, shared by SET_LOG_BASE. One bit a page of 4 KiB,
 * set atomically, since other threads and QEMU write it as well. Immutable and counted, as
 * IoqMemory.
 */
typedef struct IoqLog IoqLog;

/* Maps @size bytes of @fd at @offset; the descriptor stays the caller's. */
IoqLog *ioq_log_new(int fd, guint64 size, guint64 offset, GError **error);
IoqLog *ioq_log_ref(IoqLog *log);
void ioq_log_unref(IoqLog *log); /* NULL is fine */

/* What was written to guest memory. Pages beyond the bitmap's end are ignored: they are not RAM
 * that migrates. */
void ioq_log_mark(IoqLog *log, guint64 guest_address, guint64 length);
