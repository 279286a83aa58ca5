/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * sandbox_enter:
 * @uid, @gid: to become; 0: stay who we are
 *
 * For good, and for all threads that are made from now on: no privileges and none to be had again,
 * no file that is not open by now (Landlock, which io_uring does not get round), and only the
 * system calls that serving disks takes (seccomp); others fail with EPERM. What the kernel has not,
 * as Landlock before Linux 5.13, is left out, with a line in the log. Call it while there is one
 * thread.
 */
gboolean sandbox_enter(guint uid, guint gid, GError **error);
