/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A disk on a small file or on the null store, and requests as a driver lays them out. */
#include <linux/virtio_blk.h>
#include <string.h>

#include "common/base/error.h"
#include "ioq_tuning/blk/blk.h"

#define SECTOR    512U
#define SECTORS   64U
#define NO_STATUS 0xaa

typedef struct {
    char *root;
    char *path;
    IoqLoop *loop;
    IoqBlk blk;
} Disk;

/* One request, as pieces that the caller cuts. */
typedef struct {
    IoqRequest request;
    struct iovec iov[16];
    gboolean done;
} Request;

void disk_open(Disk *disk, IoqStore *store);
IoqStore *disk_file_store(Disk *disk, gsize bytes, gboolean read_only);
void disk_set_up(Disk *disk, gconstpointer data);
void disk_set_up_read_only(Disk *disk, gconstpointer data);
void disk_set_up_null(Disk *disk, gconstpointer data);
void disk_tear_down(Disk *disk, gconstpointer data);
void request_add(Request *r, gboolean is_in, gpointer base, gsize length);
void request_run(Disk *disk, Request *r);
guint8 disk_do(Disk *disk, guint32 type, guint64 sector, gboolean is_in, gpointer data,
               gsize length);
void disk_assert(Disk *disk, gsize offset, char letter, gsize length);
void request_done(IoqRequest *request); /* of a Request */
