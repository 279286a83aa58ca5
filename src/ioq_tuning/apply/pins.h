/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/spec.h"

/* An iothread that is to be pinned. */
typedef struct {
    guint iothread;
    char *cpus;
} IoqPin;

/**
 * ioq_pins_read:
 * @domain: as it runs
 *
 * The iothreads of the domain that are one device's own and are pinned to other CPUs than <tuning>
 * wants, or to none. How many iothreads there are, and what they serve, is as it is: a domain that
 * runs keeps that.
 *
 * Returns: (transfer full) (element-type IoqPin): NULL as ioq_targets_read().
 */
GPtrArray *ioq_pins_read(GantryXml *domain, const GantryElement *tuning, GError **error);
