/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/settings.h"

/**
 * cli_domain_from_file:
 * @path: a file with domain XML, or "-" for stdin
 *
 * Returns: (transfer full): the document, or NULL.
 */
GantryXml *cli_domain_from_file(const char *path, GError **error);

/**
 * cli_domain_from_libvirt:
 * @uri: libvirt connection
 * @domain: name, uuid or id
 *
 * The live definition of a running domain, the persistent one of a stopped one.
 */
GantryXml *cli_domain_from_libvirt(const char *uri, const char *domain, guint timeout_msec,
                                   GError **error);
