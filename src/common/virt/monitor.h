/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "common/virt/autoptr.h"

/**
 * gantry_virt_monitor:
 * @command: QMP, e.g. {"execute": "query-migrate"}
 *
 * Sends one command to the QEMU of @domain through libvirt-qemu. To be called in the connection's
 * thread.
 *
 * Returns: (transfer full): what stands under "return". NULL with GANTRY_VIRT_ERROR (libvirt could
 * not send it), GANTRY_ERROR_REFUSED (QEMU's error, its class and text), or GANTRY_ERROR_PROTOCOL.
 */
JsonNode *gantry_virt_monitor(virDomainPtr domain, const char *command, GError **error);
