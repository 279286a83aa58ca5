/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/document.h"

#define IOQ_MAX_IOTHREADS 4096U

/*
 * libvirt's iothreads of a domain, as its XML has them: which ids there are, and how many devices
 * refer to each.
 */
typedef struct {
    GArray *ids; /* of guint, ascending: what libvirt makes of <iothreads> and <iothreadids> */
    GHashTable *users;     /* id -> number of <disk>s and <controller>s that name it */
    GHashTable *scheduled; /* ids that an <iothreadsched> names */
} IoqThreads;

/* NULL with GANTRY_ERROR_INVALID (a number is none) or _LIMIT. */
IoqThreads *ioq_threads_read(GantryXml *domain, GError **error);
void ioq_threads_free(IoqThreads *threads);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoqThreads, ioq_threads_free)

gboolean ioq_threads_has(const IoqThreads *threads, guint id);
guint ioq_threads_users(const IoqThreads *threads, guint id);

/* The smallest id that neither exists nor is named anywhere; from now on it exists. */
guint ioq_threads_add(IoqThreads *threads);
void ioq_threads_remove(IoqThreads *threads, guint id);

/* (transfer full): "1-2,5", or a word for none; for people. */
char *ioq_threads_format(const IoqThreads *threads);

/* The <iothreadpin> of an iothread; NULL: it has none. */
const xmlNode *ioq_threads_pin(GantryXml *domain, guint id);

/* (transfer full) (element-type guint): the ids that a device's <driver> names, each once, in its
 * order. @driver may be NULL. */
GArray *ioq_driver_ids(const xmlNode *driver);

/* (transfer full): what serves the device's queues, for people. */
char *ioq_driver_describe(const xmlNode *driver);

/* A number in an attribute. FALSE where there is none, or it is above @max. */
gboolean ioq_attribute_uint(const xmlNode *element, const char *name, guint max, guint *ret_value);

/* Makes the edits that turn the iothreads of the document, @before, into @after: count, ids, and no
 * pin of an id that is gone. */
void ioq_threads_edit(GantryXml *domain, const IoqThreads *before, const IoqThreads *after,
                      GantryXmlEdit *edit);
