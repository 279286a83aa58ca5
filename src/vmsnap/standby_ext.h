/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/* <standby xmlns='urn:gantry:standby:1'>: the domain's standby. */
extern const GantryExtension snap_standby_extension;
