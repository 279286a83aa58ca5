/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-xml FILE... - how long it takes to read domain XML and to resolve its settings, without the
 * start of a process. One line a file and step: median and minimum of the CPU time, in
 * microseconds; the first call of all is given apart, since the hook makes but one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/xml/settings.h"
#include "extensions/extensions.h"

#define ROUNDS 500

enum { PARSE, RESOLVE, N_STEPS };

static const char *const step_names[N_STEPS] = {"parse", "resolve"};

static double
now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int
compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void
run_once(const char *path, const char *text, gsize length, double times[N_STEPS])
{
    g_autoptr(GError) error = NULL;
    double start = now_usec();
    g_autoptr(GantryXml) xml = gantry_xml_parse(text, length, path, &error);
    g_autoptr(GantrySettings) settings = NULL;

    times[PARSE] = now_usec() - start;
    if (xml) {
        start = now_usec();
        settings = gantry_settings_resolve(gantry_extensions, xml, NULL, &error);
        times[RESOLVE] = now_usec() - start;
    }
    if (!settings) {
        fprintf(stderr, "bench-xml: %s\n", error->message);
        exit(1);
    }
}

static void
measure(const char *path)
{
    static double times[N_STEPS][ROUNDS];
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    double first[N_STEPS];
    gsize length;

    if (!g_file_get_contents(path, &text, &length, &error)) {
        fprintf(stderr, "bench-xml: %s\n", error->message);
        exit(1);
    }
    run_once(path, text, length, first);
    for (int i = 0; i < ROUNDS; i++) {
        double once[N_STEPS];

        run_once(path, text, length, once);
        for (int step = 0; step < N_STEPS; step++) {
            times[step][i] = once[step];
        }
    }
    for (int step = 0; step < N_STEPS; step++) {
        qsort(times[step], ROUNDS, sizeof(double), compare);
        printf("%-60s %7zu bytes %-8s first %8.1f median %8.1f minimum %8.1f us\n", path, length,
               step_names[step], first[step], times[step][ROUNDS / 2], times[step][0]);
    }
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench-xml FILE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        measure(argv[i]);
    }
    return 0;
}
