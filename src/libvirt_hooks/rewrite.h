/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/document.h"
#include "libvirt_hooks/host_config.h"
#include "libvirt_hooks/operation.h"

/* What a rewrite may know. */
typedef struct {
    const HookHostConfig *host; /* NULL: this host has no host.conf */
    const GantryCpuset *online; /* this host's CPUs; NULL without host */
} HookRewriteContext;

/**
 * HookRewrite: a change that the hook makes to the XML of a domain that comes from another host or
 * from a save image. Features add theirs to hook_rewrites[].
 */
typedef struct {
    const char *name;
    const char *const *operations; /* NULL-terminated; of those that may rewrite */
    /* Puts its edits on the list. FALSE: the domain cannot run here; the message says why. */
    gboolean (*apply)(GantryXml *domain, const HookRewriteContext *context, GantryXmlEdit *edit,
                      GError **error);
} HookRewrite;

extern const HookRewrite hook_rewrites[]; /* ends with a NULL name */

/**
 * hook_rewrite:
 * @ret_text: (out) (nullable): the new XML; NULL where nothing is to be changed
 *
 * Runs all rewrites that @operation has. What comes out differs from the input only in the bytes of
 * the changed attributes. Done again, nothing changes.
 */
gboolean hook_rewrite(const HookOperation *operation, GantryXml *domain,
                      const HookRewriteContext *context, char **ret_text, gsize *ret_length,
                      GError **error);

/* The two of this folder. */
gboolean hook_rewrite_cpus(GantryXml *domain, const HookRewriteContext *context,
                           GantryXmlEdit *edit, GError **error);
gboolean hook_rewrite_paths(GantryXml *domain, const HookRewriteContext *context,
                            GantryXmlEdit *edit, GError **error);
