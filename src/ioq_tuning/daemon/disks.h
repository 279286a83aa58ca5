/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#define IOQ_DISK_MAX_QUEUES 64U

/* One disk that a VM's settings let Gantry serve. */
typedef struct {
    char *target; /* "vda" */
    char *source; /* image, or an NBD server's socket */
    char *format; /* "raw", "qcow2", "nbd" */
    char *export; /* of the NBD server; NULL: its default */
    char *socket; /* that QEMU connects to */
    char *cpus;   /* NULL: all */
    gboolean read_only;
    guint queues_per_thread;
    guint n_queues; /* that QEMU has at most */
} IoqDisk;

void ioq_disk_free(gpointer disk);

/* Served from the image itself, not through an NBD server. */
gboolean ioq_disk_is_raw(const IoqDisk *disk);

/**
 * ioq_disks_read:
 * @settings: the effective <tuning> element, canonical, as the hook tells it
 * @domain: the domain's XML, as it will run
 *
 * Returns: (transfer full) (element-type IoqDisk): the <device>s with a source; empty if there are
 * none. NULL with GANTRY_ERROR_REFUSED where one cannot be served as it is asked for, in a sentence
 * for the operator; _INVALID where something is not XML.
 */
GPtrArray *ioq_disks_read(const char *settings, const char *domain, GError **error);

/* As JSON, for the state file. */
char *ioq_disks_format(const GPtrArray *disks);
GPtrArray *ioq_disks_parse(const char *text, GError **error);
