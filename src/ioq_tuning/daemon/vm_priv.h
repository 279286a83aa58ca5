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
    /* Numbers of the two in the worker; -1: it has none. */
    int image_there;
    int listen_there;
} IoqOpened;

typedef struct {
    IoqVmDone done;
    gpointer data;
} IoqVmWaiter;

struct IoqVm {
    const IoqVmOptions *options;
    char *uuid;
    char *name;
    char *dir;
    GPtrArray *disks;
    IoqOpened *opened; /* of each disk */
    IoqVmState state;
    GArray *waiters; /* of IoqVmWaiter, for what is going on in this state */
    /* A first worker's report, as far as it has come. */
    int ready_fd;
    GString *ready_text;
    guint ready_watch;
    guint ready_timer;
    /* The worker */
    gint64 pid; /* 0: none */
    int pid_fd;
    guint watch;
    gint64 begin_usec;
    guint backoff_msec;
    guint retry;
    guint n_restarts;
    gboolean told; /* to end; another takes its place at once */
    /* The worker's, and those of its predecessor that still run: of IoqServer */
    GPtrArray *servers;
    guint server_watch;
    guint patience; /* then what was told to end is killed */
};

/* vm.c */

/* Whoever waits for what was going on is told. */
void ioq_vm_settle(IoqVm *vm, const GError *error);

/* The worker has ended, and its servers: @vm may be gone afterwards. */
void ioq_vm_go_on(IoqVm *vm);

/* vm_worker.c: the processes */

/* FALSE: there is no worker, or one (vm->pid) whose end is near. @ret_ready_fd: see IoqLaunch;
 * NULL: nobody reads it. */
gboolean ioq_vm_start_worker(IoqVm *vm, int *ret_ready_fd, GError **error);

/* What an earlier gantry-ioqd had open with the worker that it left is open here again. */
void ioq_vm_take_over_fds(IoqVm *vm);

/* For a worker that is there already. */
void ioq_vm_watch_worker(IoqVm *vm);

/* Another one, as soon as that may be. */
void ioq_vm_start_again(IoqVm *vm);
void ioq_vm_start_later(IoqVm *vm);

/* It is told to end; killed if it does not. ioq_vm_go_on() is called then. */
void ioq_vm_end_worker(IoqVm *vm);

/* FALSE: they are told to, and ioq_vm_go_on() is called then. */
gboolean ioq_vm_servers_have_ended(IoqVm *vm);

void ioq_vm_stop_waiting(IoqVm *vm);
void ioq_vm_forget_worker(IoqVm *vm);

/* vm_state.c: files in RUN_DIR/UUID */
#define IOQ_VM_END_MARK "ending" /* is there: the VM's end has begun */
char *ioq_vm_path(const IoqVm *vm, const char *name);
gboolean ioq_vm_write_state(const IoqVm *vm, const char *name, const char *text, GError **error);
char *ioq_vm_read_state(const IoqVm *vm, const char *name, GError **error);
void ioq_vm_remove_state(const IoqVm *vm);

/* The worker, its sockets, and its servers. */
gboolean ioq_vm_write_pids(const IoqVm *vm, GError **error);

/* Fills in what has not ended meanwhile: worker, sockets and servers. FALSE: there is no knowing.
 */
gboolean ioq_vm_read_pids(IoqVm *vm, GError **error);

/* launch.c */

/* A worker that waits for its configuration: it has opened, locked and said nothing yet. */
typedef struct {
    gint64 pid;
    int pid_fd;
    int ready_fd;  /* what it reports, see WorkerConfig */
    int config_fd; /* a pipe to it; closed without a word, it ends */
    char *config;
} IoqLaunch;

/* Opens what the worker needs, with a server where the format needs one, and starts its process. */
gboolean ioq_vm_launch(IoqVm *vm, IoqLaunch *launch, GError **error);

/* It begins to serve. */
gboolean ioq_launch_go(IoqLaunch *launch, GError **error);

void ioq_launch_clear(IoqLaunch *launch); /* the process is not touched */

/* FALSE with GANTRY_ERROR_REFUSED where somebody else has a raw image. */
gboolean ioq_vm_check_images(IoqVm *vm, GError **error);

/* For a VM that is still on another host: FALSE with GANTRY_ERROR_REFUSED where a raw image is
 * certainly not the one that it has there. */
gboolean ioq_vm_check_incoming(IoqVm *vm, GError **error);

/* FALSE with GANTRY_ERROR_REFUSED where a disk is to be served on CPUs that are not there. */
gboolean ioq_vm_check_cpus(const IoqVm *vm, GError **error);

/* What the servers have said, one line; "" if nothing. (transfer full) */
char *ioq_vm_server_texts(const IoqVm *vm);
void ioq_vm_log_servers(const IoqVm *vm);
char *ioq_vm_server_log(const IoqVm *vm, guint disk);
