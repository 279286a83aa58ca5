/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/daemon/disks.h"
#include "ioq_tuning/daemon/server.h"
#include "ioq_tuning/daemon/vm.h"

struct IoqVm {
    const IoqVmOptions *options;
    char *uuid;
    char *name;
    char *dir;
    GPtrArray *disks;
    int *listen_fds; /* of each disk; -1: not open */
    /* Of each raw disk, open for as long as the VM is served: with it the image's lock outlives a
     * worker that dies. -1: not open. */
    int *image_fds;
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

/* vm.c */
char *ioq_vm_path(const IoqVm *vm, const char *name); /* in RUN_DIR/UUID */

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
