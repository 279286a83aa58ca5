/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/base/option.h"

/**
 * cli_foreign_option:
 * @options: of the whole command, which fill a struct of @size bytes
 * @argc, @argv: its command line as it was before it was parsed, and parsed without a mistake
 * @allowed: (NULL-terminated): names of the options that its subcommand takes
 *
 * Returns: an option that was given, but is not allowed; NULL: there is none.
 */
const GantryOption *cli_foreign_option(const GantryOption *options, gsize size, int argc,
                                       char **argv, const char *const *allowed);
