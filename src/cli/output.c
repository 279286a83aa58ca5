/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
cli_report_error(const char *command, GError **error, int exit_status)
{
    fprintf(stderr, "gantry %s: %s\n", command, (*error)->message);
    g_clear_error(error);
    return exit_status;
}

void
cli_print_json(JsonNode *root)
{
    g_autofree char *text = json_to_string(root, TRUE);

    puts(text);
    json_node_unref(root);
}

gboolean
cli_is_fancy(void)
{
    const char *term = g_getenv("TERM");

    return isatty(STDOUT_FILENO) && term && !g_str_equal(term, "dumb") && !g_getenv("NO_COLOR");
}
