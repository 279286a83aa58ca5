/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/base/option.h"

/* Option values between text and struct; private to option.c. */
typedef union {
    gboolean flag;
    guint64 number;
    double percent;
    char *string;
    GStrv list;
} GantryOptionValue;

/**
 * gantry_option_value_parse:
 * @where: what to name in an error
 *
 * White space at both ends is not part of a value; control characters are in none.
 */
gboolean gantry_option_value_parse(const GantryOption *option, const char *text, const char *where,
                                   GantryOptionValue *ret_value, GError **error);

/* Frees what @value owns. */
void gantry_option_value_clear(const GantryOption *option, GantryOptionValue *value);

/* Moves @value into @option's member of @target, freeing what was there. */
void gantry_option_value_store(const GantryOption *option, gpointer target,
                               GantryOptionValue *value);

/* (transfer full) (nullable): the member as gantry_option_value_parse() takes it; NULL: not set. */
char *gantry_option_value_text(const GantryOption *option, gconstpointer target);
