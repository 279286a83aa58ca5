/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Moves that cannot work; those that do, and their failures, are in tests/system/balancer. */
#include "loadbalancer/actuator_priv.h"

#include "silent-server.h"

static const LbMoveWatcher nobody;

static void
test_unreachable_source(void)
{
    g_autofree char *uri = NULL;
    SilentServer *server = silent_server_new_tcp(SILENT_SERVER_HOLDS);
    LbMoveResult result = {.total_msec = 77};
    g_autoptr(GError) error = NULL;
    LbMove move = {
        .uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f", .name = "web", .timeout_msec = 1000};

    uri = g_strdup(silent_server_uri(server));
    silent_server_free(server); /* nobody listens there now */
    move.source_uri = move.target_uri = uri;
    g_assert_false(lb_move(&move, &nobody, NULL, &result, &error));
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_STAYED);
    g_assert_nonnull(g_strstr_len(error->message, -1, "refused"));
    g_assert_nonnull(g_strstr_len(error->message, -1, "was not begun"));
    g_assert_cmpuint(result.total_msec, ==, 77);
}

static void
test_no_such_domain(void)
{
    const LbMove move = {.source_uri = "test:///default",
                         .target_uri = "test:///default",
                         .uuid = "00000000-0000-0000-0000-000000000001",
                         .name = "nobody",
                         .timeout_msec = 1000};
    LbMoveResult result;
    g_autoptr(GError) error = NULL;

    g_assert_false(lb_move(&move, &nobody, NULL, &result, &error));
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_UNCLEAR);
    g_assert_nonnull(g_strstr_len(error->message, -1, "'nobody' is not at the source any more"));
    g_assert_nonnull(g_strstr_len(error->message, -1, "neither host"));
}

/* The test driver knows no migration. Both URIs lead to the same domain, so it seems to be on both
 * hosts: that must be told first of all. */
static void
test_domain_at_both_hosts(void)
{
    const LbMove move = {.source_uri = "test:///default",
                         .target_uri = "test:///default",
                         .uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f",
                         .name = "test",
                         .timeout_msec = 1000};
    LbMoveResult result;
    g_autoptr(GError) error = NULL;

    g_assert_false(lb_move(&move, &nobody, NULL, &result, &error));
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_UNCLEAR);
    g_assert_nonnull(g_strstr_len(error->message, -1, "both hosts"));
}

/* Somebody else's job must not be cancelled, nor be shown as the migration. */
static void
test_only_migrations_out_count(void)
{
    static const struct {
        int type;
        int operation; /* -1: libvirt does not tell */
        gboolean counts;
    } cases[] = {
        {VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, TRUE},
        {VIR_DOMAIN_JOB_NONE, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, FALSE},
        {VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN, FALSE},
        {VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_SAVE, FALSE},
        {VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_DUMP, FALSE},
        {VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_BACKUP, FALSE},
        {VIR_DOMAIN_JOB_UNBOUNDED, -1, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GantryVirtParams) params = {0};
        int max = 0;

        if (cases[i].operation >= 0) {
            virTypedParamsAddInt(&params.params, &params.n, &max, VIR_DOMAIN_JOB_OPERATION,
                                 cases[i].operation);
        }
        g_assert_cmpint(lb_job_is_migration_out(cases[i].type, &params), ==, cases[i].counts);
    }
}

static void
test_place(void)
{
    static const LbSight silent = {0};
    static const LbSight gone = {.seen = TRUE};
    static const LbSight runs = {.seen = TRUE, .running = TRUE};
    static const LbSight leaves = {.seen = TRUE, .running = TRUE, .migrating = TRUE};
    static const LbSight stopped = {.seen = TRUE, .migrating = TRUE}; /* for the switch-over */
    static const struct {
        const LbSight *source, *target, *source_after;
        LbPlace place;
    } cases[] = {
        {&gone, &runs, &gone, LB_PLACE_TARGET},
        {&runs, &runs, &gone, LB_PLACE_TARGET}, /* it left between the two questions */
        {&leaves, &runs, &gone, LB_PLACE_TARGET},
        {&runs, &runs, &runs, LB_PLACE_BOTH},
        {&runs, &runs, &leaves, LB_PLACE_MIGRATING},
        {&leaves, &gone, &leaves, LB_PLACE_MIGRATING},
        {&stopped, &gone, &stopped, LB_PLACE_MIGRATING},
        {&runs, &gone, &runs, LB_PLACE_SOURCE},
        {&runs, &silent, &runs, LB_PLACE_SOURCE},
        {&gone, &gone, &gone, LB_PLACE_NEITHER},
        {&gone, &silent, &gone, LB_PLACE_UNSEEN},
        {&silent, &gone, &silent, LB_PLACE_UNSEEN},
        {&runs, &runs, &silent, LB_PLACE_UNSEEN},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(lb_judge_place(cases[i].source, cases[i].target, cases[i].source_after), ==,
                        cases[i].place);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lb/actuator/unreachable-source", test_unreachable_source);
    g_test_add_func("/lb/actuator/no-such-domain", test_no_such_domain);
    g_test_add_func("/lb/actuator/domain-at-both-hosts", test_domain_at_both_hosts);
    g_test_add_func("/lb/actuator/only-migrations-out-count", test_only_migrations_out_count);
    g_test_add_func("/lb/actuator/place", test_place);
    return g_test_run();
}
