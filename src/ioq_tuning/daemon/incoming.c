/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/daemon/incoming.h"

struct IoqIncoming {
    GHashTable *until; /* uuid -> gint64 */
};

IoqIncoming *
ioq_incoming_new(void)
{
    IoqIncoming *incoming = g_new0(IoqIncoming, 1);

    incoming->until = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return incoming;
}

void
ioq_incoming_free(IoqIncoming *incoming)
{
    g_hash_table_unref(incoming->until);
    g_free(incoming);
}

static gboolean
is_past(gpointer uuid, gpointer until, gpointer now_usec)
{
    return *(gint64 *)until <= *(gint64 *)now_usec;
}

void
ioq_incoming_add(IoqIncoming *incoming, const char *uuid, gint64 now_usec)
{
    gint64 *until = g_new(gint64, 1);

    g_hash_table_foreach_remove(incoming->until, is_past, &now_usec); /* so that none stay */
    *until = now_usec + IOQ_INCOMING_SEC * G_USEC_PER_SEC;
    g_hash_table_replace(incoming->until, g_strdup(uuid), until);
}

gboolean
ioq_incoming_take(IoqIncoming *incoming, const char *uuid, gint64 now_usec)
{
    const gint64 *until = g_hash_table_lookup(incoming->until, uuid);
    gboolean expected = until && now_usec < *until;

    g_hash_table_remove(incoming->until, uuid);
    return expected;
}
