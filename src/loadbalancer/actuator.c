/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A migration is one libvirt call that lasts as long as the migration, so it has a connection to
 * the source of its own. A second one asks for the job's progress meanwhile, and cancels the job
 * at the deadline; a third one, to the target, looks afterwards whether the domain runs there, and
 * what the migration has cost. What two threads share is in a box with a reference count, since a
 * call can outlive whoever waits for it.
 */
#define GANTRY_LOG_MODULE "balance"
#include "loadbalancer/actuator.h"

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/virt/connection.h"

#define POLL_MSEC   250
#define ASK_MSEC    10000 /* for a question beside the migration */
#define CANCEL_MSEC 30000 /* for a cancelled migration to end */

/* Shared with the connections' threads. */
typedef struct {
    char *uuid;
    char *name;
    char *target_uri;
    guint max_downtime_msec;
} Job;

/* What a question about the domain finds; shared as well. */
typedef struct {
    char *uuid;
    gboolean running;
    gboolean has_job;
    LbMoveProgress progress;
    LbMoveResult result;
} Answer;

static void
job_clear(gpointer data)
{
    Job *job = data;

    g_free(job->uuid);
    g_free(job->name);
    g_free(job->target_uri);
}

static void
job_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, job_clear);
}

static void
answer_clear(gpointer data)
{
    g_free(((Answer *)data)->uuid);
}

static void
answer_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, answer_clear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Answer, answer_release)

static gboolean
migrate(virConnectPtr virt, gpointer data, GError **error)
{
    Job *job = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, job->uuid);
    unsigned int flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;

    if (!domain) {
        gantry_virt_set_error(error, _("domain '%s' is not at the source any more"), job->name);
        return FALSE;
    }
    if (virDomainIsPersistent(domain) == 1) {
        flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
    }
    if (job->max_downtime_msec != 0 &&
        virDomainMigrateSetMaxDowntime(domain, job->max_downtime_msec, 0) < 0) {
        gantry_notice(_("domain '%1$s': the limit of %2$u ms downtime could not be set: %3$s"),
                      job->name, job->max_downtime_msec, gantry_virt_last_error_text());
    }
    if (virDomainMigrateToURI3(domain, job->target_uri, NULL, 0, flags) < 0) {
        gantry_virt_set_error(error, _("cannot migrate domain '%s'"), job->name);
        return FALSE;
    }
    return TRUE;
}

static guint64
stat_value(const GantryVirtParams *params, const char *name)
{
    unsigned long long value = 0;

    virTypedParamsGetULLong(params->params, params->n, name, &value);
    return value;
}

static gboolean
ask_progress(virConnectPtr virt, gpointer data, GError **error)
{
    Answer *answer = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, answer->uuid);
    g_auto(GantryVirtParams) params = {0};
    guint64 total, remaining;
    int type;

    answer->has_job = FALSE;
    if (!domain || virDomainGetJobStats(domain, &type, &params.params, &params.n, 0) < 0 ||
        type == VIR_DOMAIN_JOB_NONE) {
        return TRUE; /* not begun, or over */
    }
    total = stat_value(&params, VIR_DOMAIN_JOB_MEMORY_TOTAL);
    remaining = stat_value(&params, VIR_DOMAIN_JOB_MEMORY_REMAINING);
    answer->has_job = total > 0;
    answer->progress.fraction =
        total > 0 ? 1.0 - (double)MIN(remaining, total) / (double)total : 0.0;
    answer->progress.elapsed_msec = stat_value(&params, VIR_DOMAIN_JOB_TIME_ELAPSED);
    answer->progress.sent_bytes = stat_value(&params, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    answer->progress.remaining_bytes = remaining;
    return TRUE;
}

static gboolean
cancel(virConnectPtr virt, gpointer data, GError **error)
{
    Answer *answer = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, answer->uuid);

    if (!domain || virDomainAbortJob(domain) < 0) {
        gantry_virt_set_error(error, _("cannot cancel the migration"));
        return FALSE;
    }
    return TRUE;
}

/* Whether the domain runs on this host and, where it has come to, what the migration has cost. */
static gboolean
ask_outcome(virConnectPtr virt, gpointer data, GError **error)
{
    Answer *answer = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, answer->uuid);
    g_auto(GantryVirtParams) params = {0};
    int state, reason, type;

    if (!domain || virDomainGetState(domain, &state, &reason, 0) < 0) {
        answer->running = FALSE;
        if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN) {
            gantry_virt_set_error(error, _("cannot look for the domain"));
            return FALSE;
        }
        return TRUE;
    }
    answer->running = state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED;
    if (virDomainGetJobStats(domain, &type, &params.params, &params.n,
                             VIR_DOMAIN_JOB_STATS_COMPLETED) == 0) {
        answer->result.total_msec = stat_value(&params, VIR_DOMAIN_JOB_TIME_ELAPSED);
        answer->result.downtime_msec = stat_value(&params, VIR_DOMAIN_JOB_DOWNTIME);
        answer->result.sent_bytes = stat_value(&params, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    }
    return TRUE;
}

static Answer *
answer_new(const char *uuid)
{
    Answer *answer = g_atomic_rc_box_new0(Answer);

    answer->uuid = g_strdup(uuid);
    return answer;
}

/* The answer of one question; NULL where it was not to be had. */
static Answer *
ask(GantryVirtConn *conn, GantryVirtFunc question, const char *uuid, GError **error)
{
    g_autoptr(Answer) answer = answer_new(uuid);

    if (!gantry_virt_call(conn, question, g_atomic_rc_box_acquire(answer), answer_release, ASK_MSEC,
                          error)) {
        return NULL;
    }
    return g_steal_pointer(&answer);
}

/* "it runs at the source", for the end of a message about a failure. */
static const char *
whereabouts(GantryVirtConn *source, GantryVirtConn *target, const char *uuid)
{
    g_autoptr(Answer) at_source = ask(source, ask_outcome, uuid, NULL);
    g_autoptr(Answer) at_target = ask(target, ask_outcome, uuid, NULL);

    if (at_source && at_source->running) {
        return at_target && at_target->running ? _("it runs at both hosts!")
                                               : _("it runs at the source");
    }
    if (at_target && at_target->running) {
        return _("it runs at the target");
    }
    return at_source && at_target ? _("it runs at neither host")
                                  : _("where it runs could not be seen");
}

/* Waits for the migration's call; reports progress, and cancels the job when the time is over. */
static gboolean
wait_for_migration(const LbMove *move, GantryVirtCall *call, GantryVirtConn *watch,
                   LbMoveProgressFunc progress, gpointer data, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)move->timeout_msec * 1000;
    gboolean cancelled = FALSE;
    g_autoptr(GError) local_error = NULL;

    while (!gantry_virt_call_wait(call, POLL_MSEC)) {
        g_autoptr(Answer) answer = NULL;

        if (!cancelled && g_get_monotonic_time() >= deadline) {
            gantry_virt_call(watch, cancel, answer_new(move->uuid), answer_release, ASK_MSEC, NULL);
            cancelled = TRUE;
        }
        answer = ask(watch, ask_progress, move->uuid, NULL);
        if (answer && answer->has_job && progress) {
            progress(&answer->progress, data);
        }
    }
    if (gantry_virt_call_finish(call, &local_error)) {
        return TRUE;
    }
    if (cancelled) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_TIMEOUT,
                    _("domain '%1$s': the migration was cancelled after %2$u ms: %3$s"), move->name,
                    move->timeout_msec, local_error->message);
    } else {
        g_propagate_error(error, g_steal_pointer(&local_error));
    }
    return FALSE;
}

gboolean
lb_move(const LbMove *move, LbMoveProgressFunc progress, gpointer data, LbMoveResult *ret_result,
        GError **error)
{
    g_autoptr(GantryVirtConn) source = gantry_virt_conn_new(move->source_uri, NULL);
    g_autoptr(GantryVirtConn) watch = gantry_virt_conn_new(move->source_uri, NULL);
    g_autoptr(GantryVirtConn) target = gantry_virt_conn_new(move->target_uri, NULL);
    g_autoptr(GError) local_error = NULL;
    g_autoptr(Answer) at_source = NULL;
    g_autoptr(Answer) at_target = NULL;
    Job *job = g_atomic_rc_box_new0(Job);
    GantryVirtCall *call;

    job->uuid = g_strdup(move->uuid);
    job->name = g_strdup(move->name);
    job->target_uri = g_strdup(move->target_uri);
    job->max_downtime_msec = move->max_downtime_msec;
    call =
        gantry_virt_call_start(source, migrate, job, job_release, move->timeout_msec + CANCEL_MSEC);
    if (!wait_for_migration(move, call, watch, progress, data, &local_error)) {
        /* A hook's own words end with a newline. */
        g_set_error(error, local_error->domain, local_error->code, "%s; %s",
                    g_strchomp(local_error->message), whereabouts(watch, target, move->uuid));
        return FALSE;
    }

    at_source = ask(watch, ask_outcome, move->uuid, error);
    at_target = at_source ? ask(target, ask_outcome, move->uuid, error) : NULL;
    if (!at_target) {
        g_prefix_error(error, _("domain '%s' was migrated, but could not be looked for: "),
                       move->name);
        return FALSE;
    }
    if (at_source->running || !at_target->running) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("domain '%1$s': libvirt reports a migration done, but %2$s"), move->name,
                    whereabouts(watch, target, move->uuid));
        return FALSE;
    }
    *ret_result = at_target->result;
    return TRUE;
}
