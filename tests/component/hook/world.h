/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * A folder that is the whole world to the test builds of gantry-hook and its engine:
 * etc/gantry, run/gantry, libexec, log, and a sysfs with the online CPUs.
 */
typedef struct {
    char *directory;
    char *front; /* program */
} World;

/* For g_test_add(). The programs come from GANTRY_TEST_HOOK and GANTRY_TEST_HOOK_ENGINE. */
void world_set_up(World *world, gconstpointer data);
void world_tear_down(World *world, gconstpointer data);

/* Writes a file at a path below the folder; its folder is made. */
void world_write(const World *world, const char *path, const char *text);
char *world_path(const World *world, const char *path);
char *world_read(const World *world, const char *path); /* "" where there is none */

/* Puts a shell script in the engine's place. NULL: nothing at all. */
void world_replace_engine(const World *world, const char *script);

typedef struct {
    int status; /* exit status; -1: killed */
    char *output;
    gsize n_output;
    char *errors;
} Outcome;

void outcome_clear(Outcome *outcome);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)

/* Runs "gantry-hook g1 OPERATION SUB-OPERATION -" as libvirt does, in its environment. */
void world_run(const World *world, const char *operation, const char *sub_operation,
               const char *xml, gsize length, Outcome *ret_outcome);

/* As above, with a whole command line. */
void world_run_argv(const World *world, const char *const *argv, const char *xml, gsize length,
                    Outcome *ret_outcome);

/* Text of tests/data/hook/NAME with @metadata put into its <metadata>. */
char *world_domain(const char *name, const char *metadata);
