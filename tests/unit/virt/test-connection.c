/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/connection_priv.h"

#include "common/base/error.h"
#include "common/virt/loop.h"
#include "silent-server.h"

/* Far away: who waits for it hangs until the test run's own limit. */
#define FOREVER_MSEC (3600 * 1000)
#define HANGING_MSEC 1000
#define SHORT_MSEC   100

static gboolean
count_domains(virConnectPtr virt, gpointer data, GError **error)
{
    int n = virConnectNumOfDomains(virt);

    if (n < 0) {
        gantry_virt_set_error(error, "count");
        return FALSE;
    }
    *(int *)data = n;
    return TRUE;
}

static gboolean
look_up_nobody(virConnectPtr virt, gpointer data, GError **error)
{
    g_autoptr(virDomain) domain = virDomainLookupByName(virt, "nobody");

    g_assert_null(domain);
    gantry_virt_set_error(error, "domain %s", "nobody");
    return FALSE;
}

/* A door at which a call stops. */
typedef struct {
    GMutex lock;
    GCond changed;
    gboolean entered;
    gboolean open;
    gboolean left;
    gboolean destroyed;
} Gate;

static Gate *
gate_new(void)
{
    Gate *gate = g_new0(Gate, 1);

    g_mutex_init(&gate->lock);
    g_cond_init(&gate->changed);
    return gate;
}

static void
gate_free(Gate *gate)
{
    g_mutex_clear(&gate->lock);
    g_cond_clear(&gate->changed);
    g_free(gate);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Gate, gate_free)

static void
gate_set(Gate *gate, gboolean *flag)
{
    g_mutex_lock(&gate->lock);
    *flag = TRUE;
    g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}

static void
gate_await(Gate *gate, const gboolean *flag)
{
    g_mutex_lock(&gate->lock);
    while (!*flag) {
        g_cond_wait(&gate->changed, &gate->lock);
    }
    g_mutex_unlock(&gate->lock);
}

static gboolean
pass_gate(virConnectPtr virt, gpointer data, GError **error)
{
    Gate *gate = data;

    gate_set(gate, &gate->entered);
    gate_await(gate, &gate->open);
    gate_set(gate, &gate->left);
    return TRUE;
}

static void
gate_destroyed(gpointer data)
{
    Gate *gate = data;

    gate_set(gate, &gate->destroyed);
}

static void
wait_for_state(GantryVirtConn *conn, GantryVirtState state)
{
    while (gantry_virt_conn_state(conn, NULL) != state) {
        g_thread_yield();
    }
}

/* Calls */

static void
test_call_works(void)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("test:///default", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *reason = NULL;
    int n = 0;

    g_assert_true(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &error));
    g_assert_no_error(error);
    g_assert_cmpint(n, ==, 1);
    g_assert_cmpint(gantry_virt_conn_state(conn, &reason), ==, GANTRY_VIRT_UP);
    g_assert_null(reason);
    g_assert_cmpstr(gantry_virt_conn_uri(conn), ==, "test:///default");
}

static void
test_libvirt_error_is_kept(void)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("test:///default", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_false(gantry_virt_call(conn, look_up_nobody, NULL, NULL, FOREVER_MSEC, &error));
    g_assert_error(error, GANTRY_VIRT_ERROR, VIR_ERR_NO_DOMAIN);
    g_assert_true(g_str_has_prefix(error->message, "domain nobody: Domain not found"));
    g_assert_cmpint(gantry_virt_conn_state(conn, NULL), ==, GANTRY_VIRT_UP);
}

static void
test_hung_call_fails_by_its_deadline(void)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("test:///default", NULL);
    g_autoptr(Gate) gate = gate_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) later = NULL;
    g_autofree char *reason = NULL;
    GantryVirtCall *call, *queued;
    int n = 0;

    /* Connected, and with time enough to begin on a busy machine: it is to hang in the call. */
    g_assert_true(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &error));
    n = 0;
    call = gantry_virt_call_start(conn, pass_gate, gate, gate_destroyed, HANGING_MSEC);
    gate_await(gate, &gate->entered);
    queued = gantry_virt_call_start(conn, count_domains, &n, NULL, FOREVER_MSEC);
    g_assert_false(gantry_virt_call_finish(call, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
    g_assert_nonnull(g_strstr_len(error->message, -1, "test:///default"));
    g_assert_cmpint(gantry_virt_conn_state(conn, &reason), ==, GANTRY_VIRT_HUNG);
    g_assert_nonnull(reason);
    g_assert_false(gate->left);
    g_assert_false(gate->destroyed); /* the call still uses it */

    /* Behind the hung call: fails at once, as do new ones. */
    g_clear_error(&error);
    g_assert_false(gantry_virt_call_finish(queued, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
    g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &later));
    g_assert_error(later, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
    g_assert_cmpint(n, ==, 0);

    /* When it returns, all is well again. */
    gate_set(gate, &gate->open);
    gate_await(gate, &gate->destroyed);
    wait_for_state(conn, GANTRY_VIRT_UP);
    g_clear_error(&error);
    g_assert_true(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &error));
    g_assert_no_error(error);
}

static void
test_waiting_behind_a_slow_call_is_not_hung(void)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("test:///default", NULL);
    g_autoptr(Gate) gate = gate_new();
    g_autoptr(GError) error = NULL;
    GantryVirtCall *slow;
    int n = 0;

    slow = gantry_virt_call_start(conn, pass_gate, gate, NULL, FOREVER_MSEC);
    gate_await(gate, &gate->entered);
    g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, SHORT_MSEC, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
    g_assert_cmpint(gantry_virt_conn_state(conn, NULL), ==, GANTRY_VIRT_UP);
    g_assert_false(gantry_virt_call_wait(slow, 1));

    gate_set(gate, &gate->open);
    g_clear_error(&error);
    g_assert_true(gantry_virt_call_finish(slow, &error));
    g_assert_no_error(error);
    g_assert_cmpint(n, ==, 0); /* who gave up in the queue was never run */
}

static void
test_free_does_not_wait_for_a_hung_call(void)
{
    GantryVirtConn *conn = gantry_virt_conn_new("test:///default", NULL);
    g_autoptr(Gate) gate = gate_new();
    g_autoptr(GError) error = NULL;
    GantryVirtCall *queued;
    int n = 0;

    g_assert_false(gantry_virt_call(conn, pass_gate, gate, gate_destroyed, HANGING_MSEC, NULL));
    gate_await(gate, &gate->entered);
    queued = gantry_virt_call_start(conn, count_domains, &n, NULL, FOREVER_MSEC);
    gantry_virt_conn_free(conn);
    g_assert_false(gate->left);
    g_assert_false(gantry_virt_call_finish(queued, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
    gate_set(gate, &gate->open);
    gate_await(gate, &gate->destroyed);
}

static void
test_free_fails_what_waits(void)
{
    GantryVirtConn *conn = gantry_virt_conn_new("test:///default", NULL);
    g_autoptr(Gate) gate = gate_new();
    g_autoptr(GError) error = NULL;
    GantryVirtCall *running, *queued;
    int n = 0;

    running = gantry_virt_call_start(conn, pass_gate, gate, gate_destroyed, FOREVER_MSEC);
    gate_await(gate, &gate->entered);
    queued = gantry_virt_call_start(conn, count_domains, &n, NULL, FOREVER_MSEC);
    gantry_virt_conn_free(conn);
    g_assert_false(gantry_virt_call_finish(queued, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE);
    gate_set(gate, &gate->open);
    g_clear_error(&error);
    g_assert_true(gantry_virt_call_finish(running, &error));
    g_assert_no_error(error);
    gate_await(gate, &gate->destroyed);
}

static void
test_wait_up(void)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("test:///default", NULL);
    g_autoptr(GantryVirtConn) never = gantry_virt_conn_new("nonsense://", NULL);

    g_assert_true(gantry_virt_conn_wait_up(conn, FOREVER_MSEC));
    g_assert_true(gantry_virt_conn_wait_up(conn, 0));
    g_assert_false(gantry_virt_conn_wait_up(never, SHORT_MSEC));
}

/* Servers that do not serve */

static void
check_silent_server(SilentServer *server)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new(silent_server_uri(server), NULL);
    g_autoptr(GError) error = NULL;
    int n = 0;

    silent_server_wait_for(server, 1);
    g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, SHORT_MSEC, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);
    g_assert_cmpint(gantry_virt_conn_state(conn, NULL), ==, GANTRY_VIRT_HUNG);
    g_clear_error(&error);
    g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT);

    silent_server_free(server);
    wait_for_state(conn, GANTRY_VIRT_DOWN);
    g_clear_error(&error);
    g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE);
}

static void
test_silent_tcp_server(void)
{
    check_silent_server(silent_server_new_tcp(SILENT_SERVER_HOLDS));
}

static void
test_silent_unix_server(void)
{
    check_silent_server(silent_server_new_unix(SILENT_SERVER_HOLDS));
}

static gpointer
open_plainly(gpointer data)
{
    g_autoptr(virConnect) virt = virConnectOpen(data);

    g_assert_null(virt);
    return NULL;
}

typedef struct {
    GThread *thread;
    gint over; /* atomic */
    const char *uri;
} PlainOpen;

static gpointer
plain_open(gpointer data)
{
    PlainOpen *plain = data;

    open_plainly((gpointer)plain->uri);
    g_atomic_int_set(&plain->over, TRUE);
    return NULL;
}

/* What the deadline protects from: libvirt alone waits for as long as the server is silent. */
static void
test_control_plain_open_hangs(void)
{
    SilentServer *server = silent_server_new_tcp(SILENT_SERVER_HOLDS);
    PlainOpen plain = {.uri = silent_server_uri(server)};
    GantryVirtConn *conn;

    plain.thread = g_thread_new("plain-open", plain_open, &plain);
    silent_server_wait_for(server, 1);
    conn = gantry_virt_conn_new(silent_server_uri(server), NULL);
    silent_server_wait_for(server, 2);
    for (int i = 0; i < 3; i++) {
        int n;

        /* Ours has come back from the same server each time; */
        g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, SHORT_MSEC, NULL));
    }
    g_assert_false(g_atomic_int_get(&plain.over)); /* the other has not. */
    gantry_virt_conn_free(conn);
    {
        g_autofree char *uri = g_strdup(plain.uri);

        plain.uri = uri;
        silent_server_free(server);
        g_thread_join(plain.thread);
    }
    g_assert_true(g_atomic_int_get(&plain.over));
}

static void
test_refused(void)
{
    g_autofree char *uri = NULL;
    g_autoptr(GantryVirtConn) conn = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *reason = NULL;
    SilentServer *server = silent_server_new_tcp(SILENT_SERVER_HOLDS);
    int n = 0;

    uri = g_strdup(silent_server_uri(server));
    silent_server_free(server);
    conn = gantry_virt_conn_new(uri, NULL);
    g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE);
    g_assert_nonnull(g_strstr_len(error->message, -1, uri));
    g_assert_nonnull(g_strstr_len(error->message, -1, "refused"));
    g_assert_cmpint(gantry_virt_conn_state(conn, &reason), ==, GANTRY_VIRT_DOWN);
    g_assert_nonnull(g_strstr_len(reason, -1, "refused"));
}

static void
test_bad_uri(void)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new("nonsense://", NULL);
    g_autoptr(GError) error = NULL;
    int n = 0;

    g_assert_false(gantry_virt_call(conn, count_domains, &n, NULL, FOREVER_MSEC, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE);
}

/* Back-off, with a clock that stands still until the test moves it */

typedef struct {
    GMutex lock;
    gint64 now_usec;
} FakeTime;

static gint64
fake_now(gpointer data)
{
    FakeTime *fake = data;
    gint64 now;

    g_mutex_lock(&fake->lock);
    now = fake->now_usec;
    g_mutex_unlock(&fake->lock);
    return now;
}

static double
fake_random(gpointer data)
{
    return 0.5;
}

static void
fake_wait_until(GCond *cond, GMutex *mutex, gint64 until_usec, gpointer data)
{
    if (fake_now(data) < until_usec) {
        g_cond_wait(cond, mutex);
    }
}

static void
fake_advance_to(FakeTime *fake, gint64 now_usec, GantryVirtConn *conn)
{
    g_mutex_lock(&fake->lock);
    fake->now_usec = now_usec;
    g_mutex_unlock(&fake->lock);
    gantry_virt_conn_wake(conn);
}

static void
test_reconnects_with_back_off(void)
{
    static FakeTime fake = {.now_usec = 1};
    const GantryVirtClock clock = {
        .now_usec = fake_now,
        .random = fake_random,
        .wait_until = fake_wait_until,
        .data = &fake,
    };
    const GantryVirtOptions options = {.backoff_min_msec = 1000, .backoff_max_msec = 4000};
    const gint64 delays_msec[] = {750, 1500, 3000, 3000, 3000};
    g_autoptr(SilentServer) server = silent_server_new_tcp(SILENT_SERVER_HANGS_UP);
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new_full(silent_server_uri(server), &options,
                                                               0, NULL, NULL, NULL, NULL, &clock);

    for (guint i = 0; i < G_N_ELEMENTS(delays_msec); i++) {
        gint64 due;

        silent_server_wait_for(server, i + 1);
        while ((due = gantry_virt_conn_next_attempt_usec(conn)) <= fake_now(&fake)) {
            g_thread_yield();
        }
        g_assert_cmpint(due - fake_now(&fake), ==, delays_msec[i] * 1000);
        fake_advance_to(&fake, due, conn);
    }
    silent_server_wait_for(server, G_N_ELEMENTS(delays_msec) + 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    gantry_virt_init();
    g_test_add_func("/virt/call/works", test_call_works);
    g_test_add_func("/virt/call/libvirt-error-is-kept", test_libvirt_error_is_kept);
    g_test_add_func("/virt/call/hung-call-fails-by-its-deadline",
                    test_hung_call_fails_by_its_deadline);
    g_test_add_func("/virt/call/waiting-behind-a-slow-call-is-not-hung",
                    test_waiting_behind_a_slow_call_is_not_hung);
    g_test_add_func("/virt/conn/free-does-not-wait-for-a-hung-call",
                    test_free_does_not_wait_for_a_hung_call);
    g_test_add_func("/virt/conn/free-fails-what-waits", test_free_fails_what_waits);
    g_test_add_func("/virt/conn/wait-up", test_wait_up);
    g_test_add_func("/virt/conn/silent-tcp-server", test_silent_tcp_server);
    g_test_add_func("/virt/conn/silent-unix-server", test_silent_unix_server);
    g_test_add_func("/virt/conn/control/plain-open-hangs", test_control_plain_open_hangs);
    g_test_add_func("/virt/conn/refused", test_refused);
    g_test_add_func("/virt/conn/bad-uri", test_bad_uri);
    g_test_add_func("/virt/conn/reconnects-with-back-off", test_reconnects_with_back_off);
    return g_test_run();
}
