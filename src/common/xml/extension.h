/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/spec.h"

/**
 * GantryExtension: one feature's domain-XML extension, const, defined in the feature's
 * <feature>_ext.c and listed in src/extensions/extensions.c.
 */
typedef struct {
    const char *feature; /* "balance": prefix of its keys in Nova extra specs and policy files, name
                            of its schema */
    const char *uri;     /* "urn:gantry:balance:1" */
    const GantryElementSpec *root; /* its one element under <metadata> */
    const char *daemon; /* that acts on it, socket /run/gantry/DAEMON.sock; NULL: no daemon concerns
                           the hook */
    /* Checks that concern more than one field. @element: the effective settings; @where: prefix for
     * the message. FALSE with GANTRY_ERROR_INVALID or _CONFLICT. NULL: none. */
    gboolean (*validate)(const GantryElement *element, const char *where, GError **error);
    /* May a domain with these effective settings not run without @daemon, also where it does not
     * say required='yes'? NULL: it may. */
    gboolean (*is_required)(const GantryElement *element);
    /* Does the domain, beside its settings, ask for what only they can give? Asked of a domain that
     * is to start here, also where the feature is off (@element: NULL). FALSE with what is missing,
     * and what to do. NULL: it never does. */
    gboolean (*check_domain)(GantryXml *domain, const GantryElement *element, GError **error);
} GantryExtension;

#define GANTRY_EXTENSION_URI_PREFIX "urn:gantry:"

/**
 * gantry_extension_find:
 * @extensions: NULL-terminated
 * @domain: root is <domain>
 * @ret_element: (out) (nullable): the extension's element as read, NULL where the domain has none
 *
 * Looks at the children of <metadata> only. Refused: an element in an unknown urn:gantry:
 * namespace, or two in the same one (whichever extension is asked for), a root of the wrong name;
 * RELAX NG violations that the typed reader does not name itself.
 */
gboolean gantry_extension_find(const GantryExtension *const *extensions,
                               const GantryExtension *extension, GantryXml *domain,
                               GantryElement **ret_element, GError **error);

/* By feature name, or NULL. */
const GantryExtension *gantry_extension_by_feature(const GantryExtension *const *extensions,
                                                   const char *feature);

/* Schema text built into the program from data/schemas/FEATURE.rng; never NULL for a listed
 * extension. */
const char *gantry_extension_schema(const GantryExtension *extension, gsize *ret_length);
