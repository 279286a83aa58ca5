/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/daemon/place.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/vhost_user/listen.h"

/* Only what root alone can have put there is replaced. */
static gboolean
make_folder_for(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    struct stat status;

    if (g_str_has_prefix(path, "/run/") && g_mkdir_with_parents(dir, 0755) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make %s"), dir);
        return FALSE;
    }
    if (stat(dir, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot examine %s"), dir);
        return FALSE;
    }
    if (status.st_mode & S_IWOTH) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("the socket '%1$s' would be in a folder that everybody may write"), path);
        return FALSE;
    }
    return TRUE;
}

gboolean
ioq_place_listen(IoqPlace *place, const char *path, uid_t owner, GError **error)
{
    struct stat status;
    gantry_autofd fd = -1;

    if (!make_folder_for(path, error)) {
        return FALSE;
    }
    fd = vu_listen(path, error);
    if (fd < 0) {
        return FALSE;
    }
    place->bound = lstat(path, &status) == 0;
    if (place->bound) {
        place->dev = status.st_dev;
        place->ino = status.st_ino;
    }
    if (!place->bound || lchown(path, owner, (gid_t)-1) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot listen on %s"), path);
        return FALSE;
    }
    place->fd = gantry_fd_steal(&fd);
    return TRUE;
}

gboolean
ioq_place_is(const IoqPlace *place, const char *path)
{
    struct stat status;

    return place->bound && lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) &&
           status.st_dev == place->dev && status.st_ino == place->ino;
}

void
ioq_place_close(IoqPlace *place)
{
    gantry_fd_clear(&place->fd);
}

void
ioq_place_remove(IoqPlace *place, const char *path)
{
    ioq_place_close(place);
    if (ioq_place_is(place, path)) {
        unlink(path);
    }
    place->bound = FALSE;
}
