/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resolution: for each root field of each extension, the values of all sources in order of rank,
 * the best first. A wrong value is an error wherever it stands, also where another source would
 * have won: else it would bite when that other source goes away.
 */
#include "common/xml/settings_priv.h"

#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

#define NOVA_KEY_PREFIX "gantry:"

struct GantrySettings {
    GPtrArray *features; /* of GantryFeatureSettings, in the order of the extensions */
};

static GPtrArray *read_extra_specs(const GantryExtension *const *extensions, GantryXml *domain,
                                   GError **error);
static GantryFeatureSettings *resolve_feature(const GantryExtension *extension, GantryXml *domain,
                                              GantryElement *element, const GPtrArray *extra_specs,
                                              const GPtrArray *policies);
static gboolean validate_feature(const GantryFeatureSettings *feature, GantryXml *domain,
                                 GError **error);

const char *
gantry_source_name(GantrySource source)
{
    static const char *const names[] = {"default", "policy", "nova", "metadata"};

    return names[source];
}

static void
provenance_free(gpointer data)
{
    GantryProvenance *provenance = data;

    g_free(provenance->value);
    g_free(provenance->origin);
    g_free(provenance);
}

static void
setting_free(gpointer data)
{
    GantrySetting *setting = data;

    g_ptr_array_unref(setting->origins);
    g_free(setting);
}

static void
feature_free(gpointer data)
{
    GantryFeatureSettings *feature = data;

    gantry_element_free(feature->element);
    g_ptr_array_unref(feature->settings);
    g_free(feature);
}

void
gantry_key_value_free(GantryKeyValue *pair)
{
    g_free(pair->value);
    g_free(pair->origin);
    g_free(pair);
}

GantrySettings *
gantry_settings_resolve(const GantryExtension *const *extensions, GantryXml *domain,
                        const GantryPolicy *policy, GError **error)
{
    g_auto(GantryDomainIdentity) identity = {0};
    g_autoptr(GantrySettings) settings = g_new0(GantrySettings, 1);
    g_autoptr(GPtrArray) extra_specs = NULL;
    g_autoptr(GPtrArray) policies = NULL;

    settings->features = g_ptr_array_new_with_free_func(feature_free);
    if (!gantry_domain_identity_read(domain, &identity, error)) {
        return NULL;
    }
    extra_specs = read_extra_specs(extensions, domain, error);
    if (!extra_specs) {
        return NULL;
    }
    policies = policy ? gantry_policy_match(policy, &identity) : g_ptr_array_new();

    for (const GantryExtension *const *e = extensions; *e; e++) {
        g_autoptr(GantryElement) element = NULL;
        GantryFeatureSettings *feature;

        if (!gantry_extension_find(extensions, *e, domain, &element, error)) {
            return NULL;
        }
        feature = resolve_feature(*e, domain, element, extra_specs, policies);
        g_ptr_array_add(settings->features, feature);
        if (feature->enabled && (*e)->validate && !validate_feature(feature, domain, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&settings);
}

void
gantry_settings_free(GantrySettings *settings)
{
    if (settings) {
        g_ptr_array_unref(settings->features);
        g_free(settings);
    }
}

const GantryFeatureSettings *
gantry_settings_get(const GantrySettings *settings, const char *feature)
{
    for (guint i = 0; i < settings->features->len; i++) {
        const GantryFeatureSettings *found = settings->features->pdata[i];

        if (g_str_equal(found->extension->feature, feature)) {
            return found;
        }
    }
    g_return_val_if_reached(NULL);
}

/* "balance.max_downtime": the settings key of a field. */
static char *
field_key(const GantryExtension *extension, const GantryField *field)
{
    g_autofree char *name = g_strdelimit(g_strdup(field->name), "-", '_');

    return g_strdup_printf("%s.%s", extension->feature, name);
}

GantryKeyValue *
gantry_key_value_parse(const GantryExtension *const *extensions, const char *key, const char *text,
                       const char *where, const char *origin, GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *excerpt = NULL;
    const char *nearest;

    for (const GantryExtension *const *e = extensions; *e; e++) {
        for (const GantryField *field = (*e)->root->fields; field && field->name; field++) {
            g_autofree char *field_name = field_key(*e, field);
            g_autofree char *value_where = NULL;
            g_autofree char *value = NULL;
            GantryKeyValue *pair;

            if (!g_str_equal(field_name, key)) {
                g_ptr_array_add(known, g_steal_pointer(&field_name));
                continue;
            }
            value_where = g_strdup_printf("%s: %s", where, key);
            value = gantry_field_canonical(field, text, value_where, error);
            if (!value) {
                return NULL;
            }
            pair = g_new0(GantryKeyValue, 1);
            pair->extension = *e;
            pair->field = field;
            pair->value = g_steal_pointer(&value);
            pair->origin = g_strdup(origin);
            return pair;
        }
    }
    excerpt = gantry_excerpt(key);
    g_ptr_array_add(known, NULL);
    nearest = gantry_nearest_word(key, (const char *const *)known->pdata);
    if (nearest) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: unknown key '%2$s'; did you mean '%3$s'?"), where, excerpt, nearest);
    } else {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: unknown key '%2$s'; gantry(7) lists the keys"), where, excerpt);
    }
    return NULL;
}

/* Whether the last pair's field is also another's. */
static gboolean
gives_twice(const GPtrArray *pairs)
{
    const GantryKeyValue *last = pairs->pdata[pairs->len - 1];

    for (guint i = 0; i + 1 < pairs->len; i++) {
        if (((const GantryKeyValue *)pairs->pdata[i])->field == last->field) {
            return TRUE;
        }
    }
    return FALSE;
}

/* The "gantry:" extra specs of the flavor that Nova (32 and later) wrote into the domain. */
static GPtrArray *
read_extra_specs(const GantryExtension *const *extensions, GantryXml *domain, GError **error)
{
    g_autoptr(GPtrArray) pairs =
        g_ptr_array_new_with_free_func((GDestroyNotify)gantry_key_value_free);
    const char *uri = NULL;
    const xmlNode *node = gantry_nova_instance(domain, &uri);

    node = node ? gantry_xml_next_child(node, NULL, uri, "flavor") : NULL;
    node = node ? gantry_xml_next_child(node, NULL, uri, "extraSpecs") : NULL;
    for (const xmlNode *spec = node ? gantry_xml_next_child(node, NULL, uri, "extraSpec") : NULL;
         spec; spec = gantry_xml_next_child(node, spec, uri, "extraSpec")) {
        g_autofree char *name = gantry_xml_attribute(spec, "name");
        g_autofree char *text = gantry_xml_content(spec);
        g_autofree char *excerpt = NULL;
        g_autofree char *where = NULL;
        g_autofree char *origin = NULL;
        GantryKeyValue *pair;

        if (!name || !g_str_has_prefix(name, NOVA_KEY_PREFIX)) {
            continue;
        }
        excerpt = gantry_excerpt(name);
        where = g_strdup_printf(_("%1$s:%2$d: Nova extra spec %3$s"), gantry_xml_name(domain),
                                gantry_xml_line(domain, spec), excerpt);
        origin = g_strdup_printf(_("extra spec %s"), excerpt);
        pair = gantry_key_value_parse(extensions, name + strlen(NOVA_KEY_PREFIX), text, where,
                                      origin, error);
        if (!pair) {
            return NULL;
        }
        g_ptr_array_add(pairs, pair);
        if (gives_twice(pairs)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%s: stands there twice"),
                        where);
            return NULL;
        }
    }
    return g_steal_pointer(&pairs);
}

static void
add_origin(GantrySetting *setting, GantrySource source, const char *value, const char *origin)
{
    GantryProvenance *provenance = g_new0(GantryProvenance, 1);

    provenance->source = source;
    provenance->value = g_strdup(value);
    provenance->origin = g_strdup(origin);
    g_ptr_array_add(setting->origins, provenance);
}

/* Of pairs for one field, the last wins, so they are added from the end. */
static void
add_pairs(GantrySetting *setting, GantrySource source, const GPtrArray *pairs)
{
    for (guint i = pairs->len; i > 0; i--) {
        const GantryKeyValue *pair = pairs->pdata[i - 1];

        if (pair->field == setting->field) {
            add_origin(setting, source, pair->value, pair->origin);
        }
    }
}

static GantryFeatureSettings *
resolve_feature(const GantryExtension *extension, GantryXml *domain, GantryElement *element,
                const GPtrArray *extra_specs, const GPtrArray *policies)
{
    GantryFeatureSettings *feature = g_new0(GantryFeatureSettings, 1);

    feature->extension = extension;
    feature->enabled = element != NULL;
    feature->element = element ? gantry_element_copy(element) : gantry_element_new(extension->root);
    feature->settings = g_ptr_array_new_with_free_func(setting_free);

    for (guint i = 0; extension->root->fields && extension->root->fields[i].name; i++) {
        GantrySetting *setting = g_new0(GantrySetting, 1);

        setting->field = &extension->root->fields[i];
        setting->origins = g_ptr_array_new_with_free_func(provenance_free);
        if (element && element->values[i]) {
            g_autofree char *origin =
                g_strdup_printf("%s:%d", gantry_xml_name(domain), element->line);

            add_origin(setting, GANTRY_SOURCE_METADATA, element->values[i], origin);
        }
        add_pairs(setting, GANTRY_SOURCE_NOVA, extra_specs);
        add_pairs(setting, GANTRY_SOURCE_POLICY, policies);
        if (setting->origins->len > 0) {
            const GantryProvenance *winner = setting->origins->pdata[0];

            feature->enabled = TRUE;
            setting->value = winner->value;
            gantry_element_set(feature->element, setting->field->name, winner->value);
        } else {
            setting->value = setting->field->fallback;
        }
        g_ptr_array_add(feature->settings, setting);
    }
    return feature;
}

/* "group='web' by extra spec gantry:balance.group, ..." for what does not stand in the metadata;
 * NULL if all does. */
static char *
settings_from_elsewhere(const GantryFeatureSettings *feature)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < feature->settings->len; i++) {
        const GantrySetting *setting = feature->settings->pdata[i];
        const GantryProvenance *winner =
            setting->origins->len > 0 ? setting->origins->pdata[0] : NULL;

        if (winner && winner->source != GANTRY_SOURCE_METADATA) {
            g_ptr_array_add(parts, g_strdup_printf(_("%1$s='%2$s' by %3$s"), setting->field->name,
                                                   winner->value, winner->origin));
        }
    }
    g_ptr_array_add(parts, NULL);
    return parts->len > 1 ? g_strjoinv(", ", (char **)parts->pdata) : NULL;
}

/* What is in conflict may stand in several places, so the message names those that the element's
 * line does not. */
static gboolean
validate_feature(const GantryFeatureSettings *feature, GantryXml *domain, GError **error)
{
    const GantryExtension *extension = feature->extension;
    g_autofree char *where = feature->element->line > 0
                                 ? g_strdup_printf("%s:%d: <%s>", gantry_xml_name(domain),
                                                   feature->element->line, extension->root->name)
                                 : g_strdup_printf(_("%1$s: settings of '%2$s'"),
                                                   gantry_xml_name(domain), extension->feature);
    g_autofree char *elsewhere = NULL;
    g_autoptr(GError) conflict = NULL;

    if (extension->validate(feature->element, where, &conflict)) {
        return TRUE;
    }
    elsewhere = settings_from_elsewhere(feature);
    if (elsewhere) {
        g_set_error(error, conflict->domain, conflict->code, "%s (%s)", conflict->message,
                    elsewhere);
    } else {
        g_propagate_error(error, g_steal_pointer(&conflict));
    }
    return FALSE;
}
