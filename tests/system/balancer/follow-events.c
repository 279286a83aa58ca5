/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * follow-events URI - follows a libvirt daemon as Gantry's daemons do, and tells what it is told, a
 * line each: "up", "down REASON", "resync NAME:STATE...", "event NAME CODE". On each line of its
 * standard input it makes a call with a deadline of 2 s, and tells "call ok" or "call ERROR"; it
 * ends with its input.
 */
#include <glib-unix.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/virt/connection.h"

static void
on_resync(GantryVirtConn *conn, const GantryVirtDomain *domains, guint n_domains, gpointer data)
{
    printf("resync");
    for (guint i = 0; i < n_domains; i++) {
        printf(" %s:%d", virDomainGetName(domains[i].domain), domains[i].state);
    }
    putchar('\n');
    fflush(stdout);
}

static void
on_event(GantryVirtConn *conn, const GantryVirtEvent *event, gpointer data)
{
    printf("event %s %d\n", virDomainGetName(event->domain), event->code);
    fflush(stdout);
}

static void
on_state(GantryVirtConn *conn, GantryVirtState state, const char *reason, gpointer data)
{
    printf("%s%s%s\n", gantry_virt_state_name(state), reason ? " " : "", reason ? reason : "");
    fflush(stdout);
}

static gboolean
count_domains(virConnectPtr virt, gpointer data, GError **error)
{
    if (virConnectNumOfDomains(virt) < 0) {
        gantry_virt_set_error(error, "count");
        return FALSE;
    }
    return TRUE;
}

static GMainLoop *loop;

static gboolean
on_input(int fd, GIOCondition condition, gpointer data)
{
    char line[64];
    g_autoptr(GError) error = NULL;

    if (read(fd, line, sizeof(line)) <= 0) {
        g_main_loop_quit(loop);
        return G_SOURCE_REMOVE;
    }
    if (gantry_virt_call(data, count_domains, NULL, NULL, 2000, &error)) {
        puts("call ok");
    } else {
        printf("call %s\n", error->message);
    }
    fflush(stdout);
    return G_SOURCE_CONTINUE;
}

int
main(int argc, char **argv)
{
    static const GantryVirtFollower follower = {
        .resync = on_resync, .event = on_event, .state = on_state};
    const GantryVirtOptions options = {
        .keepalive_interval_sec = 1,
        .keepalive_count = 3,
        .backoff_min_msec = 200,
        .backoff_max_msec = 1000,
    };
    GantryVirtConn *conn;

    gantry_log_init("follow-events");
    if (argc != 2) {
        fputs("Usage: follow-events URI\n", stderr);
        return 2;
    }
    loop = g_main_loop_new(NULL, FALSE);
    conn = gantry_virt_conn_new_follower(argv[1], &options, 1u << VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                         &follower, NULL, NULL, NULL);
    g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_input, conn);
    g_main_loop_run(loop);
    gantry_virt_conn_free(conn);
    g_main_loop_unref(loop);
    return 0;
}
