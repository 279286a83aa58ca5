/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry ioq apply: the persistent definition gets the iothreads that the settings ask for. All of
 * it runs in the connection's thread; what it finds out comes back in a Result, which both sides
 * hold.
 *
 * libvirt may take a definition and drop what it does not know (a mapping of queues, before 10.0).
 * So what it has made of it is read back, and if that is not as the settings say, the old
 * definition is put back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/domain.h"
#include "cli/ioq.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"
#include "common/virt/connection.h"
#include "extensions/extensions.h"
#include "ioq_tuning/ioq_ext.h"

/* Passwords are part of what is defined again. */
#define DEFINITION (VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE)

enum {
    MAX_ITEMS = 8,    /* of a list in a line */
    MAX_CHANGES = 40, /* that are shown to people */
};

typedef struct {
    char *wanted;
    GantryPolicy *policy;
    gboolean dry_run;
    /* The result: */
    char *name;
    gboolean is_active;
    GPtrArray *changes; /* of IoqChange */
    GPtrArray *left;
    GPtrArray *warnings;
} Request;

static void
request_clear(gpointer data)
{
    Request *request = data;

    g_free(request->wanted);
    g_free(request->name);
    gantry_policy_free(request->policy);
    g_clear_pointer(&request->changes, g_ptr_array_unref);
    g_clear_pointer(&request->left, g_ptr_array_unref);
    g_clear_pointer(&request->warnings, g_ptr_array_unref);
}

static void
request_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, request_clear);
}

static GantryCpuset *
read_online(virConnectPtr virt, GError **error)
{
    unsigned char *map = NULL;
    unsigned online;
    int n = virNodeGetCPUMap(virt, &map, &online, 0);
    GantryCpuset *set;

    if (n < 0) {
        gantry_virt_set_error(error, _("cannot tell which CPUs the host has"));
        return NULL;
    }
    set = gantry_cpuset_new();
    for (int cpu = 0; cpu < MIN(n, GANTRY_CPUSET_MAX_CPUS); cpu++) {
        if (VIR_CPU_USED(map, cpu)) {
            gantry_cpuset_add(set, (guint)cpu);
        }
    }
    free(map);
    return set;
}

static gboolean
warn_of_nova(GantryXml *domain, const char *name, GPtrArray *warnings, GError **error)
{
    g_auto(GantryDomainIdentity) identity = {0};

    if (!gantry_domain_identity_read(domain, &identity, error)) {
        return FALSE;
    }
    if (identity.nova) {
        g_ptr_array_add(warnings,
                        g_strdup_printf(_("domain '%s' is Nova's, which writes the definition anew "
                                          "when it reboots the instance hard, resizes, rebuilds "
                                          "or cold migrates it: apply it again then"),
                                        name));
    }
    return TRUE;
}

/* What the settings make of a definition. @ret_text: NULL where nothing is to be changed.
 * @warnings: NULL: nobody wants them. */
static gboolean
transform(const char *text, const Request *request, const GantryCpuset *online, GPtrArray *warnings,
          char **ret_text, GPtrArray **ret_changes, GPtrArray **ret_left, GError **error)
{
    const IoqApplyOptions options = {.online = online, .warnings = warnings};
    g_autoptr(GantryXml) domain = gantry_xml_parse(text, strlen(text), request->name, error);
    g_autoptr(GantrySettings) settings =
        domain ? gantry_settings_resolve(gantry_extensions, domain, request->policy, error) : NULL;
    g_autoptr(GantryXmlEdit) edit = domain ? gantry_xml_edit_new(domain) : NULL;
    const GantryFeatureSettings *ioq;
    gsize length;

    if (!settings) {
        return FALSE;
    }
    ioq = gantry_settings_get(settings, ioq_extension.feature);
    if (!ioq->enabled) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                    _("domain '%1$s' has no settings of feature ioq: give it some, as virsh "
                      "metadata %1$s --uri urn:gantry:ioq:1 --key ioq --config --set \"<tuning>"
                      "<device target='vda' queues-per-thread='2'/></tuning>\""),
                    request->name);
        return FALSE;
    }
    if (!ioq_apply(domain, ioq->element, &options, edit, ret_changes, ret_left, error)) {
        return FALSE;
    }
    if (warnings && (*ret_changes)->len > 0 &&
        !warn_of_nova(domain, request->name, warnings, error)) {
        return FALSE;
    }
    *ret_text =
        gantry_xml_edit_count(edit) > 0 ? gantry_xml_edit_apply(edit, &length, error) : NULL;
    return *ret_text || gantry_xml_edit_count(edit) == 0;
}

static gboolean
define(virConnectPtr virt, const char *text, const char *name, GError **error)
{
    g_autoptr(virDomain) defined = virDomainDefineXMLFlags(virt, text, 0);

    if (!defined) {
        gantry_virt_set_error(error, _("libvirt does not take the new definition of '%s'"), name);
        return FALSE;
    }
    return TRUE;
}

/* Is what libvirt keeps as the settings say? */
static gboolean
is_kept(virDomainPtr handle, const Request *request, const GantryCpuset *online, GError **error)
{
    g_autoptr(GPtrArray) changes = NULL;
    g_autoptr(GPtrArray) left = NULL;
    g_autofree char *text = NULL;
    char *kept = virDomainGetXMLDesc(handle, DEFINITION);
    gboolean ok;

    if (!kept) {
        gantry_virt_set_error(error, _("cannot read domain '%s'"), request->name);
        return FALSE;
    }
    ok = transform(kept, request, online, NULL, &text, &changes, &left, error);
    free(kept);
    if (ok && text) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("libvirt did not keep what was defined, so the old definition of '%1$s' was "
                      "put back: a mapping of queues to iothreads takes libvirt 10.0 (11.3 for "
                      "virtio-scsi); a queues-per-thread of all queues takes none"),
                    request->name);
    }
    return ok && !text;
}

static gboolean
replace_definition(virConnectPtr virt, virDomainPtr handle, const char *old, const char *text,
                   const Request *request, const GantryCpuset *online, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (!define(virt, text, request->name, error)) {
        return FALSE;
    }
    if (is_kept(handle, request, online, &local)) {
        return TRUE;
    }
    if (!define(virt, old, request->name, error)) {
        g_prefix_error(error, "%s: ", local->message);
        return FALSE;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
apply(virConnectPtr virt, gpointer data, GError **error)
{
    Request *request = data;
    g_autoptr(virDomain) handle = cli_domain_look_up(virt, request->wanted);
    g_autoptr(GantryCpuset) online = NULL;
    g_autofree char *text = NULL;
    char *old;
    gboolean ok;

    if (!handle) {
        gantry_virt_set_error(error, _("no domain '%s'"), request->wanted);
        return FALSE;
    }
    request->name = g_strdup(virDomainGetName(handle));
    request->is_active = virDomainIsActive(handle) == 1;
    if (virDomainIsPersistent(handle) == 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("domain '%s' is transient: it has no definition to change; put the "
                      "iothreads into the XML that it is created from"),
                    request->name);
        return FALSE;
    }
    online = read_online(virt, error);
    if (!online) {
        return FALSE;
    }
    old = virDomainGetXMLDesc(handle, DEFINITION);
    if (!old) {
        gantry_virt_set_error(error, _("cannot read domain '%s'"), request->name);
        return FALSE;
    }
    request->warnings = g_ptr_array_new_with_free_func(g_free);
    ok = transform(old, request, online, request->warnings, &text, &request->changes,
                   &request->left, error) &&
         (!text || request->dry_run ||
          replace_definition(virt, handle, old, text, request, online, error));
    free(old);
    return ok;
}

static void
add_sentences(JsonBuilder *builder, const char *member, const GPtrArray *sentences)
{
    cli_json_begin_array(builder, member);
    for (guint i = 0; i < sentences->len; i++) {
        json_builder_add_string_value(builder, sentences->pdata[i]);
    }
    json_builder_end_array(builder);
}

static void
print_json(const Request *request)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    cli_json_string(builder, "domain", request->name);
    cli_json_bool(builder, "written", request->changes->len > 0 && !request->dry_run);
    cli_json_bool(builder, "active", request->is_active);
    cli_json_begin_array(builder, "changes");
    for (guint i = 0; i < request->changes->len; i++) {
        const IoqChange *change = request->changes->pdata[i];

        json_builder_begin_object(builder);
        cli_json_string(builder, "what", change->what);
        cli_json_string(builder, "before", change->before);
        cli_json_string(builder, "after", change->after);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    add_sentences(builder, "left", request->left);
    add_sentences(builder, "warnings", request->warnings);
    json_builder_end_object(builder);
    cli_print_json(json_builder_get_root(builder));
}

/* (transfer full): of a long list the begin. */
static char *
shorten(const char *list)
{
    g_auto(GStrv) items = g_strsplit(list, ", ", -1);
    guint n = g_strv_length(items);
    g_autofree char *begin = NULL;

    if (n <= MAX_ITEMS) {
        return g_strdup(list);
    }
    for (guint i = MAX_ITEMS; i < n; i++) {
        g_clear_pointer(&items[i], g_free);
    }
    begin = g_strjoinv(", ", items);
    return g_strdup_printf(_("%1$s, and %2$u more"), begin, n - MAX_ITEMS);
}

static void
print_text(const Request *request)
{
    g_autofree char *name = gantry_printable(request->name);

    for (guint i = 0; i < MIN(request->changes->len, MAX_CHANGES); i++) {
        const IoqChange *change = request->changes->pdata[i];
        g_autofree char *before = shorten(change->before);
        g_autofree char *after = shorten(change->after);

        printf("%s\n- %s\n+ %s\n", change->what, before, after);
    }
    if (request->changes->len > MAX_CHANGES) {
        printf(_("... and %u more changes, which --json shows\n"),
               request->changes->len - MAX_CHANGES);
    }
    for (guint i = 0; i < request->warnings->len; i++) {
        g_autofree char *warning = gantry_one_line(request->warnings->pdata[i]);

        fprintf(stderr, _("gantry ioq: warning: %s\n"), warning);
    }
    for (guint i = 0; i < request->left->len; i++) {
        puts(request->left->pdata[i]);
    }
    if (request->changes->len == 0) {
        printf(_("The definition of %s is as its settings say.\n"), name);
    } else if (request->dry_run) {
        printf(_("Nothing was changed in the definition of %s.\n"), name);
    } else if (request->is_active) {
        printf(_("The definition of %s was changed. It runs on as it is; this is for its next "
                 "start.\n"),
               name);
    } else {
        printf(_("The definition of %s was changed.\n"), name);
    }
}

int
cli_ioq_apply(const CliIoqOptions *options, const char *domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryPolicy) policy = cli_policy_load(options->policy_dir, &error);
    g_autoptr(GantryVirtConn) conn = NULL;
    Request *request;
    int status = CLI_EXIT_OK;

    if (!policy) {
        return cli_report_error("ioq", &error, CLI_EXIT_USAGE);
    }
    conn = gantry_virt_conn_new(options->connect, NULL);
    request = g_atomic_rc_box_new0(Request);
    request->wanted = g_strdup(domain);
    request->policy = g_steal_pointer(&policy);
    request->dry_run = options->dry_run;
    if (!gantry_virt_call(conn, apply, g_atomic_rc_box_acquire(request), request_release,
                          (guint)options->timeout_msec, &error)) {
        status = cli_report_error("ioq", &error, CLI_EXIT_FAILED);
    } else if (options->json) {
        print_json(request);
    } else {
        print_text(request);
    }
    request_release(request);
    return status;
}
