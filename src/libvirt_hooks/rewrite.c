/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/rewrite.h"

static const char *const arrivals[] = {"migrate", "restore", NULL};

const HookRewrite hook_rewrites[] = {
    {"cpus", arrivals, hook_rewrite_cpus},
    {"paths", arrivals, hook_rewrite_paths},
    {NULL, NULL, NULL},
};

gboolean
hook_rewrite(const HookOperation *operation, GantryXml *domain, const HookRewriteContext *context,
             char **ret_text, gsize *ret_length, GError **error)
{
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(domain);

    for (const HookRewrite *rewrite = hook_rewrites; rewrite->name; rewrite++) {
        if (operation->may_rewrite && g_strv_contains(rewrite->operations, operation->name) &&
            !rewrite->apply(domain, context, edit, error)) {
            return FALSE;
        }
    }
    if (gantry_xml_edit_count(edit) == 0) {
        *ret_text = NULL;
        *ret_length = 0;
        return TRUE;
    }
    *ret_text = gantry_xml_edit_apply(edit, ret_length, error);
    return *ret_text != NULL;
}
