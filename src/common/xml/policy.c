/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policy files: rules with conditions on who the domain is, and FEATURE.KEY settings. All files are
 * read and checked as a whole, so that a wrong key is found when any domain starts, not only when
 * its rule happens to match.
 */
#include "common/xml/settings_priv.h"

#include <fnmatch.h>
#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"

#define MAX_FILES      1000
#define MAX_RULES      1000
#define SECTION_PREFIX "policy "
#define MATCH_PREFIX   "match_"

/* In the order of the members of Rule.patterns. */
static const char *const match_keys[] = {"match_flavor", "match_project", "match_instance",
                                         "match_domain", NULL};

typedef struct {
    char *patterns[G_N_ELEMENTS(match_keys) - 1]; /* NULL: not given */
    GPtrArray *pairs;                             /* of GantryKeyValue */
} Rule;

struct GantryPolicy {
    GPtrArray *rules; /* of Rule, in the order of files and sections */
};

static gboolean load_file(GantryPolicy *policy, const char *path,
                          const GantryExtension *const *extensions, GError **error);
static Rule *load_rule(GKeyFile *file, const char *path, const char *section,
                       const GantryExtension *const *extensions, GError **error);

static void
rule_free(gpointer data)
{
    Rule *rule = data;

    for (guint i = 0; i < G_N_ELEMENTS(rule->patterns); i++) {
        g_free(rule->patterns[i]);
    }
    g_ptr_array_unref(rule->pairs);
    g_free(rule);
}

GantryPolicy *
gantry_policy_load(const char *directory, const GantryExtension *const *extensions, GError **error)
{
    g_auto(GStrv) paths = gantry_config_drop_ins(directory, error);
    g_autoptr(GantryPolicy) policy = NULL;

    if (!paths) {
        return NULL;
    }
    if (g_strv_length(paths) > MAX_FILES) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                    _("%1$s: %2$u files; at most %3$d are read"), directory, g_strv_length(paths),
                    MAX_FILES);
        return NULL;
    }
    policy = g_new0(GantryPolicy, 1);
    policy->rules = g_ptr_array_new_with_free_func(rule_free);
    for (char **path = paths; *path; path++) {
        if (!load_file(policy, *path, extensions, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&policy);
}

void
gantry_policy_free(GantryPolicy *policy)
{
    if (policy) {
        g_ptr_array_unref(policy->rules);
        g_free(policy);
    }
}

static gboolean
rule_matches(const Rule *rule, const GantryDomainIdentity *identity)
{
    const char *const values[] = {identity->flavor, identity->project, identity->uuid,
                                  identity->name};

    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        /* What the domain does not have matches no pattern, not even "*". */
        if (rule->patterns[i] &&
            (*values[i] == '\0' || fnmatch(rule->patterns[i], values[i], FNM_NOESCAPE) != 0)) {
            return FALSE;
        }
    }
    return TRUE;
}

GPtrArray *
gantry_policy_match(const GantryPolicy *policy, const GantryDomainIdentity *identity)
{
    GPtrArray *pairs = g_ptr_array_new();

    for (guint i = 0; i < policy->rules->len; i++) {
        const Rule *rule = policy->rules->pdata[i];

        if (rule_matches(rule, identity)) {
            g_ptr_array_extend(pairs, rule->pairs, NULL, NULL);
        }
    }
    return pairs;
}

static gboolean
load_file(GantryPolicy *policy, const char *path, const GantryExtension *const *extensions,
          GError **error)
{
    g_autoptr(GKeyFile) file = gantry_key_file_load(path, error);
    g_auto(GStrv) sections = NULL;

    if (!file) {
        return FALSE;
    }
    sections = g_key_file_get_groups(file, NULL);
    for (char **section = sections; *section; section++) {
        Rule *rule;

        if (policy->rules->len >= MAX_RULES) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                        _("%1$s: [%2$s]: more than %3$d policies"), path, *section, MAX_RULES);
            return FALSE;
        }
        rule = load_rule(file, path, *section, extensions, error);
        if (!rule) {
            return FALSE;
        }
        g_ptr_array_add(policy->rules, rule);
    }
    return TRUE;
}

/* What fnmatch() would take as it is, and match with nothing that the writer meant. */
static gboolean
check_pattern(const char *pattern, const char *where, const char *key, GError **error)
{
    const char *problem = NULL;

    if (strchr(pattern, '"')) {
        problem = _("no quotes are needed, nor can a name have them");
    }
    for (const char *c = strchr(pattern, '['); c && !problem; c = strchr(c, '[')) {
        const char *first = c[1] == '!' ? c + 2 : c + 1; /* a ']' here stands for itself */

        c = *first ? strchr(first + 1, ']') : NULL;
        if (!c) {
            problem = _("'[' has no ']'");
            break;
        }
    }
    if (problem) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%1$s: %2$s=%3$s: %4$s"), where,
                    key, pattern, problem);
        return FALSE;
    }
    return TRUE;
}

static Rule *
load_rule(GKeyFile *file, const char *path, const char *section,
          const GantryExtension *const *extensions, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, section, NULL, NULL);
    g_autofree char *where = g_strdup_printf("%s: [%s]", path, section);
    g_autofree char *origin = g_strdup_printf("%s [%s]", path, section);
    Rule *rule;
    gboolean conditional = FALSE;

    if (!g_str_has_prefix(section, SECTION_PREFIX) || section[strlen(SECTION_PREFIX)] == '\0') {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%s: unknown section; a policy's is [policy NAME]"), where);
        return NULL;
    }
    rule = g_new0(Rule, 1);
    rule->pairs = g_ptr_array_new_with_free_func((GDestroyNotify)gantry_key_value_free);
    for (char **key = keys; *key; key++) {
        g_autofree char *text = g_key_file_get_value(file, section, *key, NULL);
        GantryKeyValue *pair;
        guint match = 0;

        while (match_keys[match] && !g_str_equal(match_keys[match], *key)) {
            match++;
        }
        if (match_keys[match]) {
            if (!check_pattern(text, where, *key, error)) {
                rule_free(rule);
                return NULL;
            }
            rule->patterns[match] = g_steal_pointer(&text);
            conditional = TRUE;
            continue;
        }
        if (g_str_has_prefix(*key, MATCH_PREFIX)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: unknown key '%2$s' (known: match_flavor, match_project, "
                          "match_instance, match_domain, and FEATURE.KEY)"),
                        where, *key);
            rule_free(rule);
            return NULL;
        }
        pair = gantry_key_value_parse(extensions, *key, text, where, origin, error);
        if (!pair) {
            rule_free(rule);
            return NULL;
        }
        g_ptr_array_add(rule->pairs, pair);
    }
    if (!conditional) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%s: no match_flavor, match_project, match_instance or match_domain; to "
                      "match every domain write match_domain=*"),
                    where);
        rule_free(rule);
        return NULL;
    }
    return rule;
}
