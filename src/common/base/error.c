/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/error.h"

#include <errno.h>

G_DEFINE_QUARK(gantry - error - quark, gantry_error)

static GantryError
code_for_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
        return GANTRY_ERROR_NOT_FOUND;
    case ETIMEDOUT:
        return GANTRY_ERROR_TIMEOUT;
    case ECONNREFUSED:
        return GANTRY_ERROR_UNAVAILABLE;
    default:
        return GANTRY_ERROR_SYSTEM;
    }
}

void
gantry_set_error_errno(GError **error, int errno_value, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, GANTRY_ERROR, code_for_errno(errno_value), "%s: %s", what,
                g_strerror(errno_value));
}
