/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is kept of a VM in RUN_DIR/UUID, for the next gantry-ioqd. worker.pid has a line for the
 * worker (its pid, its start time, and for each disk which file its socket is, by device and inode,
 * and the worker's descriptors of image and socket), and one for each of its servers.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/file.h"
#include "common/base/i18n.h"
#include "common/host/procfs.h"
#include "ioq_tuning/daemon/vm_priv.h"

#define STATE_MAX_BYTES (256 * 1024)

char *
ioq_vm_path(const IoqVm *vm, const char *name)
{
    return g_build_filename(vm->dir, name, NULL);
}

gboolean
ioq_vm_write_state(const IoqVm *vm, const char *name, const char *text, GError **error)
{
    g_autofree char *path = ioq_vm_path(vm, name);

    return gantry_file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, error);
}

char *
ioq_vm_read_state(const IoqVm *vm, const char *name, GError **error)
{
    g_autofree char *path = ioq_vm_path(vm, name);

    return gantry_file_read(AT_FDCWD, path, STATE_MAX_BYTES, NULL, error);
}

void
ioq_vm_remove_state(const IoqVm *vm)
{
    g_autoptr(GDir) dir = g_dir_open(vm->dir, 0, NULL);
    const char *name;

    /* All of it: a gantry-ioqd that was killed may have left files that were only half written. */
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = ioq_vm_path(vm, name);

        unlink(path);
    }
    rmdir(vm->dir);
}

static gint64
start_time_of(gint64 pid)
{
    g_autoptr(GantryHost) host = gantry_host_open("/", NULL);
    gint64 started;

    return host && gantry_host_process_start(host, (pid_t)pid, &started, NULL) ? started : -1;
}

static void
add_pid(GString *text, gint64 pid)
{
    g_string_append_printf(text, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT, pid, start_time_of(pid));
}

gboolean
ioq_vm_write_pids(const IoqVm *vm, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    add_pid(text, vm->pid);
    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqOpened *opened = &vm->opened[i];

        g_string_append_printf(text, " %" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT ":%d:%d",
                               (guint64)opened->place.dev, (guint64)opened->place.ino,
                               opened->image_there, opened->listen_there);
    }
    g_string_append_c(text, '\n');
    for (guint i = 0; i < vm->servers->len; i++) {
        add_pid(text, ((const IoqServer *)vm->servers->pdata[i])->pid);
        g_string_append_c(text, '\n');
    }
    return ioq_vm_write_state(vm, "worker.pid", text->str, error);
}

/* A pid may have been given to somebody else meanwhile, and may be at any time: so it is held first
 * and looked at then. @ret_pid: 0: it is gone. */
static gboolean
hold_process(char **words, gint64 *ret_pid, int *ret_pid_fd, GError **error)
{
    gint64 pid = words[0] ? g_ascii_strtoll(words[0], NULL, 10) : 0;
    gint64 started = words[0] && words[1] ? g_ascii_strtoll(words[1], NULL, 10) : -1;

    *ret_pid = 0;
    *ret_pid_fd = -1;
    if (pid <= 1 || pid > G_MAXINT || started < 0) {
        return TRUE;
    }
    *ret_pid_fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (*ret_pid_fd < 0 && errno != ESRCH && errno != EINVAL) {
        gantry_set_error_errno(error, errno, _("Cannot watch process %" PRIi64), pid);
        return FALSE;
    }
    if (*ret_pid_fd >= 0 && start_time_of(pid) == started) {
        *ret_pid = pid;
    } else {
        gantry_fd_clear(ret_pid_fd);
    }
    return TRUE;
}

static void
read_opened(IoqOpened *opened, const char *word)
{
    g_auto(GStrv) numbers = g_strsplit(word, ":", 4);

    if (g_strv_length(numbers) == 4) {
        opened->place.dev = (dev_t)g_ascii_strtoull(numbers[0], NULL, 10);
        opened->place.ino = (ino_t)g_ascii_strtoull(numbers[1], NULL, 10);
        opened->place.bound = TRUE;
        opened->image_there = (int)g_ascii_strtoll(numbers[2], NULL, 10);
        opened->listen_there = (int)g_ascii_strtoll(numbers[3], NULL, 10);
    }
}

gboolean
ioq_vm_read_pids(IoqVm *vm, GError **error)
{
    g_autofree char *text = ioq_vm_read_state(vm, "worker.pid", NULL);
    g_auto(GStrv) lines = g_strsplit(text ? g_strstrip(text) : "", "\n", 0);
    g_auto(GStrv) words = g_strsplit(lines[0] ? lines[0] : "", " ", 0);
    guint n_words = g_strv_length(words);

    for (guint i = 0; i < vm->disks->len && i + 2 < n_words; i++) {
        read_opened(&vm->opened[i], words[i + 2]);
    }
    for (guint i = 1; lines[0] && lines[i]; i++) {
        g_auto(GStrv) server_words = g_strsplit(lines[i], " ", 0);
        gint64 pid;
        int pid_fd;

        if (!hold_process(server_words, &pid, &pid_fd, error)) {
            return FALSE;
        }
        if (pid > 0) {
            g_ptr_array_add(vm->servers, ioq_server_adopt(pid, pid_fd));
        }
    }
    return hold_process(words, &vm->pid, &vm->pid_fd, error);
}
