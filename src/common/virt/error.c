/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/error.h"

#include <stdarg.h>

G_DEFINE_QUARK(gantry - virt - error - quark, gantry_virt_error)

void
gantry_virt_take_error(GError **error, virErrorPtr saved_error, const char *format, ...)
{
    g_autofree char *what = NULL;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    text = g_strdup(saved_error && saved_error->message ? saved_error->message : "unknown error");
    g_set_error(error, GANTRY_VIRT_ERROR,
                saved_error && saved_error->code ? saved_error->code : VIR_ERR_INTERNAL_ERROR,
                "%s: %s", what, g_strchomp(text)); /* a hook's own words end with a newline */
    virFreeError(saved_error);
}

const char *
gantry_virt_last_error_text(void)
{
    const char *text = virGetLastErrorMessage();

    return text ? text : "unknown error";
}
