/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"

#define TEMPORARY_NAMES 100 /* random names tried before we give up */

static int open_temporary(int directory, const char *name, char **ret_name, GError **error);
static gboolean fill(int fd, const char *data, gsize length, mode_t mode, GError **error);

char *
gantry_file_read(int dirfd, const char *path, gsize limit, gsize *ret_length, GError **error)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer; it means nothing to a regular file.
     */
    gantry_autofd fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open %s"), path);
        return NULL;
    }
    return gantry_file_read_fd(fd, path, limit, ret_length, error);
}

char *
gantry_file_read_fd(int fd, const char *name, gsize limit, gsize *ret_length, GError **error)
{
    char *content;
    struct stat status;

    if (fstat(fd, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot examine %s"), name);
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%s is not a regular file"), name);
        return NULL;
    }
    content = gantry_fd_read_all(fd, limit, -1, ret_length, error);
    if (!content) {
        g_prefix_error(error, "%s: ", name);
    }
    return content;
}

gboolean
gantry_file_write_atomic(int dirfd, const char *path, const char *data, gsize length, mode_t mode,
                         GError **error)
{
    g_autofree char *directory_path = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *temporary_name = NULL;
    gantry_autofd directory = -1;
    gantry_autofd fd = -1;

    directory = openat(dirfd, directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open the folder of %s"), path);
        return FALSE;
    }
    fd = open_temporary(directory, name, &temporary_name, error);
    if (fd < 0) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    if (!fill(fd, data, length, mode, error)) {
        g_prefix_error(error, "%s: ", path);
        unlinkat(directory, temporary_name, 0);
        return FALSE;
    }
    if (renameat(directory, temporary_name, directory, name) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot replace %s"), path);
        unlinkat(directory, temporary_name, 0);
        return FALSE;
    }
    if (fsync(directory) < 0) {
        gantry_set_error_errno(error, errno, _("%s is written, but may be lost in a power cut"),
                               path);
        return FALSE;
    }
    return TRUE;
}

/* Hidden, so that a reader of a drop-in folder never takes it for one of its files. */
static int
open_temporary(int directory, const char *name, char **ret_name, GError **error)
{
    int saved_errno = EEXIST;

    for (int i = 0; i < TEMPORARY_NAMES && saved_errno == EEXIST; i++) {
        g_autofree char *candidate = g_strdup_printf(".%s.%08x", name, g_random_int());
        int fd = openat(directory, candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd >= 0) {
            *ret_name = g_steal_pointer(&candidate);
            return fd;
        }
        saved_errno = errno;
    }
    gantry_set_error_errno(error, saved_errno, _("Cannot create a temporary file beside it"));
    return -1;
}

static gboolean
fill(int fd, const char *data, gsize length, mode_t mode, GError **error)
{
    if (!gantry_fd_write_all(fd, data, length, error)) {
        return FALSE;
    }
    if (fchmod(fd, mode) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot set its mode to %04o"), (unsigned)mode);
        return FALSE;
    }
    if (fsync(fd) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot bring it to the disk"));
        return FALSE;
    }
    return TRUE;
}
