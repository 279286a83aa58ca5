/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The feature ioq's settings for disks that QEMU serves, on the way in. iothreads are no part of
 * the guest's machine nor of the migration stream, so they may be others here than at the source.
 */
#define GANTRY_LOG_MODULE "hook"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/ioq_ext.h"
#include "libvirt_hooks/rewrite.h"

static gboolean
apply(GantryXml *domain, const GantryElement *tuning, const HookRewriteContext *context,
      HookChanges *changes, GError **error)
{
    const IoqApplyOptions options = {.online = context->online, .guest_runs = TRUE};
    g_autoptr(GPtrArray) made = NULL;
    g_autoptr(GPtrArray) left = NULL;

    if (!ioq_apply(domain, tuning, &options, changes->edit, &made, &left, error)) {
        return FALSE;
    }
    for (guint i = 0; i < left->len; i++) {
        gantry_notice(_("domain '%1$s': %2$s"), context->domain_name, (const char *)left->pdata[i]);
    }
    return TRUE;
}

gboolean
hook_rewrite_iothreads(GantryXml *domain, const HookRewriteContext *context, HookChanges *changes,
                       GError **error)
{
    g_autoptr(GError) local = NULL;
    const GantryFeatureSettings *ioq =
        context->settings ? gantry_settings_get(context->settings, ioq_extension.feature) : NULL;
    gboolean must = ioq && gantry_element_bool(ioq->element, "required");

    if (!ioq || !ioq->enabled ||
        apply(domain, ioq->element, context, changes, must ? error : &local)) {
        return TRUE;
    }
    if (local) {
        gantry_warn(_("domain '%1$s' goes on without the iothreads of its settings: %2$s"),
                    context->domain_name, local->message);
    }
    return !must;
}
