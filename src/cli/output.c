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

void
cli_json_string(JsonBuilder *builder, const char *member, const char *value)
{
    json_builder_set_member_name(builder, member);
    if (value) {
        json_builder_add_string_value(builder, value);
    } else {
        json_builder_add_null_value(builder);
    }
}

void
cli_json_bool(JsonBuilder *builder, const char *member, gboolean value)
{
    json_builder_set_member_name(builder, member);
    json_builder_add_boolean_value(builder, value);
}

void
cli_json_begin_array(JsonBuilder *builder, const char *member)
{
    json_builder_set_member_name(builder, member);
    json_builder_begin_array(builder);
}

gboolean
cli_is_fancy(void)
{
    const char *term = g_getenv("TERM");

    return isatty(STDOUT_FILENO) && term && !g_str_equal(term, "dumb") && !g_getenv("NO_COLOR");
}

char *
cli_padded(const char *text, int width)
{
    GString *out = g_string_new(NULL);
    int columns = 0;

    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        int own = g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;

        g_string_append_unichar(out, c);
        columns += own;
    }
    for (; columns < width; columns++) {
        g_string_append_c(out, ' ');
    }
    return g_string_free(out, FALSE);
}

char *
cli_bar(double share, int width)
{
    int full = (int)(CLAMP(share, 0.0, 1.0) * width + 0.5);
    GString *text = g_string_new(NULL);

    for (int i = 0; i < width; i++) {
        g_string_append_c(text, i < full ? '#' : '.');
    }
    return g_string_free(text, FALSE);
}
