/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/* <encap xmlns='urn:gantry:encap:1'>: interfaces whose guest encapsulates its own overlay packets.
 */
extern const GantryExtension encap_extension;
