/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log where stderr is the journal: a journal is made up in a mount namespace. */
#define GANTRY_LOG_MODULE "testmodule"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "namespace.h"

#define JOURNAL "/run/systemd/journal"

static int
listen_at(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    if (type == SOCK_STREAM) {
        g_assert_no_errno(listen(fd, 1));
    }
    return fd;
}

/* As systemd starts a service. Returns the socket that the journal reads structured entries from.
 */
static int
connect_stderr_to_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL "/stdout"};
    int entries;
    int stream;

    g_assert_no_errno(mount("none", "/run", "tmpfs", 0, NULL));
    g_assert_no_errno(g_mkdir_with_parents(JOURNAL, 0755));
    listen_at(JOURNAL "/stdout", SOCK_STREAM);
    entries = listen_at(JOURNAL "/socket", SOCK_DGRAM);
    stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_no_errno(connect(stream, (struct sockaddr *)&address, sizeof(address)));
    g_assert_cmpint(dup2(stream, STDERR_FILENO), ==, STDERR_FILENO);
    return entries;
}

/* Values with a newline have another form; none of ours may. */
static void
assert_field(const char *entry, const char *line)
{
    g_auto(GStrv) lines = g_strsplit(entry, "\n", -1);

    if (!g_strv_contains((const char *const *)lines, line)) {
        printf("'%s' is not in: %s\n", line, entry);
        exit(EXIT_FAILURE);
    }
}

static void
log_to_journal(void)
{
    const char *const fields[] = {"DOMAIN_UUID", "1234", NULL};
    int entries = connect_stderr_to_journal();
    char entry[8192] = "";

    gantry_log_init("prog");
    gantry_log_full(G_LOG_LEVEL_WARNING, "testmodule", "file.c", 42, "function", fields, "vm\n%s",
                    "\033[31m");
    g_assert_cmpint(recv(entries, entry, sizeof(entry) - 1, MSG_DONTWAIT), >, 0);
    assert_field(entry, "MESSAGE=vm\\x0a\\x1b[31m");
    assert_field(entry, "PRIORITY=4");
    assert_field(entry, "SYSLOG_IDENTIFIER=prog");
    assert_field(entry, "GANTRY_MODULE=testmodule");
    assert_field(entry, "CODE_FILE=file.c");
    assert_field(entry, "CODE_LINE=42");
    assert_field(entry, "CODE_FUNC=function");
    assert_field(entry, "DOMAIN_UUID=1234");

    /* A log file takes the place of the journal too. */
    g_assert_true(gantry_log_set_file("/run/log", NULL));
    gantry_notice("into the file");
    g_assert_cmpint(recv(entries, entry, sizeof(entry) - 1, MSG_DONTWAIT), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_true(gantry_log_set_file(NULL, NULL));
}

static void
test_journal(void)
{
    if (g_test_subprocess()) {
        if (!namespace_enter()) {
            printf("unavailable: %s\n", g_strerror(errno));
            exit(77);
        }
        log_to_journal();
        printf("all fields seen\n");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    if (!g_test_trap_has_passed()) {
        g_test_trap_assert_stdout("*unavailable*");
        g_test_skip("no mount or user namespaces here");
        return;
    }
    g_test_trap_assert_stdout("*all fields seen*");
    g_test_trap_assert_stderr("");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/journal", test_journal);
    return g_test_run();
}
