/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

#define CLI_IOQ_MAX_QUEUES 64 /* as gantry-ioqd offers */

/* What cli_ioq_options[] fills. */
typedef struct {
    char *socket;
    char *connect;
    char *policy_dir;
    guint64 timeout_msec;
    gboolean dry_run;
    char *target;
    char *image;
    gboolean null;
    guint64 n_queues; /* 0: as the domain's disk */
    guint64 depth;
    guint64 time_msec;
    char *plot;
    char *worker;
    gboolean json;
} CliIoqOptions;

/* Each returns the exit status. */
int cli_ioq_apply(const CliIoqOptions *options, const char *domain);
int cli_ioq_tune(const CliIoqOptions *options, const char *domain); /* @domain: may be NULL */
