/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Configuration files: the parser of key files, and an option table with each type of option. What
 * loads must come out of --dump-config such that it loads again to the same.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/option.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    gboolean flag;
    guint64 number;
    guint64 duration;
    double percent;
    char *string;
    char *choice;
    GStrv list;
} Target;

static const char *const choices[] = {"one", "two", NULL};

#define OPTION(member, Type, ...) \
    { \
        .name = #member, .type = Type, .offset = G_STRUCT_OFFSET(Target, member), .section = "s", \
        .summary = "", __VA_ARGS__ \
    }

static const GantryOption options[] = {
    OPTION(flag, GANTRY_OPTION_FLAG),
    OPTION(number, GANTRY_OPTION_UINT, .fallback = "1", .min = 1, .max = 1000),
    OPTION(duration, GANTRY_OPTION_DURATION),
    OPTION(percent, GANTRY_OPTION_PERCENT),
    OPTION(string, GANTRY_OPTION_STRING),
    OPTION(choice, GANTRY_OPTION_CHOICE, .choices = choices),
    OPTION(list, GANTRY_OPTION_LIST),
    GANTRY_OPTION_END,
};

static void
check(gboolean holds, const char *what, const char *detail)
{
    if (!holds) {
        fprintf(stderr, "fuzz-conf: %s: %s\n", what, detail);
        abort();
    }
}

/* Loads text by way of a file in memory. */
static gboolean
load(const char *text, gsize length, Target *target, GError **error)
{
    gantry_autofd fd = memfd_create("conf", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    check(fd >= 0 && fchmod(fd, 0600) == 0 && gantry_fd_write_all(fd, text, length, NULL),
          "no memory file", path);
    return gantry_options_load_file(options, target, path, error);
}

static void
check_options(const char *text, gsize length)
{
    g_autofree char *dump = NULL;
    g_autofree char *dump_again = NULL;
    g_autoptr(GError) error = NULL;
    Target target = {0};
    Target again = {0};

    gantry_options_init(options, &target);
    if (!load(text, length, &target, &error)) {
        check(error != NULL && error->domain == GANTRY_ERROR, "failed without an error of ours",
              "");
        gantry_options_clear(options, &target);
        return;
    }
    dump = gantry_options_dump(options, &target);
    gantry_options_init(options, &again);
    check(load(dump, strlen(dump), &again, &error), dump, error ? error->message : "");
    dump_again = gantry_options_dump(options, &again);
    check(g_str_equal(dump, dump_again), dump, dump_again);
    check(again.number == target.number && again.duration == target.duration &&
              G_APPROX_VALUE(again.percent, target.percent, 1e-9),
          "numbers changed", dump);
    gantry_options_clear(options, &target);
    gantry_options_clear(options, &again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strndup("", size);
    g_autoptr(GKeyFile) file = NULL;

    memcpy(text, data, size);
    file = gantry_key_file_parse(text, size, "fuzz", &error);
    check((file != NULL) == (error == NULL), "both or neither of file and error", "");
    check_options(text, size);
    return 0;
}
