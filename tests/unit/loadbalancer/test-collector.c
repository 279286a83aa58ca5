/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the collector makes of hosts that do not serve. Measuring real ones is in
 * tests/system/balancer: libvirt's test driver tells neither memory nor CPU time of domains.
 */
#include "loadbalancer/collect/collector.h"

#include "extensions/extensions.h"
#include "silent-server.h"

#define SHORT_MSEC 200

static void
test_each_failure_is_told(void)
{
    g_autoptr(SilentServer) silent = silent_server_new_tcp(SILENT_SERVER_HOLDS);
    g_autoptr(SilentServer) rude = silent_server_new_tcp(SILENT_SERVER_HANGS_UP);
    const char *const uris[] = {silent_server_uri(silent), silent_server_uri(rude),
                                "test:///default", "nonsense://x/", NULL};
    g_autoptr(LbCollector) collector = lb_collector_new(uris);
    g_autoptr(GError) error = NULL;
    g_autoptr(LbState) state = NULL;

    lb_collector_sample(collector, SHORT_MSEC, FALSE);
    lb_collector_sample(collector, SHORT_MSEC, TRUE);
    state = lb_collector_state(collector, gantry_extensions, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(state->hosts->len, ==, 4);
    for (guint i = 0; i < state->hosts->len; i++) {
        const LbHost *host = lb_state_host(state, i);

        g_assert_cmpint(host->status, ==, LB_HOST_UNREACHABLE);
        g_assert_nonnull(host->status_reason);
        g_assert_cmpstr(host->name, ==, uris[i]);
    }
    g_assert_nonnull(g_strstr_len(lb_state_host(state, 0)->status_reason, -1, "does not answer"));
    g_assert_nonnull(g_strstr_len(lb_state_host(state, 2)->status_reason, -1, "memory"));
    /* Only the URI with a host name can be a target. */
    g_assert_null(lb_state_host(state, 0)->closed_reason);
    g_assert_nonnull(lb_state_host(state, 2)->closed_reason);
}

static void
test_uri_server(void)
{
    static const struct {
        const char *uri;
        const char *server;
    } cases[] = {
        {"qemu+tls://a.example/system", "a.example"},
        {"qemu+ssh://root@b:22/system?no_tty=1", "b"},
        {"qemu+tcp://[fd00::1]:16509/system", "[fd00::1]"},
        {"qemu:///system", NULL},
        {"qemu+unix:///system?socket=/run/x", NULL},
        {"test:///default", NULL},
        {"%%", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *server = lb_uri_server(cases[i].uri);

        g_assert_cmpstr(server, ==, cases[i].server);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lb/collector/each-failure-is-told", test_each_failure_is_told);
    g_test_add_func("/lb/collector/uri-server", test_uri_server);
    return g_test_run();
}
