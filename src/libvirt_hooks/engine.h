/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"
#include "libvirt_hooks/hook_config.h"
#include "libvirt_hooks/operation.h"
#include "libvirt_hooks/paths.h"

/* What one run of the hook is about. */
typedef struct {
    const HookPaths *paths;
    const HookConfig *config;
    const GantryExtension *const *extensions;
    const HookOperation *operation;
    const char *domain_name; /* libvirt's first argument: for the log, until the XML is read */
    const char *extra;       /* its fourth */
    const char *xml;
    gsize n_xml;
    gint64
        start_usec; /* g_get_monotonic_time() when the run began: the deadline counts from here */
} HookRun;

/**
 * hook_run:
 * @ret_output: (out) (nullable): the new XML, or NULL where it stays as it is
 * @ret_report: (out): one line for the log
 *
 * Returns: FALSE, with the reason in @error, where the operation is to be refused; only operations
 * that may refuse ever do. What else is wrong is logged.
 */
gboolean hook_run(const HookRun *run, char **ret_output, gsize *ret_n_output, char **ret_report,
                  GError **error);

/* All of gantry-hook-engine but its paths. Returns one of HOOK_EXIT_*. */
int hook_engine_main(const HookPaths *paths, int argc, char **argv);
