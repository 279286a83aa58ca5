/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/store/store.h"

/**
 * Memory of our own for requests whose memory a store cannot use as it is: what is not aligned for
 * O_DIRECT, or in pieces for NBD. A loop has a budget: what is over it waits its turn, so that a
 * guest cannot have the host's memory.
 */
#define IOQ_BOUNCE_CHUNK ((gsize)1 << 20) /* at most for one request */

/**
 * ioq_bounce_take:
 * @io: gets @bytes of memory in io->bytes, as aligned as O_DIRECT could ask for
 * @resume: called when @io has it, if it must wait
 *
 * Returns: whether it has it now.
 */
gboolean ioq_bounce_take(IoqIo *io, gsize bytes, void (*resume)(IoqIo *io));

/* Nothing happens where @io has none. Whoever waits may be resumed in this call. */
void ioq_bounce_give(IoqIo *io);

/* io->chunk bytes at io->transferred of the request's pieces, to io->bytes or from there. */
void ioq_bounce_copy_in(IoqIo *io);
void ioq_bounce_copy_out(IoqIo *io);
