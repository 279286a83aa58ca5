/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmsnap/standby_ext.h"

#include "common/base/error.h"
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

/* A disk is either booted from a snapshot or handed over. */
static gboolean
validate(const GantryElement *element, const char *where, GError **error)
{
    const char *data_disks = gantry_element_string(element, "data-disks");
    const char *disks = gantry_element_string(element, "disks");
    g_auto(GStrv) handed_over = g_strsplit(data_disks ? data_disks : "", ",", -1);
    g_auto(GStrv) snapshot = g_strsplit(disks ? disks : "", ",", -1);

    for (char **disk = handed_over; *disk; disk++) {
        if (g_strv_contains((const char *const *)snapshot, *disk)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: disk '%2$s' stands in both 'disks' and 'data-disks'"), where,
                        *disk);
            return FALSE;
        }
    }
    return TRUE;
}

const GantryExtension snap_standby_extension = {
    .feature = "standby",
    .uri = "urn:gantry:standby:1",
    .root = &root,
    .daemon = "standbyd",
    .validate = validate,
};
