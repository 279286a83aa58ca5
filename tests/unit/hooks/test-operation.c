/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <string.h>

#include "libvirt_hooks/operation.h"

static void
test_find(void)
{
    g_assert_cmpstr(hook_operation_find("prepare", "begin")->method, ==, "hook/prepare");
    g_assert_null(hook_operation_find("prepare", "end"));
    g_assert_null(hook_operation_find("attach", "begin"));
    g_assert_null(hook_operation_find("", ""));
}

/* What was learned on real libvirt, and what nobody may change without learning it again. */
static void
test_policy(void)
{
    const char *const refuse[] = {"migrate", "prepare", NULL};
    const char *const rewrite[] = {"migrate", "restore", NULL};
    const char *const must_fit[] = {"prepare", NULL};
    const char *const tell_all[] = {"stopped", "release", NULL};
    guint n = 0;

    for (const HookOperation *o = hook_operations; o->name; o++, n++) {
        g_autofree char *method = g_strconcat("hook/", o->name, NULL);

        g_assert_cmpint(o->failure == HOOK_FAILURE_REFUSES, ==, g_strv_contains(refuse, o->name));
        g_assert_cmpint(o->may_rewrite, ==, g_strv_contains(rewrite, o->name));
        g_assert_cmpint(o->must_fit, ==, g_strv_contains(must_fit, o->name));
        g_assert_true(!o->must_fit || o->failure == HOOK_FAILURE_REFUSES);
        g_assert_cmpint(o->tells_all, ==, g_strv_contains(tell_all, o->name));
        g_assert_cmpint(o->stdin_holds == HOOK_STDIN_MIGRATABLE, ==, o->may_rewrite);
        g_assert_cmpstr(o->method, ==, method);
        g_assert_nonnull(o->libvirt_on_failure);
        g_assert_nonnull(o->effect);
        g_assert_nonnull(o->undone_by);
        g_assert_true(hook_operation_find(o->name, o->sub_operation) == o);
    }
    g_assert_cmpuint(n, ==, 8);
}

/* The table in gantry-hook(8) has a row an operation, and says the same. */
static void
test_man_page(void)
{
    g_autofree char *path =
        g_test_build_filename(G_TEST_DIST, "..", "docs", "man", "gantry-hook.8.rst", NULL);
    g_autofree char *page = NULL;

    g_assert_true(g_file_get_contents(path, &page, NULL, NULL));
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_autofree char *row =
            g_strdup_printf("\n%-9s %-5s %-10s %-7s %s", o->name, o->sub_operation,
                            o->stdin_holds == HOOK_STDIN_LIVE ? "live" : "migratable",
                            o->may_rewrite ? "yes" : "no",
                            o->failure == HOOK_FAILURE_REFUSES ? "refused" : "passes");

        if (!strstr(page, row)) {
            g_test_message("not in the page:%s", row);
            g_test_fail();
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hook/operation/find", test_find);
    g_test_add_func("/hook/operation/policy", test_policy);
    g_test_add_func("/hook/operation/man-page", test_man_page);
    return g_test_run();
}
