/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * IoqIncoming: VMs that another host has announced (hook/migrate) and that have not come yet
 * (hook/prepare). A migration may fail between the two, and nobody says so: after
 * IOQ_INCOMING_SEC the VM is like any other, and its images are looked at before it starts.
 */
typedef struct IoqIncoming IoqIncoming;

#define IOQ_INCOMING_SEC 60

IoqIncoming *ioq_incoming_new(void);
void ioq_incoming_free(IoqIncoming *incoming);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoqIncoming, ioq_incoming_free)

/* @now_usec: g_get_monotonic_time() */
void ioq_incoming_add(IoqIncoming *incoming, const char *uuid, gint64 now_usec);

/* Whether it is still expected. It is not any more afterwards. */
gboolean ioq_incoming_take(IoqIncoming *incoming, const char *uuid, gint64 now_usec);
