/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "scratch.h"

typedef struct {
    char *root;
    char *path; /* of "a.conf" in it */
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->root = scratch_new();
    fixture->path = g_build_filename(fixture->root, "a.conf", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    scratch_remove(fixture->root);
    g_free(fixture->path);
}

static void
assert_message(const GError *error, const char *part)
{
    if (!strstr(error->message, part)) {
        g_error("'%s' does not say '%s'", error->message, part);
    }
}

static void
test_load(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) file = NULL;
    g_autofree char *value = NULL;

    scratch_write(fixture->root, "a.conf",
                  "# comment\n\n  [one two]  \nkey = gr\xc3\xbc\xc3\x9f=e \r\n# key = x\nother=\n"
                  "[b]\nkey=2\n");
    file = gantry_key_file_load(fixture->path, &error);
    g_assert_no_error(error);
    value = g_key_file_get_value(file, "one two", "key", NULL);
    g_assert_cmpstr(value, ==, "gr\xc3\xbc\xc3\x9f=e");
    g_assert_true(g_key_file_has_key(file, "one two", "other", NULL));
    g_assert_cmpint(g_key_file_get_integer(file, "b", "key", NULL), ==, 2);
}

static void
test_empty(Fixture *fixture, gconstpointer data)
{
    static const char *const texts[] = {"", "\n", "# only a comment", "[section]"};

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GKeyFile) file = NULL;

        scratch_write(fixture->root, "a.conf", texts[i]);
        file = gantry_key_file_load(fixture->path, &error);
        g_assert_no_error(error);
        g_assert_nonnull(file);
    }
}

static void
test_invalid(void)
{
    static const struct {
        const char *text;
        const char *words[3];
    } cases[] = {
        {"[a]\nk=1\nk=2\n", {"f.conf:3:", "[a]", "k"}},
        {"[a]\nk=1\n[b]\nk=1\n[a]\n  k  =2", {"f.conf:6:", "[a]", "k"}},
        {"[a]\nk=1\nword\n", {"f.conf:3:", "'word'"}},
        {"[a]\n=1\n", {"f.conf:2:", "'=1'"}},
        {"[a]\n; comment\n", {"f.conf:2:", "'; comment'"}},
        {"k=1\n[a]\n", {"f.conf:1:", "'k'"}},
        {"[a\nk=1\n", {"f.conf:1:", "'[a'"}},
        {"[]\nk=1\n", {"f.conf", "group"}},
        {"[a]\nk=\xff\n", {"f.conf", "UTF-8"}},
        {"\xef\xbb\xbf[a]\nk=1\n", {"f.conf:1:"}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(
            gantry_key_file_parse(cases[i].text, strlen(cases[i].text), "f.conf", &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        for (gsize j = 0; j < 3 && cases[i].words[j]; j++) {
            assert_message(error, cases[i].words[j]);
        }
    }
}

/* The control: GKeyFile alone accepts what we refuse, so our check is what refuses it. */
static void
test_duplicate_control(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    g_assert_true(
        g_key_file_load_from_data(file, "[a]\nk=1\nk=2\n", (gsize)-1, G_KEY_FILE_NONE, NULL));
}

static void
test_nul_byte(void)
{
    static const char text[] = "[a]\nk=1\0\nk=2\n";
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_key_file_parse(text, sizeof(text) - 1, "f.conf", &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
}

static void
test_translations_are_keys(void)
{
    static const char text[] = "[a]\nk=1\nk[xx]=2\n";
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) file = gantry_key_file_parse(text, strlen(text), "f.conf", &error);

    g_assert_no_error(error);
    g_assert_true(g_key_file_has_key(file, "a", "k[xx]", NULL));
}

static void
test_size(Fixture *fixture, gconstpointer data)
{
    g_autofree char *text = g_strnfill(1024 * 1024 + 1, '#');
    g_autoptr(GKeyFile) file = NULL;
    g_autoptr(GError) error = NULL;

    scratch_write(fixture->root, "a.conf", text);
    g_assert_null(gantry_key_file_load(fixture->path, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
    assert_message(error, "a.conf");
    assert_message(error, "1048576");
    g_clear_error(&error);
    g_assert_null(gantry_key_file_parse(text, strlen(text), "f.conf", &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
    g_clear_error(&error);

    text[1024 * 1024] = '\0';
    scratch_write(fixture->root, "a.conf", text);
    file = gantry_key_file_load(fixture->path, &error);
    g_assert_no_error(error);
}

static void
test_absent(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_key_file_load(fixture->path, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
    assert_message(error, fixture->path);
}

static void
test_not_a_file(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_key_file_load(fixture->root, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
}

static void
test_world_writable(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GKeyFile) file = NULL;
    g_autoptr(GError) error = NULL;

    scratch_write(fixture->root, "a.conf", "[a]\nk=1\n");
    g_assert_no_errno(chmod(fixture->path, 0646));
    g_assert_null(gantry_key_file_load(fixture->path, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
    assert_message(error, "chmod o-w ");
    assert_message(error, fixture->path);
    g_clear_error(&error);

    g_assert_no_errno(chmod(fixture->path, 0664));
    file = gantry_key_file_load(fixture->path, &error);
    g_assert_no_error(error);
}

static void
test_drop_ins(Fixture *fixture, gconstpointer data)
{
    static const char *const names[] = {"10-b.conf", "9-a.conf", "a.conf",      "B.conf",
                                        ".x.conf",   "x.conf~",  "x.conf.save", "conf"};
    static const char *const expected[] = {"10-b.conf", "9-a.conf", "B.conf", "a.conf"};
    g_autofree char *absent = g_build_filename(fixture->root, "absent", NULL);
    g_auto(GStrv) paths = NULL;
    g_auto(GStrv) none = NULL;
    g_autoptr(GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        scratch_write(fixture->root, names[i], "");
    }
    paths = gantry_config_drop_ins(fixture->root, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(paths), ==, G_N_ELEMENTS(expected));
    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_autofree char *path = g_build_filename(fixture->root, expected[i], NULL);

        g_assert_cmpstr(paths[i], ==, path);
    }

    none = gantry_config_drop_ins(absent, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(none), ==, 0);

    g_assert_null(gantry_config_drop_ins(paths[0], &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
    assert_message(error, "10-b.conf");
    g_clear_error(&error);

    g_assert_cmpint(chmod(fixture->root, 0777), ==, 0);
    g_assert_null(gantry_config_drop_ins(fixture->root, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
    assert_message(error, fixture->root);
}

static void
test_parse_bool(void)
{
    static const char *const yes[] = {"yes", "true", "on", "1", "YES", "True", "oN"};
    static const char *const no[] = {"no", "false", "off", "0", "No", "FALSE", "Off"};
    static const char *const bad[] = {"", "y", "n", "2", "yes ", "enabled"};
    g_autoptr(GError) error = NULL;
    gboolean value;

    for (gsize i = 0; i < G_N_ELEMENTS(yes); i++) {
        value = FALSE;
        g_assert_true(gantry_parse_bool(yes[i], &value, &error));
        g_assert_true(value);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(no); i++) {
        value = TRUE;
        g_assert_true(gantry_parse_bool(no[i], &value, &error));
        g_assert_false(value);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *quoted = g_strdup_printf("'%s' is not yes or no", bad[i]);

        value = 42;
        g_assert_false(gantry_parse_bool(bad[i], &value, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        assert_message(error, quoted);
        g_assert_cmpint(value, ==, 42);
        g_clear_error(&error);
    }
}

static void
test_parse_uint(void)
{
    static const char *const bad[] = {"",    " 5", "5 ", "+5",  "-5",  "0x5",
                                      "5.0", "4",  "21", "5e0", "five"};
    g_autoptr(GError) error = NULL;
    guint64 value = 42;

    g_assert_true(gantry_parse_uint("5", 5, 20, &value, &error));
    g_assert_cmpuint(value, ==, 5);
    g_assert_true(gantry_parse_uint("020", 5, 20, &value, &error));
    g_assert_cmpuint(value, ==, 20);
    g_assert_true(gantry_parse_uint("18446744073709551615", 0, G_MAXUINT64, &value, &error));
    g_assert_cmpuint(value, ==, G_MAXUINT64);
    g_assert_false(gantry_parse_uint("18446744073709551616", 0, G_MAXUINT64, &value, &error));
    g_clear_error(&error);
    value = 42;
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *expected =
            g_strdup_printf("'%s' is not a whole number from 5 to 20", bad[i]);

        g_assert_false(gantry_parse_uint(bad[i], 5, 20, &value, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        assert_message(error, expected);
        g_assert_cmpuint(value, ==, 42);
        g_clear_error(&error);
    }
}

static void
test_parse_duration(void)
{
    static const struct {
        const char *text;
        const char *unit;
        guint64 msec;
    } good[] = {
        {"0", "s", 0},        {"5", "s", 5000},
        {"5", "ms", 5},       {"5ms", "s", 5},
        {"5s", "ms", 5000},   {"2m", "s", 120000},
        {"1h", "s", 3600000}, {"9223372036854775807ms", "s", G_MAXINT64},
    };
    static const char *const bad[] = {"",
                                      "s",
                                      "5 s",
                                      "5S",
                                      "-5s",
                                      "5d",
                                      "5ss",
                                      "1.5s",
                                      "9223372036854775807s",
                                      "18446744073709551616ms"};
    g_autoptr(GError) error = NULL;
    guint64 msec = 42;

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(gantry_parse_duration(good[i].text, good[i].unit, &msec, &error));
        g_assert_cmpuint(msec, ==, good[i].msec);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *quoted = g_strdup_printf("'%s'", bad[i]);

        msec = 42;
        g_assert_false(gantry_parse_duration(bad[i], "s", &msec, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        assert_message(error, quoted);
        g_assert_cmpuint(msec, ==, 42);
        g_clear_error(&error);
    }
}

static void
test_nearest_word(void)
{
    static const char *const known[] = {"priority", "max-downtime", "movable", "group", NULL};
    static const char *const none[] = {NULL};
    g_autofree char *long_word = g_strnfill(100000, 'p');

    g_assert_cmpstr(gantry_nearest_word("priorty", known), ==, "priority");
    g_assert_cmpstr(gantry_nearest_word("max_downtime", known), ==, "max-downtime");
    g_assert_cmpstr(gantry_nearest_word("moveable", known), ==, "movable");
    g_assert_cmpstr(gantry_nearest_word("gruop", known), ==, "group");
    g_assert_null(gantry_nearest_word("groXX", known)); /* 2 of 5 letters */
    g_assert_cmpstr(gantry_nearest_word("groups", known), ==, "group");
    g_assert_null(gantry_nearest_word("colour", known));
    g_assert_null(gantry_nearest_word("", known));
    g_assert_null(gantry_nearest_word("priority", none));
    g_assert_null(gantry_nearest_word(long_word, known));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)
    ADD("/config/load", test_load);
    ADD("/config/empty", test_empty);
    g_test_add_func("/config/invalid", test_invalid);
    g_test_add_func("/config/duplicate-control", test_duplicate_control);
    g_test_add_func("/config/nul-byte", test_nul_byte);
    g_test_add_func("/config/translations-are-keys", test_translations_are_keys);
    ADD("/config/size", test_size);
    ADD("/config/absent", test_absent);
    ADD("/config/not-a-file", test_not_a_file);
    ADD("/config/world-writable", test_world_writable);
    ADD("/config/drop-ins", test_drop_ins);
    g_test_add_func("/config/parse-bool", test_parse_bool);
    g_test_add_func("/config/parse-uint", test_parse_uint);
    g_test_add_func("/config/parse-duration", test_parse_duration);
    g_test_add_func("/config/nearest-word", test_nearest_word);
    return g_test_run();
}
