/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt/libvirt.h>

#include "common/xml/settings.h"

/**
 * cli_policy_load:
 * @folder: value of --policy-dir
 *
 * As gantry_policy_load(), but only the default folder may be missing: GANTRY_ERROR_NOT_FOUND.
 *
 * Returns: (transfer full): the policies, or NULL.
 */
GantryPolicy *cli_policy_load(const char *folder, GError **error);

/**
 * cli_domain_from_file:
 * @path: a file with domain XML, or "-" for stdin
 *
 * Returns: (transfer full): the document, or NULL.
 */
GantryXml *cli_domain_from_file(const char *path, GError **error);

/* A domain as libvirt has it. */
typedef struct {
    char *name;
    char *uuid;
    const char *state; /* "running", "paused", "shut off", ... */
    char *xml;
} CliDomain;

/**
 * cli_domains_from_libvirt:
 * @uri: libvirt connection
 * @names: (nullable): names, uuids or ids; NULL: all domains
 *
 * Live definitions of running domains, persistent ones of stopped ones. A domain that vanishes
 * while all are read is left out; one that was named must exist.
 *
 * Returns: (transfer full) (element-type CliDomain): in libvirt's order, NULL on failure.
 */
GPtrArray *cli_domains_from_libvirt(const char *uri, const char *const *names, guint timeout_msec,
                                    GError **error);

/* By id, uuid or name, in this order, as virsh does. For a GantryVirtFunc. NULL with libvirt's
 * error.
 */
virDomainPtr cli_domain_look_up(virConnectPtr virt, const char *name);

/* The XML of one domain, parsed; errors about it name it "DOMAIN NAME". */
GantryXml *cli_domain_parse(const CliDomain *domain, GError **error);
