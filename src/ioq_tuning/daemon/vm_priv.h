/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/daemon/disks.h"
#include "ioq_tuning/daemon/place.h"
#include "ioq_tuning/daemon/server.h"
#include "ioq_tuning/daemon/vm.h"

/* What is open here of one disk. */
typedef struct {
    IoqPlace place;
    /* A raw disk's, for as long as the VM is served: with it the image's lock outlives a worker
     * that dies. -1: not open. */
    int image_fd;
} IoqOpened;

struct IoqVm {
    const IoqVmOptions *options;
    char *uuid;
    char *name;
    char *dir;
    GPtrArray *disks;
    IoqOpened *opened; /* of each disk */
    GPtrArray
        *servers; /* of IoqServer: the worker's, and those of its predecessor that still run */
    gint64 pid;   /* 0: none */
    int pid_fd;
    guint watch;
    guint server_watch;
    guint retry;
    gint64 begin_usec;
    guint backoff_msec;
    guint n_restarts;
};

/* vm_state.c: files in RUN_DIR/UUID */
char *ioq_vm_path(const IoqVm *vm, const char *name);
gboolean ioq_vm_write_state(const IoqVm *vm, const char *name, const char *text, GError **error);
char *ioq_vm_read_state(const IoqVm *vm, const char *name, GError **error);
void ioq_vm_remove_state(const IoqVm *vm);

/* The worker, its sockets, and its servers. */
gboolean ioq_vm_write_pids(const IoqVm *vm, GError **error);

/* Fills in sockets and servers. Returns: the worker's pid; 0: it is gone. */
gint64 ioq_vm_read_pids(IoqVm *vm);

/* launch.c */

/* Opens what the worker needs, with a server where the format needs one, and starts it. Returns:
 * its pid; 0 with @error; 0 with @ret_ready_fd only, where it has ended already. @ret_ready_fd: see
 * WorkerConfig. */
gint64 ioq_vm_launch(IoqVm *vm, int *ret_ready_fd, GError **error);

/* FALSE with GANTRY_ERROR_REFUSED where somebody else has a raw image. */
gboolean ioq_vm_check_images(IoqVm *vm, GError **error);

/* What the servers have said, one line; "" if nothing. (transfer full) */
char *ioq_vm_server_texts(const IoqVm *vm);
void ioq_vm_log_servers(const IoqVm *vm);
char *ioq_vm_server_log(const IoqVm *vm, guint disk);
