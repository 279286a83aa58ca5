/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Each host has a connection with a thread of its own. In that thread one call takes two samples
 * of the host's and its domains' CPU time, an interval apart, reads the domains' settings, and
 * leaves an LbHost in a box that it shares with us; all hosts' calls are out at the same time.
 * A call that outlives its deadline keeps its half of the box, so it can end when it will.
 *
 * The load comes from the host's CPU time by state: busy is what was neither idle nor waiting for
 * I/O, the capacity is all of it over the time that has passed, in CPUs. A domain's share is its
 * own CPU time over the same time. So a host whose libvirtd sees only part of the machine's CPUs
 * comes out right.
 */
#include "loadbalancer/collector.h"

#include <libxml/uri.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

#define KIB 1024

/* Shared between lb_collect() and a host's thread. */
typedef struct {
    char *uri;
    LbCollectOptions options;
    LbState *owner; /* holds the result, one host */
} Probe;

/* CPU time so far. */
typedef struct {
    gint64 time_usec;
    guint64 busy_nsec;
    guint64 total_nsec;
    GHashTable *domain_nsec; /* uuid -> guint64 *, of running domains */
    GantryVirtStats *records;
} Sample;

static gboolean probe_host(virConnectPtr virt, gpointer data, GError **error);
static gboolean check_unique(const LbState *state, const char *const *uris, GError **error);
static void probe_release(gpointer data);

static void
close_if_local(LbHost *host, const char *uri)
{
    xmlURI *parsed = xmlParseURI(uri);

    if (!parsed || !parsed->server || !*parsed->server) {
        host->closed_reason =
            g_strdup_printf(_("its URI '%s' has no host name that others reach"), uri);
    }
    xmlFreeURI(parsed);
}

LbState *
lb_collect(const char *const *uris, const LbCollectOptions *options, GError **error)
{
    g_autoptr(LbState) state = lb_state_new();
    guint n_hosts = g_strv_length((char **)uris);
    g_autofree GantryVirtConn **conns = g_new0(GantryVirtConn *, n_hosts);
    g_autofree GantryVirtCall **calls = g_new0(GantryVirtCall *, n_hosts);
    g_autofree Probe **probes = g_new0(Probe *, n_hosts);

    for (guint i = 0; i < n_hosts; i++) {
        probes[i] = g_atomic_rc_box_new0(Probe);
        probes[i]->uri = g_strdup(uris[i]);
        probes[i]->options = *options;
        probes[i]->owner = lb_state_new();
        conns[i] = gantry_virt_conn_new(uris[i], NULL);
        calls[i] =
            gantry_virt_call_start(conns[i], probe_host, g_atomic_rc_box_acquire(probes[i]),
                                   probe_release, options->interval_msec + options->timeout_msec);
    }
    for (guint i = 0; i < n_hosts; i++) {
        g_autoptr(GError) local_error = NULL;

        if (gantry_virt_call_finish(calls[i], &local_error)) {
            g_ptr_array_add(state->hosts, g_ptr_array_steal_index(probes[i]->owner->hosts, 0));
        } else {
            LbHost *host = lb_state_add_host(state, uris[i], "");

            host->status = LB_HOST_UNREACHABLE;
            host->status_reason = g_strdup(local_error->message);
        }
        close_if_local(lb_state_host(state, i), uris[i]);
        gantry_virt_conn_free(conns[i]);
        probe_release(probes[i]);
    }
    return check_unique(state, uris, error) ? g_steal_pointer(&state) : NULL;
}

static void
probe_clear(gpointer data)
{
    Probe *probe = data;

    g_free(probe->uri);
    lb_state_free(probe->owner);
}

static void
probe_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, probe_clear);
}

static gboolean
check_unique(const LbState *state, const char *const *uris, GError **error)
{
    for (guint i = 0; i < state->hosts->len; i++) {
        for (guint k = 0; k < i; k++) {
            const LbHost *a = lb_state_host(state, k), *b = lb_state_host(state, i);

            if (*a->uuid && g_str_equal(a->uuid, b->uuid)) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                            _("'%1$s' and '%2$s' are the same host (uuid %3$s); name it once, or "
                              "give each host its own host_uuid in libvirtd.conf"),
                            uris[k], uris[i], a->uuid);
                return FALSE;
            }
        }
    }
    return TRUE;
}

static void
sample_clear(Sample *sample)
{
    g_clear_pointer(&sample->domain_nsec, g_hash_table_unref);
    g_clear_pointer(&sample->records, virDomainStatsRecordListFree);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sample, sample_clear)

static gboolean
sample_host_cpu(virConnectPtr virt, Sample *sample, GError **error)
{
    g_autofree virNodeCPUStats *stats = NULL;
    int n = 0;

    if (virNodeGetCPUStats(virt, VIR_NODE_CPU_STATS_ALL_CPUS, NULL, &n, 0) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's CPU time"));
        return FALSE;
    }
    stats = g_new0(virNodeCPUStats, (gsize)n + 1);
    if (virNodeGetCPUStats(virt, VIR_NODE_CPU_STATS_ALL_CPUS, stats, &n, 0) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's CPU time"));
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        gboolean idle = g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_IDLE) ||
                        g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_IOWAIT);

        if (g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_UTILIZATION)) {
            continue;
        }
        sample->total_nsec += stats[i].value;
        sample->busy_nsec += idle ? 0 : stats[i].value;
    }
    return TRUE;
}

/* One call for all domains. */
static gboolean
take_sample(virConnectPtr virt, Sample *sample, GError **error)
{
    int n;

    sample->time_usec = g_get_monotonic_time();
    sample->domain_nsec = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (!sample_host_cpu(virt, sample, error)) {
        return FALSE;
    }
    n = virConnectGetAllDomainStats(
        virt, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON,
        &sample->records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE);
    if (n < 0) {
        gantry_virt_set_error(error, _("cannot read the domains' statistics"));
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        const virDomainStatsRecord *record = sample->records[i];
        char uuid[VIR_UUID_STRING_BUFLEN];
        unsigned long long nsec;

        if (virTypedParamsGetULLong(record->params, record->nparams, "cpu.time", &nsec) == 1 &&
            virDomainGetUUIDString(record->dom, uuid) == 0) {
            g_hash_table_insert(sample->domain_nsec, g_strdup(uuid),
                                g_memdup2(&(guint64){nsec}, sizeof(guint64)));
        }
    }
    return TRUE;
}

static gboolean
read_memory(virConnectPtr virt, LbHost *host, GError **error)
{
    g_autofree virNodeMemoryStats *stats = NULL;
    int n = 0;

    if (virNodeGetMemoryStats(virt, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &n, 0) == 0) {
        stats = g_new0(virNodeMemoryStats, (gsize)n + 1);
        if (virNodeGetMemoryStats(virt, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &n, 0) < 0) {
            n = -1;
        }
    }
    if (n <= 0) {
        gantry_virt_set_error(error, _("cannot read the host's memory"));
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        guint64 bytes = stats[i].value * KIB;

        if (g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL)) {
            host->memory_total_bytes = bytes;
        } else if (g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_FREE) ||
                   g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_BUFFERS) ||
                   g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_CACHED)) {
            host->memory_available_bytes += bytes;
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

/* What the balance extension says of the domain, wherever it is set. */
static void
read_settings(const LbCollectOptions *options, virDomainPtr domain, LbVm *vm)
{
    char *text = virDomainGetXMLDesc(domain, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) xml = NULL;
    g_autoptr(GantrySettings) settings = NULL;
    g_auto(GantryDomainIdentity) identity = {0};
    const GantryElement *balance;
    const char *policy;

    xml = text ? gantry_xml_parse(text, strlen(text), vm->name, &error) : NULL;
    free(text);
    if (xml && gantry_domain_identity_read(xml, &identity, &error)) {
        vm->nova = identity.nova;
        settings = gantry_settings_resolve(options->extensions, xml, options->policy, &error);
    }
    if (!settings) {
        vm->settings_error = g_strdup(error ? error->message : _("its XML cannot be read"));
        return;
    }
    balance = gantry_settings_get(settings, "balance")->element;
    policy = gantry_element_string(balance, "policy");
    vm->movable = gantry_element_bool(balance, "movable");
    vm->priority = (guint)gantry_element_uint(balance, "priority");
    vm->max_downtime_msec = (guint)gantry_element_uint(balance, "max-downtime");
    vm->group = g_strdup(gantry_element_string(balance, "group"));
    if (g_strcmp0(policy, "affinity") == 0) {
        vm->policy = LB_GROUP_AFFINITY;
    } else if (g_strcmp0(policy, "anti-affinity") == 0) {
        vm->policy = LB_GROUP_ANTI_AFFINITY;
    }
}

/* What has been used between the samples, in CPUs; FALSE for a domain that came in between. */
static gboolean
domain_cpus(const Sample *before, const Sample *after, const char *uuid, double *ret_cpus)
{
    const guint64 *old = g_hash_table_lookup(before->domain_nsec, uuid);
    const guint64 *new = g_hash_table_lookup(after->domain_nsec, uuid);

    if (!old || !new || *new < *old) {
        return FALSE;
    }
    *ret_cpus = (double)(*new - *old) / ((double)(after->time_usec - before->time_usec) * 1000);
    return TRUE;
}

static void
add_domains(const Probe *probe, LbHost *host, const Sample *before, const Sample *after)
{
    for (GantryVirtStats *record = after->records; record && *record; record++) {
        char uuid[VIR_UUID_STRING_BUFLEN];
        unsigned long long maximum_kib = 0;
        int state = VIR_DOMAIN_NOSTATE;
        LbVm *vm;

        if (virDomainGetUUIDString((*record)->dom, uuid) < 0) {
            continue;
        }
        virTypedParamsGetInt((*record)->params, (*record)->nparams, "state.state", &state);
        virTypedParamsGetULLong((*record)->params, (*record)->nparams, "balloon.maximum",
                                &maximum_kib);
        vm = lb_host_add_vm(host, virDomainGetName((*record)->dom), uuid);
        vm->running = state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED;
        vm->measured = domain_cpus(before, after, uuid, &vm->cpu);
        vm->memory_bytes = (guint64)maximum_kib * KIB;
        read_settings(&probe->options, (*record)->dom, vm);
    }
}

static gboolean
probe_host(virConnectPtr virt, gpointer data, GError **error)
{
    Probe *probe = data;
    g_auto(Sample) before = {0};
    g_auto(Sample) after = {0};
    g_autofree char *uuid = NULL;
    char *name;
    virNodeInfo info;
    LbHost *host;
    double wall_nsec;

    if (virNodeGetInfo(virt, &info) < 0) {
        gantry_virt_set_error(error, _("cannot read the host's processor"));
        return FALSE;
    }
    name = virConnectGetHostname(virt);
    uuid = read_host_uuid(virt);
    host = lb_state_add_host(probe->owner, name ? name : probe->uri, uuid);
    free(name);
    if (!read_memory(virt, host, error) || !take_sample(virt, &before, error)) {
        return FALSE;
    }
    poll(NULL, 0, (int)probe->options.interval_msec); /* the time that is measured */
    if (!take_sample(virt, &after, error)) {
        return FALSE;
    }
    wall_nsec = (double)(after.time_usec - before.time_usec) * 1000;
    host->n_cores = MAX(info.cpus / MAX(info.threads, 1), 1);
    host->capacity = (double)(after.total_nsec - before.total_nsec) / wall_nsec;
    host->busy = (double)(after.busy_nsec - before.busy_nsec) / wall_nsec;
    add_domains(probe, host, &before, &after);
    return TRUE;
}
