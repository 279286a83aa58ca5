/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmsnap/standby_ext.h"

#include "common/base/i18n.h"

static const char *const ready_signs[] = {"channel", "agent", "notify", "io-quiet", NULL};

static const GantryField fields[] = {
    {.name = "required",
     .type = GANTRY_FIELD_BOOL,
     .fallback = "no",
     .summary = N_("Refuse the start when the daemon cannot be reached")},
    {.name = "host",
     .type = GANTRY_FIELD_NAME,
     .fallback = "auto",
     .summary = N_("Host of the standby; 'auto': chosen by load")},
    {.name = "disks",
     .type = GANTRY_FIELD_NAMES,
     .summary = N_("Disks that the standby boots from snapshots of, as vda")},
    {.name = "refresh",
     .type = GANTRY_FIELD_UINT,
     .fallback = "3600",
     .min = 60,
     .max = 604800,
     .unit = "s",
     .summary = N_("Time between two snapshots")},
    {.name = "ready",
     .type = GANTRY_FIELD_CHOICE,
     .choices = ready_signs,
     .summary = N_("What tells that the standby's operating system is up")},
    {.name = "fence",
     .type = GANTRY_FIELD_NAME,
     .summary = N_("Fence agent of the first domain's host, where libvirt cannot stop it")},
    {.name = "data-disks",
     .type = GANTRY_FIELD_NAMES,
     .summary = N_("Disks that are handed over, not snapshot")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec root = {.name = "standby", .fields = fields};

const GantryExtension snap_standby_extension = {
    .feature = "standby",
    .uri = "urn:gantry:standby:1",
    .root = &root,
    .daemon = "standbyd",
};
