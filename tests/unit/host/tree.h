/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include "common/base/error.h"
#include "common/host/host.h"
#include "scratch.h"

/* A made-up machine: a folder, and the host that is read from it. */
typedef struct {
    char *root;
    GantryHost *host;
} Tree;

static inline void
tree_set_up(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    tree->root = scratch_new();
    tree->host = gantry_host_open(tree->root, &error);
    g_assert_no_error(error);
}

static inline void
tree_tear_down(Tree *tree, gconstpointer data)
{
    gantry_host_free(tree->host);
    scratch_remove(tree->root);
}

#define TREE_TEST(path, function) \
    g_test_add(path, Tree, NULL, tree_set_up, function, tree_tear_down)

/* The error has this code of ours, and its message names @part. */
static inline void
assert_failed(GError **error, GantryError code, const char *part)
{
    g_assert_error(*error, GANTRY_ERROR, (gint)code);
    if (!strstr((*error)->message, part)) {
        g_error("'%s' does not name '%s'", (*error)->message, part);
    }
    g_clear_error(error);
}

static inline void
assert_cpus(const GantryCpuset *set, const char *expected)
{
    g_autofree char *text = gantry_cpuset_format(set);

    g_assert_cmpstr(text, ==, expected);
}
