/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "common/base/cpuset.h"
#include "common/base/error.h"

static GantryCpuset *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    GantryCpuset *set = gantry_cpuset_parse(text, &error);

    g_assert_no_error(error);
    g_assert_nonnull(set);
    return set;
}

static void
assert_format(const GantryCpuset *set, const char *expected)
{
    g_autofree char *text = gantry_cpuset_format(set);

    g_assert_cmpstr(text, ==, expected);
}

static void
test_canonical(void)
{
    static const struct {
        const char *text;
        const char *canonical;
    } cases[] = {
        {"0", "0"},         {"0-3,8", "0-3,8"}, {"8,0-3", "0-3,8"},   {"0,1,2", "0-2"},
        {"0-5,3-9", "0-9"}, {"5,5,5", "5"},     {"63,64", "63-64"},   {"62-130", "62-130"},
        {"007", "7"},       {"8191", "8191"},   {"0-8191", "0-8191"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GantryCpuset) set = parse(cases[i].text);
        g_autoptr(GantryCpuset) again = NULL;
        g_autofree char *text = gantry_cpuset_format(set);

        g_assert_cmpstr(text, ==, cases[i].canonical);
        again = parse(text);
        g_assert_true(gantry_cpuset_equal(set, again));
    }
}

static void
test_malformed(void)
{
    static const char *const bad[] = {
        "",
        " ",
        ",",
        "0,",
        ",0",
        "0,,1",
        "-",
        "1-",
        "-1",
        "3-1",
        "a",
        "0x1",
        "1-2-3",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "8192",
        "0-8192",
        "0-3:1/2",
        "^1",
        "1;2",
        "99999999999999999999",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *quoted = g_strdup_printf("'%s'", bad[i]);

        g_assert_null(gantry_cpuset_parse(bad[i], &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, quoted));
        g_assert_nonnull(strstr(error->message, "8192"));
    }
}

static void
test_message_names_the_part(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_cpuset_parse("0-3,9-7,12", &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "'9-7'"));
}

static void
test_members(void)
{
    g_autoptr(GantryCpuset) set = parse("0-3,64,8191");

    g_assert_true(gantry_cpuset_contains(set, 0));
    g_assert_true(gantry_cpuset_contains(set, 64));
    g_assert_true(gantry_cpuset_contains(set, 8191));
    g_assert_false(gantry_cpuset_contains(set, 4));
    g_assert_false(gantry_cpuset_contains(set, 63));
    g_assert_false(gantry_cpuset_contains(set, 8192));
    g_assert_false(gantry_cpuset_contains(set, G_MAXUINT));
    g_assert_cmpuint(gantry_cpuset_count(set), ==, 6);

    gantry_cpuset_remove(set, 2);
    gantry_cpuset_remove(set, 2);
    gantry_cpuset_add(set, 65);
    assert_format(set, "0-1,3,64-65,8191");
}

static void
test_empty(void)
{
    g_autoptr(GantryCpuset) set = gantry_cpuset_new();

    g_assert_true(gantry_cpuset_is_empty(set));
    g_assert_cmpuint(gantry_cpuset_count(set), ==, 0);
    g_assert_cmpint(gantry_cpuset_next(set, 0), ==, -1);
    assert_format(set, "");
    gantry_cpuset_add(set, 8191);
    g_assert_false(gantry_cpuset_is_empty(set));
}

static void
test_algebra(void)
{
    g_autoptr(GantryCpuset) a = parse("0-5,100");
    g_autoptr(GantryCpuset) b = parse("4-9,100,8191");
    g_autoptr(GantryCpuset) both = gantry_cpuset_copy(a);
    g_autoptr(GantryCpuset) either = gantry_cpuset_copy(a);
    g_autoptr(GantryCpuset) only_a = gantry_cpuset_copy(a);

    gantry_cpuset_and(both, b);
    gantry_cpuset_or(either, b);
    gantry_cpuset_and_not(only_a, b);
    assert_format(both, "4-5,100");
    assert_format(either, "0-9,100,8191");
    assert_format(only_a, "0-3");
    assert_format(a, "0-5,100");

    g_assert_true(gantry_cpuset_is_subset(both, a));
    g_assert_true(gantry_cpuset_is_subset(both, b));
    g_assert_true(gantry_cpuset_is_subset(a, a));
    g_assert_false(gantry_cpuset_is_subset(b, a));
    g_assert_false(gantry_cpuset_equal(a, b));
}

static void
test_next(void)
{
    g_autoptr(GantryCpuset) set = parse("3,63-64,8191");
    g_autoptr(GString) seen = g_string_new(NULL);

    for (int cpu = gantry_cpuset_next(set, 0); cpu >= 0;
         cpu = gantry_cpuset_next(set, (guint)cpu + 1)) {
        g_string_append_printf(seen, "%d ", cpu);
    }
    g_assert_cmpstr(seen->str, ==, "3 63 64 8191 ");
    g_assert_cmpint(gantry_cpuset_next(set, 8192), ==, -1);
    g_assert_cmpint(gantry_cpuset_next(set, G_MAXUINT), ==, -1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpuset/canonical", test_canonical);
    g_test_add_func("/cpuset/malformed", test_malformed);
    g_test_add_func("/cpuset/message-names-the-part", test_message_names_the_part);
    g_test_add_func("/cpuset/members", test_members);
    g_test_add_func("/cpuset/empty", test_empty);
    g_test_add_func("/cpuset/algebra", test_algebra);
    g_test_add_func("/cpuset/next", test_next);
    return g_test_run();
}
