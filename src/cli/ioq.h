/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

/* What cli_ioq_options[] fills. */
typedef struct {
    char *socket;
    char *connect;
    char *policy_dir;
    guint64 timeout_msec;
    gboolean dry_run;
    gboolean json;
} CliIoqOptions;

/* Each returns the exit status. */
int cli_ioq_apply(const CliIoqOptions *options, const char *domain);
