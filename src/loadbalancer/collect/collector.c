/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Each host has a connection with a thread of its own. A sample is one call in that thread; all
 * hosts' calls are out at the same time, and then waited for one after the other, each until its
 * own deadline, which has begun to run for all. The call fills a box that it shares with us: one
 * outlives its deadline keeps its half, and ends when it will.
 *
 * The numbers are asked for so that libvirt waits for no domain that is busy with a job. The XML of
 * a domain can be had only when libvirt lets go of it, which it does not while a hook runs for it;
 * so all XML is fetched in a call of its own behind the numbers, and what has come when that call's
 * deadline passes is used. A domain without XML has unknown settings, and stays where it is.
 *
 * In the connections' threads libvirt is asked, nothing else; loads and settings are worked out in
 * the caller's (measure.c, vm_settings.c).
 */
#include "loadbalancer/collect/collector.h"

#include <libxml/uri.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "loadbalancer/model/measure.h"
#include "loadbalancer/model/vm_settings.h"

#define KIB 1024

typedef struct {
    char *uri;
    GantryVirtConn *conn;
    char *uuid;         /* of the host; NULL: not known yet */
    LbSample *previous; /* NULL: none */
    LbSample *last;
    char *failure; /* of the last attempt; NULL: it worked */
} HostEntry;

struct LbCollector {
    GPtrArray *hosts; /* of HostEntry */
};

/* Shared with the connection's thread. */
typedef struct {
    gboolean with_uuid;
    LbSample *sample;
} Box;

/* Shared as well, and read while the call may still be out. */
typedef struct {
    GPtrArray *uuids; /* of the domains; never changed */
    GMutex lock;
    GHashTable *texts; /* uuid -> XML, as far as they have come; under @lock */
} XmlBox;

static gboolean take_sample(virConnectPtr virt, gpointer data, GError **error);
static gboolean fetch_xml(virConnectPtr virt, gpointer data, GError **error);

static void
box_clear(gpointer data)
{
    Box *box = data;

    g_clear_pointer(&box->sample, lb_sample_free);
}

static void
box_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, box_clear);
}

static XmlBox *
xml_box_new(const LbSample *sample)
{
    XmlBox *box = g_atomic_rc_box_new0(XmlBox);

    g_mutex_init(&box->lock);
    box->uuids = g_ptr_array_new_with_free_func(g_free);
    box->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; i < sample->domains->len; i++) {
        const LbDomainSample *domain = sample->domains->pdata[i];

        g_ptr_array_add(box->uuids, g_strdup(domain->uuid));
    }
    return box;
}

static void
xml_box_clear(gpointer data)
{
    XmlBox *box = data;

    g_ptr_array_unref(box->uuids);
    g_hash_table_unref(box->texts);
    g_mutex_clear(&box->lock);
}

static void
xml_box_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, xml_box_clear);
}

static void
host_entry_free(gpointer data)
{
    HostEntry *entry = data;

    g_free(entry->uri);
    g_free(entry->uuid);
    g_free(entry->failure);
    g_clear_pointer(&entry->previous, lb_sample_free);
    g_clear_pointer(&entry->last, lb_sample_free);
    gantry_virt_conn_free(entry->conn);
    g_free(entry);
}

LbCollector *
lb_collector_new(const char *const *uris)
{
    LbCollector *collector = g_new0(LbCollector, 1);

    collector->hosts = g_ptr_array_new_with_free_func(host_entry_free);
    for (const char *const *uri = uris; *uri; uri++) {
        HostEntry *entry = g_new0(HostEntry, 1);

        entry->uri = g_strdup(*uri);
        entry->conn = gantry_virt_conn_new(*uri, NULL);
        g_ptr_array_add(collector->hosts, entry);
    }
    return collector;
}

void
lb_collector_free(LbCollector *collector)
{
    g_ptr_array_unref(collector->hosts);
    g_free(collector);
}

static void
keep_sample(HostEntry *entry, LbSample *sample)
{
    if (*sample->uuid) {
        g_free(entry->uuid);
        entry->uuid = g_strdup(sample->uuid);
    }
    g_clear_pointer(&entry->previous, lb_sample_free);
    entry->previous = g_steal_pointer(&entry->last);
    entry->last = sample;
}

static void
keep_xml(LbSample *sample, XmlBox *box)
{
    g_mutex_lock(&box->lock);
    for (guint i = 0; i < sample->domains->len; i++) {
        LbDomainSample *domain = sample->domains->pdata[i];

        domain->xml = g_strdup(g_hash_table_lookup(box->texts, domain->uuid));
    }
    g_mutex_unlock(&box->lock);
}

/* For the last samples of the hosts that have just given one. */
static void
collect_xml(LbCollector *collector, guint timeout_msec)
{
    guint n = collector->hosts->len;
    g_autofree GantryVirtCall **calls = g_new0(GantryVirtCall *, n + 1);
    g_autofree XmlBox **boxes = g_new0(XmlBox *, n + 1);

    for (guint i = 0; i < n; i++) {
        const HostEntry *entry = collector->hosts->pdata[i];

        if (!entry->failure) {
            boxes[i] = xml_box_new(entry->last);
            calls[i] =
                gantry_virt_call_start(entry->conn, fetch_xml, g_atomic_rc_box_acquire(boxes[i]),
                                       xml_box_release, timeout_msec);
        }
    }
    for (guint i = 0; i < n; i++) {
        const HostEntry *entry = collector->hosts->pdata[i];

        if (calls[i]) {
            gantry_virt_call_finish(calls[i], NULL); /* what has come is used in any case */
            keep_xml(entry->last, boxes[i]);
            xml_box_release(boxes[i]);
        }
    }
}

void
lb_collector_sample(LbCollector *collector, guint timeout_msec, gboolean with_xml)
{
    guint n = collector->hosts->len;
    g_autofree GantryVirtCall **calls = g_new0(GantryVirtCall *, n + 1);
    g_autofree Box **boxes = g_new0(Box *, n + 1);

    for (guint i = 0; i < n; i++) {
        const HostEntry *entry = collector->hosts->pdata[i];

        boxes[i] = g_atomic_rc_box_new0(Box);
        boxes[i]->with_uuid = !entry->uuid;
        calls[i] = gantry_virt_call_start(
            entry->conn, take_sample, g_atomic_rc_box_acquire(boxes[i]), box_release, timeout_msec);
    }
    for (guint i = 0; i < n; i++) {
        HostEntry *entry = collector->hosts->pdata[i];
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&entry->failure, g_free);
        if (gantry_virt_call_finish(calls[i], &error)) {
            keep_sample(entry, g_steal_pointer(&boxes[i]->sample));
        } else {
            entry->failure = g_strdup(error->message);
        }
        box_release(boxes[i]);
    }
    if (with_xml) {
        collect_xml(collector, timeout_msec);
    }
}

char *
lb_uri_server(const char *uri)
{
    xmlURI *parsed = xmlParseURI(uri);
    char *server = parsed && parsed->server && *parsed->server ? g_strdup(parsed->server) : NULL;

    xmlFreeURI(parsed);
    return server;
}

static void
close_if_local(LbHost *host, const char *uri)
{
    g_autofree char *server = lb_uri_server(uri);

    if (!server) {
        host->closed_reason =
            g_strdup_printf(_("its URI '%s' has no host name that others reach"), uri);
    }
}

static gboolean
check_unique(const LbCollector *collector, const LbState *state, GError **error)
{
    g_autoptr(GHashTable) uris = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < state->hosts->len; i++) {
        const HostEntry *entry = collector->hosts->pdata[i];
        LbHost *host = lb_state_host(state, i);
        const char *other;

        if (!*host->uuid) {
            continue;
        }
        other = g_hash_table_lookup(uris, host->uuid);
        if (other) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("'%1$s' and '%2$s' are the same host (uuid %3$s); name it once, or "
                          "give each host its own host_uuid in libvirtd.conf"),
                        other, entry->uri, host->uuid);
            return FALSE;
        }
        g_hash_table_insert(uris, host->uuid, entry->uri);
    }
    return TRUE;
}

static int
compare_vms(gconstpointer a, gconstpointer b)
{
    return strcmp((*(LbVm *const *)a)->name, (*(LbVm *const *)b)->name);
}

static void
add_host(const HostEntry *entry, LbState *state, const GantryExtension *const *extensions,
         const GantryPolicy *policy)
{
    const char *name = entry->last ? entry->last->hostname : entry->uri;
    LbHost *host = lb_state_add_host(state, name, entry->uuid ? entry->uuid : "");
    g_autoptr(GError) error = NULL;

    close_if_local(host, entry->uri);
    if (!entry->previous || !entry->last) {
        host->status = LB_HOST_UNREACHABLE;
        host->status_reason = g_strdup(entry->failure ? entry->failure : _("not measured yet"));
        return;
    }
    if (!lb_measure_host(entry->previous, entry->last, host, &error)) {
        host->status = LB_HOST_UNREACHABLE;
        host->status_reason = g_strdup(error->message);
        return;
    }
    if (entry->failure) {
        host->status = LB_HOST_STALE;
        host->status_reason = g_strdup(entry->failure);
    }
    for (guint i = 0; i < host->vms->len; i++) {
        const LbDomainSample *domain = entry->last->domains->pdata[i];

        if (domain->xml) {
            lb_vm_read_settings(lb_host_vm(host, i), domain->xml, extensions, policy);
        } else {
            lb_host_vm(host, i)->settings_error = g_strdup(_("its XML could not be read in time"));
        }
    }
    g_ptr_array_sort(host->vms, compare_vms); /* libvirt's order is that of a hash table */
}

/* Hosts of one name are told apart by their URIs. */
static void
make_names_unique(const LbCollector *collector, const LbState *state)
{
    g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < state->hosts->len; i++) {
        const char *name = lb_state_host(state, i)->name;
        guint n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, name));

        g_hash_table_insert(counts, g_strdup(name), GUINT_TO_POINTER(n + 1));
    }
    for (guint i = 0; i < state->hosts->len; i++) {
        const HostEntry *entry = collector->hosts->pdata[i];
        LbHost *host = lb_state_host(state, i);

        if (GPOINTER_TO_UINT(g_hash_table_lookup(counts, host->name)) > 1) {
            g_free(host->name);
            host->name = g_strdup(entry->uri);
        }
    }
}

LbState *
lb_collector_state(LbCollector *collector, const GantryExtension *const *extensions,
                   const GantryPolicy *policy, GError **error)
{
    g_autoptr(LbState) state = lb_state_new();

    for (guint i = 0; i < collector->hosts->len; i++) {
        add_host(collector->hosts->pdata[i], state, extensions, policy);
    }
    make_names_unique(collector, state);
    return check_unique(collector, state, error) ? g_steal_pointer(&state) : NULL;
}

/* In the connection's thread */

/* The best guess at when the server looked. */
static gint64
middle_usec(gint64 begin_usec)
{
    return begin_usec + (g_get_monotonic_time() - begin_usec) / 2;
}

static gboolean
read_cpu(virConnectPtr virt, LbSample *sample, GError **error)
{
    g_autofree virNodeCPUStats *stats = NULL;
    gint64 begin;
    int n = 0;

    if (virNodeGetCPUStats(virt, VIR_NODE_CPU_STATS_ALL_CPUS, NULL, &n, 0) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's CPU time"));
        return FALSE;
    }
    stats = g_new0(virNodeCPUStats, (gsize)n + 1);
    begin = g_get_monotonic_time();
    if (virNodeGetCPUStats(virt, VIR_NODE_CPU_STATS_ALL_CPUS, stats, &n, 0) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's CPU time"));
        return FALSE;
    }
    sample->cpu_time_usec = middle_usec(begin);
    for (int i = 0; i < n; i++) {
        gboolean idle = g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_IDLE) ||
                        g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_IOWAIT);

        if (!g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_UTILIZATION)) {
            sample->total_nsec += stats[i].value;
            sample->busy_nsec += idle ? 0 : stats[i].value;
        }
    }
    return TRUE;
}

static gboolean
read_memory(virConnectPtr virt, LbSample *sample, GError **error)
{
    g_autofree virNodeMemoryStats *stats = NULL;
    int n = 0;

    if (virNodeGetMemoryStats(virt, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &n, 0) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's memory"));
        return FALSE;
    }
    stats = g_new0(virNodeMemoryStats, (gsize)n + 1);
    if (virNodeGetMemoryStats(virt, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &n, 0) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's memory"));
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        guint64 bytes = stats[i].value * KIB;

        if (g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL)) {
            sample->memory_total_bytes = bytes;
        } else if (g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_FREE) ||
                   g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_BUFFERS) ||
                   g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_CACHED)) {
            sample->memory_unused_bytes += bytes;
        }
    }
    return TRUE;
}

static char *
read_host_uuid(virConnectPtr virt)
{
    char *text = virConnectGetCapabilities(virt);
    g_autoptr(GantryXml) xml =
        text ? gantry_xml_parse(text, strlen(text), "capabilities", NULL) : NULL;
    xmlNode *node = xml ? gantry_xml_path(xml, "host/uuid") : NULL;

    free(text);
    return node ? gantry_xml_content(node) : g_strdup("");
}

static void
add_domain(const virDomainStatsRecord *record, const Box *box)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    unsigned long long cpu_time_nsec = 0;
    unsigned long long maximum_kib = 0;
    int state = VIR_DOMAIN_NOSTATE;
    LbDomainSample *domain;

    if (virDomainGetUUIDString(record->dom, uuid) < 0) {
        return;
    }
    virTypedParamsGetInt(record->params, record->nparams, "state.state", &state);
    domain = lb_sample_add_domain(box->sample, virDomainGetName(record->dom), uuid);
    domain->running = state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED;
    domain->has_memory = virTypedParamsGetULLong(record->params, record->nparams, "balloon.maximum",
                                                 &maximum_kib) == 1;
    domain->memory_bytes = (guint64)maximum_kib * KIB;
    domain->has_cpu_time =
        virTypedParamsGetULLong(record->params, record->nparams, "cpu.time", &cpu_time_nsec) == 1;
    domain->cpu_time_nsec = cpu_time_nsec;
}

static gboolean
take_sample(virConnectPtr virt, gpointer data, GError **error)
{
    Box *box = data;
    g_autoptr(GantryVirtStats) records = NULL;
    virNodeInfo info;
    char *hostname;
    gint64 begin;
    int n;

    box->sample = lb_sample_new();
    if (virNodeGetInfo(virt, &info) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's processor"));
        return FALSE;
    }
    box->sample->n_cpus = info.cpus;
    box->sample->n_threads_per_core = info.threads;
    hostname = virConnectGetHostname(virt);
    if (!hostname) {
        gantry_virt_set_error(error, _("cannot read the host's name"));
        return FALSE;
    }
    box->sample->hostname = g_strdup(hostname);
    free(hostname);
    box->sample->uuid = box->with_uuid ? read_host_uuid(virt) : g_strdup("");
    if (!read_memory(virt, box->sample, error) || !read_cpu(virt, box->sample, error)) {
        return FALSE;
    }
    begin = g_get_monotonic_time();
    n = virConnectGetAllDomainStats(
        virt, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON,
        &records,
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (n < 0) {
        gantry_virt_set_error(error, _("cannot read the domains' statistics"));
        return FALSE;
    }
    box->sample->domains_time_usec = middle_usec(begin);
    for (int i = 0; i < n; i++) {
        add_domain(records[i], box);
    }
    return TRUE;
}

static gboolean
fetch_xml(virConnectPtr virt, gpointer data, GError **error)
{
    XmlBox *box = data;

    for (guint i = 0; i < box->uuids->len; i++) {
        const char *uuid = box->uuids->pdata[i];
        g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, uuid);
        char *xml = domain ? virDomainGetXMLDesc(domain, 0) : NULL;

        if (xml) {
            g_mutex_lock(&box->lock);
            g_hash_table_insert(box->texts, g_strdup(uuid), g_strdup(xml));
            g_mutex_unlock(&box->lock);
        }
        free(xml);
    }
    return TRUE;
}
