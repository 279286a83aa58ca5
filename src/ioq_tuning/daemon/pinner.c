/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/daemon/pinner.h"

#include <string.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/cpuset.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/virt/connection.h"
#include "ioq_tuning/apply/pins.h"
#include "ioq_tuning/ioq_ext.h"

#define PIN_MSEC 30000 /* until the hook, and libvirt's start of the domain, have ended */

struct IoqPinner {
    char *uri;
    GThreadPool *pool;    /* of one thread */
    GantryVirtConn *conn; /* that thread's; NULL: not needed yet */
};

/* Shared by the pool's thread and the connection's. */
typedef struct {
    char *uuid;
    char *name;
    GPtrArray *pins; /* of IoqPin */
} Job;

static void run(gpointer data, gpointer user_data);

static void
job_clear(gpointer data)
{
    Job *job = data;

    g_free(job->uuid);
    g_free(job->name);
    g_ptr_array_unref(job->pins);
}

static void
job_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, job_clear);
}

IoqPinner *
ioq_pinner_new(const char *uri)
{
    IoqPinner *pinner = g_new0(IoqPinner, 1);

    pinner->uri = g_strdup(uri);
    pinner->pool = g_thread_pool_new_full(run, pinner, job_release, 1, FALSE, NULL);
    return pinner;
}

void
ioq_pinner_end(IoqPinner *pinner)
{
    g_thread_pool_free(pinner->pool, TRUE, FALSE);
}

gboolean
ioq_pinner_look(IoqPinner *pinner, const char *uuid, const char *name, const char *settings,
                const char *domain, GError **error)
{
    g_autoptr(GantryXml) xml = gantry_xml_parse(settings, strlen(settings), "settings", error);
    g_autoptr(GantryXml) domain_xml =
        xml ? gantry_xml_parse(domain, strlen(domain), "domain", error) : NULL;
    g_autoptr(GantryElement) tuning =
        domain_xml ? gantry_element_read(xml, gantry_xml_root(xml), ioq_extension.uri,
                                         ioq_extension.root, error)
                   : NULL;
    g_autoptr(GPtrArray) pins = tuning ? ioq_pins_read(domain_xml, tuning, error) : NULL;
    Job *job;

    if (!pins || pins->len == 0) {
        return pins != NULL;
    }
    job = g_atomic_rc_box_new0(Job);
    job->uuid = g_strdup(uuid);
    job->name = g_strdup(name);
    job->pins = g_steal_pointer(&pins);
    g_thread_pool_push(pinner->pool, job, NULL);
    return TRUE;
}

static gboolean
pin_one(virDomainPtr domain, const IoqPin *pin, GError **error)
{
    g_autofree unsigned char *map = g_new0(unsigned char, VIR_CPU_MAPLEN(GANTRY_CPUSET_MAX_CPUS));
    g_autoptr(GantryCpuset) cpus = gantry_cpuset_parse(pin->cpus, error);

    if (!cpus) {
        return FALSE;
    }
    for (int cpu = gantry_cpuset_next(cpus, 0); cpu >= 0;
         cpu = gantry_cpuset_next(cpus, (guint)cpu + 1)) {
        VIR_USE_CPU(map, cpu);
    }
    if (virDomainPinIOThread(domain, pin->iothread, map, VIR_CPU_MAPLEN(GANTRY_CPUSET_MAX_CPUS),
                             VIR_DOMAIN_AFFECT_LIVE) < 0) {
        gantry_virt_set_error(error, _("cannot pin iothread %1$u to CPUs %2$s"), pin->iothread,
                              pin->cpus);
        return FALSE;
    }
    return TRUE;
}

static gboolean
pin_all(virConnectPtr virt, gpointer data, GError **error)
{
    const Job *job = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, job->uuid);

    if (!domain) {
        gantry_virt_set_error(error, _("no domain '%s'"), job->name);
        return FALSE;
    }
    for (guint i = 0; i < job->pins->len; i++) {
        if (!pin_one(domain, job->pins->pdata[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* A libvirtd that restarts tells us of its domains before the end of the old connection is known.
 */
static gboolean
has_gone(GantryVirtConn *conn, const GError *error)
{
    return g_error_matches(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE) ||
           gantry_virt_conn_state(conn, NULL) != GANTRY_VIRT_UP;
}

static gboolean
pin_patiently(GantryVirtConn *conn, Job *job, GError **error)
{
    gint64 end = g_get_monotonic_time() + (gint64)PIN_MSEC * 1000;

    for (;;) {
        gint64 left_msec = MAX(end - g_get_monotonic_time(), 0) / 1000;
        g_autoptr(GError) problem = NULL;

        gantry_virt_conn_wait_up(conn, (guint)left_msec);
        if (gantry_virt_call(conn, pin_all, g_atomic_rc_box_acquire(job), job_release,
                             (guint)left_msec, &problem)) {
            return TRUE;
        }
        if (left_msec == 0 || !has_gone(conn, problem)) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
    }
}

static void
run(gpointer data, gpointer user_data)
{
    IoqPinner *pinner = user_data;
    Job *job = data;
    g_autoptr(GError) error = NULL;

    if (!pinner->conn) {
        pinner->conn = gantry_virt_conn_new(pinner->uri, NULL);
    }
    if (pin_patiently(pinner->conn, job, &error)) {
        gantry_notice(_("domain '%1$s': %2$u iothreads are on the CPUs of its settings now"),
                      job->name, job->pins->len);
    } else {
        gantry_warn(_("domain '%1$s': its iothreads stay on the CPUs that they are on: %2$s"),
                    job->name, error->message);
    }
    job_release(job);
}
