/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/rewrite.h"

/* <source>, and what it may hold: <dataStore><source>. */
static void
rewrite_source(const xmlNode *source, const HookRewriteContext *context, HookChanges *changes)
{
    static const char *const attributes[] = {"file", "dev", "dir"};
    const xmlNode *store = gantry_xml_next_child(source, NULL, NULL, "dataStore");

    for (gsize i = 0; i < G_N_ELEMENTS(attributes); i++) {
        g_autofree char *path = gantry_xml_attribute(source, attributes[i]);
        g_autofree char *mapped = path ? hook_host_config_map_path(context->host, path) : NULL;

        if (mapped && !g_str_equal(mapped, path)) {
            hook_changes_add(changes, source, "<source>", attributes[i], path, mapped);
        }
    }
    if (store) {
        const xmlNode *inner = gantry_xml_next_child(store, NULL, NULL, "source");

        if (inner) {
            rewrite_source(inner, context, changes);
        }
    }
}

/* A <disk>, <mirror> or <backingStore>: each has a source, and may stand on a backing store. */
static void
rewrite_chain(const xmlNode *image, const HookRewriteContext *context, HookChanges *changes)
{
    while (image) {
        const xmlNode *source = gantry_xml_next_child(image, NULL, NULL, "source");

        if (source) {
            rewrite_source(source, context, changes);
        }
        image = gantry_xml_next_child(image, NULL, NULL, "backingStore");
    }
}

gboolean
hook_rewrite_paths(GantryXml *domain, const HookRewriteContext *context, HookChanges *changes,
                   GError **error)
{
    const xmlNode *devices = gantry_xml_path(domain, "devices");
    const xmlNode *disk = NULL;

    if (!context->host || !hook_host_config_has_paths(context->host) || !devices) {
        return TRUE;
    }
    while ((disk = gantry_xml_next_child(devices, disk, NULL, "disk"))) {
        const xmlNode *mirror = gantry_xml_next_child(disk, NULL, NULL, "mirror");

        rewrite_chain(disk, context, changes);
        if (mirror) {
            rewrite_chain(mirror, context, changes);
        }
    }
    return TRUE;
}
