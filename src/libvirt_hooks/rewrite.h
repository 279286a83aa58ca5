/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/settings.h"
#include "libvirt_hooks/host_config.h"
#include "libvirt_hooks/operation.h"

/* What a rewrite may know. */
typedef struct {
    const char *domain_name;        /* for the log */
    const GantrySettings *settings; /* with this host's CPUs; NULL: they could not be read */
    const HookHostConfig *host;     /* NULL: this host has no host.conf */
    const GantryCpuset *online;     /* this host's CPUs; NULL where nobody wants to know */
} HookRewriteContext;

/* The changes that rewrites want. */
typedef struct {
    GantryXmlEdit *edit;
    GPtrArray *texts; /* of char: each for an operator who is to make the change */
} HookChanges;

/**
 * HookRewrite: a change that the hook makes to the XML of a domain that comes from another host or
 * from a save image, and that must be made before it starts from a definition. Features add theirs
 * to hook_rewrites[]; each works on what the ones before it have made.
 */
typedef struct {
    const char *name;
    const char *const *operations; /* NULL-terminated; of those that may rewrite or must fit */
    /* Puts its changes on the list. FALSE: the domain cannot run here; the message says why. */
    gboolean (*apply)(GantryXml *domain, const HookRewriteContext *context, HookChanges *changes,
                      GError **error);
} HookRewrite;

extern const HookRewrite hook_rewrites[]; /* ends with a NULL name */

/**
 * hook_rewrite:
 * @ret_text: (out) (nullable): the new XML; NULL where nothing is to be changed
 *
 * Runs all rewrites that @operation has. What comes out differs from the input only in the bytes of
 * the changed attributes. Done again, nothing changes. So an operation whose XML must fit, but may
 * not be rewritten, can tell a domain that fits: any other is GANTRY_ERROR_CONFLICT, with what is
 * to be changed.
 */
gboolean hook_rewrite(const HookOperation *operation, GantryXml *domain,
                      const HookRewriteContext *context, char **ret_text, gsize *ret_length,
                      GError **error);

/* For rewrites: @element's attribute @name is @from, and is to be @to. @where names the element. */
void hook_changes_add(HookChanges *changes, const xmlNode *element, const char *where,
                      const char *name, const char *from, const char *to);

/* Those of this folder. */
gboolean hook_rewrite_cpus(GantryXml *domain, const HookRewriteContext *context,
                           HookChanges *changes, GError **error);
gboolean hook_rewrite_paths(GantryXml *domain, const HookRewriteContext *context,
                            HookChanges *changes, GError **error);
/* The feature ioq's. What it cannot do keeps no domain from running, unless its settings say
 * required='yes'. */
gboolean hook_rewrite_iothreads(GantryXml *domain, const HookRewriteContext *context,
                                HookChanges *changes, GError **error);
