/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

#define READ_CHUNK 4096

static gboolean wait_readable(int fd, gint64 deadline_usec, GError **error);
static gboolean make_room(char **buffer, gsize *capacity, gsize wanted, GError **error);

void
gantry_fd_clear(int *fd)
{
    int saved_errno = errno;

    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
    errno = saved_errno;
}

int
gantry_fd_steal(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

char *
gantry_fd_read_all(int fd, gsize limit, int timeout_msec, gsize *ret_length, GError **error)
{
    gint64 deadline_usec =
        timeout_msec < 0 ? -1 : g_get_monotonic_time() + (gint64)timeout_msec * 1000;
    g_autofree char *buffer = NULL;
    gsize capacity = 0;
    gsize length = 0;

    g_return_val_if_fail(limit < G_MAXSIZE / 2, NULL);
    for (;;) {
        gssize n;

        /* One byte more than the limit tells a full file from one that is too long. */
        if (!make_room(&buffer, &capacity, MIN(length + READ_CHUNK, limit + 1), error)) {
            return NULL;
        }
        if (deadline_usec >= 0 && !wait_readable(fd, deadline_usec, error)) {
            return NULL;
        }
        n = read(fd, buffer + length, MIN(capacity, limit + 1) - length);
        if (n < 0 && (errno == EINTR || (errno == EAGAIN && deadline_usec >= 0))) {
            continue;
        }
        if (n < 0) {
            gantry_set_error_errno(error, errno, _("Cannot read"));
            return NULL;
        }
        if (n == 0) {
            break;
        }
        length += n;
        if (length > limit) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                        _("More than the %zu bytes that are accepted"), limit);
            return NULL;
        }
    }
    buffer[length] = '\0';
    if (ret_length) {
        *ret_length = length;
    }
    return g_steal_pointer(&buffer);
}

gboolean
gantry_fd_write_all(int fd, const char *data, gsize length, GError **error)
{
    while (length > 0) {
        gssize n = write(fd, data, length);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            gantry_set_error_errno(error, errno, _("Cannot write"));
            return FALSE;
        }
        data += n;
        length -= n;
    }
    return TRUE;
}

static gboolean
wait_readable(int fd, gint64 deadline_usec, GError **error)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    for (;;) {
        gint64 left_usec = MAX(deadline_usec - g_get_monotonic_time(), 0);
        int ready = poll(&poll_fd, 1, (int)MIN((left_usec + 999) / 1000, G_MAXINT));

        if (ready > 0) {
            return TRUE;
        }
        if (ready == 0 && deadline_usec <= g_get_monotonic_time()) {
            gantry_set_error_errno(error, ETIMEDOUT, _("Waited too long for the end of the data"));
            return FALSE;
        }
        if (ready < 0 && errno != EINTR) {
            gantry_set_error_errno(error, errno, _("Cannot wait for data"));
            return FALSE;
        }
    }
}

/* Room for @wanted bytes and a NUL; grows by doubling, so that a long file costs no copy a chunk.
 */
static gboolean
make_room(char **buffer, gsize *capacity, gsize wanted, GError **error)
{
    gsize size = MAX(wanted, MIN(*capacity * 2, G_MAXSIZE / 4));
    char *grown;

    if (wanted <= *capacity) {
        return TRUE;
    }
    grown = g_try_realloc(*buffer, size + 1);
    if (!grown) {
        gantry_set_error_errno(error, ENOMEM, _("Cannot hold %zu bytes"), size);
        return FALSE;
    }
    *buffer = grown;
    *capacity = size;
    return TRUE;
}
