/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/vhost_user/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"

static gboolean
wait_for(int fd, short events, gint64 deadline_usec, GError **error)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = events};
        gint64 left_msec = (deadline_usec - g_get_monotonic_time() + 999) / 1000;
        int n = poll(&poll_fd, 1, (int)MAX(left_msec, 0));

        if (n > 0) {
            return TRUE;
        }
        if (n == 0) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT,
                        _("the front end stopped in the middle of a message"));
            return FALSE;
        }
        if (errno != EINTR) {
            gantry_set_error_errno(error, errno, _("Cannot wait for the front end"));
            return FALSE;
        }
    }
}

/* Takes descriptors out of control messages; all that do not fit are closed. */
static gboolean
take_fds(struct msghdr *header, VuMessage *message)
{
    gboolean fit = !(header->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        gsize n;
        int fds[VU_MAX_FDS * 2];

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), G_N_ELEMENTS(fds));
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
        for (gsize i = 0; i < n; i++) {
            if (message->n_fds < VU_MAX_FDS) {
                message->fds[message->n_fds++] = fds[i];
            } else {
                gantry_fd_clear(&fds[i]);
                fit = FALSE;
            }
        }
    }
    return fit;
}

/* Reads exactly @length bytes. *@ret_closed: the peer closed before the first. */
static gboolean
read_exactly(int fd, gint64 deadline_usec, gpointer data, gsize length, VuMessage *message,
             gboolean *ret_closed, GError **error)
{
    gsize done = 0;

    *ret_closed = FALSE;
    while (done < length) {
        union {
            char bytes[CMSG_SPACE(VU_MAX_FDS * 2 * sizeof(int))];
            struct cmsghdr align;
        } control;
        struct iovec iov = {(char *)data + done, length - done};
        struct msghdr header = {.msg_iov = &iov,
                                .msg_iovlen = 1,
                                .msg_control = control.bytes,
                                .msg_controllen = sizeof(control.bytes)};
        ssize_t n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!wait_for(fd, POLLIN, deadline_usec, error)) {
                return FALSE;
            }
            continue;
        }
        if (n < 0) {
            gantry_set_error_errno(error, errno, _("Cannot read from the front end"));
            return FALSE;
        }
        if (!take_fds(&header, message)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                        _("a message with more than %d descriptors"), VU_MAX_FDS);
            return FALSE;
        }
        if (n == 0) {
            *ret_closed = done == 0;
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                        _("the front end closed in the middle of a message"));
            return FALSE;
        }
        done += (gsize)n;
    }
    return TRUE;
}

gboolean
vu_channel_receive(int fd, guint timeout_msec, VuMessage *ret_message, GError **error)
{
    gint64 deadline_usec = g_get_monotonic_time() + (gint64)timeout_msec * 1000;
    g_auto(VuMessage) message = {0};
    gboolean closed;

    memset(message.fds, -1, sizeof(message.fds));
    if (!read_exactly(fd, deadline_usec, &message.header, sizeof(message.header), &message, &closed,
                      error)) {
        if (closed) {
            g_clear_error(error);
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                        _("the front end closed the connection"));
        }
        return FALSE;
    }
    if ((message.header.flags & VU_FLAG_VERSION_MASK) != VU_VERSION) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("message %1$u has version %2$u instead of 1"), message.header.request,
                    message.header.flags & VU_FLAG_VERSION_MASK);
        return FALSE;
    }
    if (message.header.size > sizeof(message.payload)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("message %1$u has %2$u bytes, more than any message may have"),
                    message.header.request, message.header.size);
        return FALSE;
    }
    if (!read_exactly(fd, deadline_usec, &message.payload, message.header.size, &message, &closed,
                      error)) {
        return FALSE;
    }
    *ret_message = message;
    message.n_fds = 0; /* they are the caller's now */
    return TRUE;
}

gboolean
vu_channel_send(int fd, guint timeout_msec, const VuHeader *header, gconstpointer payload,
                const int *fds, guint n_fds, GError **error)
{
    gint64 deadline_usec = g_get_monotonic_time() + (gint64)timeout_msec * 1000;
    gsize total = sizeof(*header) + header->size;
    gsize done = 0;
    union {
        char bytes[CMSG_SPACE(VU_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};

    g_assert(n_fds <= VU_MAX_FDS);
    while (done < total) {
        struct iovec iov[2];
        struct msghdr message = {.msg_iov = iov};
        ssize_t n;

        if (done < sizeof(*header)) {
            iov[message.msg_iovlen++] =
                (struct iovec){(char *)header + done, sizeof(*header) - done};
        }
        if (header->size > 0) {
            gsize at = done > sizeof(*header) ? done - sizeof(*header) : 0;

            iov[message.msg_iovlen++] = (struct iovec){(char *)payload + at, header->size - at};
        }
        if (done == 0 && n_fds > 0) {
            struct cmsghdr *c;

            message.msg_control = control.bytes;
            message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
            c = CMSG_FIRSTHDR(&message);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
            memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
        }
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            done += (gsize)n;
        } else if (errno == EAGAIN || errno == EINTR) {
            if (!wait_for(fd, POLLOUT, deadline_usec, error)) {
                return FALSE;
            }
        } else {
            gantry_set_error_errno(error, errno, _("Cannot write to the front end"));
            return FALSE;
        }
    }
    return TRUE;
}

void
vu_message_clear(VuMessage *message)
{
    for (guint i = 0; i < message->n_fds; i++) {
        gantry_fd_clear(&message->fds[i]);
    }
    message->n_fds = 0;
}

int
vu_message_take_fd(VuMessage *message, guint index)
{
    return index < message->n_fds ? gantry_fd_steal(&message->fds[index]) : -1;
}
