/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/error.h"

#include <stdarg.h>

G_DEFINE_QUARK(gantry - virt - error - quark, gantry_virt_error)

void
gantry_virt_set_error(GError **error, const char *format, ...)
{
    int code = virGetLastErrorCode();
    g_autofree char *what = NULL;
    va_list args;

    if (!error) {
        return;
    }
    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, GANTRY_VIRT_ERROR, code != VIR_ERR_OK ? code : VIR_ERR_INTERNAL_ERROR,
                "%s: %s", what, gantry_virt_last_error_text());
}

const char *
gantry_virt_last_error_text(void)
{
    const char *text = virGetLastErrorMessage();

    return text ? text : "unknown error";
}
