/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/* <balance xmlns='urn:gantry:balance:1'>: may the balancer move the domain, and with what care. */
extern const GantryExtension lb_balance_extension;
