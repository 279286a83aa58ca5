/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/vhost_user/listen.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"

#define BACKLOG 8

/* A full backlog means that somebody listens, if slowly. */
static gboolean
somebody_listens(const struct sockaddr_un *address)
{
    gantry_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
           (errno != ECONNREFUSED && errno != ENOENT);
}

static gboolean
remove_old(const struct sockaddr_un *address, gboolean take_over, GError **error)
{
    const char *path = address->sun_path;
    struct stat status;

    if (lstat(path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("'%s' is there already, and is no socket"), path);
            return FALSE;
        }
        if (!take_over && somebody_listens(address)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("another process listens on the socket '%s'; end it first, or use "
                          "another path"),
                        path);
            return FALSE;
        }
    }
    if (unlink(path) < 0 && errno != ENOENT) {
        gantry_set_error_errno(error, errno, _("Cannot remove %s"), path);
        return FALSE;
    }
    return TRUE;
}

int
vu_listen(const char *path, gboolean take_over, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gantry_autofd fd = -1;

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("'%1$s' is too long for a socket's path (%2$zu bytes at most)"), path,
                    sizeof(address.sun_path) - 1);
        return -1;
    }
    if (!remove_old(&address, take_over, error)) {
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* What bind(2) makes has the socket's own mode. A chmod(2) afterwards would follow a link that
     * somebody has put in its place. */
    if (fd < 0 || fchmod(fd, 0600) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot listen on %s"), path);
        return -1;
    }
    return gantry_fd_steal(&fd);
}
