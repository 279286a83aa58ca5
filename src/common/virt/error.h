/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/virterror.h>

/**
 * GANTRY_VIRT_ERROR:
 *
 * What libvirt itself reported; the code is its virErrorNumber, e.g. VIR_ERR_NO_DOMAIN. That a
 * connection is down or a deadline passed is GANTRY_ERROR_UNAVAILABLE or _TIMEOUT instead.
 */
#define GANTRY_VIRT_ERROR (gantry_virt_error_quark())

GQuark gantry_virt_error_quark(void);

/**
 * gantry_virt_set_error:
 * @error: (GError **): where to put it, or NULL
 * @...: what failed, as printf(3); ": " and libvirt's text are added
 *
 * Takes over this thread's last libvirt error, on the line after the call that failed. A macro,
 * since the error must be saved before the arguments are evaluated: even virDomainGetName() resets
 * it.
 */
#define gantry_virt_set_error(error, ...) \
    do { \
        virErrorPtr saved_error = virSaveLastError(); \
\
        gantry_virt_take_error((error), saved_error, __VA_ARGS__); \
    } while (0)

/* For the macro; frees @saved_error. */
void gantry_virt_take_error(GError **error, virErrorPtr saved_error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* This thread's last libvirt error as text; never NULL. */
const char *gantry_virt_last_error_text(void);
