/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. A VM is being started, served, or ended (IoqVmState), and what it waits for
 * are events of the main loop: the worker's report that it serves, its end, the end of its servers,
 * and time. Whoever asked for a change waits on the VM's list until it is settled.
 *
 *     STARTING --the worker serves--> SERVING --ioq_vm_end()--> ENDING --all have ended--> freed
 *         '------it does not, or ioq_vm_end()--------------------^
 *
 * What is to end stays in the table until it has: so its sockets are its own, and nothing is
 * started on an image that a worker of before may still write to. The end has a mark in RUN_DIR, so
 * that a gantry-ioqd after us does not take it for a VM whose worker has died.
 */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/daemon/vm_priv.h"
#include "ioq_tuning/worker/worker.h"

#define READY_MAX_BYTES (64 * 1024)

IoqVm *
ioq_vm_new(const IoqVmOptions *options, const char *uuid, const char *name, GPtrArray *disks)
{
    IoqVm *vm = g_new0(IoqVm, 1);

    vm->options = options;
    vm->uuid = g_strdup(uuid);
    vm->name = g_strdup(name);
    vm->dir = g_build_filename(options->run_dir, uuid, NULL);
    vm->disks = disks;
    vm->opened = g_new(IoqOpened, MAX(disks->len, 1));
    for (guint i = 0; i < disks->len; i++) {
        vm->opened[i] = (IoqOpened){
            .place = IOQ_PLACE_NONE, .image_fd = -1, .image_there = -1, .listen_there = -1};
    }
    vm->waiters = g_array_new(FALSE, FALSE, sizeof(IoqVmWaiter));
    vm->servers = g_ptr_array_new_with_free_func(ioq_server_free);
    vm->pid_fd = vm->ready_fd = -1;
    return vm;
}

static void
forget_report(IoqVm *vm)
{
    g_clear_handle_id(&vm->ready_watch, g_source_remove);
    g_clear_handle_id(&vm->ready_timer, g_source_remove);
    gantry_fd_clear(&vm->ready_fd);
    if (vm->ready_text) {
        g_string_free(g_steal_pointer(&vm->ready_text), TRUE);
    }
}

void
ioq_vm_free(IoqVm *vm)
{
    if (!vm) {
        return;
    }
    ioq_vm_forget_worker(vm);
    ioq_vm_stop_waiting(vm);
    forget_report(vm);
    for (guint i = 0; i < vm->disks->len; i++) {
        ioq_place_close(&vm->opened[i].place);
        gantry_fd_clear(&vm->opened[i].image_fd);
    }
    g_array_unref(vm->waiters);
    g_ptr_array_unref(vm->servers);
    g_ptr_array_unref(vm->disks);
    g_free(vm->opened);
    g_free(vm->uuid);
    g_free(vm->name);
    g_free(vm->dir);
    g_free(vm);
}

IoqVmState
ioq_vm_state(const IoqVm *vm)
{
    return vm->state;
}

const char *
ioq_vm_uuid(const IoqVm *vm)
{
    return vm->uuid;
}

const char *
ioq_vm_name(const IoqVm *vm)
{
    return vm->name;
}

gint64
ioq_vm_pid(const IoqVm *vm)
{
    return vm->pid;
}

guint
ioq_vm_n_restarts(const IoqVm *vm)
{
    return vm->n_restarts;
}

char *
ioq_vm_control(const IoqVm *vm)
{
    return ioq_vm_path(vm, "control.sock");
}

gboolean
ioq_vm_has_disks(const IoqVm *vm, const GPtrArray *disks)
{
    g_autofree char *ours = ioq_disks_format(vm->disks);
    g_autofree char *theirs = ioq_disks_format(disks);

    return g_str_equal(ours, theirs);
}

const char *
ioq_vm_target_of_socket(const IoqVm *vm, const char *path)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        const IoqDisk *disk = vm->disks->pdata[i];

        if (g_str_equal(disk->socket, path) || ioq_place_is(&vm->opened[i].place, path)) {
            return disk->target;
        }
    }
    return NULL;
}

static void
wait_until(IoqVm *vm, IoqVmDone done, gpointer data)
{
    const IoqVmWaiter waiter = {done, data};

    g_array_append_val(vm->waiters, waiter);
}

void
ioq_vm_settle(IoqVm *vm, const GError *error)
{
    g_autoptr(GArray) waiters = g_steal_pointer(&vm->waiters);

    vm->waiters = g_array_new(FALSE, FALSE, sizeof(IoqVmWaiter)); /* for those who ask for more */
    for (guint i = 0; i < waiters->len; i++) {
        const IoqVmWaiter *waiter = &g_array_index(waiters, IoqVmWaiter, i);

        waiter->done(error, waiter->data);
    }
}

/* The end */

static void
finish_end(IoqVm *vm)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        ioq_place_remove(&vm->opened[i].place, ((const IoqDisk *)vm->disks->pdata[i])->socket);
        gantry_fd_clear(&vm->opened[i].image_fd); /* whoever waits may want the image's lock */
    }
    ioq_vm_remove_state(vm);
    vm->options->ended(vm, vm->options->data);
    ioq_vm_settle(vm, NULL);
    ioq_vm_free(vm);
}

/* @why: what those hear who wait for something else; NULL: there are none */
static void
begin_end(IoqVm *vm, const GError *why)
{
    vm->state = IOQ_VM_ENDING;
    forget_report(vm);
    ioq_vm_stop_waiting(vm);
    if (g_file_test(vm->dir, G_FILE_TEST_IS_DIR)) {
        g_autoptr(GError) error = NULL;

        if (!ioq_vm_write_state(vm, IOQ_VM_END_MARK, "", &error)) {
            gantry_warn(_("domain '%1$s': %2$s"), vm->name, error->message);
        }
    }
    ioq_vm_settle(vm, why);
}

static void
go_on_to_end(IoqVm *vm)
{
    ioq_vm_end_worker(vm);
    ioq_vm_go_on(vm);
}

void
ioq_vm_end(IoqVm *vm, IoqVmDone done, gpointer data)
{
    g_autoptr(GError) why = NULL;

    if (vm->state == IOQ_VM_ENDING) {
        wait_until(vm, done, data);
        return;
    }
    g_set_error_literal(&why, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("the domain has been ended meanwhile"));
    begin_end(vm, why);
    wait_until(vm, done, data);
    go_on_to_end(vm);
}

void
ioq_vm_go_on(IoqVm *vm)
{
    if (vm->pid != 0 || !ioq_vm_servers_have_ended(vm)) {
        return;
    }
    if (vm->state == IOQ_VM_ENDING) {
        finish_end(vm);
    } else if (vm->state == IOQ_VM_SERVING) {
        ioq_vm_start_again(vm);
    }
}

/* The start */

static void
fail_start(IoqVm *vm, const GError *why)
{
    begin_end(vm, why);
    go_on_to_end(vm);
}

static void
end_of_report(IoqVm *vm)
{
    g_autofree char *text = g_strdup(vm->ready_text->str);
    g_autofree char *servers = NULL;
    g_autoptr(GError) error = NULL;

    forget_report(vm);
    if (g_str_equal(text, WORKER_READY)) {
        vm->state = IOQ_VM_SERVING;
        if (vm->pid == 0) {
            ioq_vm_start_later(vm); /* it has ended since */
        }
        ioq_vm_settle(vm, NULL);
        return;
    }
    /* What a server has said comes first: the worker only knows that it has gone. */
    servers = ioq_vm_server_texts(vm);
    g_set_error(&error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, "%s",
                servers[0] ? servers
                : text[0]  ? text
                           : _("its worker has ended at once; its log says why"));
    fail_start(vm, error);
}

static gboolean
on_report(gint fd, GIOCondition condition, gpointer data)
{
    IoqVm *vm = data;
    char part[4096];
    gssize n;

    while ((n = read(fd, part, sizeof(part))) > 0 && vm->ready_text->len < READY_MAX_BYTES) {
        g_string_append_len(vm->ready_text, part, n);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    vm->ready_watch = 0;
    end_of_report(vm);
    return G_SOURCE_REMOVE;
}

static gboolean
on_late_report(gpointer data)
{
    IoqVm *vm = data;
    g_autoptr(GError) error = NULL;

    vm->ready_timer = 0;
    g_set_error_literal(&error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT,
                        _("its worker is not ready within the time; is its storage, or its NBD "
                          "server, answering?"));
    fail_start(vm, error);
    return G_SOURCE_REMOVE;
}

static gboolean
start(IoqVm *vm, gboolean incoming, GError **error)
{
    g_autofree char *disks = ioq_disks_format(vm->disks);
    g_autofree char *mark = ioq_vm_path(vm, IOQ_VM_END_MARK);

    unlink(mark); /* of what was here before */
    if (g_mkdir_with_parents(vm->dir, 0755) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make %s"), vm->dir);
        return FALSE;
    }
    return ioq_vm_write_state(vm, "name", vm->name, error) &&
           ioq_vm_write_state(vm, "disks.json", disks, error) && ioq_vm_check_cpus(vm, error) &&
           (incoming ? ioq_vm_check_incoming(vm, error) : ioq_vm_check_images(vm, error)) &&
           ioq_vm_start_worker(vm, &vm->ready_fd, error) &&
           g_unix_set_fd_nonblocking(vm->ready_fd, TRUE, error);
}

void
ioq_vm_start(IoqVm *vm, gboolean incoming, gint64 deadline_usec, IoqVmDone done, gpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 left_msec;

    wait_until(vm, done, data);
    if (!start(vm, incoming, &error)) {
        fail_start(vm, error);
        return;
    }
    left_msec = (deadline_usec - g_get_monotonic_time()) / 1000;
    vm->ready_text = g_string_new(NULL);
    vm->ready_watch = g_unix_fd_add(vm->ready_fd, G_IO_IN | G_IO_HUP, on_report, vm);
    vm->ready_timer = g_timeout_add((guint)MAX(left_msec, 1), on_late_report, vm);
}

void
ioq_vm_restart(IoqVm *vm, IoqVmDone done, gpointer data)
{
    g_autoptr(GError) error = NULL;

    if (vm->state != IOQ_VM_SERVING) {
        g_set_error_literal(&error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                            vm->state == IOQ_VM_STARTING ? _("the domain is just being started")
                                                         : _("the domain is just being ended"));
        done(error, data);
        return;
    }
    wait_until(vm, done, data);
    if (!vm->told) {
        vm->told = TRUE;
        ioq_vm_stop_waiting(vm);
        ioq_vm_end_worker(vm);
        ioq_vm_go_on(vm);
    }
}

IoqVm *
ioq_vm_adopt(const IoqVmOptions *options, const char *uuid, GError **error)
{
    IoqVm *vm = ioq_vm_new(options, uuid, uuid, g_ptr_array_new_with_free_func(ioq_disk_free));
    g_autofree char *name = ioq_vm_read_state(vm, "name", error);
    g_autofree char *text = name ? ioq_vm_read_state(vm, "disks.json", error) : NULL;
    g_autofree char *mark = ioq_vm_path(vm, IOQ_VM_END_MARK);
    g_autoptr(GPtrArray) disks = text ? ioq_disks_parse(text, error) : NULL;

    ioq_vm_free(vm);
    if (!disks) {
        return NULL;
    }
    vm = ioq_vm_new(options, uuid, name, g_steal_pointer(&disks));
    vm->state = g_file_test(mark, G_FILE_TEST_EXISTS) ? IOQ_VM_ENDING : IOQ_VM_SERVING;
    return vm;
}

gboolean
ioq_vm_take_up(IoqVm *vm, GError **error)
{
    if (!ioq_vm_read_pids(vm, error)) {
        return FALSE;
    }
    if (vm->pid > 0) {
        gantry_notice(_("domain '%1$s' is served by process %2$d"), vm->name, (int)vm->pid);
        ioq_vm_watch_worker(vm);
        ioq_vm_take_over_fds(vm);
    }
    if (vm->state == IOQ_VM_ENDING) {
        ioq_vm_end_worker(vm);
    }
    ioq_vm_go_on(vm);
    return TRUE;
}
