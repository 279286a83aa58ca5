/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the hook does for a domain that concerns Gantry: read the XML, resolve its settings, rewrite
 * it where libvirt takes that, tell the daemons.
 *
 * There is one rule for everything that goes wrong on the way, fail(): an operation that may refuse
 * (hook_operations[]) is refused with that reason; any other goes on, as far as it can without what
 * failed, and the reason is logged. So a domain's end is told to the daemons even if its settings
 * no longer make sense, and a restore whose rewrite fails prints nothing, but leaves a refusal that
 * prepare, which follows, finds: the domain must not run with another host's disks and CPUs.
 */
#include "libvirt_hooks/engine.h"

#include <string.h>

#define GANTRY_LOG_MODULE "hook"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/host/cpu.h"
#include "common/xml/settings.h"
#include "libvirt_hooks/daemons.h"
#include "libvirt_hooks/fit_settings.h"
#include "libvirt_hooks/refusal.h"
#include "libvirt_hooks/rewrite.h"

/* What is found out on the way; each part may be missing. */
typedef struct {
    GantryXml *domain;
    GantryDomainIdentity identity;
    GantrySettings *settings;
    gboolean host_is_loaded;
    HookHostConfig *host; /* NULL: there is no host.conf */
    GantryCpuset *online; /* NULL: nobody wants to know */
    char *rewritten;      /* NULL: the XML stays as it is */
    gsize n_rewritten;
    GantryXml *rewritten_domain;
    GString *daemons;
} HookState;

static gboolean run_steps(const HookRun *run, HookState *state, GError **error);
static char *format_report(const HookRun *run, const HookState *state, const GError *error);

static void
hook_state_clear(HookState *state)
{
    gantry_domain_identity_clear(&state->identity);
    g_clear_pointer(&state->settings, gantry_settings_free);
    g_clear_pointer(&state->host, hook_host_config_free);
    g_clear_pointer(&state->online, gantry_cpuset_free);
    g_clear_pointer(&state->rewritten_domain, gantry_xml_free);
    g_clear_pointer(&state->domain, gantry_xml_free);
    g_clear_pointer(&state->rewritten, g_free);
    g_string_free(state->daemons, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HookState, hook_state_clear)

gboolean
hook_run(const HookRun *run, char **ret_output, gsize *ret_n_output, char **ret_report,
         GError **error)
{
    g_auto(HookState) state = {.daemons = g_string_new(NULL)};
    g_autoptr(GError) refusal = NULL;
    gboolean passes = run_steps(run, &state, &refusal);

    *ret_report = format_report(run, &state, refusal);
    if (!passes) {
        g_propagate_error(error, g_steal_pointer(&refusal));
        return FALSE;
    }
    *ret_output = g_steal_pointer(&state.rewritten);
    *ret_n_output = state.n_rewritten;
    return TRUE;
}

/* Takes @local over. TRUE: it was logged, go on without what failed. FALSE: @error has it. */
static gboolean
fail(const HookRun *run, GError *local, GError **error)
{
    if (run->operation->failure == HOOK_FAILURE_REFUSES) {
        g_propagate_error(error, local);
        return FALSE;
    }
    gantry_err(_("%1$s of domain '%2$s' goes on, but: %3$s"), run->operation->name,
               run->domain_name, local->message);
    g_error_free(local);
    return TRUE;
}

static gboolean
read_domain(const HookRun *run, HookState *state, GError **error)
{
    const xmlNode *root;

    state->domain = gantry_xml_parse(run->xml, run->n_xml, _("domain XML on stdin"), error);
    if (!state->domain) {
        return FALSE;
    }
    root = gantry_xml_root(state->domain);
    if (root->ns || !g_str_equal((const char *)root->name, "domain")) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: the root is <%2$s>, not <domain>"), gantry_xml_name(state->domain),
                    (const char *)root->name);
        return FALSE;
    }
    return gantry_domain_identity_read(state->domain, &state->identity, error);
}

static gboolean
has_features(const HookRun *run, const HookState *state)
{
    for (const GantryExtension *const *e = run->extensions; *e; e++) {
        if (gantry_settings_get(state->settings, (*e)->feature)->enabled) {
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * Policy files that cannot be used are the host's mistake, and there is no saying what they were
 * meant to give. A domain with settings of its own may not go without them; the others, which on
 * most hosts are nearly all, are not kept from running by a typo.
 */
static gboolean
resolve_settings(const HookRun *run, HookState *state, GError **error)
{
    g_autoptr(GError) policy_error = NULL;
    g_autoptr(GantryPolicy) policy =
        gantry_policy_load(run->paths->policy_dir, run->extensions, &policy_error);

    state->settings = gantry_settings_resolve(run->extensions, state->domain, policy, error);
    if (!state->settings) {
        return FALSE;
    }
    if (policy_error && has_features(run, state)) {
        g_propagate_error(error, g_steal_pointer(&policy_error));
        return FALSE;
    }
    if (policy_error) {
        gantry_warn(_("%1$s of domain '%2$s' goes on without policies: %3$s"), run->operation->name,
                    run->domain_name, policy_error->message);
    }
    return TRUE;
}

/* What the domain has without settings that it cannot do without. */
static gboolean
check_domain(const HookRun *run, const HookState *state, GError **error)
{
    if (!state->settings || run->operation->failure != HOOK_FAILURE_REFUSES) {
        return TRUE;
    }
    for (const GantryExtension *const *e = run->extensions; *e; e++) {
        const GantryFeatureSettings *feature = gantry_settings_get(state->settings, (*e)->feature);

        if ((*e)->check_domain &&
            !(*e)->check_domain(state->domain, feature->enabled ? feature->element : NULL, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static GantryCpuset *
read_online_cpus(const char *root, GError **error)
{
    g_autoptr(GantryHost) host = gantry_host_open(root, error);

    return host ? gantry_host_online_cpus(host, error) : NULL;
}

/* host.conf, and this host's CPUs where they are wanted; once. */
static gboolean
load_host(const HookRun *run, HookState *state, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (state->host_is_loaded) {
        return TRUE;
    }
    state->host = hook_host_config_load(run->paths->host_conf, &local);
    if (!state->host && !g_error_matches(local, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if ((state->host && hook_host_config_has_cpus(state->host)) ||
        (run->operation->may_rewrite && state->settings && has_features(run, state))) {
        state->online = read_online_cpus(run->paths->root, error);
        if (!state->online) {
            return FALSE;
        }
    }
    state->host_is_loaded = TRUE;
    return TRUE;
}

/* Of a domain's end, daemons need no settings that make sense. */
static gboolean
fit_settings(const HookRun *run, HookState *state, GError **error)
{
    if (!state->settings || !has_features(run, state) || run->operation->tells_all) {
        return TRUE;
    }
    return load_host(run, state, error) &&
           (!state->host || !hook_host_config_has_cpus(state->host) ||
            hook_fit_settings(state->settings, run->extensions, state->host, state->online, error));
}

static gboolean
rewrite(const HookRun *run, HookState *state, GError **error)
{
    HookRewriteContext context;

    if (!load_host(run, state, error)) {
        return FALSE;
    }
    context = (HookRewriteContext){.domain_name = run->domain_name,
                                   .settings = state->settings,
                                   .host = state->host,
                                   .online = state->online};
    if (!hook_rewrite(run->operation, state->domain, &context, &state->rewritten,
                      &state->n_rewritten, error)) {
        return FALSE;
    }
    if (state->rewritten) {
        state->rewritten_domain = gantry_xml_parse(state->rewritten, state->n_rewritten,
                                                   _("domain XML, rewritten"), error);
        if (!state->rewritten_domain) {
            g_clear_pointer(&state->rewritten, g_free);
            return FALSE;
        }
    }
    return TRUE;
}

/* What a restore left to us: looked at in prepare, gone with the domain. */
static gboolean
heed_refusal(const HookRun *run, const HookState *state, GError **error)
{
    const char *run_dir = run->paths->run_dir;

    if (g_str_equal(run->operation->name, "prepare")) {
        return hook_refusal_check(run_dir, state->identity.uuid, error);
    }
    return !g_str_equal(run->operation->name, "release") ||
           hook_refusal_remove(run_dir, state->identity.uuid, error);
}

static gboolean
rewrite_or_leave_refusal(const HookRun *run, HookState *state, GError **error)
{
    const char *run_dir = run->paths->run_dir;
    g_autoptr(GError) local = NULL;

    if (rewrite(run, state, &local)) {
        return hook_refusal_remove(run_dir, state->identity.uuid, error);
    }
    if (run->operation->failure == HOOK_FAILURE_PASSES) {
        g_autoptr(GError) leave_error = NULL;

        if (!hook_refusal_leave(run_dir, state->identity.uuid, local->message, &leave_error)) {
            gantry_err(_("domain '%1$s' cannot be kept from running: %2$s"), run->domain_name,
                       leave_error->message);
        }
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
run_steps(const HookRun *run, HookState *state, GError **error)
{
    GError *local = NULL;
    HookCall call;

    if (!read_domain(run, state, &local)) {
        return fail(run, local, error); /* there is nothing to go on with */
    }
    if (!heed_refusal(run, state, &local) && !fail(run, local, error)) {
        return FALSE;
    }
    local = NULL;
    if (!resolve_settings(run, state, &local) && !fail(run, local, error)) {
        return FALSE;
    }
    local = NULL;
    if (!check_domain(run, state, &local) && !fail(run, local, error)) {
        return FALSE;
    }
    local = NULL;
    if (!fit_settings(run, state, &local) && !fail(run, local, error)) {
        return FALSE;
    }
    local = NULL;
    if ((run->operation->may_rewrite || run->operation->must_fit) &&
        !rewrite_or_leave_refusal(run, state, &local) && !fail(run, local, error)) {
        return FALSE;
    }
    local = NULL;
    call = (HookCall){
        .operation = run->operation,
        .extra = run->extra,
        .identity = &state->identity,
        .domain = state->rewritten_domain ? state->rewritten_domain : state->domain,
        .settings = state->settings,
        .extensions = run->extensions,
        .run_dir = run->paths->run_dir,
        .call_timeout_msec = (guint)run->config->call_timeout_msec,
        .deadline_usec = run->start_usec + (gint64)run->config->hook_timeout_msec * 1000,
    };
    return hook_daemons_call(&call, state->daemons, &local) || fail(run, local, error);
}

static char *
format_report(const HookRun *run, const HookState *state, const GError *error)
{
    GString *report = g_string_new(NULL);
    const char *before = " features";

    g_string_append_printf(report, "%s %s", run->operation->name, run->domain_name);
    if (state->identity.uuid) {
        g_string_append_printf(report, " (%s)", state->identity.uuid);
    }
    g_string_append_c(report, ':');
    for (const GantryExtension *const *e = run->extensions; state->settings && *e; e++) {
        if (gantry_settings_get(state->settings, (*e)->feature)->enabled) {
            g_string_append_printf(report, "%s %s", before, (*e)->feature);
            before = "";
        }
    }
    if (state->daemons->len > 0) {
        g_string_append_printf(report, " daemons%s", state->daemons->str);
    }
    if (state->rewritten) {
        g_string_append(report, " rewritten");
    }
    g_string_append_printf(report, " in %.1f ms",
                           (double)(g_get_monotonic_time() - run->start_usec) / 1000);
    if (error) {
        g_string_append_printf(report, ", refused: %s", error->message);
    }
    return g_string_free(report, FALSE);
}
