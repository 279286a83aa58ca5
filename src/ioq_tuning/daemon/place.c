/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/daemon/place.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/vhost_user/listen.h"

#define MAX_LINKS 8

static gboolean
refuse(const char *socket, const char *what, GError **error)
{
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                _("the socket '%1$s' would be below %2$s, which others than root own or may "
                  "write; use a folder like /run/gantry/ioq"),
                socket, what);
    return FALSE;
}

/* Root alone can rename, replace or add anything on the way to @folder, so what is found there now
 * is found there later, too. Also not where the sticky bit keeps others from removing: they may be
 * there first. */
static gboolean
is_roots(const char *socket, const char *folder, guint n_links, GError **error)
{
    gboolean make = g_str_has_prefix(folder, "/run/");
    const char *end = folder;

    while (end) {
        g_autofree char *part = NULL;
        struct stat status;

        end = strchr(end + 1, '/');
        part = end ? g_strndup(folder, (gsize)(end - folder)) : g_strdup(folder);
        if (lstat(part, &status) < 0 &&
            (errno != ENOENT || !make || mkdir(part, 0755) < 0 || lstat(part, &status) < 0)) {
            gantry_set_error_errno(error, errno,
                                   make ? _("Cannot make %s") : _("Cannot examine %s"), part);
            return FALSE;
        }
        if (status.st_uid != 0 || (!S_ISLNK(status.st_mode) && (status.st_mode & 022) != 0)) {
            return refuse(socket, part, error);
        }
        if (S_ISLNK(status.st_mode)) {
            g_autofree char *link = g_file_read_link(part, error);
            g_autofree char *parent = g_path_get_dirname(part);
            g_autofree char *target =
                link ? g_build_filename(link[0] == '/' ? "" : parent, link, end, NULL) : NULL;

            return target && (n_links > 0 ? is_roots(socket, target, n_links - 1, error)
                                          : refuse(socket, part, error));
        }
    }
    return TRUE;
}

static gboolean
make_folder_for(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);

    return is_roots(path, folder, MAX_LINKS, error);
}

gboolean
ioq_place_listen(IoqPlace *place, const char *path, uid_t owner, GError **error)
{
    struct stat status;
    gantry_autofd fd = -1;

    if (!make_folder_for(path, error)) {
        return FALSE;
    }
    fd = vu_listen(path, FALSE, error);
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
