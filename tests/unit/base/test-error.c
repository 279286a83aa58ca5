/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/error.h"

#include <errno.h>

static void
test_errno(void)
{
    static const struct {
        int errno_value;
        int code;
    } cases[] = {{ENOENT, GANTRY_ERROR_NOT_FOUND},
                 {ETIMEDOUT, GANTRY_ERROR_TIMEOUT},
                 {ECONNREFUSED, GANTRY_ERROR_UNAVAILABLE},
                 {EACCES, GANTRY_ERROR_SYSTEM}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *expected =
            g_strdup_printf("Cannot read 7: %s", g_strerror(cases[i].errno_value));

        gantry_set_error_errno(&error, cases[i].errno_value, "Cannot read %d", 7);
        g_assert_error(error, GANTRY_ERROR, cases[i].code);
        g_assert_cmpstr(error->message, ==, expected);
    }
    gantry_set_error_errno(NULL, EACCES, "nobody asks");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/errno", test_errno);
    return g_test_run();
}
