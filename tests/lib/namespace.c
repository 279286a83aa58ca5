/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static gboolean
write_proc(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    gboolean ok = fd >= 0 && write(fd, text, strlen(text)) == (gssize)strlen(text);

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

gboolean
namespace_enter(void)
{
    g_autofree char *uids = g_strdup_printf("0 %u 1", (unsigned)geteuid());
    g_autofree char *gids = g_strdup_printf("0 %u 1", (unsigned)getegid());

    if (unshare(CLONE_NEWNS) < 0 &&
        (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || !write_proc("/proc/self/setgroups", "deny") ||
         !write_proc("/proc/self/uid_map", uids) || !write_proc("/proc/self/gid_map", gids))) {
        return FALSE;
    }
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}
