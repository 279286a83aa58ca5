/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/vm_settings.h"

#include "extensions/extensions.h"

#define DOMAIN(metadata) \
    "<domain type='qemu'><name>web</name><uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>" \
    "<metadata>" metadata "</metadata></domain>"

typedef struct {
    LbState *state;
    LbVm *vm;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->state = lb_state_new();
    fixture->vm = lb_host_add_vm(lb_state_add_host(fixture->state, "A", ""), "web", "u");
    lb_vm_read_settings(fixture->vm, data, gantry_extensions, NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    lb_state_free(fixture->state);
}

static void
test_none(Fixture *fixture, gconstpointer data)
{
    g_assert_null(fixture->vm->settings_error);
    g_assert_true(fixture->vm->movable);
    g_assert_false(fixture->vm->nova);
    g_assert_cmpuint(fixture->vm->priority, ==, 50);
    g_assert_cmpuint(fixture->vm->max_downtime_msec, ==, 300);
    g_assert_null(fixture->vm->group);
    g_assert_cmpint(fixture->vm->policy, ==, LB_GROUP_NONE);
}

static void
test_all(Fixture *fixture, gconstpointer data)
{
    g_assert_null(fixture->vm->settings_error);
    g_assert_false(fixture->vm->movable);
    g_assert_cmpuint(fixture->vm->priority, ==, 90);
    g_assert_cmpuint(fixture->vm->max_downtime_msec, ==, 25);
    g_assert_cmpstr(fixture->vm->group, ==, "db");
    g_assert_cmpint(fixture->vm->policy, ==, LB_GROUP_ANTI_AFFINITY);
}

static void
test_affinity(Fixture *fixture, gconstpointer data)
{
    g_assert_cmpint(fixture->vm->policy, ==, LB_GROUP_AFFINITY);
}

static void
test_nova(Fixture *fixture, gconstpointer data)
{
    g_assert_null(fixture->vm->settings_error);
    g_assert_true(fixture->vm->nova);
}

static void
test_wrong(Fixture *fixture, gconstpointer data)
{
    g_assert_nonnull(fixture->vm->settings_error);
    g_assert_nonnull(g_strstr_len(fixture->vm->settings_error, -1, "maybe"));
}

/* A wrong setting of another feature counts as well: the domain could not start at the target. */
static void
test_wrong_elsewhere(Fixture *fixture, gconstpointer data)
{
    g_assert_nonnull(fixture->vm->settings_error);
}

#define ADD(path, xml, function) g_test_add(path, Fixture, xml, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/lb/vm-settings/none", DOMAIN(""), test_none);
    ADD("/lb/vm-settings/all",
        DOMAIN("<balance xmlns='urn:gantry:balance:1' movable='no' priority='90' group='db' "
               "policy='anti-affinity' max-downtime='25'/>"),
        test_all);
    ADD("/lb/vm-settings/affinity",
        DOMAIN("<g:balance xmlns:g='urn:gantry:balance:1' group='db' policy='affinity'/>"),
        test_affinity);
    ADD("/lb/vm-settings/nova",
        DOMAIN("<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>"
               "<nova:name>web</nova:name></nova:instance>"),
        test_nova);
    ADD("/lb/vm-settings/wrong", DOMAIN("<balance xmlns='urn:gantry:balance:1' movable='maybe'/>"),
        test_wrong);
    ADD("/lb/vm-settings/wrong-elsewhere", DOMAIN("<x xmlns='urn:gantry:nonsense:1'/>"),
        test_wrong_elsewhere);
    ADD("/lb/vm-settings/no-xml", "<domain", test_wrong_elsewhere);
    return g_test_run();
}
