/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/store/bounce.h"

#include <string.h>

#define ALIGNMENT 4096U
#define BUDGET    ((gsize)8 << 20) /* of a loop */

static void
take(IoqBounceBudget *budget, IoqIo *io)
{
    io->bytes = g_aligned_alloc(1, io->bounce_bytes, ALIGNMENT);
    budget->used += io->bounce_bytes;
}

static gboolean
fits(const IoqBounceBudget *budget, const IoqIo *io)
{
    return budget->used + io->bounce_bytes <= BUDGET;
}

gboolean
ioq_bounce_take(IoqIo *io, gsize bytes, void (*resume)(IoqIo *io))
{
    IoqBounceBudget *budget = ioq_loop_bounce_budget(io->loop);

    io->bounce_bytes = bytes;
    io->resume = resume;
    io->next = NULL;
    /* Nobody overtakes: a large one would wait for ever. */
    if (!budget->first && fits(budget, io)) {
        take(budget, io);
        return TRUE;
    }
    if (budget->last) {
        budget->last->next = io;
    } else {
        budget->first = io;
    }
    budget->last = io;
    return FALSE;
}

void
ioq_bounce_give(IoqIo *io)
{
    IoqBounceBudget *budget = ioq_loop_bounce_budget(io->loop);

    if (!io->bytes) {
        return;
    }
    g_aligned_free(io->bytes);
    io->bytes = NULL;
    budget->used -= io->bounce_bytes;
    while (budget->first && fits(budget, budget->first)) {
        IoqIo *next = budget->first;

        budget->first = next->next;
        if (!budget->first) {
            budget->last = NULL;
        }
        take(budget, next);
        next->resume(next);
    }
}

static void
copy(const IoqIo *io, gboolean out)
{
    char *bytes = io->bytes;
    guint64 skip = io->transferred;
    guint64 rest = io->chunk;

    for (guint i = 0; i < io->n_iov && rest > 0; i++) {
        const struct iovec *piece = &io->iov[i];
        gsize step;

        if (skip >= piece->iov_len) {
            skip -= piece->iov_len;
            continue;
        }
        step = (gsize)MIN(piece->iov_len - skip, rest);
        if (out) {
            memcpy((char *)piece->iov_base + skip, bytes, step);
        } else {
            memcpy(bytes, (char *)piece->iov_base + skip, step);
        }
        skip = 0;
        bytes += step;
        rest -= step;
    }
}

void
ioq_bounce_copy_in(IoqIo *io)
{
    copy(io, FALSE);
}

void
ioq_bounce_copy_out(IoqIo *io)
{
    copy(io, TRUE);
}
