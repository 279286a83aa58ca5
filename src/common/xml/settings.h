/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/extension.h"

/**
 * One way for settings. For each field, the first source that gives it wins:
 *   1. the extension's element in the domain's <metadata>;
 *   2. "gantry:FEATURE.KEY" in Nova's flavor extra specs inside the domain XML (Nova 32 and later
 * write them);
 *   3. files in policy.d, matched by Nova flavor name, project, instance uuid, or domain name
 * (later files and sections win);
 *   4. the field's default.
 * A feature is on for a domain if one of 1 to 3 gives anything of it. What was overruled stays
 * known, for `gantry explain`.
 */
typedef enum {
    GANTRY_SOURCE_DEFAULT,
    GANTRY_SOURCE_POLICY,
    GANTRY_SOURCE_NOVA,
    GANTRY_SOURCE_METADATA,
} GantrySource;

const char *gantry_source_name(GantrySource source); /* "default", "policy", "nova", "metadata" */

/* Who the domain is, as policies match it. Strings are never NULL, "" where unknown. */
typedef struct {
    char *name;
    char *uuid;
    char *flavor;  /* Nova flavor name */
    char *project; /* Nova project uuid */
    gboolean nova; /* has a nova:instance: it may be moved through Nova's API only */
} GantryDomainIdentity;

gboolean gantry_domain_identity_read(GantryXml *domain, GantryDomainIdentity *ret_identity,
                                     GError **error);
void gantry_domain_identity_clear(GantryDomainIdentity *identity);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GantryDomainIdentity, gantry_domain_identity_clear)

/* The policy files, read and checked. */
typedef struct GantryPolicy GantryPolicy;

/**
 * gantry_policy_load:
 * @directory: e.g. "/etc/gantry/policy.d"; absent or empty is fine
 *
 * A file holds sections "[policy NAME]". Keys match_flavor, match_project, match_instance,
 * match_domain (shell patterns; all that are given must match; at least one must be given; what a
 * domain does not have, as a flavor without Nova, matches nothing) and FEATURE.KEY. At most 1000
 * files and 1000 sections (GANTRY_ERROR_LIMIT). Unknown keys and bad values: GANTRY_ERROR_INVALID
 * naming file, section and key.
 */
GantryPolicy *gantry_policy_load(const char *directory, const GantryExtension *const *extensions,
                                 GError **error);
void gantry_policy_free(GantryPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryPolicy, gantry_policy_free)

typedef struct {
    GantrySource source;
    char *value;  /* canonical */
    char *origin; /* for people: "dom.xml:12", "extra spec gantry:balance.priority",
                     "/etc/gantry/policy.d/50-gold.conf [policy gold]" */
} GantryProvenance;

typedef struct {
    const GantryField *field;
    const char *value;  /* effective, canonical; NULL: unset */
    GPtrArray *origins; /* of GantryProvenance, the winner first, then what it overruled; empty: the
                           default */
} GantrySetting;

typedef struct {
    const GantryExtension *extension;
    gboolean enabled;
    GantryElement *
        element; /* effective: resolved root fields, children of the metadata element; never NULL */
    GPtrArray *settings; /* of GantrySetting, one a root field, in table order */
} GantryFeatureSettings;

typedef struct GantrySettings GantrySettings;

/**
 * gantry_settings_resolve:
 * @policy: (nullable)
 *
 * Reads, resolves, and calls each enabled extension's validate(). Returns NULL with the first
 * error.
 */
GantrySettings *gantry_settings_resolve(const GantryExtension *const *extensions, GantryXml *domain,
                                        const GantryPolicy *policy, GError **error);
void gantry_settings_free(GantrySettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantrySettings, gantry_settings_free)

/* Never NULL for a listed feature; look at ->enabled. */
const GantryFeatureSettings *gantry_settings_get(const GantrySettings *settings,
                                                 const char *feature);
