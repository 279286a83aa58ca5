/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* A daemon that some extension needs, and whether it answers. */
typedef struct {
    const char *name; /* "ioqd" */
    char *socket;
    gboolean listening;
    gboolean installed; /* its program is on this host */
    char *problem;      /* why it is not listening; NULL if it is */
} CliDaemon;

/* Asks every daemon that a listed extension names. (transfer full) (element-type CliDaemon) */
GPtrArray *cli_daemons_probe(guint timeout_msec);
