/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/store/image_lock.h"

#include <errno.h>
#include <fcntl.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"

/* QEMU's: permissions, and where on the image they are marked. */
enum { PERMISSION_READ, PERMISSION_WRITE };
#define HELD_BASE     100
#define UNSHARED_BASE 200
#define FENCE         299 /* behind QEMU's */

static gboolean
lock_byte(int fd, int command, short type, off_t byte, short *ret_type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, command, &lock) < 0) {
        return FALSE;
    }
    if (ret_type) {
        *ret_type = lock.l_type;
    }
    return TRUE;
}

/* Whether nobody else has the mark. */
static gboolean
is_unmarked(int fd, off_t byte)
{
    short type;

    return lock_byte(fd, F_OFD_GETLK, F_WRLCK, byte, &type) && type == F_UNLCK;
}

static gboolean
mark(int fd, gboolean writes)
{
    return lock_byte(fd, F_OFD_SETLK, F_RDLCK, HELD_BASE + PERMISSION_READ, NULL) &&
           (!writes || lock_byte(fd, F_OFD_SETLK, F_RDLCK, HELD_BASE + PERMISSION_WRITE, NULL)) &&
           lock_byte(fd, F_OFD_SETLK, F_RDLCK, UNSHARED_BASE + PERMISSION_WRITE, NULL);
}

void
ioq_image_unlock(int fd)
{
    lock_byte(fd, F_OFD_SETLK, F_UNLCK, HELD_BASE + PERMISSION_READ, NULL);
    lock_byte(fd, F_OFD_SETLK, F_UNLCK, HELD_BASE + PERMISSION_WRITE, NULL);
    lock_byte(fd, F_OFD_SETLK, F_UNLCK, UNSHARED_BASE + PERMISSION_WRITE, NULL);
}

/* As QEMU: on a file system without locks there are none. */
static gboolean
has_no_locks(int problem, const char *name)
{
    if (problem == ENOLCK || problem == EOPNOTSUPP || problem == EINVAL) {
        gantry_notice(_("the image %s is on a file system without locks: nothing keeps out a "
                        "second user of it"),
                      name);
        return TRUE;
    }
    return FALSE;
}

gboolean
ioq_image_lock(int fd, const char *name, gboolean writes, GError **error)
{
    if (!mark(fd, writes)) {
        int problem = errno;

        ioq_image_unlock(fd);
        if (has_no_locks(problem, name)) {
            return TRUE;
        }
        if (problem != EAGAIN && problem != EACCES) {
            gantry_set_error_errno(error, problem, _("Cannot lock the image %s"), name);
            return FALSE;
        }
    } else if (is_unmarked(fd, HELD_BASE + PERMISSION_WRITE) &&
               is_unmarked(fd, UNSHARED_BASE + PERMISSION_READ) &&
               (!writes || is_unmarked(fd, UNSHARED_BASE + PERMISSION_WRITE))) {
        return TRUE;
    } else {
        ioq_image_unlock(fd);
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                _("the image %s is in use by another process, here or on another host: a VM, or "
                  "qemu-img; it must end first"),
                name);
    return FALSE;
}

gboolean
ioq_image_is_in_use(int fd)
{
    return !is_unmarked(fd, HELD_BASE + PERMISSION_WRITE);
}

gboolean
ioq_image_fence(int fd, const char *name, GError **error)
{
    if (lock_byte(fd, F_OFD_SETLK, F_WRLCK, FENCE, NULL) || has_no_locks(errno, name)) {
        return TRUE;
    }
    if (errno == EAGAIN || errno == EACCES) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("requests of a back end that has died are still on their way to the image "
                      "%s"),
                    name);
    } else {
        gantry_set_error_errno(error, errno, _("Cannot lock the image %s"), name);
    }
    return FALSE;
}

void
ioq_image_open_fence(int fd)
{
    lock_byte(fd, F_OFD_SETLK, F_UNLCK, FENCE, NULL);
}
