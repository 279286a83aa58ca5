/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request is a header that we read, data, and a status byte that we write. How they are cut into
 * descriptors is the driver's affair (virtio 1.2, 2.6.4), so the header is gathered from the pieces
 * to be read, and the status is the last byte of those to be written.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "ioq_tuning/blk/blk.h"

#define SECTOR 512

/* Takes @length bytes off the front of @iov. FALSE if they are not there. */
static gboolean
take_front(struct iovec **iov, guint *n_iov, gpointer bytes, gsize length)
{
    gsize done = 0;

    while (done<length && * n_iov> 0) {
        gsize step = MIN(length - done, (*iov)->iov_len);

        memcpy((char *)bytes + done, (*iov)->iov_base, step);
        done += step;
        (*iov)->iov_base = (char *)(*iov)->iov_base + step;
        (*iov)->iov_len -= step;
        if ((*iov)->iov_len == 0) {
            (*iov)++;
            (*n_iov)--;
        }
    }
    return done == length;
}

static guint64
total(const struct iovec *iov, guint n_iov)
{
    guint64 sum = 0;

    for (guint i = 0; i < n_iov; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

static void
finish(IoqRequest *request, guint8 status)
{
    __atomic_store_n(request->status, status, __ATOMIC_RELAXED);
    request->done(request);
}

static void
io_done(IoqIo *io, int result)
{
    IoqRequest *request = (IoqRequest *)(gpointer)((char *)io - G_STRUCT_OFFSET(IoqRequest, io));

    request->error = -result;
    finish(request, result == 0             ? VIRTIO_BLK_S_OK
                    : result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP
                                            : VIRTIO_BLK_S_IOERR);
}

/* Whole sectors, and on the disk. */
static gboolean
set_range(const IoqBlk *blk, IoqIo *io, guint64 sector, guint64 length)
{
    guint64 size = ioq_store_size(blk->store);

    if (length % SECTOR != 0 || sector > size / SECTOR || length > size - sector * SECTOR) {
        return FALSE;
    }
    io->offset = sector * SECTOR;
    io->length = length;
    return TRUE;
}

static guint8
prepare_unmap(const IoqBlk *blk, IoqIo *io, struct iovec *out, guint n_out)
{
    struct virtio_blk_discard_write_zeroes segment = {0};
    gboolean zeroes = io->kind == IOQ_IO_WRITE_ZEROES;

    if (!blk->store->can_unmap || total(out, n_out) != sizeof(segment)) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    take_front(&out, &n_out, &segment, sizeof(segment));
    if (segment.flags & ~(zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0U)) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    io->may_unmap = segment.flags != 0;
    return segment.num_sectors <= IOQ_BLK_MAX_UNMAP_SECTORS &&
                   set_range(blk, io, segment.sector, (guint64)segment.num_sectors * SECTOR)
               ? VIRTIO_BLK_S_OK
               : VIRTIO_BLK_S_IOERR;
}

/* Fills in what the header asks for. Returns: a status; OK means that the I/O is to be done. */
static guint8
prepare(IoqBlk *blk, IoqIo *io, const struct virtio_blk_outhdr *header, struct iovec *out,
        guint n_out, struct iovec *in, guint n_in)
{
    io->durable = !g_atomic_int_get(&blk->write_back);
    switch (header->type & ~VIRTIO_BLK_T_BARRIER) {
    case VIRTIO_BLK_T_IN:
        io->kind = IOQ_IO_READ;
        io->iov = in;
        io->n_iov = n_in;
        return set_range(blk, io, header->sector, total(in, n_in)) ? VIRTIO_BLK_S_OK
                                                                   : VIRTIO_BLK_S_IOERR;
    case VIRTIO_BLK_T_OUT:
        io->kind = IOQ_IO_WRITE;
        io->iov = out;
        io->n_iov = n_out;
        return !blk->store->read_only && set_range(blk, io, header->sector, total(out, n_out))
                   ? VIRTIO_BLK_S_OK
                   : VIRTIO_BLK_S_IOERR;
    case VIRTIO_BLK_T_FLUSH:
        io->kind = IOQ_IO_FLUSH;
        return VIRTIO_BLK_S_OK;
    case VIRTIO_BLK_T_DISCARD:
        io->kind = IOQ_IO_DISCARD;
        return prepare_unmap(blk, io, out, n_out);
    case VIRTIO_BLK_T_WRITE_ZEROES:
        io->kind = IOQ_IO_WRITE_ZEROES;
        return prepare_unmap(blk, io, out, n_out);
    default:
        return VIRTIO_BLK_S_UNSUPP;
    }
}

static void
copy_id(const IoqBlk *blk, struct iovec *in, guint n_in)
{
    gsize done = 0;

    for (guint i = 0; i < n_in && done < sizeof(blk->id); i++) {
        gsize step = MIN(in[i].iov_len, sizeof(blk->id) - done);

        memcpy(in[i].iov_base, blk->id + done, step);
        done += step;
    }
}

gboolean
ioq_blk_start(IoqBlk *blk, IoqLoop *loop, IoqRequest *request, void (*done)(IoqRequest *request),
              GError **error)
{
    IoqChain *chain = &request->chain;
    struct iovec *out = chain->iov;
    guint n_out = chain->n_out;
    struct iovec *in = chain->iov + chain->n_out;
    guint n_in = chain->n_in;
    struct virtio_blk_outhdr header = {0};
    guint8 status;

    request->done = done;
    request->error = 0;
    request->io = (IoqIo){.done = io_done};
    if (n_in == 0 || in[n_in - 1].iov_len == 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a request without a place for its status"));
        return FALSE;
    }
    request->written = (guint32)MIN(total(in, n_in), G_MAXUINT32);
    in[n_in - 1].iov_len--;
    request->status = (guint8 *)in[n_in - 1].iov_base + in[n_in - 1].iov_len;
    n_in -= in[n_in - 1].iov_len == 0;
    if (!take_front(&out, &n_out, &header, sizeof(header))) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a request without a whole header"));
        return FALSE;
    }
    if (header.type == VIRTIO_BLK_T_GET_ID) {
        copy_id(blk, in, n_in);
        finish(request, VIRTIO_BLK_S_OK);
        return TRUE;
    }
    status = prepare(blk, &request->io, &header, out, n_out, in, n_in);
    if (status != VIRTIO_BLK_S_OK) {
        finish(request, status);
    } else {
        ioq_store_submit(blk->store, loop, &request->io);
    }
    return TRUE;
}
