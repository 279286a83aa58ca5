/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <fcntl.h>
#include <glib.h>

/*
 * Whether the file can never become shorter. Front ends seal what they share but the guest's memory
 * (QEMU, libblkio, and what GET_INFLIGHT_FD gives), so that no access of ours ends in SIGBUS.
 */
static inline gboolean
vu_cannot_shrink(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK);
}
