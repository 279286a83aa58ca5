/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/rewrite.h"

#include "common/base/error.h"
#include "common/base/i18n.h"

enum { MAX_NAMED = 4 }; /* changes in one message, which is a line in virsh's error */

static const char *const arrivals[] = {"migrate", "restore", "prepare", NULL};

const HookRewrite hook_rewrites[] = {
    {"cpus", arrivals, hook_rewrite_cpus},
    {"paths", arrivals, hook_rewrite_paths},
    {NULL, NULL, NULL},
};

/* Says what an operator is to change. */
static void
refuse(const HookChanges *changes, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < MIN(changes->texts->len, MAX_NAMED); i++) {
        g_string_append_printf(list, "%s%s", i > 0 ? "; " : "",
                               (const char *)g_ptr_array_index(changes->texts, i));
    }
    if (changes->texts->len > MAX_NAMED) {
        g_string_append_printf(list, _("; and %u more"), changes->texts->len - MAX_NAMED);
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                _("its XML names another host's CPUs or paths (see host.conf); change it with "
                  "'virsh edit': %s"),
                list->str);
}

gboolean
hook_rewrite(const HookOperation *operation, GantryXml *domain, const HookRewriteContext *context,
             char **ret_text, gsize *ret_length, GError **error)
{
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(domain);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    HookChanges changes = {.edit = edit, .texts = texts};

    *ret_text = NULL;
    *ret_length = 0;
    for (const HookRewrite *rewrite = hook_rewrites; rewrite->name; rewrite++) {
        if ((operation->may_rewrite || operation->must_fit) &&
            g_strv_contains(rewrite->operations, operation->name) &&
            !rewrite->apply(domain, context, &changes, error)) {
            return FALSE;
        }
    }
    if (texts->len == 0) {
        return TRUE;
    }
    if (!operation->may_rewrite) {
        refuse(&changes, error);
        return FALSE;
    }
    *ret_text = gantry_xml_edit_apply(edit, ret_length, error);
    return *ret_text != NULL;
}

void
hook_changes_add(HookChanges *changes, const xmlNode *element, const char *where, const char *name,
                 const char *from, const char *to)
{
    gantry_xml_edit_set_attribute(changes->edit, element, name, to);
    g_ptr_array_add(changes->texts, g_strdup_printf("%s %s='%s' -> '%s'", where, name, from, to));
}
