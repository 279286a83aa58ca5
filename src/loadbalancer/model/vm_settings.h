/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/settings.h"
#include "loadbalancer/model/state.h"

/**
 * lb_vm_read_settings:
 * @xml: the domain's XML
 * @policy: (nullable)
 *
 * Gives @vm what the balance extension says of it, wherever that is set, and whether it is Nova's.
 * Where any setting of the domain is wrong, vm->settings_error says why: it must not be moved on a
 * guess of what was meant.
 */
void lb_vm_read_settings(LbVm *vm, const char *xml, const GantryExtension *const *extensions,
                         const GantryPolicy *policy);
