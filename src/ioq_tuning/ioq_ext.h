/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/base/cpuset.h"
#include "common/xml/extension.h"

/* <tuning xmlns='urn:gantry:ioq:1'>: the domain's disks, their back end and its threads. */
extern const GantryExtension ioq_extension;

/* What is to become of a part of the domain's XML, for people. */
typedef struct {
    char *what;
    char *before;
    char *after;
} IoqChange;

typedef struct {
    const GantryCpuset *online; /* CPUs of the domain's host; NULL: not known */
    gboolean guest_runs; /* it must not see any change: no queue count may be written that its XML
                            does not say */
    GPtrArray *warnings; /* of char: sentences about what can be done, but is hardly meant, are
                            added to it; NULL: nobody wants them */
} IoqApplyOptions;

/**
 * ioq_apply:
 * @tuning: the effective <tuning> element
 * @edit: of @domain; untouched on failure
 * @ret_changes: (element-type IoqChange) (transfer full): empty where the XML is as the settings
 * say already
 * @ret_left: (element-type utf8) (transfer full): sentences about what is left as it is, and why
 *
 * Turns the settings of the disks that QEMU itself serves into libvirt's iothreads: ceil(queues /
 * queues-per-thread) of them for each device, its queues' mapping to them, and their CPUs. Done
 * again on the result, nothing changes.
 *
 * A device's own iothreads are those that it alone names: they are used again, and those that it
 * needs no more are removed. What else it needs are new ones. Those of other devices, and those
 * that nobody names, are not touched.
 *
 * Returns: FALSE with GANTRY_ERROR_NOT_FOUND, _REFUSED, _CONFLICT, _INVALID or _LIMIT, in a
 * sentence for the operator.
 */
gboolean ioq_apply(GantryXml *domain, const GantryElement *tuning, const IoqApplyOptions *options,
                   GantryXmlEdit *edit, GPtrArray **ret_changes, GPtrArray **ret_left,
                   GError **error);
