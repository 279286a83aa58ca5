/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/base/cpuset.h"
#include "common/xml/spec.h"

/* The domain's <disk> with this <target dev>; NULL if it has none. */
const xmlNode *ioq_domain_disk(GantryXml *domain, const char *target);

/* Each has a preset of its own in <tuning>. */
typedef enum {
    IOQ_DEVICE_VHOST_USER,
    IOQ_DEVICE_BLK,
    IOQ_DEVICE_SCSI,
} IoqDeviceType;

/* How many queues a thread of @device (nullable: one that <tuning> does not name) serves: what it
 * says, or the preset of its type, or the preset of all, or 1. */
guint ioq_queues_per_thread(const GantryElement *tuning, const GantryElement *device,
                            IoqDeviceType type);

/* How many queues a device of the domain with this <driver> (nullable) has: what it says, or what
 * QEMU gives it by itself, one for each CPU at the start. 0: what it says is not possible. */
guint ioq_driver_queues(GantryXml *domain, const xmlNode *driver);

/* A virtio device whose queues are to be served by iothreads of its own. */
typedef struct {
    char *name;            /* for messages: "disk 'vda'", "disk 'sda' (scsi controller 0)" */
    const xmlNode *device; /* that has the queues: a <disk>, or a virtio-scsi <controller> */
    const xmlNode *driver; /* NULL: it has none */
    IoqDeviceType type;
    guint queues_per_thread;
    char *cpus; /* NULL: not said */
    guint n_queues;
    gboolean says_queues; /* its XML says how many queues it has */
} IoqTarget;

/* Whether all of @cpus (nullable: not said) are among @online (nullable: not known). FALSE with
 * GANTRY_ERROR_REFUSED; @name: of the disk, for the message. */
gboolean ioq_cpus_are_online(const char *name, const char *cpus, const GantryCpuset *online,
                             GError **error);

void ioq_target_free(gpointer target);

/**
 * ioq_targets_read:
 *
 * Finds the devices that <tuning> is about and that QEMU itself serves: those of <device>s without
 * a source, and, where <tuning> has a preset for them, all virtio disks and virtio-scsi controllers
 * that no <device> names.
 *
 * Returns: (transfer full) (element-type IoqTarget): NULL with GANTRY_ERROR_NOT_FOUND (there is no
 * such disk), _REFUSED (it cannot have iothreads), _CONFLICT (two <device>s want different things
 * of one controller), or _INVALID, in a sentence for the operator.
 */
GPtrArray *ioq_targets_read(GantryXml *domain, const GantryElement *tuning, GError **error);
