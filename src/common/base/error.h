/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * GANTRY_ERROR:
 *
 * The error domain of src/common. A feature has a domain of its own where its callers act on more
 * than these codes. The message says what was wrong, with the value, and what to do about it; it is
 * translated and fit for an operator.
 */
#define GANTRY_ERROR (gantry_error_quark())

typedef enum {
    GANTRY_ERROR_INVALID,     /* input is malformed, unknown or out of range: mend it */
    GANTRY_ERROR_LIMIT,       /* input is larger or deeper than we accept */
    GANTRY_ERROR_CONFLICT,    /* two inputs, each valid, contradict each other */
    GANTRY_ERROR_NOT_FOUND,   /* what was asked for does not exist */
    GANTRY_ERROR_UNAVAILABLE, /* a peer (daemon, libvirtd, host) cannot be reached */
    GANTRY_ERROR_TIMEOUT,  /* a deadline passed; what was asked for may or may not have happened */
    GANTRY_ERROR_PROTOCOL, /* a peer answered something that is not its protocol */
    GANTRY_ERROR_REFUSED,  /* a peer, or policy, said no; the message is its reason */
    GANTRY_ERROR_SYSTEM,   /* a system call failed; the message holds strerror */
} GantryError;

GQuark gantry_error_quark(void);

/**
 * gantry_set_error_errno:
 * @error: where to put it, or NULL
 * @errno_value: an errno, positive
 * @format: what failed, as printf(3); ": " and the errno's text are added
 *
 * Sets GANTRY_ERROR_SYSTEM. ENOENT becomes GANTRY_ERROR_NOT_FOUND, ETIMEDOUT GANTRY_ERROR_TIMEOUT,
 * ECONNREFUSED GANTRY_ERROR_UNAVAILABLE, so that callers act on one code for one situation.
 */
void gantry_set_error_errno(GError **error, int errno_value, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
