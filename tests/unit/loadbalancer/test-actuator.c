/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves that cannot work; those that do, and their failures, are in tests/system/balancer.
 * libvirt's test driver knows neither jobs nor migrations: its functions for them are replaced
 * here.
 */
#include "loadbalancer/act/actuator_priv.h"

#include <libvirt/virterror.h>

#include "common/virt/connection_priv.h"
#include "scratch.h"
#include "silent-server.h"

#define TEST_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f" /* of the domain in test:///default */
#define PLENTY    (3600 * 1000)

static const LbMoveWatcher nobody;

/* What the replaced functions say. */
static struct {
    GMutex lock;
    GCond changed;
    gboolean foreign;         /* somebody else migrates the domain */
    gboolean held;            /* the first question about a job waits */
    gboolean ours;            /* our migration runs */
    gboolean abort_fails;     /* libvirt cannot cancel now */
    gboolean waits_for_abort; /* our migration fails when it has been tried to cancel it */
    guint n_migrations;
    guint n_aborts;
} fake;

static void
fake_reset(void)
{
    fake.foreign = fake.held = fake.ours = fake.abort_fails = fake.waits_for_abort = FALSE;
    fake.n_migrations = fake.n_aborts = 0;
}

/* libvirt lets nobody set an error, so something else fails in its way; its text has @word. */
static int
fake_fail(virDomainPtr domain, const char *word)
{
    g_autofree char *xml = g_strdup_printf("<%s/>", word);

    g_assert_null(virDomainDefineXML(virDomainGetConnect(domain), xml));
    return -1;
}

int
virDomainGetJobStats(virDomainPtr domain, int *type, virTypedParameterPtr *params, int *nparams,
                     unsigned int flags)
{
    int max = 0;
    gboolean migrates;

    if (flags & VIR_DOMAIN_JOB_STATS_COMPLETED) {
        return fake_fail(domain, "no-job");
    }
    g_mutex_lock(&fake.lock);
    while (fake.held) {
        g_cond_wait(&fake.changed, &fake.lock);
    }
    migrates = fake.foreign || fake.ours;
    g_mutex_unlock(&fake.lock);
    *params = NULL;
    *nparams = 0;
    *type = migrates ? VIR_DOMAIN_JOB_UNBOUNDED : VIR_DOMAIN_JOB_NONE;
    if (migrates) {
        virTypedParamsAddInt(params, nparams, &max, VIR_DOMAIN_JOB_OPERATION,
                             VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT);
    }
    return 0;
}

int
virDomainMigrateToURI3(virDomainPtr domain, const char *uri, virTypedParameterPtr params,
                       unsigned int nparams, unsigned int flags)
{
    g_mutex_lock(&fake.lock);
    fake.n_migrations++;
    fake.ours = TRUE;
    while (fake.waits_for_abort && fake.n_aborts == 0) {
        g_cond_wait(&fake.changed, &fake.lock);
    }
    fake.ours = FALSE;
    g_mutex_unlock(&fake.lock);
    return fake_fail(domain, "not-today");
}

int
virDomainAbortJob(virDomainPtr domain)
{
    gboolean fails;

    g_mutex_lock(&fake.lock);
    fake.n_aborts++;
    fails = fake.abort_fails;
    g_cond_broadcast(&fake.changed);
    g_mutex_unlock(&fake.lock);
    return fails ? fake_fail(domain, "not-now") : 0;
}

static gboolean
cancel_at_once(gpointer data)
{
    g_mutex_lock(&fake.lock);
    fake.held = FALSE;
    g_cond_broadcast(&fake.changed);
    g_mutex_unlock(&fake.lock);
    return TRUE;
}

static const LbMoveWatcher canceller = {.is_cancelled = cancel_at_once};

/* To a host without domains. Returns: the error. */
static GError *
move_in_vain(const LbMoveWatcher *watcher)
{
    char *folder = scratch_new();
    g_autofree char *target = g_strconcat("test://", folder, "/empty.xml", NULL);
    const LbMove move = {.source_uri = "test:///default",
                         .target_uri = target,
                         .uuid = TEST_UUID,
                         .name = "web",
                         .timeout_msec = PLENTY};
    LbMoveResult result;
    GError *error = NULL;

    scratch_write(folder, "empty.xml", "<node/>");
    g_assert_false(lb_move(&move, watcher, NULL, &result, &error));
    scratch_remove(folder);
    return error;
}

static void
test_unreachable_source(void)
{
    g_autofree char *uri = NULL;
    SilentServer *server = silent_server_new_tcp(SILENT_SERVER_HOLDS);
    LbMoveResult result = {.total_msec = 77};
    g_autoptr(GError) error = NULL;
    LbMove move = {.uuid = TEST_UUID, .name = "web", .timeout_msec = 1000};

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
                         .uuid = TEST_UUID,
                         .name = "test",
                         .timeout_msec = 1000};
    LbMoveResult result;
    g_autoptr(GError) error = NULL;

    g_assert_false(lb_move(&move, &nobody, NULL, &result, &error));
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_UNCLEAR);
    g_assert_nonnull(g_strstr_len(error->message, -1, "both hosts"));
}

static void
test_refusal(void)
{
    g_autoptr(GError) error = NULL;

    fake_reset();
    error = move_in_vain(&nobody);
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_STAYED);
    g_assert_nonnull(g_strstr_len(error->message, -1, "not-today"));
    g_assert_true(g_str_has_suffix(error->message, "; it runs at the source"));
    g_assert_cmpuint(fake.n_migrations, ==, 1);
    g_assert_cmpuint(fake.n_aborts, ==, 0);
}

static void
test_cancelled(void)
{
    g_autoptr(GError) error = NULL;

    fake_reset();
    fake.waits_for_abort = TRUE;
    error = move_in_vain(&canceller);
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_CANCELLED);
    g_assert_nonnull(
        g_strstr_len(error->message, -1, "cancelled on request; it runs at the source"));
    g_assert_cmpuint(fake.n_aborts, ==, 1);
}

/* Where nothing was cancelled, it was not the cancelling that ended the migration. */
static void
test_failure_while_cancelling_in_vain(void)
{
    g_autoptr(GError) error = NULL;

    fake_reset();
    fake.waits_for_abort = fake.abort_fails = TRUE;
    error = move_in_vain(&canceller);
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_STAYED);
    g_assert_nonnull(g_strstr_len(error->message, -1, "not-today"));
    g_assert_true(g_str_has_suffix(error->message, "; it runs at the source"));
    g_assert_cmpuint(fake.n_aborts, >, 0);
}

/* Whose migration runs already is neither joined nor cancelled: also where the wish to cancel comes
 * before it is known whose it is. */
static void
test_somebody_else_s_migration(void)
{
    g_autoptr(GError) error = NULL;

    fake_reset();
    fake.foreign = fake.held = TRUE;
    error = move_in_vain(&canceller);
    g_assert_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_STAYED);
    g_assert_nonnull(g_strstr_len(error->message, -1, "somebody else is migrating domain 'web'"));
    g_assert_cmpuint(fake.n_migrations, ==, 0);
    g_assert_cmpuint(fake.n_aborts, ==, 0);
}

static GantryVirtConn *asked_conn;

/* As libvirt has it: the question fails, and the connection has ended, which is seen a moment
 * later. */
static gboolean
ask_a_dying_libvirtd(virConnectPtr virt, gpointer data, GError **error)
{
    LbAnswer *answer = data;
    static guint n_asked;

    n_asked++;
    if (n_asked == 1) {
        gantry_virt_conn_lose_link(asked_conn, "the server closed the connection");
        g_set_error(error, GANTRY_VIRT_ERROR, VIR_ERR_SYSTEM_ERROR, "cannot read: end of file");
        return FALSE;
    }
    answer->running = TRUE;
    return TRUE;
}

static void
test_libvirtd_dies_when_asked(void)
{
    const GantryVirtOptions options = {.backoff_min_msec = 1, .backoff_max_msec = 1};
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("test:///default", &options);
    LbAnswer *answer;

    asked_conn = conn;
    answer = lb_ask_patiently(conn, ask_a_dying_libvirtd, TEST_UUID, PLENTY);
    g_assert_nonnull(answer);
    g_assert_true(answer->running);
    lb_answer_release(answer);
}

static gboolean
ask_in_vain(virConnectPtr virt, gpointer data, GError **error)
{
    g_set_error(error, GANTRY_VIRT_ERROR, VIR_ERR_INTERNAL_ERROR, "no");
    return FALSE;
}

/* An error is an answer: it is not asked again. */
static void
test_libvirtd_answers_an_error(void)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("test:///default", NULL);

    g_assert_null(lb_ask_patiently(conn, ask_in_vain, TEST_UUID, PLENTY));
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
    g_test_add_func("/lb/actuator/refusal", test_refusal);
    g_test_add_func("/lb/actuator/cancelled", test_cancelled);
    g_test_add_func("/lb/actuator/failure-while-cancelling-in-vain",
                    test_failure_while_cancelling_in_vain);
    g_test_add_func("/lb/actuator/somebody-else-s-migration", test_somebody_else_s_migration);
    g_test_add_func("/lb/actuator/libvirtd-dies-when-asked", test_libvirtd_dies_when_asked);
    g_test_add_func("/lb/actuator/libvirtd-answers-an-error", test_libvirtd_answers_an_error);
    g_test_add_func("/lb/actuator/only-migrations-out-count", test_only_migrations_out_count);
    g_test_add_func("/lb/actuator/place", test_place);
    return g_test_run();
}
