/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/**
 * IoqVm: one VM's disks and the worker process that serves them. What is needed to go on after a
 * crash of gantry-ioqd is in RUN_DIR/UUID: disks.json, and the worker's pid with its start time.
 * All functions are for the main thread, and none waits for a process.
 */
typedef struct IoqVm IoqVm;

typedef struct {
    char *run_dir;    /* "/run/gantry/ioq" */
    char *worker;     /* program */
    char *qemu_nbd;   /* program, for formats */
    guint worker_uid; /* that a worker becomes; 0: it stays root */
    guint worker_gid;
    guint qemu_uid; /* owner of the sockets, so that QEMU may connect */
    guint poll_usec;
    /* Nothing is left of the VM: its owner lets go of it, and it frees itself. */
    void (*ended)(IoqVm *vm, gpointer data);
    gpointer data;
} IoqVmOptions;

typedef enum {
    IOQ_VM_STARTING, /* until its first worker serves, or does not */
    IOQ_VM_SERVING,  /* perhaps with no worker just now: another will come */
    IOQ_VM_ENDING,   /* until what served it has ended */
} IoqVmState;

/* @error: NULL where it has been done. */
typedef void (*IoqVmDone)(const GError *error, gpointer data);

/* @disks: (transfer full). Nothing is started yet. */
IoqVm *ioq_vm_new(const IoqVmOptions *options, const char *uuid, const char *name,
                  GPtrArray *disks);

/* Found in RUN_DIR/UUID: NULL with @error where it makes no sense. */
IoqVm *ioq_vm_adopt(const IoqVmOptions *options, const char *uuid, GError **error);

/* Then, once it is in its owner's table: its worker is watched if it is still there; else another
 * is started, or the end goes on that had begun, and @vm may be gone. FALSE: it cannot be known
 * what still runs, so nothing may be started. */
gboolean ioq_vm_take_up(IoqVm *vm, GError **error);

/* Forgets the VM; the worker goes on, for the next gantry-ioqd. */
void ioq_vm_free(IoqVm *vm);

IoqVmState ioq_vm_state(const IoqVm *vm);
const char *ioq_vm_uuid(const IoqVm *vm);
const char *ioq_vm_name(const IoqVm *vm);
gint64 ioq_vm_pid(const IoqVm *vm); /* 0: there is none just now */
guint ioq_vm_n_restarts(const IoqVm *vm);
char *ioq_vm_control(const IoqVm *vm); /* the worker's socket; (transfer full) */
gboolean ioq_vm_has_disks(const IoqVm *vm, const GPtrArray *disks); /* the very same */

/* The disk whose socket is at @path; NULL: none. */
const char *ioq_vm_target_of_socket(const IoqVm *vm, const char *path);

/* @done is called once by each of the following, perhaps before they return; by the first two,
 * @vm may be gone by then. */

/**
 * ioq_vm_start:
 * @incoming: the VM comes from another host, which has its images until then
 *
 * Opens images and sockets and starts the worker. Done when the worker serves. If it does not, by
 * @deadline_usec (g_get_monotonic_time()), the VM ends; @done may wait for that by ioq_vm_end().
 */
void ioq_vm_start(IoqVm *vm, gboolean incoming, gint64 deadline_usec, IoqVmDone done,
                  gpointer data);

/* Ends the worker and takes everything away. Done when nothing is left. May be called again. */
void ioq_vm_end(IoqVm *vm, IoqVmDone done, gpointer data);

/* Another worker in its place; the front end connects again, and no request is lost. */
void ioq_vm_restart(IoqVm *vm, IoqVmDone done, gpointer data);
