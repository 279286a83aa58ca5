/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * The child leads a process group of its own, so that one kill(2) reaches what it started. Its
 * stdin is a memory file (nothing has to be fed to it), its stdout and stderr are pipes. One
 * poll(2) waits for both and for the child's pidfd until the deadline. The child is reaped last,
 * and only here: until then neither its process id nor its group's can belong to anybody else.
 *
 * When the child has exited, what it wrote stands in the pipes and is drained without waiting for
 * their end: a daemon that it left behind may hold them open for ever.
 */
#include "common/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"

#define ERROR_OUTPUT_MAX_BYTES (64 * 1024)
#define READ_BYTES             (16 * 1024)

/* One of the child's two outputs. */
typedef struct {
    int fd;        /* our end; -1 after its end */
    gsize limit;   /* bytes kept */
    gboolean full; /* there were more */
    GString *text;
} Stream;

typedef struct {
    const char *program;
    pid_t pid; /* and process group; 0: none, or reaped */
    int pidfd;
    Stream output;
    Stream error_output;
} Child;

static gboolean open_streams(Child *child, int *ret_output, int *ret_error_output, GError **error);
static int open_input(const char *input, gsize n_input, GError **error);
static gboolean spawn(Child *child, const char *const *argv, const int stdio[3], GError **error);
static gboolean supervise(Child *child, guint timeout_msec, GError **error);
static gboolean collect(Child *child, int *ret_status, GError **error);
static void child_clear(Child *child);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Child, child_clear)

void
gantry_child_result_clear(GantryChildResult *result)
{
    g_clear_pointer(&result->output, g_free);
    g_clear_pointer(&result->error_output, g_free);
}

gboolean
gantry_child_run(const char *const *argv, const char *input, gsize n_input, gsize max_output,
                 guint timeout_msec, GantryChildResult *ret_result, GError **error)
{
    gantry_autofd stdin_fd = -1;
    gantry_autofd stdout_fd = -1;
    gantry_autofd stderr_fd = -1;
    g_auto(Child) child = {
        .program = argv[0],
        .pidfd = -1,
        .output = {.fd = -1, .limit = max_output},
        .error_output = {.fd = -1, .limit = ERROR_OUTPUT_MAX_BYTES},
    };
    int status;

    g_return_val_if_fail(g_path_is_absolute(argv[0]), FALSE);
    stdin_fd = open_input(input, n_input, error);
    if (stdin_fd < 0 || !open_streams(&child, &stdout_fd, &stderr_fd, error) ||
        !spawn(&child, argv, (const int[]){stdin_fd, stdout_fd, stderr_fd}, error)) {
        return FALSE;
    }
    gantry_fd_clear(&stdout_fd); /* or we would never see their end */
    gantry_fd_clear(&stderr_fd);
    if (!supervise(&child, timeout_msec, error) || !collect(&child, &status, error)) {
        return FALSE;
    }
    ret_result->exit_status = status;
    ret_result->output = g_string_free(g_steal_pointer(&child.output.text), FALSE);
    ret_result->error_output = g_string_free(g_steal_pointer(&child.error_output.text), FALSE);
    return TRUE;
}

static int
open_input(const char *input, gsize n_input, GError **error)
{
    gantry_autofd fd = -1;

    if (!input) {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            gantry_set_error_errno(error, errno, _("Cannot open %s"), "/dev/null");
        }
        return gantry_fd_steal(&fd);
    }
    fd = memfd_create("gantry-child-input", MFD_CLOEXEC);
    if (fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot create a memory file"));
        return -1;
    }
    if (!gantry_fd_write_all(fd, input, n_input, error)) {
        return -1;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot rewind a memory file"));
        return -1;
    }
    return gantry_fd_steal(&fd);
}

static gboolean
open_stream(Stream *stream, int *ret_child_end, GError **error)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot create a pipe"));
        return FALSE;
    }
    stream->fd = ends[0];
    *ret_child_end = ends[1];
    stream->text = g_string_new(NULL);
    /* Ours only: the child gets a blocking end. */
    if (fcntl(stream->fd, F_SETFL, O_NONBLOCK) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot set up a pipe"));
        return FALSE;
    }
    return TRUE;
}

static gboolean
open_streams(Child *child, int *ret_output, int *ret_error_output, GError **error)
{
    return open_stream(&child->output, ret_output, error) &&
           open_stream(&child->error_output, ret_error_output, error);
}

/* Fails only where memory is short, and then GLib would have aborted already: not looked at. */
static void
describe_child(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *actions,
               const int stdio[3])
{
    sigset_t all;
    sigset_t none;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawn_file_actions_init(actions);
    for (int i = 0; i < 3; i++) {
        posix_spawn_file_actions_adddup2(actions, stdio[i], i);
    }
    posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

static gboolean
spawn(Child *child, const char *const *argv, const int stdio[3], GError **error)
{
    static const char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
        NULL};
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    int result;

    describe_child(&attributes, &actions, stdio);
    result = posix_spawn(&child->pid, argv[0], &actions, &attributes, (char *const *)argv,
                         (char *const *)environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (result != 0) {
        child->pid = 0;
        gantry_set_error_errno(error, result, _("Cannot run %s"), argv[0]);
        return FALSE;
    }
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot watch %s"), argv[0]);
        return FALSE;
    }
    return TRUE;
}

/* Takes one read's worth. Returns FALSE at the end, and where there is nothing now. */
static gboolean
stream_take(Stream *stream)
{
    char buffer[READ_BYTES];
    gssize n;
    gsize room;

    if (stream->fd < 0) {
        return FALSE;
    }
    do {
        n = read(stream->fd, buffer, sizeof(buffer));
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return FALSE;
    }
    if (n <= 0) {
        gantry_fd_clear(&stream->fd);
        return FALSE;
    }
    room = stream->limit - stream->text->len;
    stream->full = stream->full || (gsize)n > room;
    g_string_append_len(stream->text, buffer, (gssize)MIN((gsize)n, room));
    return TRUE;
}

static gboolean
check_limit(const Child *child, GError **error)
{
    if (child->output.full) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                    _("%1$s wrote more than the %2$zu bytes that are accepted"), child->program,
                    child->output.limit);
        return FALSE;
    }
    return TRUE;
}

/* Waits until the child has exited, reading what it writes. */
static gboolean
supervise(Child *child, guint timeout_msec, GError **error)
{
    gint64 deadline_usec = g_get_monotonic_time() + (gint64)timeout_msec * 1000;

    for (;;) {
        struct pollfd fds[] = {
            {.fd = child->pidfd, .events = POLLIN},
            {.fd = child->output.fd, .events = POLLIN},
            {.fd = child->error_output.fd, .events = POLLIN},
        };
        gint64 left_usec = deadline_usec - g_get_monotonic_time();
        int ready;

        if (left_usec <= 0) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT,
                        _("%1$s did not end within %2$u ms and was killed"), child->program,
                        timeout_msec);
            return FALSE;
        }
        ready = poll(fds, G_N_ELEMENTS(fds), (int)MIN((left_usec + 999) / 1000, G_MAXINT));
        if (ready < 0 && errno != EINTR) {
            gantry_set_error_errno(error, errno, _("Cannot wait for %s"), child->program);
            return FALSE;
        }
        if (ready <= 0) {
            continue;
        }
        stream_take(&child->output);
        stream_take(&child->error_output);
        if (!check_limit(child, error)) {
            return FALSE;
        }
        if (fds[0].revents) {
            return TRUE;
        }
    }
}

/* The last words and the exit status of a child that has exited. */
static gboolean
collect(Child *child, int *ret_status, GError **error)
{
    int status;

    while (!child->output.full && stream_take(&child->output)) {
    }
    while (!child->error_output.full && stream_take(&child->error_output)) {
    }
    if (!check_limit(child, error)) {
        return FALSE;
    }
    while (waitpid(child->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            gantry_set_error_errno(error, errno, _("Cannot learn how %s ended"), child->program);
            return FALSE;
        }
    }
    child->pid = 0;
    *ret_status = status;
    return TRUE;
}

static void
child_clear(Child *child)
{
    if (child->pid > 0) {
        kill(-child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    gantry_fd_clear(&child->pidfd);
    gantry_fd_clear(&child->output.fd);
    gantry_fd_clear(&child->error_output.fd);
    if (child->output.text) {
        g_string_free(child->output.text, TRUE);
    }
    if (child->error_output.text) {
        g_string_free(child->error_output.text, TRUE);
    }
}
