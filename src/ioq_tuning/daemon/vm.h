/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/**
 * IoqVm: one VM's disks and the worker process that serves them. What is needed to go on after a
 * crash of gantry-ioqd is in RUN_DIR/UUID: disks.json, and the worker's pid with its start time.
 * All functions are for the main thread.
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
} IoqVmOptions;

/* @disks: (transfer full). Nothing is started yet. */
IoqVm *ioq_vm_new(const IoqVmOptions *options, const char *uuid, const char *name,
                  GPtrArray *disks);

/* Found in RUN_DIR/UUID: NULL with @error where it makes no sense. Its worker is watched if it is
 * still there; else another is started. */
IoqVm *ioq_vm_adopt(const IoqVmOptions *options, const char *uuid, GError **error);

/* Forgets the VM; the worker goes on, for the next gantry-ioqd. */
void ioq_vm_free(IoqVm *vm);

const char *ioq_vm_uuid(const IoqVm *vm);
const char *ioq_vm_name(const IoqVm *vm);
gboolean ioq_vm_has_disks(const IoqVm *vm, const GPtrArray *disks); /* the very same */

/* The disk whose socket is at @path; NULL: none. */
const char *ioq_vm_target_of_socket(const IoqVm *vm, const char *path);

/* Opens images and sockets and starts the worker. When this has returned TRUE, the worker serves.
 * @incoming: the VM comes from another host, which has its images until then. */
gboolean ioq_vm_start(IoqVm *vm, gboolean incoming, GError **error);

/* Ends the worker and takes everything away: the VM is gone. */
void ioq_vm_stop(IoqVm *vm);

/* Another worker in its place; the front end connects again, and no request is lost. */
void ioq_vm_restart(IoqVm *vm);

gint64 ioq_vm_pid(const IoqVm *vm); /* 0: there is none just now */
guint ioq_vm_n_restarts(const IoqVm *vm);
char *ioq_vm_control(const IoqVm *vm); /* the worker's socket; (transfer full) */
