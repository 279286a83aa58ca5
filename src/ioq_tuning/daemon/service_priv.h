/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/daemon/ask.h"
#include "ioq_tuning/daemon/incoming.h"
#include "ioq_tuning/daemon/pinner.h"
#include "ioq_tuning/daemon/service.h"

#define IOQ_ASK_MSEC 1000 /* for workers */

typedef struct IoqPreparation IoqPreparation;

struct IoqService {
    IoqVmOptions *options;
    GHashTable *vms; /* uuid -> IoqVm */
    IoqIncoming *incoming;
    GHashTable *preparations; /* uuid -> IoqPreparation */
    IoqPinner *pinner;
    IoqAsk *ask;
    GPtrArray *status_requests; /* that wait for the answers that are awaited; NULL: none are */
    GPtrArray *status_vms;      /* of StatusVm */
};

typedef struct {
    const char *uuid;
    const char *name;
    const char *settings; /* NULL: not on */
    const char *xml;
} HookParams;

/* service.c */

/* FALSE: the request has been failed. */
gboolean ioq_service_read_params(GantryRpcRequest *request, HookParams *params);
void ioq_service_reply_done(GantryRpcRequest *request);
void ioq_service_fail(GantryRpcRequest *request, const GError *error);

/* As IoqVmDone, for a request that is done then. */
void ioq_service_answer(const GError *error, gpointer request);

/* What runs in QEMU gets the CPUs that it should have; else it runs on where it is. */
void ioq_service_pin(IoqService *service, const HookParams *params);

/* service_prepare.c */
void ioq_service_on_prepare(GantryRpcRequest *request, gpointer service);
void ioq_service_on_reconnect(GantryRpcRequest *request, gpointer service);

/* Whoever asked for it hears why; the rest of it comes to an end. */
void ioq_preparation_give_up(IoqPreparation *preparation, const GError *why);
void ioq_preparation_free(gpointer preparation);

/* service_status.c */
void ioq_service_on_status(GantryRpcRequest *request, gpointer service);
