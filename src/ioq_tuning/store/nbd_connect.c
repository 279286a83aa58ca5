/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/store/nbd_connect.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"

guint
ioq_nbd_connect(const char *path, int *ret_fds, guint n, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("'%1$s' is too long for a socket's path (%2$zu bytes at most)"), path,
                    sizeof(address.sun_path) - 1);
        return 0;
    }
    for (guint i = 0; i < n; i++) {
        /* Not blocking: a server that lets so many wait and no more fails this. */
        gantry_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
            if (i == 0) {
                gantry_set_error_errno(error, errno, _("Cannot connect to the NBD server %s"),
                                       path);
            }
            return i;
        }
        ret_fds[i] = gantry_fd_steal(&fd);
    }
    return n;
}
