/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/* <passthrough xmlns='urn:gantry:passthrough:1'>: passed-through functions and how they migrate. */
extern const GantryExtension vfm_passthrough_extension;
