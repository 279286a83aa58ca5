/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/fake-daemon.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct FakeDaemon {
    char *path;
    FakeMode mode;
    char *answer;
    int listener;
    int stop; /* eventfd */
    int filler;
    GThread *thread;
    GMutex lock;
    GCond called;
    GPtrArray *calls; /* of char *, under lock */
};

/* FALSE: told to stop. */
static gboolean
wait_for(FakeDaemon *daemon, int fd, short events, int timeout_msec, short *ret_events)
{
    struct pollfd fds[] = {{daemon->stop, POLLIN, 0}, {fd, events, 0}};

    while (poll(fds, 2, timeout_msec) < 0) {
        g_assert_cmpint(errno, ==, EINTR);
    }
    *ret_events = fds[1].revents;
    return fds[0].revents == 0;
}

/* A line, or NULL: told to stop, or the peer has gone. */
static char *
read_line(FakeDaemon *daemon, int fd)
{
    GString *line = g_string_new(NULL);
    short events;
    char c;

    while (wait_for(daemon, fd, POLLIN, -1, &events) && read(fd, &c, 1) == 1) {
        if (c == '\n') {
            return g_string_free(line, FALSE);
        }
        g_string_append_c(line, c);
    }
    g_string_free(line, TRUE);
    return NULL;
}

static void
write_all(FakeDaemon *daemon, int fd, const char *text)
{
    gsize left = strlen(text);
    short events;

    while (left > 0 && wait_for(daemon, fd, POLLOUT, -1, &events)) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            return;
        }
        text += n;
        left -= (gsize)n;
    }
}

static void
send_answer(FakeDaemon *daemon, int fd, const char *request)
{
    g_auto(GStrv) before_id = g_strsplit(request, "\"id\":", 2);
    g_auto(GStrv) parts = g_strsplit(daemon->answer, "@ID@", -1);
    g_autofree char *id = NULL;
    g_autofree char *text = NULL;

    if (before_id[0] && before_id[1]) {
        id = g_strndup(before_id[1], strspn(before_id[1], "0123456789"));
    }
    text = g_strjoinv(id ? id : "null", parts);
    write_all(daemon, fd, text);
}

static void
serve(FakeDaemon *daemon, int fd)
{
    short events = 0;
    char *request = NULL;

    if (daemon->mode != FAKE_DEAF) {
        request = read_line(daemon, fd);
        if (!request) {
            return;
        }
        g_mutex_lock(&daemon->lock);
        g_ptr_array_add(daemon->calls, request);
        g_cond_broadcast(&daemon->called);
        g_mutex_unlock(&daemon->lock);
    }
    switch (daemon->mode) {
    case FAKE_HANG_UP:
        if (daemon->answer) {
            send_answer(daemon, fd, request);
        }
        return;
    case FAKE_ANSWER:
        send_answer(daemon, fd, request);
        break;
    case FAKE_DRIP:
        while (wait_for(daemon, fd, 0, 5, &events) && !(events & POLLHUP)) {
            send(fd, " ", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        return;
    default:
        break;
    }
    while (wait_for(daemon, fd, 0, -1, &events) && !(events & POLLHUP)) {
        /* until the peer has gone */
    }
}

static gpointer
run(gpointer data)
{
    FakeDaemon *daemon = data;
    short events;

    while (wait_for(daemon, daemon->listener, POLLIN, -1, &events)) {
        int fd = accept(daemon->listener, NULL, NULL);

        g_assert_cmpint(fd, >=, 0);
        serve(daemon, fd);
        close(fd);
    }
    return NULL;
}

FakeDaemon *
fake_daemon_start(const char *path, FakeMode mode, const char *answer)
{
    FakeDaemon *daemon = g_new0(FakeDaemon, 1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    daemon->path = g_strdup(path);
    daemon->mode = mode;
    daemon->answer = g_strdup(answer);
    daemon->calls = g_ptr_array_new_with_free_func(g_free);
    daemon->stop = eventfd(0, EFD_CLOEXEC);
    daemon->filler = -1;
    g_mutex_init(&daemon->lock);
    g_cond_init(&daemon->called);

    g_assert_cmpuint(strlen(path), <, sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    daemon->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(daemon->listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(daemon->listener, mode == FAKE_FULL ? 0 : 16), ==, 0);
    if (mode == FAKE_FULL) {
        /* A backlog of 0 has room for one. */
        daemon->filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(daemon->filler, (struct sockaddr *)&address, sizeof(address)), ==,
                        0);
    } else if (mode == FAKE_GONE) {
        close(daemon->listener);
        daemon->listener = -1;
    } else {
        daemon->thread = g_thread_new("fake-daemon", run, daemon);
    }
    return daemon;
}

const char *
fake_daemon_wait(FakeDaemon *daemon, guint n)
{
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    const char *text;

    g_mutex_lock(&daemon->lock);
    while (daemon->calls->len < n) {
        if (!g_cond_wait_until(&daemon->called, &daemon->lock, end)) {
            g_error("%s: only %u of %u calls came", daemon->path, daemon->calls->len, n);
        }
    }
    text = g_ptr_array_index(daemon->calls, daemon->calls->len - 1);
    g_mutex_unlock(&daemon->lock);
    return text;
}

guint
fake_daemon_n_calls(FakeDaemon *daemon)
{
    guint n;

    g_mutex_lock(&daemon->lock);
    n = daemon->calls->len;
    g_mutex_unlock(&daemon->lock);
    return n;
}

const char *
fake_daemon_call(FakeDaemon *daemon, guint index)
{
    const char *text;

    g_mutex_lock(&daemon->lock);
    g_assert_cmpuint(index, <, daemon->calls->len);
    text = g_ptr_array_index(daemon->calls, index);
    g_mutex_unlock(&daemon->lock);
    return text;
}

void
fake_daemon_stop(FakeDaemon *daemon)
{
    guint64 one = 1;

    g_assert_cmpint(write(daemon->stop, &one, sizeof(one)), ==, sizeof(one));
    g_clear_pointer(&daemon->thread, g_thread_join);
    if (daemon->listener >= 0) {
        close(daemon->listener);
    }
    if (daemon->filler >= 0) {
        close(daemon->filler);
    }
    close(daemon->stop);
    unlink(daemon->path);
    g_ptr_array_unref(daemon->calls);
    g_mutex_clear(&daemon->lock);
    g_cond_clear(&daemon->called);
    g_free(daemon->answer);
    g_free(daemon->path);
    g_free(daemon);
}
