/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/virt/connection.h"
#include "common/xml/settings.h"
#include "loadbalancer/state.h"

typedef struct {
    guint interval_msec; /* between the two samples that a load is made from */
    guint timeout_msec;  /* for each host, beyond the interval */
    const GantryExtension *const *extensions;
    const GantryPolicy *policy; /* (nullable); used by all hosts' threads, so never changed */
} LbCollectOptions;

/**
 * lb_collect:
 * @uris: NULL-terminated, each once
 *
 * Measures all hosts at once, each by itself: one that is slow, hung or away costs its own deadline
 * and is in the state as unreachable, with the reason.
 *
 * Returns: (transfer full): hosts in the order of @uris. NULL with GANTRY_ERROR_CONFLICT where two
 * URIs lead to the same host.
 */
LbState *lb_collect(const char *const *uris, const LbCollectOptions *options, GError **error);
