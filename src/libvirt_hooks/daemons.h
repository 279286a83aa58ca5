/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/settings.h"
#include "libvirt_hooks/operation.h"

/* One run of the hook, as daemons are told of it. */
typedef struct {
    const HookOperation *operation;
    const char *extra; /* libvirt's fourth argument */
    const GantryDomainIdentity *identity;
    GantryXml *domain;              /* as it will run here: after the rewrites */
    const GantrySettings *settings; /* NULL: they could not be made out */
    const GantryExtension *const *extensions;
    const char *run_dir;
    guint call_timeout_msec;
    gint64 deadline_usec; /* of all calls together, g_get_monotonic_time() */
} HookCall;

/**
 * hook_daemons_call:
 * @report: for the log: "DAEMON/FEATURE=OUTCOME" words are appended
 *
 * Tells the daemon of each feature that is on (of every feature, where the operation tells all and
 * the daemon is there). A daemon's refusal, or a required daemon's failure, is an error where the
 * operation may refuse; the calls after it are not made. All else is logged.
 *
 * Returns: FALSE with GANTRY_ERROR_REFUSED: the daemon's own words, or which daemon is required and
 * what is wrong with it.
 */
gboolean hook_daemons_call(const HookCall *call, GString *report, GError **error);
