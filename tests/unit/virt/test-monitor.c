/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/monitor_priv.h"

#include "common/base/error.h"
#include "common/virt/error.h"
#include "common/virt/loop.h"

static void
test_return_is_given(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = gantry_virt_monitor_parse(
        "query-status", "{\"return\": {\"running\": true}, \"id\": \"libvirt-7\"}", &error);

    g_assert_no_error(error);
    g_assert_true(json_object_get_boolean_member(json_node_get_object(node), "running"));
}

static void
test_qemu_error_is_refusal(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_virt_monitor_parse(
        "device_del",
        "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'x' not found\"}}",
        &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
    g_assert_nonnull(g_strstr_len(error->message, -1, "device_del"));
    g_assert_nonnull(g_strstr_len(error->message, -1, "DeviceNotFound"));
    g_assert_nonnull(g_strstr_len(error->message, -1, "Device 'x' not found"));
}

static void
test_odd_answers(void)
{
    static const struct {
        const char *answer;
        int code;
    } cases[] = {
        {"", GANTRY_ERROR_PROTOCOL},
        {"[]", GANTRY_ERROR_PROTOCOL},
        {"{\"return\"", GANTRY_ERROR_PROTOCOL},
        {"{}", GANTRY_ERROR_PROTOCOL},
        {"{\"event\": \"RESUME\"}", GANTRY_ERROR_PROTOCOL},
        {"{\"error\": 7}", GANTRY_ERROR_REFUSED},
        {"{\"error\": {\"class\": [], \"desc\": null}}", GANTRY_ERROR_REFUSED},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(gantry_virt_monitor_parse("x", cases[i].answer, &error));
        g_assert_error(error, GANTRY_ERROR, cases[i].code);
    }
}

static void
test_libvirt_error_is_kept(void)
{
    g_autoptr(virConnect) virt = virConnectOpen("test:///default");
    g_autoptr(virDomain) domain = virDomainLookupByName(virt, "test");
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(domain);
    g_assert_null(gantry_virt_monitor(domain, "{\"execute\": \"query-status\"}", &error));
    /* Kept, though naming the domain in the message resets libvirt's own. */
    g_assert_error(error, GANTRY_VIRT_ERROR, VIR_ERR_NO_SUPPORT);
    g_assert_nonnull(
        g_strstr_len(error->message, -1, "domain test: this function is not supported"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    gantry_virt_init();
    g_test_add_func("/virt/monitor/return-is-given", test_return_is_given);
    g_test_add_func("/virt/monitor/qemu-error-is-refusal", test_qemu_error_is_refusal);
    g_test_add_func("/virt/monitor/odd-answers", test_odd_answers);
    g_test_add_func("/virt/monitor/libvirt-error-is-kept", test_libvirt_error_is_kept);
    return g_test_run();
}
