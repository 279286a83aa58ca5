/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/plot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/file.h"
#include "common/base/i18n.h"

static gboolean
is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

gboolean
cli_plot_check(const char *path, const char *image, GError **error)
{
    struct stat status, image_status;
    const char *problem = NULL;

    if (stat(path, &status) < 0) {
        g_autofree char *folder = g_path_get_dirname(path);

        if (errno == ENOENT && access(folder, W_OK | X_OK) == 0) {
            return TRUE;
        }
        gantry_set_error_errno(error, errno, _("Cannot write the plot %s"), path);
        return FALSE;
    }
    if (image && stat(image, &image_status) == 0 && is_same(&status, &image_status)) {
        problem = _("it is the image");
    } else if (S_ISBLK(status.st_mode)) {
        problem = _("it is a block device");
    } else if (S_ISDIR(status.st_mode)) {
        problem = _("it is a folder");
    } else if (access(path, W_OK) < 0) {
        problem = g_strerror(errno);
    }
    if (problem) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("Cannot write the plot %1$s: %2$s"), path, problem);
    }
    return !problem;
}

/* /dev/stdout may be a file that the shell has opened for us: to open it again would start at its
 * begin, and to replace it would replace the link. Returns: -1, it is none of these. */
static int
standard_fd(const struct stat *status)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat standard;

        if (fstat(fd, &standard) == 0 && is_same(status, &standard)) {
            return fd;
        }
    }
    return -1;
}

gboolean
cli_plot_write(const char *path, const char *text, gsize length, GError **error)
{
    struct stat status;
    gboolean exists = stat(path, &status) == 0;
    int standard = exists ? standard_fd(&status) : -1;
    gantry_autofd fd = -1;

    if (standard < 0 && (!exists || S_ISREG(status.st_mode))) {
        return gantry_file_write_atomic(AT_FDCWD, path, text, length, 0644, error);
    }
    if (standard < 0) {
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) {
            gantry_set_error_errno(error, errno, _("Cannot write the plot %s"), path);
            return FALSE;
        }
    }
    fflush(stdout); /* what has been printed comes first */
    if (!gantry_fd_write_all(standard >= 0 ? standard : fd, text, length, error)) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    return TRUE;
}
