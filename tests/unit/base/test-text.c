/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/text.h"

#include <string.h>

static void
test_printable(void)
{
    static const struct {
        const char *text;
        const char *printable;
    } cases[] = {
        {"", ""},
        {"web-1", "web-1"},
        {"b\xc3\xbc"
         "cher \xe6\x9c\x8d\xe5\x8a\xa1",
         "b\xc3\xbc"
         "cher \xe6\x9c\x8d\xe5\x8a\xa1"},
        {"a\nb\tc", "a\\x0ab\\x09c"},
        {"\033[2J", "\\x1b[2J"},
        {"a\\b", "a\\x5cb"},
        {"\xff"
         "a\xc3",
         "\\xffa\\xc3"},
        {"\xe2\x80\xae"
         "evil",
         "\\u{202e}evil"}, /* right-to-left override */
        {"a\xe2\x80\xa8"
         "b",
         "a\\u{2028}b"}, /* line separator */
        {"\xc2\x9b"
         "2J",
         "\\u{009b}2J"}, /* CSI in eight bits */
        {"\x7f", "\\x7f"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *printable = gantry_printable(cases[i].text);

        g_assert_cmpstr(printable, ==, cases[i].printable);
    }
}

static void
test_long_names_are_cut(void)
{
    g_autofree char *fits = g_strnfill(1024, 'x');
    g_autofree char *longer = g_strnfill(100000, 'x');
    g_autofree char *same = gantry_printable(fits);
    g_autofree char *cut = gantry_printable(longer);

    g_assert_cmpstr(same, ==, fits);
    g_assert_cmpuint(strlen(cut), ==, 1027);
    g_assert_true(g_str_has_suffix(cut, "x..."));
}

/* A text may have been through one of the functions already. */
static void
test_excerpt_keeps_backslashes(void)
{
    g_autofree char *once = gantry_excerpt("a\\b\n");
    g_autofree char *twice = gantry_excerpt(once);

    g_assert_cmpstr(once, ==, "a\\b\\x0a");
    g_assert_cmpstr(twice, ==, once);
}

static void
test_excerpts_are_cut(void)
{
    static const char *const characters[] = {"x", "ü", "🙂", "\n"};

    for (guint i = 0; i < G_N_ELEMENTS(characters); i++) {
        GString *text = g_string_new(NULL);
        g_autofree char *fits = NULL;
        g_autofree char *cut = NULL;
        g_autofree char *huge = NULL;

        for (guint n = 0; n < 160; n++) {
            g_string_append(text, characters[i]);
        }
        fits = gantry_excerpt(text->str);
        g_assert_false(g_str_has_suffix(fits, "..."));
        g_string_append(text, characters[i]);
        cut = gantry_excerpt(text->str);
        g_assert_true(g_str_has_suffix(cut, "..."));
        g_assert_cmpmem(cut, strlen(cut) - 3, fits, strlen(fits));
        while (text->len < 1000 * 1000) {
            g_string_append(text, characters[i]);
        }
        huge = gantry_excerpt(text->str);
        g_assert_cmpstr(huge, ==, cut);
        g_string_free(text, TRUE);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/text/printable", test_printable);
    g_test_add_func("/base/text/long-names-are-cut", test_long_names_are_cut);
    g_test_add_func("/base/text/excerpt-keeps-backslashes", test_excerpt_keeps_backslashes);
    g_test_add_func("/base/text/excerpts-are-cut", test_excerpts_are_cut);
    return g_test_run();
}
