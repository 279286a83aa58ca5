/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/rewrite.h"

#include "common/base/error.h"
#include "common/base/i18n.h"

enum { MAX_NAMED = 4 }; /* changes in one message, which is a line in virsh's error */

static const char *const arrivals[] = {"migrate", "restore", "prepare", NULL};
static const char *const on_the_wire[] = {"migrate", "restore", NULL};

const HookRewrite hook_rewrites[] = {
    {"cpus", arrivals, hook_rewrite_cpus},
    {"paths", arrivals, hook_rewrite_paths},
    {"iothreads", on_the_wire, hook_rewrite_iothreads},
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

/* One rewrite of @domain. @ret_text: NULL where it changes nothing. */
static gboolean
run_one(const HookRewrite *rewrite, GantryXml *domain, const HookRewriteContext *context,
        GPtrArray *texts, char **ret_text, gsize *ret_length, GError **error)
{
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(domain);
    HookChanges changes = {.edit = edit, .texts = texts};

    if (!rewrite->apply(domain, context, &changes, error)) {
        return FALSE;
    }
    if (gantry_xml_edit_count(edit) == 0) {
        return TRUE;
    }
    *ret_text = gantry_xml_edit_apply(edit, ret_length, error);
    return *ret_text != NULL;
}

gboolean
hook_rewrite(const HookOperation *operation, GantryXml *domain, const HookRewriteContext *context,
             char **ret_text, gsize *ret_length, GError **error)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    HookChanges changes = {.texts = texts};
    g_autoptr(GantryXml) rewritten = NULL;
    g_autofree char *text = NULL;
    gsize length = 0;

    *ret_text = NULL;
    *ret_length = 0;
    for (const HookRewrite *rewrite = hook_rewrites; rewrite->name; rewrite++) {
        g_autofree char *next = NULL;

        if (!(operation->may_rewrite || operation->must_fit) ||
            !g_strv_contains(rewrite->operations, operation->name)) {
            continue;
        }
        if (!run_one(rewrite, rewritten ? rewritten : domain, context, texts, &next, &length,
                     error)) {
            return FALSE;
        }
        if (next) {
            g_clear_pointer(&rewritten, gantry_xml_free);
            rewritten = gantry_xml_parse(next, length, gantry_xml_name(domain), error);
            if (!rewritten) {
                return FALSE;
            }
            g_free(text);
            text = g_steal_pointer(&next);
        }
    }
    if (!text) {
        return TRUE;
    }
    if (!operation->may_rewrite) {
        refuse(&changes, error);
        return FALSE;
    }
    *ret_text = g_steal_pointer(&text);
    *ret_length = length;
    return TRUE;
}

void
hook_changes_add(HookChanges *changes, const xmlNode *element, const char *where, const char *name,
                 const char *from, const char *to)
{
    gantry_xml_edit_set_attribute(changes->edit, element, name, to);
    g_ptr_array_add(changes->texts, g_strdup_printf("%s %s='%s' -> '%s'", where, name, from, to));
}
