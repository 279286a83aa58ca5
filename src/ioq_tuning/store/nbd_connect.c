/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/store/nbd_connect.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"

gboolean
ioq_nbd_connect(const char *path, int *ret_fds, guint n, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("the socket's path %1$s is longer than %2$zu bytes"), path,
                    sizeof(address.sun_path) - 1);
        return FALSE;
    }
    strcpy(address.sun_path, path);
    for (guint i = 0; i < n; i++) {
        /* Not blocking: a queue of connections that is full is an error, nothing to wait for. */
        ret_fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (ret_fds[i] < 0 ||
            connect(ret_fds[i], (struct sockaddr *)&address, sizeof(address)) < 0) {
            gantry_set_error_errno(error, errno, _("Cannot connect to the NBD server %s"), path);
            for (guint k = 0; k <= i; k++) {
                gantry_fd_clear(&ret_fds[k]);
            }
            return FALSE;
        }
    }
    return TRUE;
}
