/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* What a check found: for `gantry check`. */
typedef enum {
    CLI_FINDING_OK,
    CLI_FINDING_NOTE, /* worth knowing, nothing to do */
    CLI_FINDING_WARN, /* works, but not as well as it could */
    CLI_FINDING_FAIL, /* something does not work until it is mended */
} CliSeverity;

typedef struct {
    const char *check; /* stable name, for --json and scripts: "hook-installed" */
    CliSeverity severity;
    char *text;   /* what was found, with the value */
    char *remedy; /* what to do; NULL where there is nothing to do */
} CliFinding;

/* A list of findings; (element-type CliFinding). */
GPtrArray *cli_findings_new(void);

void cli_findings_add(GPtrArray *findings, const char *check, CliSeverity severity,
                      const char *remedy, const char *format, ...) G_GNUC_PRINTF(5, 6);

/* The gravest severity in the list; CLI_FINDING_OK where it is empty. */
CliSeverity cli_findings_worst(const GPtrArray *findings);

void cli_findings_print(const GPtrArray *findings);
void cli_findings_print_json(const GPtrArray *findings);
