/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * Pins iothreads of domains that run, by libvirt. It has a thread of its own, since libvirt makes
 * whoever asks wait for the hook that is asking us.
 */
typedef struct IoqPinner IoqPinner;

IoqPinner *ioq_pinner_new(const char *uri); /* connects when there is first something to pin */

/* At the program's end: drops what is not begun yet, and waits for nothing; so nothing is freed
 * that its thread may be using. */
void ioq_pinner_end(IoqPinner *pinner);

/**
 * ioq_pinner_look:
 * @settings: the effective <tuning> element, as the hook tells it
 * @domain: the domain's XML, as it runs
 *
 * Finds out which of its iothreads are not on the CPUs that its settings want, and sees to it, some
 * time later: what comes of that is logged.
 *
 * Returns: FALSE as ioq_pins_read(), or GANTRY_ERROR_INVALID where something is not XML.
 */
gboolean ioq_pinner_look(IoqPinner *pinner, const char *uuid, const char *name,
                         const char *settings, const char *domain, GError **error);
