/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "common/base/error.h"
#include "samples.h"

static const char *const choices[] = {"affinity", "anti-affinity", NULL};

static const GantryField fields[] = {
    {.name = "bool", .type = GANTRY_FIELD_BOOL},
    {.name = "uint", .type = GANTRY_FIELD_UINT, .min = 1, .max = 60000, .unit = "ms"},
    {.name = "from-zero", .type = GANTRY_FIELD_UINT, .min = 0, .max = 100},
    {.name = "choice", .type = GANTRY_FIELD_CHOICE, .choices = choices},
    {.name = "name", .type = GANTRY_FIELD_NAME},
    {.name = "names", .type = GANTRY_FIELD_NAMES},
    {.name = "text", .type = GANTRY_FIELD_TEXT},
    {.name = "path", .type = GANTRY_FIELD_PATH},
    {.name = "cpuset", .type = GANTRY_FIELD_CPUSET},
    {.name = "mac", .type = GANTRY_FIELD_MAC},
    {.name = "ip", .type = GANTRY_FIELD_IP},
};

static const GantryField *
find(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (g_str_equal(fields[i].name, name)) {
            return &fields[i];
        }
    }
    g_assert_not_reached();
}

/* What is accepted has one canonical form, which is its own. */
static void
test_valid(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_auto(FieldSamples) samples = {0};

        field_samples_init(&samples, &fields[i]);
        for (char **text = samples.valid; *text; text++) {
            g_autoptr(GError) error = NULL;
            g_autofree char *canonical = gantry_field_canonical(&fields[i], *text, "w", &error);
            g_autofree char *again = NULL;

            g_assert_no_error(error);
            again = gantry_field_canonical(&fields[i], canonical, "w", &error);
            g_assert_no_error(error);
            g_assert_cmpstr(again, ==, canonical);
        }
    }
}

static void
check_refused(const GantryField *field, char **texts)
{
    g_autofree char *allowed = gantry_field_allowed(field);

    for (; *texts; texts++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *canonical = gantry_field_canonical(field, *texts, "dom.xml:3: x", &error);

        if (canonical) {
            g_error("%s: accepted '%s'", field->name, *texts);
        }
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "dom.xml:3: x is '"));
        g_assert_true(g_str_has_suffix(error->message, allowed));
        g_assert_cmpuint(strlen(error->message), <, 1000);
        g_assert_null(strpbrk(error->message, "\n\t\x7f"));
    }
}

static void
test_invalid(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_auto(FieldSamples) samples = {0};

        field_samples_init(&samples, &fields[i]);
        check_refused(&fields[i], samples.invalid);
        check_refused(&fields[i], samples.beyond);
    }
}

static void
test_canonical(void)
{
    static const char *const cases[][3] = {
        {"uint", "00042", "42"},
        {"names", " vda ,vdb\n", "vda,vdb"},
        {"cpuset", "3,1,2,8,9-11,010", "1-3,8-11"},
        {"mac", "02:AB:cd:Ef:00:FF", "02:ab:cd:ef:00:ff"},
        {"ip", "FD00:0:0:0:0:0:0:05", "fd00::5"},
        {"ip", "::ffff:10.0.0.1", "::ffff:10.0.0.1"},
        {"path", "//a/./b/", "//a/./b/"},
        {"text", " as it is ", " as it is "},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *canonical =
            gantry_field_canonical(find(cases[i][0]), cases[i][1], "w", NULL);

        g_assert_cmpstr(canonical, ==, cases[i][2]);
    }
}

static void
test_messages(void)
{
    static const char *const cases[][3] = {
        {"bool", "maybe", "w is 'maybe'; allowed: yes or no"},
        {"uint", "0", "w is '0'; allowed: 1 to 60000 ms"},
        {"from-zero", "101", "w is '101'; allowed: 0 to 100"},
        {"choice", "x", "w is 'x'; allowed: one of: affinity, anti-affinity"},
        {"bool", "y\nes\x1b", "w is 'y\\x0aes\\x1b'; allowed: yes or no"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(gantry_field_canonical(find(cases[i][0]), cases[i][1], "w", &error));
        g_assert_cmpstr(error->message, ==, cases[i][2]);
    }
}

/* Numbers without bounds take all that fits. */
static void
test_unbounded(void)
{
    static const GantryField field = {.name = "n", .type = GANTRY_FIELD_UINT};
    g_autofree char *most = gantry_field_canonical(&field, "18446744073709551615", "w", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpstr(most, ==, "18446744073709551615");
    g_assert_null(gantry_field_canonical(&field, "18446744073709551616", "w", &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "a whole number"));
}

/* From a policy file; XML could not be made of it. */
static void
test_not_for_xml(void)
{
    static const char *const texts[] = {"/a\xef\xbf\xbe", "/a\xef\xbf\xbf", "/a\xff",
                                        "/\xed\xa0\x80",  "/\xc2\x85",      NULL};

    check_refused(find("path"), (char **)texts);
    check_refused(find("text"), (char **)texts);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/field/valid", test_valid);
    g_test_add_func("/xml/field/invalid", test_invalid);
    g_test_add_func("/xml/field/canonical", test_canonical);
    g_test_add_func("/xml/field/messages", test_messages);
    g_test_add_func("/xml/field/unbounded", test_unbounded);
    g_test_add_func("/xml/field/not-for-xml", test_not_for_xml);
    return g_test_run();
}
