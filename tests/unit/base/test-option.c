/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/option.h"

typedef struct {
    gboolean verbose;
    guint64 workers;
    guint64 timeout_msec;
    double threshold;
    char *name;
    char *mode;
    GStrv hosts;
    guint64 unbounded;
} Target;

static const char *const modes[] = {"auto", "manual", NULL};

static const GantryOption options[] = {
    {.name = "verbose",
     .short_name = 'v',
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(Target, verbose),
     .section = "main",
     .summary = N_("Say more")},
    {.name = "workers",
     .short_name = 'w',
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(Target, workers),
     .section = "main",
     .fallback = "4",
     .min = 1,
     .max = 64,
     .metavar = "N",
     .summary = N_("Number of workers")},
    {.name = "call-timeout",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(Target, timeout_msec),
     .section = "main",
     .fallback = "3s",
     .min = 100,
     .max = 60000,
     .metavar = "TIME",
     .summary = N_("Deadline of a call")},
    {.name = "threshold",
     .type = GANTRY_OPTION_PERCENT,
     .offset = G_STRUCT_OFFSET(Target, threshold),
     .section = "balance",
     .fallback = "80%",
     .metavar = "PERCENT",
     .summary = N_("Load above which a host is busy")},
    {.name = "name",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(Target, name),
     .section = "balance",
     .metavar = "NAME",
     .summary = N_("Name")},
    {.name = "mode",
     .type = GANTRY_OPTION_CHOICE,
     .offset = G_STRUCT_OFFSET(Target, mode),
     .section = "balance",
     .fallback = "auto",
     .choices = modes,
     .metavar = "MODE",
     .summary = N_("Mode")},
    {.name = "hosts",
     .type = GANTRY_OPTION_LIST,
     .offset = G_STRUCT_OFFSET(Target, hosts),
     .section = "balance",
     .metavar = "HOST[,...]",
     .summary = N_("Hosts")},
    {.name = "unbounded",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(Target, unbounded),
     .metavar = "N",
     .summary = N_("Command line only")},
    GANTRY_OPTION_END,
};

typedef struct {
    Target target;
    char *directory;
    char *path;
    char *drop_ins;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->directory = g_dir_make_tmp("gantry-option-XXXXXX", NULL);
    g_assert_nonnull(fixture->directory);
    fixture->path = g_build_filename(fixture->directory, "tool.conf", NULL);
    fixture->drop_ins = g_build_filename(fixture->directory, "tool.conf.d", NULL);
    g_assert_cmpint(mkdir(fixture->drop_ins, 0755), ==, 0);
    gantry_options_init(options, &fixture->target);
}

static void
remove_files(const char *directory)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        unlink(path);
    }
    rmdir(directory);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    gantry_options_clear(options, &fixture->target);
    g_assert_null(fixture->target.name);
    g_assert_null(fixture->target.hosts);
    remove_files(fixture->drop_ins);
    remove_files(fixture->directory);
    g_free(fixture->directory);
    g_free(fixture->path);
    g_free(fixture->drop_ins);
}

static void
write_file(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error);
    g_assert_no_error(error);
}

static void
write_drop_in(Fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(fixture->drop_ins, name, NULL);

    write_file(path, text);
}

static void
load(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    gantry_options_load_file(options, &fixture->target, fixture->path, &error);
    g_assert_no_error(error);
}

/* Fails as it should, names all of @words, and leaves the target alone. */
static void
assert_refused(Fixture *fixture, GantryError code, const char *const *words)
{
    g_autofree char *before = gantry_options_dump(options, &fixture->target);
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(gantry_options_load_file(options, &fixture->target, fixture->path, &error));
    g_assert_error(error, GANTRY_ERROR, (gint)code);
    for (gsize i = 0; words[i]; i++) {
        if (!strstr(error->message, words[i])) {
            g_error("'%s' does not name '%s'", error->message, words[i]);
        }
    }
    after = gantry_options_dump(options, &fixture->target);
    g_assert_cmpstr(before, ==, after);
}
#define REFUSED(fixture, code, ...) \
    assert_refused(fixture, code, (const char *const[]){__VA_ARGS__, NULL})

static gboolean
parse(Fixture *fixture, const char *line, int *ret_argc, char ***ret_argv, GError **error)
{
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    int argc = (int)g_strv_length(argv);
    /* GOptionContext takes strings out of the vector without freeing them. */
    g_autofree char **consumed = g_memdup2(argv, (argc + 1) * sizeof(char *));
    gboolean ok = gantry_options_parse_argv(options, &fixture->target, "tool [OPTION...]", NULL,
                                            &argc, &consumed, error);

    if (ret_argv) {
        *ret_argc = argc;
        *ret_argv = g_strdupv(consumed);
    }
    return ok;
}

static void
test_defaults(Fixture *fixture, gconstpointer data)
{
    const Target *target = &fixture->target;

    g_assert_false(target->verbose);
    g_assert_cmpuint(target->workers, ==, 4);
    g_assert_cmpuint(target->timeout_msec, ==, 3000);
    g_assert_cmpfloat(target->threshold, ==, 80);
    g_assert_null(target->name);
    g_assert_cmpstr(target->mode, ==, "auto");
    g_assert_null(target->hosts);
}

static void
test_bad_default(void)
{
    static const GantryOption bad[] = {
        {.name = "x", .type = GANTRY_OPTION_UINT, .fallback = "many", .summary = ""},
        GANTRY_OPTION_END,
    };

    if (g_test_subprocess()) {
        guint64 target = 0;

        gantry_options_init(bad, &target);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*default of option x*many*");
}

static void
test_argv(Fixture *fixture, gconstpointer data)
{
    const Target *target = &fixture->target;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) rest = NULL;
    int argc;

    parse(fixture,
          "tool -v -w 8 --call-timeout=1m --threshold 12.5% a --name=n --mode manual --hosts=x,y "
          "--unbounded=18446744073709551615 b",
          &argc, &rest, &error);
    g_assert_no_error(error);
    g_assert_true(target->verbose);
    g_assert_cmpuint(target->workers, ==, 8);
    g_assert_cmpuint(target->timeout_msec, ==, 60000);
    g_assert_cmpfloat(target->threshold, ==, 12.5);
    g_assert_cmpstr(target->name, ==, "n");
    g_assert_cmpstr(target->mode, ==, "manual");
    g_assert_cmpstrv(target->hosts, ((const char *const[]){"x", "y", NULL}));
    g_assert_cmpuint(target->unbounded, ==, G_MAXUINT64);
    g_assert_cmpint(argc, ==, 3);
    g_assert_cmpstrv(rest, ((const char *const[]){"tool", "a", "b", NULL}));
}

static void
test_argv_lists_add_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    write_file(fixture->path, "[balance]\nhosts=from,file\n");
    load(fixture);
    parse(fixture, "tool --hosts a,b --hosts c", NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstrv(fixture->target.hosts, ((const char *const[]){"a", "b", "c", NULL}));
}

static void
test_argv_errors(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *line;
        const char *words[4];
    } cases[] = {
        {"tool --nonsense", {"--nonsense", "--help"}},
        {"tool -w", {"-w"}},
        {"tool -w 0", {"-w", "'0'", "1", "64"}},
        {"tool --workers=65", {"--workers", "'65'", "1", "64"}},
        {"tool --mode=fast", {"--mode", "'fast'", "auto, manual"}},
        {"tool --verbose=no", {"--verbose", "no value"}},
        {"tool --name=", {"--name", "''"}},
        {"tool --name=a\tb", {"--name"}},
        {"tool --hosts=a,,b", {"--hosts", "'a,,b'"}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(parse(fixture, cases[i].line, NULL, NULL, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        for (gsize j = 0; j < 4 && cases[i].words[j]; j++) {
            g_assert_nonnull(strstr(error->message, cases[i].words[j]));
        }
    }
}

static void
test_help(void)
{
    if (g_test_subprocess()) {
        Fixture fixture = {0};

        parse(&fixture, "tool --help", NULL, NULL, NULL);
        abort(); /* not reached */
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*Usage: tool ?OPTION...*");
    g_test_trap_assert_stdout("*-w, --workers=N*Number of workers (default: 4)*");
    g_test_trap_assert_stdout("*--help*");
}

static void
test_values(void)
{
    static const struct {
        gsize option;
        const char *text;
        const char *dumped; /* NULL: refused */
    } cases[] = {
        {0, "yes", "yes"},       {0, " On ", "yes"},
        {0, "0", "no"},          {0, "ja", NULL},
        {0, "", NULL},           {1, "1", "1"},
        {1, "64", "64"},         {1, "0", NULL},
        {1, "65", NULL},         {1, "-1", NULL},
        {1, "1.5", NULL},        {1, "0x10", NULL},
        {2, "100ms", "100ms"},   {2, "99ms", NULL},
        {2, "60", "1m"},         {2, "61s", NULL},
        {2, "1500ms", "1500ms"}, {2, "1h", NULL},
        {2, "5d", NULL},         {2, "s", NULL},
        {3, "0", "0"},           {3, "100%", "100"},
        {3, "33.3", "33.3"},     {3, "100.1", NULL},
        {3, "-1", NULL},         {3, "1e1", NULL},
        {3, "0x10", NULL},       {3, "nan", NULL},
        {3, "inf", NULL},        {3, "1.2.3", NULL},
        {3, "%", NULL},          {3, ".", NULL},
        {3, "5%%", NULL},        {4, "  two words ", "two words"},
        {4, " ", NULL},          {4, "a\nb", NULL},
        {4, "a\033b", NULL},     {5, "manual", "manual"},
        {5, "Manual", NULL},     {5, "", NULL},
        {6, "a", "a"},           {6, " a , b ", "a,b"},
        {6, "a,", NULL},         {6, "", NULL},
        {7, "0", "0"},           {7, "18446744073709551616", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        GantryOption option = options[cases[i].option];
        const GantryOption one[] = {option, GANTRY_OPTION_END};
        g_autofree char *expected = NULL;
        g_autofree char *dump = NULL;
        g_autoptr(GError) error = NULL;
        Target target = {0};
        gboolean ok = gantry_option_set(&option, &target, cases[i].text, "here", &error);

        if (!cases[i].dumped) {
            g_assert_false(ok);
            g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
            g_assert_true(g_str_has_prefix(error->message, "here: '"));
            g_assert_nonnull(strstr(error->message, "allowed: "));
            continue;
        }
        g_assert_no_error(error);
        dump = gantry_options_dump(one, &target);
        if (option.section) {
            g_autofree char *key = g_strdelimit(g_strdup(option.name), "-", '_');

            expected = g_strdup_printf("[%s]\n%s=%s\n", option.section, key, cases[i].dumped);
            g_assert_cmpstr(dump, ==, expected);
        } else {
            g_assert_cmpstr(dump, ==, "");
        }
        gantry_options_clear(one, &target);
    }
}

static void
test_file(Fixture *fixture, gconstpointer data)
{
    write_file(fixture->path, "# a comment\n"
                              "[main]\n"
                              "verbose = on\n"
                              "call_timeout=500ms\n"
                              "\n"
                              "[balance]\n"
                              "name=two words  \n"
                              "hosts = a, b\n");
    load(fixture);
    g_assert_true(fixture->target.verbose);
    g_assert_cmpuint(fixture->target.timeout_msec, ==, 500);
    g_assert_cmpuint(fixture->target.workers, ==, 4);
    g_assert_cmpstr(fixture->target.name, ==, "two words");
    g_assert_cmpstrv(fixture->target.hosts, ((const char *const[]){"a", "b", NULL}));
}

static void
test_missing_file(Fixture *fixture, gconstpointer data)
{
    load(fixture);
    g_assert_cmpint(rmdir(fixture->drop_ins), ==, 0);
    load(fixture);
    g_assert_cmpuint(fixture->target.workers, ==, 4);
}

static void
test_drop_in_order(Fixture *fixture, gconstpointer data)
{
    write_file(fixture->path, "[main]\nworkers=1\n[balance]\nname=main\n");
    write_drop_in(fixture, "9.conf", "[main]\nworkers=9\n");
    write_drop_in(fixture, "10.conf", "[main]\nworkers=10\n[balance]\nname=ten\n");
    write_drop_in(fixture, "B.conf", "[main]\nworkers=11\n[balance]\nhosts=B\n");
    write_drop_in(fixture, "a.conf", "[main]\nworkers=12\n");
    write_drop_in(fixture, ".hidden.conf", "[main]\nworkers=13\n");
    write_drop_in(fixture, "z.conf~", "[main]\nworkers=14\n");
    write_drop_in(fixture, "z.conf.dpkg-old", "nonsense");
    load(fixture);
    g_assert_cmpuint(fixture->target.workers, ==, 12);
    g_assert_cmpstr(fixture->target.name, ==, "ten");
    g_assert_cmpstrv(fixture->target.hosts, ((const char *const[]){"B", NULL}));
}

static void
test_drop_in_without_file(Fixture *fixture, gconstpointer data)
{
    write_drop_in(fixture, "a.conf", "[main]\nworkers=12\n");
    load(fixture);
    g_assert_cmpuint(fixture->target.workers, ==, 12);
}

static void
test_unknown_key(Fixture *fixture, gconstpointer data)
{
    write_file(fixture->path, "[main]\nworkers=7\ncal_timeout=1s\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, fixture->path, "[main]", "'cal_timeout'",
            "did you mean 'call_timeout'");
    write_file(fixture->path, "[main]\nsomething_else=1s\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, fixture->path, "[main]", "'something_else'");
    /* A key of the other section, of the command line only, or with a language, is unknown too. */
    write_file(fixture->path, "[main]\nthreshold=1\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, "'threshold'");
    write_file(fixture->path, "[main]\nunbounded=1\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, "'unbounded'");
    write_file(fixture->path, "[main]\nworkers[de]=1\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, "'workers[de]'");
}

static void
test_unknown_section(Fixture *fixture, gconstpointer data)
{
    write_file(fixture->path, "[balanc]\nname=x\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, fixture->path, "[balanc]", "did you mean 'balance'");
    write_file(fixture->path, "[empty]\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, fixture->path, "[empty]");
}

static void
test_bad_value(Fixture *fixture, gconstpointer data)
{
    write_file(fixture->path, "[main]\nverbose=yes\nworkers=0\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, fixture->path, "[main]", "workers", "'0'", "1", "64");
}

/* The main file alone would be good: nothing of it may be taken. */
static void
test_bad_drop_in(Fixture *fixture, gconstpointer data)
{
    write_file(fixture->path, "[main]\nworkers=7\n[balance]\nname=x\nhosts=a\n");
    write_drop_in(fixture, "50-x.conf", "[main]\nworkers=8\nverbos=yes\n");
    REFUSED(fixture, GANTRY_ERROR_INVALID, "/tool.conf.d/50-x.conf", "[main]", "'verbos'",
            "'verbose'");
    g_assert_cmpuint(fixture->target.workers, ==, 4);
    g_assert_null(fixture->target.name);
}

static void
test_broken_drop_in_link(Fixture *fixture, gconstpointer data)
{
    g_autofree char *link = g_build_filename(fixture->drop_ins, "a.conf", NULL);

    g_assert_cmpint(symlink("nowhere", link), ==, 0);
    REFUSED(fixture, GANTRY_ERROR_NOT_FOUND, "a.conf");
}

static void
test_dump_loads_again(Fixture *fixture, gconstpointer data)
{
    g_autofree char *dump = NULL;
    g_autofree char *dump_again = NULL;
    g_autoptr(GError) error = NULL;

    parse(fixture, "tool -v -w 9 --threshold=66.6 --name=a;b#c\\d=[e] --mode=manual --hosts=h,i",
          NULL, NULL, &error);
    g_assert_no_error(error);
    dump = gantry_options_dump(options, &fixture->target);
    gantry_options_clear(options, &fixture->target);
    gantry_options_init(options, &fixture->target);
    write_file(fixture->path, dump);
    load(fixture);
    dump_again = gantry_options_dump(options, &fixture->target);
    g_assert_cmpstr(dump, ==, dump_again);
    g_assert_cmpstr(fixture->target.name, ==, "a;b#c\\d=[e]");
}

/* What a message offers is allowed. */
static void
test_examples_are_allowed(void)
{
    static const struct {
        double min, max;
        const char *allowed;
    } cases[] = {
        {100, 600 * 1000, "allowed: a time from 100ms to 10m, as 500ms, 3s, 2m"},
        {1000, 24 * 3600 * 1000, "allowed: a time from 1s to 24h, as 3s, 2m, 1h"},
        {1, 10, "allowed: a time from 1ms to 10ms"},
        {0, 0, "allowed: a time, as 500ms, 3s, 2m, 1h"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const GantryOption option = {.name = "time",
                                     .type = GANTRY_OPTION_DURATION,
                                     .min = cases[i].min,
                                     .max = cases[i].max};
        g_autoptr(GError) error = NULL;
        guint64 msec = 0;

        g_assert_false(gantry_option_set(&option, &msec, "5 days", "--time", &error));
        g_assert_true(g_str_has_suffix(error->message, cases[i].allowed));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)
    ADD("/option/defaults", test_defaults);
    g_test_add_func("/option/bad-default", test_bad_default);
    ADD("/option/argv", test_argv);
    ADD("/option/argv-lists-add-up", test_argv_lists_add_up);
    ADD("/option/argv-errors", test_argv_errors);
    g_test_add_func("/option/help", test_help);
    g_test_add_func("/option/values", test_values);
    g_test_add_func("/option/examples-are-allowed", test_examples_are_allowed);
    ADD("/option/file", test_file);
    ADD("/option/missing-file", test_missing_file);
    ADD("/option/drop-in-order", test_drop_in_order);
    ADD("/option/drop-in-without-file", test_drop_in_without_file);
    ADD("/option/unknown-key", test_unknown_key);
    ADD("/option/unknown-section", test_unknown_section);
    ADD("/option/bad-value", test_bad_value);
    ADD("/option/bad-drop-in", test_bad_drop_in);
    ADD("/option/broken-drop-in-link", test_broken_drop_in_link);
    ADD("/option/dump-loads-again", test_dump_loads_again);
    return g_test_run();
}
