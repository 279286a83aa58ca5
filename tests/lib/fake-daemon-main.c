/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake-daemon SOCKET MODE [ANSWER] - a daemon as well or badly behaved as a system test wants it,
 * on a lab host. It prints "ready", then each request that it gets, a line each, until SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake-daemon.h"

static const char good_answer[] = "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":{}}\n";

static const struct {
    const char *name;
    FakeMode mode;
} modes[] = {
    {"answer", FAKE_ANSWER}, {"hang-up", FAKE_HANG_UP}, {"silent", FAKE_SILENT},
    {"deaf", FAKE_DEAF},     {"drip", FAKE_DRIP},       {"full", FAKE_FULL},
    {"gone", FAKE_GONE},
};

static void
print_calls(FakeDaemon *daemon, guint *n_printed)
{
    for (guint n = fake_daemon_n_calls(daemon); *n_printed < n; (*n_printed)++) {
        puts(fake_daemon_call(daemon, *n_printed));
    }
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    const struct timespec between_looks = {0, 20 * 1000 * 1000};
    FakeDaemon *daemon = NULL;
    guint n_printed = 0;
    sigset_t end;

    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigprocmask(SIG_BLOCK, &end, NULL); /* before there are threads, which inherit it */
    for (gsize i = 0; argc >= 3 && i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(argv[2], modes[i].name) == 0) {
            daemon = fake_daemon_start(argv[1], modes[i].mode, argc > 3 ? argv[3] : good_answer);
        }
    }
    if (!daemon) {
        fprintf(stderr, "usage: fake-daemon SOCKET MODE [ANSWER]\n");
        return 2;
    }
    puts("ready");
    while (sigtimedwait(&end, NULL, &between_looks) < 0) {
        print_calls(daemon, &n_printed);
    }
    print_calls(daemon, &n_printed);
    fake_daemon_stop(daemon);
    return EXIT_SUCCESS;
}
