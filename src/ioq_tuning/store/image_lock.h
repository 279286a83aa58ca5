/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Locks against two users of one image: those that QEMU takes (its block/file-posix.c), so that
 * QEMU, qemu-img and we keep out each other, on one host and on those that share a file system with
 * locks. They are read locks on bytes of the file: byte 100 + p says that its holder has permission
 * p, byte 200 + p that he lets nobody else have it. Who wants p sets his own marks first, and then
 * looks whether there is somebody else's contrary one. They belong to the open file, not to the
 * process: a worker that dies does not give them up while gantry-ioqd keeps the file open for the
 * next one.
 *
 * @name: for messages. All return FALSE with GANTRY_ERROR_REFUSED where somebody else is there.
 */
gboolean ioq_image_lock(int fd, const char *name, gboolean writes, GError **error);
void ioq_image_unlock(int fd);

/* Whether anybody has the image open for writing, as far as locks reach. */
gboolean ioq_image_is_in_use(int fd);

/**
 * ioq_image_fence:
 * @fd: of a file that no other process has open in this way; all requests go by it
 *
 * The kernel ends a process without waiting for what it has on its way to storage by O_DIRECT; such
 * a write may come when a newer one is there already. What is on its way keeps the open file, and
 * that this lock: as long as anything of an earlier back end can still come, it cannot be had.
 */
gboolean ioq_image_fence(int fd, const char *name, GError **error);
void ioq_image_open_fence(int fd);
