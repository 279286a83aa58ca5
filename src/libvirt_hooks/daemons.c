/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/daemons.h"

#define GANTRY_LOG_MODULE "hook"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/rpc/rpc.h"

static char *domain_without_metadata(GantryXml *domain, GError **error);
static JsonNode *call_params(const HookCall *call, const GantryExtension *extension,
                             const GantryFeatureSettings *settings, const char *xml);
static gboolean take_outcome(const HookCall *call, const GantryExtension *extension,
                             const GantryFeatureSettings *settings, const GError *failure,
                             GString *report, GError **error);

gboolean
hook_daemons_call(const HookCall *call, GString *report, GError **error)
{
    g_autofree char *xml = NULL;

    for (const GantryExtension *const *e = call->extensions; *e; e++) {
        const GantryExtension *extension = *e;
        const GantryFeatureSettings *settings = NULL;
        g_autofree char *socket = NULL;
        g_autoptr(JsonNode) params = NULL;
        g_autoptr(JsonNode) result = NULL;
        g_autoptr(GError) failure = NULL;
        gint64 left_msec = (call->deadline_usec - g_get_monotonic_time()) / 1000;

        if (!extension->daemon) {
            continue;
        }
        if (call->settings) {
            settings = gantry_settings_get(call->settings, extension->feature);
            settings = settings->enabled ? settings : NULL;
        }
        socket = g_strdup_printf("%s/%s.sock", call->run_dir, extension->daemon);
        if (!settings &&
            (!call->operation->tells_all || !g_file_test(socket, G_FILE_TEST_EXISTS))) {
            continue;
        }
        if (!xml) {
            xml = domain_without_metadata(call->domain, error);
            if (!xml) {
                return FALSE;
            }
        }
        params = call_params(call, extension, settings, xml);
        result =
            gantry_rpc_call(socket, call->operation->method, params,
                            (guint)CLAMP(left_msec, 0, (gint64)call->call_timeout_msec), &failure);
        if (!take_outcome(call, extension, settings, failure, report, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Settings reach a daemon resolved; it must not be tempted to read them from one of their sources.
 */
static char *
domain_without_metadata(GantryXml *domain, GError **error)
{
    g_autoptr(GantryXmlEdit) edit = gantry_xml_edit_new(domain);
    const xmlNode *metadata = gantry_xml_path(domain, "metadata");
    gsize length;

    if (metadata) {
        gantry_xml_edit_replace(edit, metadata, "");
    }
    return gantry_xml_edit_apply(edit, &length, error);
}

static void
add_string(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

static JsonNode *
call_params(const HookCall *call, const GantryExtension *extension,
            const GantryFeatureSettings *settings, const char *xml)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    add_string(builder, "operation", call->operation->name);
    add_string(builder, "sub_operation", call->operation->sub_operation);
    add_string(builder, "extra", call->extra);
    json_builder_set_member_name(builder, "domain");
    json_builder_begin_object(builder);
    add_string(builder, "name", call->identity->name);
    add_string(builder, "uuid", call->identity->uuid);
    json_builder_end_object(builder);
    add_string(builder, "feature", extension->feature);
    json_builder_set_member_name(builder, "settings");
    if (settings) {
        g_autofree char *canonical = gantry_element_format(settings->element, extension->uri);

        json_builder_add_string_value(builder, canonical);
    } else {
        json_builder_add_null_value(builder);
    }
    add_string(builder, "xml", xml);
    json_builder_end_object(builder);
    return json_builder_get_root(builder);
}

/* Does the domain ask not to run without this feature? */
static gboolean
says_required(const GantryFeatureSettings *settings)
{
    const GantryField *field = settings ? settings->extension->root->fields : NULL;

    for (; field && field->name; field++) {
        if (g_str_equal(field->name, "required")) {
            return gantry_element_bool(settings->element, "required");
        }
    }
    return FALSE;
}

/* Has it settings that it cannot run with, unless the daemon does its part? */
static gboolean
implies_required(const GantryFeatureSettings *settings)
{
    return settings && settings->extension->is_required &&
           settings->extension->is_required(settings->element);
}

static const char *
outcome_word(const GError *failure)
{
    static const char *const words[] = {
        [GANTRY_ERROR_INVALID] = "invalid",         [GANTRY_ERROR_LIMIT] = "too-large",
        [GANTRY_ERROR_CONFLICT] = "failed",         [GANTRY_ERROR_NOT_FOUND] = "nothing-to-do",
        [GANTRY_ERROR_UNAVAILABLE] = "unavailable", [GANTRY_ERROR_TIMEOUT] = "timeout",
        [GANTRY_ERROR_PROTOCOL] = "garbage",        [GANTRY_ERROR_REFUSED] = "refused",
        [GANTRY_ERROR_SYSTEM] = "failed",
    };

    if (!failure) {
        return "ok";
    }
    return failure->domain == GANTRY_ERROR && (gsize)failure->code < G_N_ELEMENTS(words)
               ? words[failure->code]
               : "failed";
}

static gboolean
take_outcome(const HookCall *call, const GantryExtension *extension,
             const GantryFeatureSettings *settings, const GError *failure, GString *report,
             GError **error)
{
    gboolean may_refuse = call->operation->failure == HOOK_FAILURE_REFUSES;

    g_string_append_printf(report, " %s/%s=%s", extension->daemon, extension->feature,
                           outcome_word(failure));
    if (!failure || g_error_matches(failure, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
        return TRUE; /* a daemon that does not know the call has nothing to do in it */
    }
    if (may_refuse && g_error_matches(failure, GANTRY_ERROR, GANTRY_ERROR_REFUSED)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, "%s: %s", extension->feature,
                    failure->message);
        return FALSE;
    }
    if (may_refuse && says_required(settings)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("%1$s has required='yes', and gantry-%2$s does not do its part: %3$s"),
                    extension->feature, extension->daemon, failure->message);
        return FALSE;
    }
    if (may_refuse && implies_required(settings)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("its settings of %1$s cannot do without gantry-%2$s, which does not do its "
                      "part: %3$s"),
                    extension->feature, extension->daemon, failure->message);
        return FALSE;
    }
    gantry_warn(_("%1$s of domain '%2$s': %3$s: %4$s"), call->operation->name, call->identity->name,
                extension->feature, failure->message);
    return TRUE;
}
