/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/domain.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/file.h"
#include "common/base/i18n.h"
#include "common/virt/connection.h"
#include "extensions/extensions.h"
#include "gantry-config.h"

GantryPolicy *
cli_policy_load(const char *folder, GError **error)
{
    /* A host may do without policies; but what an operator names must be there, or a slip of the
     * pen would silently drop all of them. */
    if (!g_str_equal(folder, GANTRY_CONFDIR "/policy.d") &&
        !g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                    _("there is no folder '%s' of policy files"), folder);
        return NULL;
    }
    return gantry_policy_load(folder, gantry_extensions, error);
}

GantryXml *
cli_domain_from_file(const char *path, GError **error)
{
    gboolean from_stdin = g_str_equal(path, "-");
    g_autofree char *text = NULL;
    gsize length;

    text = from_stdin ? gantry_fd_read_all(STDIN_FILENO, GANTRY_XML_MAX_BYTES, -1, &length, error)
                      : gantry_file_read(AT_FDCWD, path, GANTRY_XML_MAX_BYTES, &length, error);
    return text ? gantry_xml_parse(text, length, from_stdin ? _("stdin") : path, error) : NULL;
}

/* Shared by the caller and the connection's thread, which may outlive the caller's patience. */
typedef struct {
    GStrv names;        /* NULL: all */
    GPtrArray *domains; /* of CliDomain; the result */
} Request;

static void
domain_free(gpointer data)
{
    CliDomain *domain = data;

    g_free(domain->name);
    g_free(domain->uuid);
    g_free(domain->xml);
    g_free(domain);
}

static void
request_clear(gpointer data)
{
    Request *request = data;

    g_strfreev(request->names);
    g_ptr_array_unref(request->domains);
}

static void
request_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, request_clear);
}

static const char *
state_name(int state)
{
    static const char *const names[] = {
        [VIR_DOMAIN_NOSTATE] = N_("no state"),       [VIR_DOMAIN_RUNNING] = N_("running"),
        [VIR_DOMAIN_BLOCKED] = N_("blocked"),        [VIR_DOMAIN_PAUSED] = N_("paused"),
        [VIR_DOMAIN_SHUTDOWN] = N_("shutting down"), [VIR_DOMAIN_SHUTOFF] = N_("shut off"),
        [VIR_DOMAIN_CRASHED] = N_("crashed"),        [VIR_DOMAIN_PMSUSPENDED] = N_("suspended"),
    };

    return state >= 0 && state < (int)G_N_ELEMENTS(names) ? names[state] : N_("unknown");
}

/* NULL with @error, or without one where the domain has vanished. */
static CliDomain *
read_domain(virDomainPtr handle, GError **error)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    int state, reason;
    char *xml;
    CliDomain *domain;

    if (virDomainGetUUIDString(handle, uuid) < 0 ||
        virDomainGetState(handle, &state, &reason, 0) < 0 ||
        !(xml = virDomainGetXMLDesc(handle, 0))) {
        if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN) {
            gantry_virt_set_error(error, _("cannot read domain '%s'"), virDomainGetName(handle));
        }
        return NULL;
    }
    domain = g_new0(CliDomain, 1);
    domain->name = g_strdup(virDomainGetName(handle));
    domain->uuid = g_strdup(uuid);
    domain->state = state_name(state);
    domain->xml = g_strdup(xml);
    free(xml);
    return domain;
}

virDomainPtr
cli_domain_look_up(virConnectPtr virt, const char *name)
{
    virDomainPtr handle = NULL;
    guint64 id;

    if (gantry_parse_uint(name, 0, G_MAXINT, &id, NULL)) {
        handle = virDomainLookupByID(virt, (int)id);
    }
    if (!handle && g_uuid_string_is_valid(name)) {
        handle = virDomainLookupByUUIDString(virt, name);
    }
    return handle ? handle : virDomainLookupByName(virt, name);
}

static gboolean
read_domains(virConnectPtr virt, gpointer data, GError **error)
{
    Request *request = data;
    g_autoptr(GPtrArray) handles = gantry_virt_domains_new();

    if (request->names) {
        for (char **name = request->names; *name; name++) {
            virDomainPtr handle = cli_domain_look_up(virt, *name);

            if (!handle) {
                gantry_virt_set_error(error, _("no domain '%s'"), *name);
                return FALSE;
            }
            g_ptr_array_add(handles, handle);
        }
    } else {
        virDomainPtr *list = NULL;
        int n = virConnectListAllDomains(virt, &list, 0);

        if (n < 0) {
            gantry_virt_set_error(error, _("cannot list the domains"));
            return FALSE;
        }
        for (int i = 0; i < n; i++) {
            g_ptr_array_add(handles, list[i]);
        }
        free(list);
    }
    for (guint i = 0; i < handles->len; i++) {
        g_autoptr(GError) local_error = NULL;
        CliDomain *domain = read_domain(handles->pdata[i], &local_error);

        if (local_error) {
            g_propagate_error(error, g_steal_pointer(&local_error));
            return FALSE;
        }
        if (domain) {
            g_ptr_array_add(request->domains, domain);
        } else if (request->names) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("domain '%s' has vanished"),
                        request->names[i]);
            return FALSE;
        }
    }
    return TRUE;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp((*(CliDomain *const *)a)->name, (*(CliDomain *const *)b)->name);
}

GPtrArray *
cli_domains_from_libvirt(const char *uri, const char *const *names, guint timeout_msec,
                         GError **error)
{
    g_autoptr(GantryVirtConn) conn = gantry_virt_conn_new(uri, NULL);
    Request *request = g_atomic_rc_box_new0(Request);
    GPtrArray *domains = NULL;

    request->names = g_strdupv((char **)names);
    request->domains = g_ptr_array_new_with_free_func(domain_free);
    if (gantry_virt_call(conn, read_domains, g_atomic_rc_box_acquire(request), request_release,
                         timeout_msec, error)) {
        domains = g_ptr_array_ref(request->domains);
        if (!names) {
            g_ptr_array_sort(domains, compare_names); /* libvirt's order is that of a hash table */
        }
    }
    request_release(request);
    return domains;
}

GantryXml *
cli_domain_parse(const CliDomain *domain, GError **error)
{
    return gantry_xml_parse(domain->xml, strlen(domain->xml), domain->name, error);
}
