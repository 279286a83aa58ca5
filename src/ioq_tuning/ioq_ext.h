/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/* <tuning xmlns='urn:gantry:ioq:1'>: the domain's disks, their back end and its threads. */
extern const GantryExtension ioq_extension;
