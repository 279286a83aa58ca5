/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * IoqPlace: where a disk's socket is. What stands at its path is taken away again only if it is
 * what was put there: by us, or by a gantry-ioqd before us.
 */
typedef struct {
    int fd;         /* that listens; -1: none here */
    gboolean bound; /* the two below are known */
    dev_t dev;
    ino_t ino;
} IoqPlace;

#define IOQ_PLACE_NONE \
    { \
        .fd = -1 \
    }

/* Listens at @path, in a folder that is made where it is below /run. FALSE with
 * GANTRY_ERROR_REFUSED where others than root may change what is on the way to it. */
gboolean ioq_place_listen(IoqPlace *place, const char *path, uid_t owner, GError **error);

/* By whatever name. */
gboolean ioq_place_is(const IoqPlace *place, const char *path);

/* Nobody can connect any more; the path stays. */
void ioq_place_close(IoqPlace *place);

/* The path goes as well. */
void ioq_place_remove(IoqPlace *place, const char *path);
