/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/virt/connection.h"
#include "common/xml/settings.h"
#include "loadbalancer/model/state.h"

/**
 * Measures hosts, all at once, each by itself: one that is slow, hung or away costs nobody more
 * than its own deadline. Keeps a connection to each.
 */
typedef struct LbCollector LbCollector;

/* @uris: NULL-terminated. */
LbCollector *lb_collector_new(const char *const *uris);
void lb_collector_free(LbCollector *collector);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbCollector, lb_collector_free)

/**
 * lb_collector_sample:
 * @timeout_msec: for each host
 * @with_xml: ask for the domains' XML as well, which takes a call for each of them, and for all of
 *   a host at most @timeout_msec again
 *
 * Takes a sample of each host and keeps it with the one before. What fails is kept as the reason
 * why the host has no fresh numbers. A domain whose XML does not come in time has none.
 */
void lb_collector_sample(LbCollector *collector, guint timeout_msec, gboolean with_xml);

/**
 * lb_collector_state:
 * @policy: (nullable)
 *
 * From each host's last two samples: hosts in the order of the URIs. A host whose last sample
 * failed is stale; one that has no two samples is unreachable; both have the reason. Settings come
 * from the last sample, which must have been taken with XML.
 *
 * Returns: (transfer full): NULL with GANTRY_ERROR_CONFLICT where two URIs lead to the same host.
 */
LbState *lb_collector_state(LbCollector *collector, const GantryExtension *const *extensions,
                            const GantryPolicy *policy, GError **error);

/* The host name in @uri, or NULL for a local one: can another host reach it? (transfer full) */
char *lb_uri_server(const char *uri);
