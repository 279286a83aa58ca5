/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/settings.h"

/* The domain's nova:instance, and the namespace that it and its children stand in; NULL: not
 * Nova's. */
const xmlNode *gantry_nova_instance(GantryXml *domain, const char **ret_uri);

/* One "FEATURE.KEY" and its value, from Nova or a policy. */
typedef struct {
    const GantryExtension *extension;
    const GantryField *field;
    char *value;  /* canonical */
    char *origin; /* for people */
} GantryKeyValue;

void gantry_key_value_free(GantryKeyValue *pair);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryKeyValue, gantry_key_value_free)

/**
 * gantry_key_value_parse:
 * @key: "balance.priority"
 * @where: prefix of errors
 * @origin: for people; copied
 *
 * Returns: NULL with GANTRY_ERROR_INVALID naming where, key, and the nearest known key.
 */
GantryKeyValue *gantry_key_value_parse(const GantryExtension *const *extensions, const char *key,
                                       const char *text, const char *where, const char *origin,
                                       GError **error);

/* The pairs that @policy gives the domain, in the order of the files: a later one wins over an
 * earlier one. (transfer container) (element-type GantryKeyValue), owned by the policy. */
GPtrArray *gantry_policy_match(const GantryPolicy *policy, const GantryDomainIdentity *identity);
