/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/vhost_user/protocol.h"

/**
 * IoqMemory: the guest's memory as the front end shares it, mapped here. A table is immutable:
 * adding or removing a region makes a new one, which shares the mappings that stay. Tables and
 * mappings are counted atomically, so a thread may use the table that it holds while another one is
 * being made; the last user unmaps.
 *
 * Everything that comes from outside is checked here: sizes, overlaps, overflow, and that the file
 * is as long as what is mapped of it. A file that is shortened afterwards raises SIGBUS on access;
 * ioq_memory_guard_install() turns that into zeroes and a flag.
 */
typedef struct IoqMemory IoqMemory;

/* As many as Linux's vhost-user front ends have use for: QEMU has at most 509 memory slots. */
#define IOQ_MEMORY_MAX_REGIONS 512

IoqMemory *ioq_memory_new(void); /* without regions */
IoqMemory *ioq_memory_ref(IoqMemory *memory);
void ioq_memory_unref(IoqMemory *memory); /* NULL is fine */

/**
 * ioq_memory_with:
 * @region: as the front end says
 * @fd: (transfer none): of its file; may be closed afterwards
 *
 * Returns: (transfer full): a table with the regions of @memory and this one. NULL with
 * GANTRY_ERROR_INVALID (overlap, size, offset, file too short), _LIMIT, or _SYSTEM.
 */
IoqMemory *ioq_memory_with(const IoqMemory *memory, const VuMemoryRegion *region, int fd,
                           GError **error);

/* Without the region of this guest address, user address and size; GANTRY_ERROR_NOT_FOUND. */
IoqMemory *ioq_memory_without(const IoqMemory *memory, const VuMemoryRegion *region,
                              GError **error);

guint ioq_memory_n_regions(const IoqMemory *memory);

/**
 * ioq_memory_guest:
 * @address: guest-physical
 * @length: wanted, > 0
 * @ret_length: how much of it is contiguous here, > 0
 *
 * Returns: where it is mapped, or NULL if nothing is. A range that spans regions takes one call for
 * each.
 */
gpointer ioq_memory_guest(const IoqMemory *memory, guint64 address, guint64 length,
                          guint64 *ret_length);

/* The same for an address of the front end's own address space, all of @length in one piece: what
 * ring addresses are. */
gpointer ioq_memory_user(const IoqMemory *memory, guint64 address, guint64 length);

/* Back from a mapped address to the guest's; FALSE if it is in no region. */
gboolean ioq_memory_guest_address(const IoqMemory *memory, gconstpointer pointer,
                                  guint64 *ret_address);

/* Handles SIGBUS of the whole process from now on. */
void ioq_memory_guard_install(void);

/* Whether any part of this table had to be replaced since it was mapped: the connection that it
 * came from should end. */
gboolean ioq_memory_is_damaged(const IoqMemory *memory);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoqMemory, ioq_memory_unref)
