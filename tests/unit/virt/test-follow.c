/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/connection_priv.h"

#include <glib/gstdio.h>

#include "common/virt/follow_priv.h"
#include "common/virt/loop.h"

#define FOREVER_MSEC (3600 * 1000)

static const char node_xml[] = "<node>"
                               "  <cpu><mhz>1000</mhz><model>i986</model></cpu>"
                               "  <domain type='test'><name>one</name><memory>65536</memory>"
                               "    <vcpu>1</vcpu><os><type>hvm</type></os></domain>"
                               "  <domain type='test'><name>two</name><memory>65536</memory>"
                               "    <vcpu>1</vcpu><os><type>hvm</type></os></domain>"
                               "</node>";

/* What the follower was told, one word each, e.g. "up resync:2 stopped:one". */
typedef struct {
    GString *log;
    guint n_resyncs;
    guint n_events;
    gboolean destroyed;
} Record;

static void
record_resync(GantryVirtConn *conn, const GantryVirtDomain *domains, guint n_domains, gpointer data)
{
    Record *record = data;

    g_string_append_printf(record->log, " resync:%u", n_domains);
    record->n_resyncs++;
}

static void
record_event(GantryVirtConn *conn, const GantryVirtEvent *event, gpointer data)
{
    Record *record = data;

    g_assert_cmpint(event->id, ==, VIR_DOMAIN_EVENT_ID_LIFECYCLE);
    g_string_append_printf(record->log, " %d:%s", event->code, virDomainGetName(event->domain));
    record->n_events++;
}

static void
record_state(GantryVirtConn *conn, GantryVirtState state, const char *reason, gpointer data)
{
    Record *record = data;

    g_string_append_printf(record->log, " %s", gantry_virt_state_name(state));
    if (reason) {
        g_string_append_printf(record->log, "(%s)", reason);
    }
}

static void
record_destroy(gpointer data)
{
    Record *record = data;

    g_atomic_int_set(&record->destroyed, TRUE);
    g_main_context_wakeup(NULL);
}

static const GantryVirtFollower recorder = {
    .resync = record_resync,
    .event = record_event,
    .state = record_state,
};

static gint64 fake_time_usec; /* stands still: no reconnect before the test says so */

static gint64
fake_now(gpointer data)
{
    gint64 now;

    g_mutex_lock(data);
    now = fake_time_usec;
    g_mutex_unlock(data);
    return now;
}

static double
fake_random(gpointer data)
{
    return 0.0;
}

static void
fake_wait_until(GCond *cond, GMutex *mutex, gint64 until_usec, gpointer data)
{
    if (fake_now(data) < until_usec) {
        g_cond_wait(cond, mutex);
    }
}

typedef struct {
    Record record;
    GMutex clock_lock;
    char *path;
    GantryVirtConn *conn;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    const GantryVirtClock clock = {
        .now_usec = fake_now,
        .random = fake_random,
        .wait_until = fake_wait_until,
        .data = &fixture->clock_lock,
    };
    g_autofree char *uri = NULL;
    g_autoptr(GError) error = NULL;
    int fd = g_file_open_tmp("node-XXXXXX.xml", &fixture->path, &error);

    g_assert_no_error(error);
    g_assert_true(g_close(fd, &error));
    g_assert_true(g_file_set_contents(fixture->path, node_xml, -1, &error));
    uri = g_strdup_printf("test://%s", fixture->path);
    g_mutex_init(&fixture->clock_lock);
    fake_time_usec = 1;
    fixture->record.log = g_string_new(NULL);
    fixture->conn =
        gantry_virt_conn_new_full(uri, NULL, 1u << VIR_DOMAIN_EVENT_ID_LIFECYCLE, &recorder,
                                  &fixture->record, record_destroy, NULL, &clock);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    gantry_virt_conn_free(fixture->conn);
    while (!g_atomic_int_get(&fixture->record.destroyed)) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpint(g_unlink(fixture->path), ==, 0);
    g_free(fixture->path);
    g_string_free(fixture->record.log, TRUE);
    g_mutex_clear(&fixture->clock_lock);
}

static void
iterate_until(const guint *count, guint wanted)
{
    while (*count < wanted) {
        g_main_context_iteration(NULL, TRUE);
    }
}

static gboolean
stop_domain(virConnectPtr virt, gpointer data, GError **error)
{
    g_autoptr(virDomain) domain = virDomainLookupByName(virt, data);

    if (!domain || virDomainDestroy(domain) < 0) {
        gantry_virt_set_error(error, "stop");
        return FALSE;
    }
    return TRUE;
}

static void
test_list_comes_first(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    /* Before the main context has run once: all waits in order. */
    g_assert_true(
        gantry_virt_call(fixture->conn, stop_domain, (gpointer) "one", NULL, FOREVER_MSEC, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(fixture->record.log->str, ==, "");
    iterate_until(&fixture->record.n_events, 1);
    g_assert_cmpstr(fixture->record.log->str, ==, " up resync:2 5:one");
}

static void
test_lists_again_after_a_loss(Fixture *fixture, gconstpointer data)
{
    gint64 due;

    iterate_until(&fixture->record.n_resyncs, 1);
    gantry_virt_conn_lose_link(fixture->conn, "pulled");
    while ((due = gantry_virt_conn_next_attempt_usec(fixture->conn)) == 0) {
        g_thread_yield();
    }
    g_assert_cmpint(due, ==, 1 + 500 * 1000);
    g_mutex_lock(&fixture->clock_lock);
    fake_time_usec = due;
    g_mutex_unlock(&fixture->clock_lock);
    gantry_virt_conn_wake(fixture->conn);
    iterate_until(&fixture->record.n_resyncs, 2);
    g_assert_cmpstr(fixture->record.log->str, ==,
                    " up resync:2 down(pulled) connecting(pulled) up resync:2");
}

typedef struct {
    GMutex lock;
    GCond changed;
    virDomainPtr domain;
    gboolean entered;
    gboolean open;
} Door;

static gboolean
stop_at_door(virConnectPtr virt, gpointer data, GError **error)
{
    Door *door = data;

    g_mutex_lock(&door->lock);
    door->domain = virDomainLookupByName(virt, "two");
    door->entered = TRUE;
    g_cond_broadcast(&door->changed);
    while (!door->open) {
        g_cond_wait(&door->changed, &door->lock);
    }
    g_mutex_unlock(&door->lock);
    return TRUE;
}

static void
test_too_many_events_make_a_new_list(Fixture *fixture, gconstpointer data)
{
    Door door = {0};
    g_autoptr(GError) error = NULL;
    GantryVirtCall *call;
    const guint n_events = 5000;

    iterate_until(&fixture->record.n_resyncs, 1);
    g_mutex_init(&door.lock);
    g_cond_init(&door.changed);
    call = gantry_virt_call_start(fixture->conn, stop_at_door, &door, NULL, FOREVER_MSEC);
    g_mutex_lock(&door.lock);
    while (!door.entered) {
        g_cond_wait(&door.changed, &door.lock);
    }
    for (guint i = 0; i < n_events; i++) {
        GantryVirtEvent *event = g_new0(GantryVirtEvent, 1);

        virDomainRef(door.domain);
        event->domain = door.domain;
        gantry_virt_conn_queue_event(fixture->conn, event);
    }
    door.open = TRUE;
    g_cond_broadcast(&door.changed);
    g_mutex_unlock(&door.lock);
    g_assert_true(gantry_virt_call_finish(call, &error));
    g_assert_no_error(error);
    virDomainFree(door.domain);

    /* The queue was thrown away when it held 4096; what came later follows the new list. */
    iterate_until(&fixture->record.n_events, n_events - 4096);
    g_assert_true(g_str_has_prefix(fixture->record.log->str, " up resync:2 resync:2 0:two"));
    g_mutex_clear(&door.lock);
    g_cond_clear(&door.changed);
}

static gboolean
keep_a_domain(virConnectPtr virt, gpointer data, GError **error)
{
    virDomainPtr *domain = data;

    if (!*domain) {
        *domain = virDomainLookupByName(virt, "two");
    }
    return TRUE;
}

/* A follower whose main loop is blocked, here since nobody iterates it, is not told without end. */
static void
test_blocked_follower_gets_a_new_list(Fixture *fixture, gconstpointer data)
{
    virDomainPtr domain = NULL;

    iterate_until(&fixture->record.n_resyncs, 1);
    for (guint round = 0; round < 4; round++) {
        /* Calls come after all events: so the worker has dealt with those of the last round. */
        g_assert_true(
            gantry_virt_call(fixture->conn, keep_a_domain, &domain, NULL, FOREVER_MSEC, NULL));
        for (guint i = 0; i < 3000 && round < 3; i++) {
            GantryVirtEvent *event = g_new0(GantryVirtEvent, 1);

            virDomainRef(domain);
            event->domain = domain;
            gantry_virt_conn_queue_event(fixture->conn, event);
        }
    }
    virDomainFree(domain);
    while (g_main_context_iteration(NULL, FALSE)) {
        g_assert_cmpuint(fixture->record.n_events, <=, 4096);
    }
    iterate_until(&fixture->record.n_resyncs, 2);
    g_assert_true(g_str_has_suffix(fixture->record.log->str, " 0:two resync:2"));
}

/* An event that libvirt's loop still had in its hands when its connection was given up. */
static void
test_event_of_another_link_is_dropped(Fixture *fixture, gconstpointer data)
{
    g_autoptr(virConnect) other = virConnectOpen(gantry_virt_conn_uri(fixture->conn));
    GantryVirtEvent *event = g_new0(GantryVirtEvent, 1);
    g_autoptr(GError) error = NULL;

    iterate_until(&fixture->record.n_resyncs, 1);
    event->code = 77;
    event->domain = virDomainLookupByName(other, "one");
    g_assert_nonnull(event->domain);
    gantry_virt_conn_queue_event(fixture->conn, event);
    g_assert_true(
        gantry_virt_call(fixture->conn, stop_domain, (gpointer) "two", NULL, FOREVER_MSEC, &error));
    g_assert_no_error(error);
    iterate_until(&fixture->record.n_events, 1);
    g_assert_cmpstr(fixture->record.log->str, ==, " up resync:2 5:two");
}

static void
test_nothing_comes_after_free(void)
{
    Record record = {.log = g_string_new(NULL)};
    GantryVirtConn *conn =
        gantry_virt_conn_new_follower("test:///default", NULL, 1u << VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                      &recorder, &record, record_destroy, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(
        gantry_virt_call(conn, stop_domain, (gpointer) "test", NULL, FOREVER_MSEC, &error));
    g_assert_no_error(error);
    gantry_virt_conn_free(conn); /* with messages waiting in the main context */
    while (!g_atomic_int_get(&record.destroyed)) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpstr(record.log->str, ==, "");
    g_string_free(record.log, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    gantry_virt_init();
    g_test_add("/virt/follow/list-comes-first", Fixture, NULL, set_up, test_list_comes_first,
               tear_down);
    g_test_add("/virt/follow/lists-again-after-a-loss", Fixture, NULL, set_up,
               test_lists_again_after_a_loss, tear_down);
    g_test_add("/virt/follow/event-of-another-link-is-dropped", Fixture, NULL, set_up,
               test_event_of_another_link_is_dropped, tear_down);
    g_test_add("/virt/follow/too-many-events-make-a-new-list", Fixture, NULL, set_up,
               test_too_many_events_make_a_new_list, tear_down);
    g_test_add("/virt/follow/blocked-follower-gets-a-new-list", Fixture, NULL, set_up,
               test_blocked_follower_gets_a_new_list, tear_down);
    g_test_add_func("/virt/follow/nothing-comes-after-free", test_nothing_comes_after_free);
    return g_test_run();
}
