/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/pci.h"
#include "tree.h"

#define PCI "sys/bus/pci/devices/"

/* As in sysfs, where bus/pci/devices holds links into devices/. */
static void
write_device(Tree *tree, const char *name, const char *vendor, const char *class_code)
{
    g_autofree char *folder = g_strdup_printf("sys/devices/pci0000:3a/%s", name);
    g_autofree char *link = g_strconcat(PCI, name, NULL);
    g_autofree char *target = g_strdup_printf("../../../devices/pci0000:3a/%s", name);
    const char *const files[][2] = {
        {"vendor", vendor}, {"device", "0x1520\n"}, {"class", class_code}, {"numa_node", "1\n"}};

    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i][0], NULL);

        scratch_write(tree->root, path, files[i][1]);
    }
    if (!gantry_host_exists(tree->host, "%s", link)) {
        scratch_link(tree->root, link, target);
    }
}

static void
write_file(Tree *tree, const char *name, const char *file, const char *text)
{
    g_autofree char *path = g_strdup_printf("sys/devices/pci0000:3a/%s/%s", name, file);

    scratch_write(tree->root, path, text);
}

static void
write_link(Tree *tree, const char *name, const char *link, const char *target)
{
    g_autofree char *path = g_strdup_printf("sys/devices/pci0000:3a/%s/%s", name, link);

    scratch_link(tree->root, path, target);
    if (!g_str_has_prefix(target, "../0000")) {
        /* What a driver or group link points to must be there, since sysfs has no dangling links.
         */
        g_autofree char *folder = g_build_filename("sys/devices/pci0000:3a", name, target, NULL);

        scratch_mkdir(tree->root, folder);
    }
}

/* A PF with three VFs of which one is given to a guest, and a bridge. */
static void
write_machine(Tree *tree)
{
    scratch_mkdir(tree->root, "sys/bus/pci/drivers/igb");
    scratch_mkdir(tree->root, "sys/bus/pci/drivers/vfio-pci");
    scratch_mkdir(tree->root, "sys/kernel/iommu_groups/42");
    write_device(tree, "0000:3b:00.0", "0x8086\n", "0x020000\n");
    write_file(tree, "0000:3b:00.0", "sriov_totalvfs", "8\n");
    write_file(tree, "0000:3b:00.0", "sriov_numvfs", "3\n");
    write_link(tree, "0000:3b:00.0", "driver", "../../../bus/pci/drivers/igb");
    write_file(tree, "0000:3b:00.0", "net/ens1f0/mtu", "1500\n");
    write_link(tree, "0000:3b:00.0", "virtfn0", "../0000:3b:10.0");
    write_link(tree, "0000:3b:00.0", "virtfn1", "../0000:3b:10.4");
    write_link(tree, "0000:3b:00.0", "virtfn2", "../0000:3b:11.0");
    for (gsize i = 0; i < 3; i++) {
        static const char *const names[] = {"0000:3b:10.0", "0000:3b:10.4", "0000:3b:11.0"};

        write_device(tree, names[i], "0x8086\n", "0x020000\n");
        write_link(tree, names[i], "physfn", "../0000:3b:00.0");
    }
    write_link(tree, "0000:3b:10.4", "driver", "../../../bus/pci/drivers/vfio-pci");
    write_link(tree, "0000:3b:10.4", "iommu_group", "../../../kernel/iommu_groups/42");
    write_device(tree, "10000:00:00.0", "0x1002\n", "0x060400\n");
}

static GantryPciAddress
address_of(const char *text)
{
    GantryPciAddress address;
    g_autoptr(GError) error = NULL;

    gantry_pci_address_parse(text, &address, &error);
    g_assert_no_error(error);
    return address;
}

static GantryPciDevice *
device_of(Tree *tree, const char *name)
{
    GantryPciAddress address = address_of(name);
    g_autoptr(GError) error = NULL;
    GantryPciDevice *device = gantry_host_pci_device(tree->host, &address, &error);

    g_assert_no_error(error);
    return device;
}

static void
test_address(void)
{
    static const struct {
        const char *text;
        const char *canonical;
    } good[] = {
        {"0000:3b:02.1", "0000:3b:02.1"},         {"3b:02.1", "0000:3b:02.1"},
        {"0000:FF:1F.7", "0000:ff:1f.7"},         {"10000:00:00.0", "10000:00:00.0"},
        {"ffffffff:00:00.0", "ffffffff:00:00.0"},
    };
    static const char *const bad[] = {
        "",           "0000:3b:02",    "0000:3b:02.8",    "0000:3b:20.0", "0000:3b:2.0",
        "0:3b:02.0",  "0000:3b:02.1 ", " 3b:02.1",        "3b:02.1\n",    "100000000:00:00.0",
        "0000:3g:02", "0000-3b-02.1",  "0000:3b:02.1/..", "\xff",         "0000:3b:02.01",
    };
    g_autoptr(GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        GantryPciAddress address = address_of(good[i].text);
        g_autofree char *text = gantry_pci_address_format(&address);

        g_assert_cmpstr(text, ==, good[i].canonical);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        GantryPciAddress address = {.bus = 42};

        g_assert_false(gantry_pci_address_parse(bad[i], &address, &error));
        assert_failed(&error, GANTRY_ERROR_INVALID, "0000:3b:02.1");
        g_assert_cmpuint(address.bus, ==, 42);
    }
}

static void
test_address_order(void)
{
    static const char *const ascending[] = {"0000:00:00.0", "0000:00:00.7", "0000:00:1f.0",
                                            "0000:ff:00.0", "0001:00:00.0", "ffffffff:00:00.0"};

    for (gsize i = 0; i < G_N_ELEMENTS(ascending); i++) {
        for (gsize j = 0; j < G_N_ELEMENTS(ascending); j++) {
            GantryPciAddress a = address_of(ascending[i]);
            GantryPciAddress b = address_of(ascending[j]);
            int order = gantry_pci_address_compare(&a, &b);

            g_assert_cmpint((order > 0) - (order < 0), ==, (i > j) - (i < j));
        }
    }
}

static void
test_list(Tree *tree, gconstpointer data)
{
    static const char *const expected[] = {"0000:3b:00.0", "0000:3b:10.0", "0000:3b:10.4",
                                           "0000:3b:11.0", "10000:00:00.0"};
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) none = gantry_host_pci_addresses(tree->host, &error);
    g_autoptr(GArray) addresses = NULL;

    g_assert_no_error(error);
    g_assert_cmpuint(none->len, ==, 0);
    write_machine(tree);
    addresses = gantry_host_pci_addresses(tree->host, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(addresses->len, ==, G_N_ELEMENTS(expected));
    for (guint i = 0; i < addresses->len; i++) {
        g_autofree char *text =
            gantry_pci_address_format(&g_array_index(addresses, GantryPciAddress, i));

        g_assert_cmpstr(text, ==, expected[i]);
    }
    scratch_mkdir(tree->root, PCI "not-a-device");
    g_assert_null(gantry_host_pci_addresses(tree->host, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "'not-a-device'");
}

static void
test_physical_function(Tree *tree, gconstpointer data)
{
    g_autoptr(GantryPciDevice) device = NULL;
    GantryPciAddress second = address_of("0000:3b:10.4");
    GantryPciAddress stranger = address_of("0000:3b:12.0");

    write_machine(tree);
    device = device_of(tree, "0000:3b:00.0");
    g_assert_cmphex(device->vendor, ==, 0x8086);
    g_assert_cmphex(device->device, ==, 0x1520);
    g_assert_cmphex(device->class_code, ==, 0x020000);
    g_assert_cmpstr(device->driver, ==, "igb");
    g_assert_cmpint(device->iommu_group, ==, -1);
    g_assert_cmpint(device->numa_node, ==, 1);
    g_assert_cmpstrv(device->net_names, ((const char *const[]){"ens1f0", NULL}));
    g_assert_false(device->is_virtual);
    g_assert_cmpuint(device->vfs_max, ==, 8);
    g_assert_cmpuint(device->vfs->len, ==, 3);
    g_assert_cmpint(gantry_pci_device_vf_number(device, &second), ==, 1);
    g_assert_cmpint(gantry_pci_device_vf_number(device, &stranger), ==, -1);
}

static void
test_virtual_function(Tree *tree, gconstpointer data)
{
    g_autoptr(GantryPciDevice) device = NULL;
    g_autoptr(GantryPciDevice) unbound = NULL;
    g_autofree char *parent = NULL;

    write_machine(tree);
    device = device_of(tree, "0000:3b:10.4");
    g_assert_true(device->is_virtual);
    parent = gantry_pci_address_format(&device->physical_function);
    g_assert_cmpstr(parent, ==, "0000:3b:00.0");
    g_assert_cmpstr(device->driver, ==, "vfio-pci");
    g_assert_cmpint(device->iommu_group, ==, 42);
    g_assert_cmpuint(device->vfs_max, ==, 0);
    g_assert_cmpuint(g_strv_length(device->net_names), ==, 0);
    unbound = device_of(tree, "0000:3b:10.0");
    g_assert_null(unbound->driver);
}

static void
assert_device_fails(Tree *tree, const char *name, GantryError code, const char *part)
{
    GantryPciAddress address = address_of(name);
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_host_pci_device(tree->host, &address, &error));
    assert_failed(&error, code, part);
}

static void
test_bad_devices(Tree *tree, gconstpointer data)
{
    assert_device_fails(tree, "0000:3b:00.0", GANTRY_ERROR_NOT_FOUND, "0000:3b:00.0");
    write_machine(tree);
    write_device(tree, "0000:3b:10.0", "8086\n", "0x020000\n");
    assert_device_fails(tree, "0000:3b:10.0", GANTRY_ERROR_INVALID, "vendor");
    write_device(tree, "0000:3b:10.0", "0x18086\n", "0x020000\n");
    assert_device_fails(tree, "0000:3b:10.0", GANTRY_ERROR_INVALID, "vendor");
    write_device(tree, "0000:3b:10.0", "0x8086\n", "0x1020000\n");
    assert_device_fails(tree, "0000:3b:10.0", GANTRY_ERROR_INVALID, "class");
    write_device(tree, "0000:3b:10.0", "0x8086\n", "0x020000\n");
    write_file(tree, "0000:3b:10.0", "numa_node", "-2\n");
    assert_device_fails(tree, "0000:3b:10.0", GANTRY_ERROR_INVALID, "numa_node");

    write_file(tree, "0000:3b:00.0", "sriov_totalvfs", "70000\n");
    assert_device_fails(tree, "0000:3b:00.0", GANTRY_ERROR_INVALID, "sriov_totalvfs");
    write_file(tree, "0000:3b:00.0", "sriov_totalvfs", "8\n");
    scratch_mkdir(tree->root, "sys/devices/pci0000:3a/0000:3b:00.0/strange");
    write_link(tree, "0000:3b:00.0", "virtfn3", "strange");
    assert_device_fails(tree, "0000:3b:00.0", GANTRY_ERROR_INVALID, "virtfn3");

    write_link(tree, "0000:3b:11.0", "iommu_group", "../../../kernel/iommu_groups/none");
    assert_device_fails(tree, "0000:3b:11.0", GANTRY_ERROR_INVALID, "IOMMU");
}

/* Only what a PF says it can have is looked for. */
static void
test_vf_links_beyond_maximum(Tree *tree, gconstpointer data)
{
    g_autoptr(GantryPciDevice) device = NULL;

    write_machine(tree);
    write_file(tree, "0000:3b:00.0", "sriov_totalvfs", "2\n");
    device = device_of(tree, "0000:3b:00.0");
    g_assert_cmpuint(device->vfs->len, ==, 2);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/address", test_address);
    g_test_add_func("/pci/address-order", test_address_order);
    TREE_TEST("/pci/list", test_list);
    TREE_TEST("/pci/physical-function", test_physical_function);
    TREE_TEST("/pci/virtual-function", test_virtual_function);
    TREE_TEST("/pci/bad-devices", test_bad_devices);
    TREE_TEST("/pci/vf-links-beyond-maximum", test_vf_links_beyond_maximum);
    return g_test_run();
}
