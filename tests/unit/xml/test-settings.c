/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings and where they come from, as far as the golden files do not show it: limits, what the
 * functions promise their callers, and extensions made for the test.
 */
#include <string.h>

#include "common/base/error.h"
#include "common/xml/settings_priv.h"
#include "extensions/extensions.h"
#include "scratch.h"

#define ROOT(inside) "<domain><name>d</name><metadata>" inside "</metadata></domain>"

static GantryXml *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    GantryXml *xml = gantry_xml_parse(text, strlen(text), "dom.xml", &error);

    g_assert_no_error(error);
    return xml;
}

static GantryPolicy *
load_policy(const char *text)
{
    char *folder = scratch_new();
    g_autoptr(GError) error = NULL;
    GantryPolicy *policy;

    scratch_write(folder, "10.conf", text);
    policy = gantry_policy_load(folder, gantry_extensions, &error);
    scratch_remove(folder);
    g_assert_no_error(error);
    return policy;
}

/* Whether the policy's one rule is for a domain. */
static gboolean
matches(const char *condition, const char *domain)
{
    g_autofree char *text = g_strdup_printf("[policy x]\n%s\nbalance.priority=1\n", condition);
    g_autoptr(GantryPolicy) policy = load_policy(text);
    g_autoptr(GantryXml) xml = parse(domain);
    g_auto(GantryDomainIdentity) identity = {0};
    g_autoptr(GPtrArray) pairs = NULL;

    g_assert_true(gantry_domain_identity_read(xml, &identity, NULL));
    pairs = gantry_policy_match(policy, &identity);
    return pairs->len == 1;
}

static const char nova_domain[] =
    "<domain><name>instance-00000001</name><uuid>5f1f1c2a-7d1c-4b5e-9b3f-0a1b2c3d4e5f</uuid>"
    "<metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'>"
    "<n:flavor name='gold.large'/><n:owner><n:project uuid='p1'/></n:owner></n:instance>"
    "</metadata></domain>";
static const char plain_domain[] = "<domain><name>web-1</name></domain>";

static void
test_match(void)
{
    g_assert_true(matches("match_domain=*", plain_domain));
    g_assert_true(matches("match_domain=web-[0-9]", plain_domain));
    g_assert_true(matches("match_domain=web-1", plain_domain));
    g_assert_false(matches("match_domain=web", plain_domain));
    g_assert_false(matches("match_domain=WEB-1", plain_domain));
    g_assert_true(matches("match_flavor=gold*", nova_domain));
    g_assert_true(matches("match_project=p1", nova_domain));
    g_assert_true(matches("match_instance=5f1f1c2a-*", nova_domain));
    g_assert_true(matches("match_flavor=gold*\nmatch_project=p?", nova_domain));
    g_assert_false(matches("match_flavor=gold*\nmatch_project=p2", nova_domain));
    /* What a domain does not have matches nothing. */
    g_assert_false(matches("match_flavor=*", plain_domain));
    g_assert_false(matches("match_project=*", plain_domain));
    g_assert_false(matches("match_instance=*", plain_domain));
    g_assert_false(matches("match_domain=*\nmatch_flavor=*", plain_domain));
    g_assert_false(matches("match_domain=", plain_domain));
}

static void
test_no_policies(void)
{
    char *folder = scratch_new();
    g_autofree char *absent = g_build_filename(folder, "absent", NULL);
    const char *const folders[] = {folder, absent};

    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GantryPolicy) policy = gantry_policy_load(folders[i], gantry_extensions, &error);
        g_autoptr(GantryXml) xml = parse(plain_domain);
        g_autoptr(GantrySettings) settings = NULL;

        g_assert_no_error(error);
        settings = gantry_settings_resolve(gantry_extensions, xml, policy, &error);
        g_assert_no_error(error);
        g_assert_false(gantry_settings_get(settings, "balance")->enabled);
    }
    scratch_remove(folder);
}

static char *
many_sections(guint count)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < count; i++) {
        g_string_append_printf(text, "[policy p%u]\nmatch_domain=*\nbalance.priority=%u\n", i,
                               i % 101);
    }
    return g_string_free(text, FALSE);
}

static void
check_limit(const char *folder, gboolean fits)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryPolicy) policy = gantry_policy_load(folder, gantry_extensions, &error);

    if (fits) {
        g_assert_no_error(error);
    } else {
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
        g_assert_null(policy);
    }
}

static void
test_limits(void)
{
    char *folder = scratch_new();
    g_autofree char *first = many_sections(999);

    scratch_write(folder, "10.conf", first);
    scratch_write(folder, "20.conf", "[policy last]\nmatch_domain=*\n");
    check_limit(folder, TRUE);
    scratch_write(folder, "30.conf", "[policy more]\nmatch_domain=*\n");
    check_limit(folder, FALSE);
    scratch_remove(folder);

    folder = scratch_new();
    for (guint i = 0; i < 1000; i++) {
        g_autofree char *name = g_strdup_printf("%u.conf", i);

        scratch_write(folder, name, "");
    }
    check_limit(folder, TRUE);
    scratch_write(folder, "more.conf", "");
    check_limit(folder, FALSE);
    scratch_remove(folder);
}

/* The winner first, then what it overruled, by rank. */
static void
test_origins(void)
{
    g_autoptr(GantryXml) xml = parse(
        "<domain><name>d</name>\n<metadata>\n"
        "<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.0'><n:flavor name='f'>"
        "<n:extraSpecs><n:extraSpec name='gantry:balance.priority'>02</n:extraSpec>"
        "</n:extraSpecs></n:flavor></n:instance>\n"
        "<balance xmlns='urn:gantry:balance:1'\n priority='1'/></metadata></domain>");
    g_autoptr(GantryPolicy) policy =
        load_policy("[policy a]\nmatch_flavor=f\nbalance.priority=4\n"
                    "[policy b]\nmatch_domain=d\nbalance.priority=3\nioq.required=yes\n");
    static const GantrySource sources[] = {GANTRY_SOURCE_METADATA, GANTRY_SOURCE_NOVA,
                                           GANTRY_SOURCE_POLICY, GANTRY_SOURCE_POLICY};
    static const char *const origins[] = {"dom.xml:4", "extra spec gantry:balance.priority",
                                          "/10.conf [policy b]", "/10.conf [policy a]"};
    g_autoptr(GError) error = NULL;
    g_autoptr(GantrySettings) settings =
        gantry_settings_resolve(gantry_extensions, xml, policy, &error);
    const GantryFeatureSettings *balance;
    const GantrySetting *priority;

    g_assert_no_error(error);
    balance = gantry_settings_get(settings, "balance");
    priority = balance->settings->pdata[1];
    g_assert_cmpstr(priority->field->name, ==, "priority");
    g_assert_cmpstr(priority->value, ==, "1");
    g_assert_cmpuint(priority->origins->len, ==, 4);
    for (guint i = 0; i < 4; i++) {
        const GantryProvenance *origin = priority->origins->pdata[i];
        g_autofree char *value = g_strdup_printf("%u", i + 1);

        g_assert_cmpint(origin->source, ==, sources[i]);
        g_assert_cmpstr(origin->value, ==, value);
        g_assert_true(g_str_has_suffix(origin->origin, origins[i]));
    }
    g_assert_true(gantry_settings_get(settings, "ioq")->enabled);
    g_assert_true(gantry_element_bool(gantry_settings_get(settings, "ioq")->element, "required"));
    g_assert_false(gantry_settings_get(settings, "standby")->enabled);
    /* Off, but asked all the same: the defaults. */
    g_assert_cmpuint(
        gantry_element_uint(gantry_settings_get(settings, "standby")->element, "refresh"), ==,
        3600);
}

static void
test_identity(void)
{
    g_autoptr(GantryXml) nova = parse(nova_domain);
    g_autoptr(GantryXml) plain = parse("<domain><name>\n a&amp;b </name></domain>");
    g_autoptr(GantryXml) other = parse("<domain xmlns='urn:x'/>");
    g_auto(GantryDomainIdentity) identity = {0};
    g_auto(GantryDomainIdentity) plain_identity = {0};
    g_auto(GantryDomainIdentity) none = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(gantry_domain_identity_read(nova, &identity, &error));
    g_assert_cmpstr(identity.name, ==, "instance-00000001");
    g_assert_cmpstr(identity.uuid, ==, "5f1f1c2a-7d1c-4b5e-9b3f-0a1b2c3d4e5f");
    g_assert_cmpstr(identity.flavor, ==, "gold.large");
    g_assert_cmpstr(identity.project, ==, "p1");
    g_assert_true(identity.nova);
    g_assert_true(gantry_domain_identity_read(plain, &plain_identity, &error));
    g_assert_cmpstr(plain_identity.name, ==, "a&b");
    g_assert_cmpstr(plain_identity.uuid, ==, "");
    g_assert_cmpstr(plain_identity.flavor, ==, "");
    g_assert_cmpstr(plain_identity.project, ==, "");
    g_assert_false(plain_identity.nova);
    g_assert_false(gantry_domain_identity_read(other, &none, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_null(none.name);
}

/* A table without a schema's limits: what only RELAX NG refuses is reported, too. */
static void
test_schema_has_the_last_word(void)
{
    static const GantryField loose_fields[] = {
        {.name = "movable", .type = GANTRY_FIELD_TEXT, .summary = ""}, GANTRY_FIELD_END};
    static const GantryElementSpec loose_root = {.name = "balance", .fields = loose_fields};
    static const GantryExtension loose = {
        .feature = "balance", .uri = "urn:gantry:balance:1", .root = &loose_root};
    static const GantryExtension *const extensions[] = {&loose, NULL};
    g_autoptr(GantryXml) good =
        parse(ROOT("<balance xmlns='urn:gantry:balance:1' movable='yes'/>"));
    g_autoptr(GantryXml) bad =
        parse(ROOT("\n<balance xmlns='urn:gantry:balance:1' movable='maybe'/>"));
    g_autoptr(GantryElement) element = NULL;
    g_autoptr(GantryElement) none = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(gantry_extension_find(extensions, &loose, good, &element, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(gantry_element_string(element, "movable"), ==, "yes");
    g_assert_false(gantry_extension_find(extensions, &loose, bad, &none, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_true(g_str_has_prefix(
        error->message, "dom.xml:2: <balance>: does not match the schema balance.rng: "));
    g_assert_null(none);
}

/* Only what stands directly in the domain's metadata counts. */
static void
test_elsewhere(void)
{
    static const char *const texts[] = {
        "<domain/>",
        "<domain><metadata/></domain>",
        "<domain><devices><balance xmlns='urn:gantry:balance:1'/></devices></domain>",
        "<domain><balance xmlns='urn:gantry:balance:2'/></domain>",
        ROOT("<o:x xmlns:o='urn:o'><balance xmlns='urn:gantry:balance:2'/></o:x>"),
        ROOT("<balance/>"),
        ROOT("<balance xmlns='urn:gantryx'/>"),
        ROOT("<!-- <balance xmlns='urn:gantry:balance:1'/> -->"),
        ("<domain><metadata xmlns='urn:o'><balance "
         "xmlns='urn:gantry:balance:1'/></metadata></domain>"),
    };
    const GantryExtension *balance = gantry_extension_by_feature(gantry_extensions, "balance");

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GantryXml) xml = parse(texts[i]);
        GantryElement *element = (GantryElement *)0x1;
        g_autoptr(GError) error = NULL;

        g_assert_true(gantry_extension_find(gantry_extensions, balance, xml, &element, &error));
        g_assert_no_error(error);
        g_assert_null(element);
    }
}

/* Another feature's mistake is found whichever feature is asked for. */
static void
test_other_feature(void)
{
    static const char *const texts[] = {
        ROOT("<tuning xmlns='urn:gantry:ioq:2'/>"),
        ROOT("<tunning xmlns='urn:gantry:ioq:1'/>"),
        ROOT("<tuning xmlns='urn:gantry:ioq:1'/><a:tuning xmlns:a='urn:gantry:ioq:1'/>"),
    };
    const GantryExtension *balance = gantry_extension_by_feature(gantry_extensions, "balance");

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GantryXml) xml = parse(texts[i]);
        g_autoptr(GantryElement) element = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_false(gantry_extension_find(gantry_extensions, balance, xml, &element, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "dom.xml:1: <tun"));
    }
}

static void
test_source_names(void)
{
    g_assert_cmpstr(gantry_source_name(GANTRY_SOURCE_DEFAULT), ==, "default");
    g_assert_cmpstr(gantry_source_name(GANTRY_SOURCE_POLICY), ==, "policy");
    g_assert_cmpstr(gantry_source_name(GANTRY_SOURCE_NOVA), ==, "nova");
    g_assert_cmpstr(gantry_source_name(GANTRY_SOURCE_METADATA), ==, "metadata");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/settings/match", test_match);
    g_test_add_func("/xml/settings/no-policies", test_no_policies);
    g_test_add_func("/xml/settings/limits", test_limits);
    g_test_add_func("/xml/settings/origins", test_origins);
    g_test_add_func("/xml/settings/identity", test_identity);
    g_test_add_func("/xml/settings/schema-has-the-last-word", test_schema_has_the_last_word);
    g_test_add_func("/xml/settings/elsewhere", test_elsewhere);
    g_test_add_func("/xml/settings/other-feature", test_other_feature);
    g_test_add_func("/xml/settings/source-names", test_source_names);
    return g_test_run();
}
