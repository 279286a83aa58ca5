/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/* All domain-XML extensions, in the order in which they are explained and told to daemons;
 * NULL-terminated. */
extern const GantryExtension *const gantry_extensions[];
