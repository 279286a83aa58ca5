/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/rpc/rpc.h"
#include "ioq_tuning/daemon/vm.h"

/**
 * IoqService: the VMs that are served, and what gantry-ioqd is asked for. Main thread.
 */
typedef struct IoqService IoqService;

/* For gantry_rpc_server_new(), with the IoqService. */
extern const GantryRpcMethod ioq_service_methods[];

/* @options: borrowed, completed */
IoqService *ioq_service_new(IoqVmOptions *options, const char *libvirt_uri);

/* Takes up what a gantry-ioqd before us has left. FALSE: what that is cannot be found out, and
 * nothing must be started beside it. */
gboolean ioq_service_adopt(IoqService *service, GError **error);

/* What is served goes on. */
void ioq_service_free(IoqService *service);
