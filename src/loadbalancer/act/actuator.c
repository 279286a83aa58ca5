/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A migration is one libvirt call that lasts as long as the migration, so it has a connection to
 * the source of its own. A second one asks for the job's progress meanwhile, and cancels the job
 * at the deadline; a third one, to the target, looks afterwards whether the domain runs there, and
 * what the migration has cost. What two threads share is in a box with a reference count, since a
 * call can outlive whoever waits for it.
 *
 * Before its turn the call waits for whatever job the domain has. libvirt does not tell whose a job
 * is, so a domain that is migrated already is left alone, and only a migration to elsewhere that is
 * seen after our own call was made is shown, and cancelled. While the call waits, the deadline
 * stands until its turn has come or its call is given up.
 *
 * libvirt can only cancel while memory is being sent. Before and after that it talks to the target,
 * whose silence ends the migration by the keepalive between the two libvirts, half a minute as they
 * come; CANCEL_MSEC is above that. Where even that does not help, the call is given up, and the
 * domain's place is unclear.
 */
#include "loadbalancer/act/actuator_priv.h"

#include "common/base/error.h"
#include "common/base/i18n.h"

#define POLL_MSEC   250
#define ASK_MSEC    10000 /* for a question beside the migration */
#define CANCEL_MSEC 45000 /* for a cancelled migration to end */
#define SEE_MSEC    60000 /* for a libvirtd to come back, when it has to be asked for the place */

G_DEFINE_QUARK(lb - move - error - quark, lb_move_error)

/* Shared with the connections' threads. */
typedef struct {
    char *uuid;
    char *name;
    char *target_uri;
    guint max_downtime_msec;
    int autostart; /* at the source; known when the migration is done */
    gint begun;    /* atomic: nobody else migrated the domain, and libvirt was asked to */
} Job;

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

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Job, job_release)

static void
answer_clear(gpointer data)
{
    g_free(((LbAnswer *)data)->uuid);
}

void
lb_answer_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, answer_clear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbAnswer, lb_answer_release)

static gboolean get_migration(virDomainPtr domain, GantryVirtParams *ret_params);

static gboolean
migrate(virConnectPtr virt, gpointer data, GError **error)
{
    Job *job = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, job->uuid);
    g_auto(GantryVirtParams) foreign = {0};
    unsigned int flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;

    if (!domain) {
        gantry_virt_set_error(error, _("domain '%s' is not at the source any more"), job->name);
        return FALSE;
    }
    if (get_migration(domain, &foreign)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("somebody else is migrating domain '%s'"), job->name);
        return FALSE;
    }
    if (virDomainIsPersistent(domain) == 1) {
        flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
        if (virDomainGetAutostart(domain, &job->autostart) < 0) {
            gantry_virt_set_error(error, _("cannot ask whether domain '%s' starts with its host"),
                                  job->name);
            return FALSE;
        }
    }
    if (job->max_downtime_msec != 0 &&
        virDomainMigrateSetMaxDowntime(domain, job->max_downtime_msec, 0) < 0) {
        gantry_virt_set_error(error, _("cannot limit the downtime of domain '%1$s' to %2$u ms"),
                              job->name, job->max_downtime_msec);
        return FALSE;
    }
    g_atomic_int_set(&job->begun, TRUE);
    if (virDomainMigrateToURI3(domain, job->target_uri, NULL, 0, flags) < 0) {
        gantry_virt_set_error(error, _("cannot migrate domain '%1$s' to %2$s"), job->name,
                              job->target_uri);
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

gboolean
lb_job_is_migration_out(int type, const GantryVirtParams *params)
{
    int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;

    virTypedParamsGetInt(params->params, params->n, VIR_DOMAIN_JOB_OPERATION, &operation);
    return type != VIR_DOMAIN_JOB_NONE && operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
}

/* Our call may still wait for a job of somebody else: a save, a dump, a backup. */
static gboolean
get_migration(virDomainPtr domain, GantryVirtParams *ret_params)
{
    int type;

    return virDomainGetJobStats(domain, &type, &ret_params->params, &ret_params->n, 0) == 0 &&
           lb_job_is_migration_out(type, ret_params);
}

static gboolean
ask_progress(virConnectPtr virt, gpointer data, GError **error)
{
    LbAnswer *answer = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, answer->uuid);
    g_auto(GantryVirtParams) params = {0};
    guint64 total, remaining;

    if (!domain || !get_migration(domain, &params)) {
        return TRUE; /* not begun, or over */
    }
    total = stat_value(&params, VIR_DOMAIN_JOB_MEMORY_TOTAL);
    remaining = stat_value(&params, VIR_DOMAIN_JOB_MEMORY_REMAINING);
    answer->migrating = total > 0;
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
    LbAnswer *answer = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, answer->uuid);
    g_auto(GantryVirtParams) params = {0};

    if (domain && !get_migration(domain, &params)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE,
                    _("the migration has not begun, or is over"));
        return FALSE;
    }
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
    LbAnswer *answer = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, answer->uuid);
    g_auto(GantryVirtParams) active = {0};
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
    answer->migrating = get_migration(domain, &active);
    if (virDomainGetJobStats(domain, &type, &params.params, &params.n,
                             VIR_DOMAIN_JOB_STATS_COMPLETED) == 0) {
        answer->result.total_msec = stat_value(&params, VIR_DOMAIN_JOB_TIME_ELAPSED);
        answer->result.downtime_msec = stat_value(&params, VIR_DOMAIN_JOB_DOWNTIME);
        answer->result.sent_bytes = stat_value(&params, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    }
    return TRUE;
}

/* libvirt's migration takes the definition along, but not this flag. */
static gboolean
set_autostart(virConnectPtr virt, gpointer data, GError **error)
{
    LbAnswer *answer = data;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(virt, answer->uuid);

    if (!domain || virDomainSetAutostart(domain, TRUE) < 0) {
        gantry_virt_set_error(error, _("cannot set autostart"));
        return FALSE;
    }
    return TRUE;
}

static LbAnswer *
answer_new(const char *uuid)
{
    LbAnswer *answer = g_atomic_rc_box_new0(LbAnswer);

    answer->uuid = g_strdup(uuid);
    return answer;
}

/* The answer of one question; NULL where it was not to be had. */
static LbAnswer *
ask(GantryVirtConn *conn, GantryVirtFunc question, const char *uuid, GError **error)
{
    g_autoptr(LbAnswer) answer = answer_new(uuid);

    if (!gantry_virt_call(conn, question, g_atomic_rc_box_acquire(answer), lb_answer_release,
                          ASK_MSEC, error)) {
        return NULL;
    }
    return g_steal_pointer(&answer);
}

/* For the end of a message. */
static const char *const place_texts[] = {
    [LB_PLACE_SOURCE] = N_("it runs at the source"),
    [LB_PLACE_TARGET] = N_("it runs at the target"),
    [LB_PLACE_BOTH] = N_("it runs at both hosts: end one of them at once"),
    [LB_PLACE_NEITHER] = N_("it runs at neither host"),
    [LB_PLACE_MIGRATING] = N_("it is still migrating"),
    [LB_PLACE_UNSEEN] = N_("where it runs could not be seen"),
};

LbPlace
lb_judge_place(const LbSight *source, const LbSight *target, const LbSight *source_after)
{
    if (source_after->seen && source_after->migrating) {
        return LB_PLACE_MIGRATING;
    }
    if (source_after->seen && source_after->running) {
        /* Also where the target is silent: it runs a domain only when the source has stopped. */
        return target->seen && target->running ? LB_PLACE_BOTH : LB_PLACE_SOURCE;
    }
    if (!source->seen || !target->seen || !source_after->seen) {
        return LB_PLACE_UNSEEN;
    }
    return target->running ? LB_PLACE_TARGET : LB_PLACE_NEITHER;
}

/* Whether the libvirtd has not answered, rather than answered with @error. A connection that ends
 * during a question is not UP by the time that the question has failed. */
static gboolean
is_silence(GantryVirtConn *conn, const GError *error)
{
    return error->domain == GANTRY_ERROR || gantry_virt_conn_state(conn, NULL) != GANTRY_VIRT_UP;
}

LbAnswer *
lb_ask_patiently(GantryVirtConn *conn, GantryVirtFunc question, const char *uuid,
                 guint patience_msec)
{
    gint64 end = g_get_monotonic_time() + (gint64)patience_msec * 1000;

    for (;;) {
        gint64 left_usec = MAX(end - g_get_monotonic_time(), 0);
        g_autoptr(GError) error = NULL;
        LbAnswer *answer;

        /* It counts as up until its end has been seen: that alone is not enough. */
        gantry_virt_conn_wait_up(conn, (guint)(left_usec / 1000));
        answer = ask(conn, question, uuid, &error);
        if (answer || !is_silence(conn, error) || g_get_monotonic_time() >= end) {
            return answer;
        }
    }
}

/* @patience_msec: for a libvirtd to be back, whose restart may have ended the migration */
static LbSight
look(GantryVirtConn *conn, guint patience_msec, const char *uuid, LbAnswer **ret_answer)
{
    LbSight sight = {0};

    *ret_answer = lb_ask_patiently(conn, ask_outcome, uuid, patience_msec);
    if (*ret_answer) {
        sight.seen = TRUE;
        sight.running = (*ret_answer)->running;
        sight.migrating = (*ret_answer)->migrating;
    }
    return sight;
}

/* @ret_at_target: (out): what the target knows of it, where the place is LB_PLACE_TARGET. */
static LbPlace
find_place(GantryVirtConn *source, GantryVirtConn *target, const char *uuid,
           LbAnswer **ret_at_target)
{
    g_autoptr(LbAnswer) before = NULL;
    g_autoptr(LbAnswer) at_target = NULL;
    g_autoptr(LbAnswer) after = NULL;
    LbSight source_sight = look(source, SEE_MSEC, uuid, &before);
    LbSight target_sight =
        look(target, source_sight.running ? ASK_MSEC : SEE_MSEC, uuid, &at_target);
    LbSight source_again = source_sight;
    LbPlace place;

    if (target_sight.running) {
        source_again = look(source, SEE_MSEC, uuid, &after); /* it may have left since */
    }
    place = lb_judge_place(&source_sight, &target_sight, &source_again);
    if (place == LB_PLACE_TARGET) {
        *ret_at_target = g_steal_pointer(&at_target);
    }
    return place;
}

/* Waits for the migration's call; reports progress, and cancels the job at the deadline or on
 * request. @ret_why: (out): why it was cancelled; NULL: it was not, also where that was tried. */
static gboolean
wait_for_migration(const LbMove *move, Job *job, GantryVirtCall *call, GantryVirtConn *beside,
                   const LbMoveWatcher *watcher, gpointer data, const char **ret_why,
                   GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)move->timeout_msec * 1000;
    const char *why = NULL;

    while (!gantry_virt_call_wait(call, POLL_MSEC)) {
        g_autoptr(LbAnswer) answer = NULL;

        if (!why && watcher->is_cancelled && watcher->is_cancelled(data)) {
            why = _("cancelled on request");
        } else if (!why && g_get_monotonic_time() >= deadline) {
            why = _("cancelled, since it took too long");
        }
        if (!g_atomic_int_get(&job->begun)) {
            continue; /* what there is to see, or to cancel, is not ours */
        }
        if (why && !*ret_why) {
            g_autoptr(LbAnswer) cancelled = ask(beside, cancel, move->uuid, NULL);

            *ret_why = cancelled ? why : NULL; /* else: between two phases, again next time */
        }
        answer = ask(beside, ask_progress, move->uuid, NULL);
        if (answer && answer->migrating && watcher->progress) {
            watcher->progress(&answer->progress, data);
        }
    }
    return gantry_virt_call_finish(call, error);
}

gboolean
lb_move(const LbMove *move, const LbMoveWatcher *watcher, gpointer data, LbMoveResult *ret_result,
        GError **error)
{
    g_autoptr(GantryVirtConn) source = gantry_virt_conn_new(move->source_uri, NULL);
    g_autoptr(GantryVirtConn) beside = gantry_virt_conn_new(move->source_uri, NULL);
    g_autoptr(GantryVirtConn) target = gantry_virt_conn_new(move->target_uri, NULL);
    g_autoptr(GError) failure = NULL;
    g_autoptr(LbAnswer) at_target = NULL;
    const char *why_cancelled = NULL;
    g_autoptr(Job) job = g_atomic_rc_box_new0(Job);
    GantryVirtCall *call;
    gboolean done;
    LbPlace place;

    job->uuid = g_strdup(move->uuid);
    job->name = g_strdup(move->name);
    job->target_uri = g_strdup(move->target_uri);
    job->max_downtime_msec = move->max_downtime_msec;
    call = gantry_virt_call_start(source, migrate, g_atomic_rc_box_acquire(job), job_release,
                                  move->timeout_msec + CANCEL_MSEC);
    done = wait_for_migration(move, job, call, beside, watcher, data, &why_cancelled, &failure);
    if (g_error_matches(failure, GANTRY_ERROR, GANTRY_ERROR_UNAVAILABLE) ||
        g_error_matches(failure, GANTRY_ERROR, GANTRY_ERROR_CONFLICT)) {
        g_set_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_STAYED,
                    _("%s; the migration was not begun"), failure->message);
        return FALSE;
    }
    place = find_place(beside, target, move->uuid, &at_target);
    if (done && place == LB_PLACE_TARGET) {
        *ret_result = at_target->result;
        if (job->autostart) {
            g_autoptr(LbAnswer) set = ask(target, set_autostart, move->uuid, NULL);

            ret_result->autostart_lost = set == NULL;
        }
        return TRUE;
    }
    if (done) {
        g_set_error(error, LB_MOVE_ERROR, LB_MOVE_ERROR_UNCLEAR,
                    _("domain '%1$s': libvirt reports that the migration is done, but %2$s"),
                    move->name, _(place_texts[place]));
    } else if (why_cancelled) {
        g_set_error(error, LB_MOVE_ERROR,
                    place == LB_PLACE_SOURCE ? LB_MOVE_ERROR_CANCELLED : LB_MOVE_ERROR_UNCLEAR,
                    _("the migration of domain '%1$s' was %2$s; %3$s"), move->name, why_cancelled,
                    _(place_texts[place]));
    } else {
        g_set_error(error, LB_MOVE_ERROR,
                    place == LB_PLACE_SOURCE ? LB_MOVE_ERROR_STAYED : LB_MOVE_ERROR_UNCLEAR,
                    "%1$s; %2$s", failure->message, _(place_texts[place]));
    }
    return FALSE;
}
