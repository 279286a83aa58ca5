/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/* <steer xmlns='urn:gantry:steer:1'>: addresses that are forwarded to the domain's functions. */
extern const GantryExtension encap_steer_extension;
