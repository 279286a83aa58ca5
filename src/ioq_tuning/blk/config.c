/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/virtio_blk.h>
#include <string.h>

#include "ioq_tuning/blk/blk.h"

#define SECTOR       512
#define CONFIG_BYTES 256 /* newer front ends know of more members than we do: those are zero */

/* Not CONFIG_WCE: a front end does not say again, to the back end after this one, that its guest
 * has switched write-back off. */
guint64
ioq_blk_features(const IoqBlk *blk)
{
    guint64 features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
                       1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_TOPOLOGY;

    if (blk->n_queues > 1) {
        features |= 1ULL << VIRTIO_BLK_F_MQ;
    }
    if (blk->store->read_only) {
        features |= 1ULL << VIRTIO_BLK_F_RO;
    } else if (blk->store->can_unmap) {
        features |= 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
    }
    return features;
}

static void
fill(const IoqBlk *blk, struct virtio_blk_config *config)
{
    guint32 sectors_per_block = blk->store->block_size / SECTOR;

    memset(config, 0, sizeof(*config));
    config->capacity = ioq_store_size(blk->store) / SECTOR;
    /* Header and status take two places of a chain. */
    config->seg_max = MIN(blk->queue_size, IOQ_CHAIN_MAX_IOV / 2) - 2U;
    config->blk_size = blk->store->block_size;
    config->min_io_size = (guint16)sectors_per_block;
    config->opt_io_size = 0;
    config->wce = 1;
    config->num_queues = blk->n_queues;
    config->max_discard_sectors = IOQ_BLK_MAX_UNMAP_SECTORS;
    config->max_discard_seg = 1;
    config->discard_sector_alignment = sectors_per_block;
    config->max_write_zeroes_sectors = IOQ_BLK_MAX_UNMAP_SECTORS;
    config->max_write_zeroes_seg = 1;
    config->write_zeroes_may_unmap = 1;
}

gboolean
ioq_blk_config_read(const IoqBlk *blk, guint32 offset, guint32 length, guint8 *bytes)
{
    union {
        struct virtio_blk_config config;
        guint8 bytes[CONFIG_BYTES];
    } space = {{0}};

    if (offset > sizeof(space) || length > sizeof(space) - offset) {
        return FALSE;
    }
    fill(blk, &space.config);
    memcpy(bytes, space.bytes + offset, length);
    return TRUE;
}
