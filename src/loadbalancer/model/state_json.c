/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading is by tables, one row a member; a row without a type is a member that only we write. An
 * unknown member is an error: it would be a setting that silently does nothing.
 */
#include "loadbalancer/model/state_json.h"

#include <math.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

typedef enum {
    MEMBER_OUTPUT, /* written, not read */
    MEMBER_TEXT,   /* char *; null is NULL */
    MEMBER_BOOL,
    MEMBER_NUMBER, /* double, not negative */
    MEMBER_UINT,   /* guint */
    MEMBER_BYTES,  /* guint64 */
    MEMBER_TEXTS,  /* char **; an empty list is written for NULL */
    MEMBER_STATUS, /* LbHostStatus */
    MEMBER_GROUP_POLICY,
    MEMBER_LIST, /* read by the caller */
} MemberType;

typedef struct {
    const char *name;
    MemberType type;
    gsize offset;
    gboolean required;
} Member;

static const char *const status_names[] = {"fresh", "stale", "unreachable", NULL};
static const char *const group_policy_names[] = {"none", "affinity", "anti-affinity", NULL};

static const Member host_members[] = {
    {"name", MEMBER_TEXT, G_STRUCT_OFFSET(LbHost, name), TRUE},
    {"uuid", MEMBER_TEXT, G_STRUCT_OFFSET(LbHost, uuid), FALSE},
    {"status", MEMBER_STATUS, G_STRUCT_OFFSET(LbHost, status), FALSE},
    {"status_reason", MEMBER_TEXT, G_STRUCT_OFFSET(LbHost, status_reason), FALSE},
    {"cores", MEMBER_UINT, G_STRUCT_OFFSET(LbHost, n_cores), FALSE},
    {"capacity", MEMBER_NUMBER, G_STRUCT_OFFSET(LbHost, capacity), FALSE},
    {"busy", MEMBER_NUMBER, G_STRUCT_OFFSET(LbHost, busy), FALSE},
    {"memory_total_bytes", MEMBER_BYTES, G_STRUCT_OFFSET(LbHost, memory_total_bytes), FALSE},
    {"memory_available_bytes", MEMBER_BYTES, G_STRUCT_OFFSET(LbHost, memory_available_bytes),
     FALSE},
    {"closed_reason", MEMBER_TEXT, G_STRUCT_OFFSET(LbHost, closed_reason), FALSE},
    {"pool", MEMBER_TEXT, G_STRUCT_OFFSET(LbHost, pool), FALSE},
    {"forecast", MEMBER_NUMBER, G_STRUCT_OFFSET(LbHost, forecast), FALSE},
    {"samples_over", MEMBER_UINT, G_STRUCT_OFFSET(LbHost, n_over), FALSE},
    {"draining", MEMBER_BOOL, G_STRUCT_OFFSET(LbHost, draining), FALSE},
    {"moves_in", MEMBER_UINT, G_STRUCT_OFFSET(LbHost, n_moves_in), FALSE},
    {"moves_out", MEMBER_UINT, G_STRUCT_OFFSET(LbHost, n_moves_out), FALSE},
    {"incoming_cpu", MEMBER_NUMBER, G_STRUCT_OFFSET(LbHost, incoming_cpu), FALSE},
    {"incoming_bytes", MEMBER_BYTES, G_STRUCT_OFFSET(LbHost, incoming_bytes), FALSE},
    {"cpu_models", MEMBER_TEXTS, G_STRUCT_OFFSET(LbHost, cpu_models), FALSE},
    {"vms", MEMBER_LIST, 0, FALSE},
    {"load", MEMBER_OUTPUT, 0, FALSE},
    {"running", MEMBER_OUTPUT, 0, FALSE},
    {"verdict", MEMBER_OUTPUT, 0, FALSE},
    {"explanation", MEMBER_OUTPUT, 0, FALSE},
    {NULL, 0, 0, 0},
};

static const Member vm_members[] = {
    {"name", MEMBER_TEXT, G_STRUCT_OFFSET(LbVm, name), TRUE},
    {"uuid", MEMBER_TEXT, G_STRUCT_OFFSET(LbVm, uuid), TRUE},
    {"running", MEMBER_BOOL, G_STRUCT_OFFSET(LbVm, running), FALSE},
    {"measured", MEMBER_BOOL, G_STRUCT_OFFSET(LbVm, measured), FALSE},
    {"vcpus", MEMBER_UINT, G_STRUCT_OFFSET(LbVm, n_vcpus), FALSE},
    {"cpu", MEMBER_NUMBER, G_STRUCT_OFFSET(LbVm, cpu), FALSE},
    {"delay", MEMBER_NUMBER, G_STRUCT_OFFSET(LbVm, delay), FALSE},
    {"forecast", MEMBER_NUMBER, G_STRUCT_OFFSET(LbVm, forecast), FALSE},
    {"memory_bytes", MEMBER_BYTES, G_STRUCT_OFFSET(LbVm, memory_bytes), FALSE},
    {"dirty_rate_known", MEMBER_BOOL, G_STRUCT_OFFSET(LbVm, has_dirty_rate), FALSE},
    {"dirty_bytes_per_second", MEMBER_BYTES, G_STRUCT_OFFSET(LbVm, dirty_bytes_per_sec), FALSE},
    {"tied_reason", MEMBER_TEXT, G_STRUCT_OFFSET(LbVm, tied_reason), FALSE},
    {"cpu_model", MEMBER_TEXT, G_STRUCT_OFFSET(LbVm, cpu_model), FALSE},
    {"moving", MEMBER_BOOL, G_STRUCT_OFFSET(LbVm, moving), FALSE},
    {"cooldown_seconds", MEMBER_BYTES, G_STRUCT_OFFSET(LbVm, cooldown_sec), FALSE},
    {"quarantine", MEMBER_TEXTS, G_STRUCT_OFFSET(LbVm, quarantine), FALSE},
    {"movable", MEMBER_BOOL, G_STRUCT_OFFSET(LbVm, movable), FALSE},
    {"priority", MEMBER_UINT, G_STRUCT_OFFSET(LbVm, priority), FALSE},
    {"max_downtime_ms", MEMBER_UINT, G_STRUCT_OFFSET(LbVm, max_downtime_msec), FALSE},
    {"group", MEMBER_TEXT, G_STRUCT_OFFSET(LbVm, group), FALSE},
    {"policy", MEMBER_GROUP_POLICY, G_STRUCT_OFFSET(LbVm, policy), FALSE},
    {"settings_error", MEMBER_TEXT, G_STRUCT_OFFSET(LbVm, settings_error), FALSE},
    {"nova", MEMBER_BOOL, G_STRUCT_OFFSET(LbVm, nova), FALSE},
    {NULL, 0, 0, 0},
};

/* What is read of the top object into this. */
typedef struct {
    double threshold_percent;
    double margin_points;
    LbPolicy policy;
} Top;

static const Member top_members[] = {
    {"threshold", MEMBER_NUMBER, G_STRUCT_OFFSET(Top, threshold_percent), FALSE},
    {"memory_reserve_bytes", MEMBER_BYTES, G_STRUCT_OFFSET(Top, policy.memory_reserve_bytes),
     FALSE},
    {"samples_over", MEMBER_UINT, G_STRUCT_OFFSET(Top, policy.n_over), FALSE},
    {"margin", MEMBER_NUMBER, G_STRUCT_OFFSET(Top, margin_points), FALSE},
    {"steps", MEMBER_BOOL, G_STRUCT_OFFSET(Top, policy.steps), FALSE},
    {"max_moves", MEMBER_UINT, G_STRUCT_OFFSET(Top, policy.max_moves), FALSE},
    {"bandwidth_bytes_per_second", MEMBER_BYTES,
     G_STRUCT_OFFSET(Top, policy.cost.bandwidth_bytes_per_sec), FALSE},
    {"max_dirty_ratio", MEMBER_NUMBER, G_STRUCT_OFFSET(Top, policy.cost.max_dirty_ratio), FALSE},
    {"max_seconds", MEMBER_UINT, G_STRUCT_OFFSET(Top, policy.cost.max_sec), FALSE},
    {"hosts", MEMBER_LIST, 0, TRUE},
    {"comment", MEMBER_OUTPUT, 0, FALSE},
    {"outcome", MEMBER_OUTPUT, 0, FALSE},
    {"explanation", MEMBER_OUTPUT, 0, FALSE},
    {"candidates", MEMBER_OUTPUT, 0, FALSE},
    {"moves", MEMBER_OUTPUT, 0, FALSE},
    {NULL, 0, 0, 0},
};

/* Reading */

static gboolean
wrong(GError **error, const char *where, const char *name, const char *wanted)
{
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%1$s: member '%2$s' is not %3$s"),
                where, name, wanted);
    return FALSE;
}

static gboolean
holds_whole_number(JsonNode *node, gint64 max)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64 &&
           json_node_get_int(node) >= 0 && json_node_get_int(node) <= max;
}

static gboolean
read_word(const Member *member, JsonNode *node, const char *const *words, int *ret_index,
          const char *where, GError **error)
{
    const char *text = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
    g_autofree char *allowed = NULL;

    for (int i = 0; text && words[i]; i++) {
        if (g_str_equal(text, words[i])) {
            *ret_index = i;
            return TRUE;
        }
    }
    allowed = g_strjoinv(" | ", (char **)words);
    return wrong(error, where, member->name, allowed);
}

static gboolean
read_texts(const Member *member, JsonNode *node, char ***field, const char *where, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    if (!array) {
        return wrong(error, where, member->name, _("a list of texts"));
    }
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);

        if (!JSON_NODE_HOLDS_VALUE(element) || json_node_get_value_type(element) != G_TYPE_STRING) {
            return wrong(error, where, member->name, _("a list of texts"));
        }
        g_strv_builder_add(builder, json_node_get_string(element));
    }
    g_strfreev(*field);
    *field = g_strv_builder_end(builder);
    return TRUE;
}

static gboolean
read_member(const Member *member, JsonNode *node, gpointer target, const char *where,
            GError **error)
{
    gpointer field = (char *)target + member->offset;
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
    int index;

    switch (member->type) {
    case MEMBER_TEXT:
        if (!JSON_NODE_HOLDS_NULL(node) && type != G_TYPE_STRING) {
            return wrong(error, where, member->name, _("a text"));
        }
        g_free(*(char **)field);
        *(char **)field = JSON_NODE_HOLDS_NULL(node) ? NULL : g_strdup(json_node_get_string(node));
        return TRUE;
    case MEMBER_BOOL:
        if (type != G_TYPE_BOOLEAN) {
            return wrong(error, where, member->name, "true | false");
        }
        *(gboolean *)field = json_node_get_boolean(node);
        return TRUE;
    case MEMBER_NUMBER:
        if ((type != G_TYPE_DOUBLE && type != G_TYPE_INT64) || json_node_get_double(node) < 0 ||
            !isfinite(json_node_get_double(node))) {
            return wrong(error, where, member->name, _("a number of at least 0"));
        }
        *(double *)field = json_node_get_double(node);
        return TRUE;
    case MEMBER_UINT:
        if (!holds_whole_number(node, G_MAXUINT)) {
            return wrong(error, where, member->name, _("a whole number of at least 0"));
        }
        *(guint *)field = (guint)json_node_get_int(node);
        return TRUE;
    case MEMBER_BYTES:
        if (!holds_whole_number(node, G_MAXINT64)) {
            return wrong(error, where, member->name, _("a whole number of at least 0"));
        }
        *(guint64 *)field = (guint64)json_node_get_int(node);
        return TRUE;
    case MEMBER_TEXTS:
        return read_texts(member, node, field, where, error);
    case MEMBER_STATUS:
        if (!read_word(member, node, status_names, &index, where, error)) {
            return FALSE;
        }
        *(LbHostStatus *)field = (LbHostStatus)index;
        return TRUE;
    case MEMBER_GROUP_POLICY:
        if (!read_word(member, node, group_policy_names, &index, where, error)) {
            return FALSE;
        }
        *(LbGroupPolicy *)field = (LbGroupPolicy)index;
        return TRUE;
    case MEMBER_LIST:
        return JSON_NODE_HOLDS_ARRAY(node) || wrong(error, where, member->name, _("a list"));
    default:
        return TRUE;
    }
}

/* @ret_list: the node of the object's MEMBER_LIST, or NULL. */
static gboolean
read_object(const Member *members, JsonNode *node, gpointer target, const char *where,
            JsonArray **ret_list, GError **error)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    *ret_list = NULL;
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%s is not an object"), where);
        return FALSE;
    }
    json_object_iter_init(&iter, json_node_get_object(node));
    while (json_object_iter_next(&iter, &name, &value)) {
        const Member *member = members;

        while (member->name && !g_str_equal(member->name, name)) {
            member++;
        }
        if (!member->name) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%1$s: no member '%2$s'"),
                        where, name);
            return FALSE;
        }
        if (!read_member(member, value, target, where, error)) {
            return FALSE;
        }
        if (member->type == MEMBER_LIST) {
            *ret_list = json_node_get_array(value);
        }
    }
    for (const Member *member = members; member->name; member++) {
        if (member->required && !json_object_has_member(json_node_get_object(node), member->name)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: member '%2$s' is missing"), where, member->name);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
read_vm(LbHost *host, JsonNode *node, const char *where, GError **error)
{
    LbVm *vm = lb_host_add_vm(host, "", "");
    JsonArray *list;

    if (!read_object(vm_members, node, vm, where, &list, error)) {
        return FALSE;
    }
    if (!vm->name || !vm->uuid) {
        return wrong(error, where, vm->name ? "uuid" : "name", _("a text"));
    }
    return TRUE;
}

static gboolean
read_host(LbState *state, JsonNode *node, const char *where, GError **error)
{
    LbHost *host = lb_state_add_host(state, "", "");
    JsonArray *vms;

    if (!read_object(host_members, node, host, where, &vms, error)) {
        return FALSE;
    }
    if (!host->name) {
        return wrong(error, where, "name", _("a text"));
    }
    if (!host->uuid) {
        host->uuid = g_strdup("");
    }
    for (guint i = 0; vms && i < json_array_get_length(vms); i++) {
        g_autofree char *place = g_strdup_printf("%s.vms[%u]", where, i);

        if (!read_vm(host, json_array_get_element(vms, i), place, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

LbState *
lb_state_from_json(JsonNode *root, LbPolicy *policy, GError **error)
{
    g_autoptr(LbState) state = lb_state_new();
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    Top top = {.threshold_percent = policy->threshold * 100,
               .margin_points = policy->margin * 100,
               .policy = *policy};
    JsonArray *hosts;

    if (!read_object(top_members, root, &top, "state", &hosts, error)) {
        return NULL;
    }
    for (guint i = 0; i < json_array_get_length(hosts); i++) {
        g_autofree char *place = g_strdup_printf("hosts[%u]", i);

        if (!read_host(state, json_array_get_element(hosts, i), place, error)) {
            return NULL;
        }
        if (!g_hash_table_add(names, lb_state_host(state, i)->name)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: there is another host named '%2$s'"), place,
                        lb_state_host(state, i)->name);
            return NULL;
        }
    }
    *policy = top.policy;
    policy->threshold = top.threshold_percent / 100;
    policy->margin = top.margin_points / 100;
    return g_steal_pointer(&state);
}

/* Writing */

static void
add_text(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    if (!text) {
        json_builder_add_null_value(builder);
    } else if (g_utf8_validate(text, -1, NULL)) {
        json_builder_add_string_value(builder, text);
    } else {
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        json_builder_add_string_value(builder, valid);
    }
}

static void
add_number(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_double_value(builder, value);
}

static void
add_whole(JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)MIN(value, (guint64)G_MAXINT64));
}

static void
add_texts(JsonBuilder *builder, const char *name, char *const *texts)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (gsize i = 0; texts && texts[i]; i++) {
        json_builder_add_string_value(builder, texts[i]);
    }
    json_builder_end_array(builder);
}

static void
write_members(const Member *members, gconstpointer source, JsonBuilder *builder)
{
    for (const Member *member = members; member->name; member++) {
        gconstpointer field = (const char *)source + member->offset;

        switch (member->type) {
        case MEMBER_TEXT:
            add_text(builder, member->name, *(char *const *)field);
            break;
        case MEMBER_BOOL:
            json_builder_set_member_name(builder, member->name);
            json_builder_add_boolean_value(builder, *(const gboolean *)field);
            break;
        case MEMBER_NUMBER:
            add_number(builder, member->name, *(const double *)field);
            break;
        case MEMBER_UINT:
            add_whole(builder, member->name, *(const guint *)field);
            break;
        case MEMBER_BYTES:
            add_whole(builder, member->name, *(const guint64 *)field);
            break;
        case MEMBER_TEXTS:
            add_texts(builder, member->name, *(char **const *)field);
            break;
        case MEMBER_STATUS:
            add_text(builder, member->name, status_names[*(const LbHostStatus *)field]);
            break;
        case MEMBER_GROUP_POLICY:
            add_text(builder, member->name, group_policy_names[*(const LbGroupPolicy *)field]);
            break;
        default:
            break;
        }
    }
}

static void
write_host(const LbState *state, guint index, const LbPlan *plan, const LbPolicy *policy,
           JsonBuilder *builder)
{
    const LbHost *host = lb_state_host(state, index);
    const LbVerdict *verdict = &g_array_index(plan->verdicts, LbVerdict, index);
    g_autofree char *explanation = lb_verdict_explain(plan, state, policy, index);

    json_builder_begin_object(builder);
    write_members(host_members, host, builder);
    add_number(builder, "load", verdict->load);
    add_whole(builder, "running", verdict->n_running);
    add_text(builder, "verdict", lb_reason_name(verdict->reason));
    add_text(builder, "explanation", explanation);
    json_builder_set_member_name(builder, "vms");
    json_builder_begin_array(builder);
    for (guint i = 0; i < host->vms->len; i++) {
        json_builder_begin_object(builder);
        write_members(vm_members, lb_host_vm(host, i), builder);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

void
lb_state_to_json(const LbState *state, const LbPlan *plan, const LbPolicy *policy,
                 JsonBuilder *builder)
{
    const Top top = {.threshold_percent = policy->threshold * 100,
                     .margin_points = policy->margin * 100,
                     .policy = *policy};

    write_members(top_members, &top, builder);
    json_builder_set_member_name(builder, "hosts");
    json_builder_begin_array(builder);
    for (guint i = 0; i < state->hosts->len; i++) {
        write_host(state, i, plan, policy, builder);
    }
    json_builder_end_array(builder);
}

static void
write_candidates(const GArray *candidates, const LbState *state, const LbPolicy *policy,
                 JsonBuilder *builder)
{
    json_builder_begin_array(builder);
    for (guint i = 0; i < candidates->len; i++) {
        const LbCandidate *candidate = &g_array_index(candidates, LbCandidate, i);
        const LbHost *source = lb_state_host(state, candidate->source);
        const LbVm *vm = lb_host_vm(source, candidate->vm);
        g_autofree char *explanation = lb_candidate_explain(candidate, state, policy);

        json_builder_begin_object(builder);
        add_text(builder, "vm", vm->name);
        add_text(builder, "uuid", vm->uuid);
        add_text(builder, "source", source->name);
        add_text(builder, "target",
                 candidate->target == LB_NO_HOST ? NULL
                                                 : lb_state_host(state, candidate->target)->name);
        add_text(builder, "reason", lb_reason_name(candidate->reason));
        add_number(builder, "source_load_after", candidate->source_after);
        if (candidate->target != LB_NO_HOST) {
            add_number(builder, "target_load_after", candidate->target_after);
            add_number(builder, "target_load_forecast", candidate->target_forecast);
        }
        add_text(builder, "explanation", explanation);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

void
lb_plan_to_json(const LbPlan *plan, const LbState *state, const LbPolicy *policy,
                JsonBuilder *builder)
{
    g_autofree char *explanation = lb_plan_explain(plan, state, policy);

    add_text(builder, "outcome", lb_reason_name(plan->outcome));
    add_text(builder, "explanation", explanation);
    json_builder_set_member_name(builder, "candidates");
    write_candidates(plan->candidates, state, policy, builder);
    json_builder_set_member_name(builder, "moves");
    write_candidates(plan->moves, state, policy, builder);
}
