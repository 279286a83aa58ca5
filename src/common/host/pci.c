/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/pci.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

#define PCI_FOLDER "sys/bus/pci/devices"

/* A device while it is read. */
typedef struct {
    const GantryHost *host;
    char *folder;
    GantryPciDevice *device;
} Reader;

static gboolean read_identity(Reader *reader, GError **error);
static gboolean read_placement(Reader *reader, GError **error);
static gboolean read_functions(Reader *reader, GError **error);

gboolean
gantry_pci_address_parse(const char *text, GantryPciAddress *ret_address, GError **error)
{
    g_autoptr(GRegex) regex = g_regex_new("\\A(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])"
                                          "\\.([0-7])\\z",
                                          G_REGEX_CASELESS, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    guint64 parts[4];

    if (!g_utf8_validate(text, -1, NULL) || !g_regex_match(regex, text, 0, &match)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("'%.64s' is not a PCI address; write it as 0000:3b:02.1"), text);
        return FALSE;
    }
    for (int i = 0; i < 4; i++) {
        g_autofree char *digits = g_match_info_fetch(match, i + 1);

        parts[i] = g_ascii_strtoull(digits, NULL, 16);
    }
    *ret_address =
        (GantryPciAddress){(guint32)parts[0], (guint8)parts[1], (guint8)parts[2], (guint8)parts[3]};
    return TRUE;
}

char *
gantry_pci_address_format(const GantryPciAddress *address)
{
    return g_strdup_printf("%04x:%02x:%02x.%x", address->domain, address->bus, address->slot,
                           address->function);
}

int
gantry_pci_address_compare(gconstpointer a, gconstpointer b)
{
    const GantryPciAddress *first = a;
    const GantryPciAddress *second = b;

    if (first->domain != second->domain) {
        return first->domain < second->domain ? -1 : 1;
    }
    if (first->bus != second->bus) {
        return first->bus - second->bus;
    }
    if (first->slot != second->slot) {
        return first->slot - second->slot;
    }
    return first->function - second->function;
}

void
gantry_pci_device_free(GantryPciDevice *device)
{
    g_free(device->driver);
    g_strfreev(device->net_names);
    g_array_unref(device->vfs);
    g_free(device);
}

GArray *
gantry_host_pci_addresses(const GantryHost *host, GError **error)
{
    g_auto(GStrv) names = NULL;
    g_autoptr(GArray) addresses = g_array_new(FALSE, FALSE, sizeof(GantryPciAddress));

    /* A machine without PCI has no such folder. */
    if (!gantry_host_exists(host, PCI_FOLDER)) {
        return g_steal_pointer(&addresses);
    }
    names = gantry_host_list(host, error, PCI_FOLDER);
    if (!names) {
        return NULL;
    }
    for (gsize i = 0; names[i]; i++) {
        GantryPciAddress address;

        if (!gantry_pci_address_parse(names[i], &address, error)) {
            g_prefix_error(error, "%s: ", PCI_FOLDER);
            return NULL;
        }
        g_array_append_val(addresses, address);
    }
    g_array_sort(addresses, gantry_pci_address_compare);
    return g_steal_pointer(&addresses);
}

GantryPciDevice *
gantry_host_pci_device(const GantryHost *host, const GantryPciAddress *address, GError **error)
{
    g_autoptr(GantryPciDevice) device = g_new0(GantryPciDevice, 1);
    g_autofree char *name = gantry_pci_address_format(address);
    g_autofree char *folder = g_strdup_printf(PCI_FOLDER "/%s", name);
    Reader reader = {host, folder, device};

    device->address = *address;
    device->vfs = g_array_new(FALSE, FALSE, sizeof(GantryPciAddress));
    if (!gantry_host_exists(host, "%s", folder)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                    _("This host has no PCI device %s"), name);
        return NULL;
    }
    if (!read_identity(&reader, error) || !read_placement(&reader, error) ||
        !read_functions(&reader, error)) {
        return NULL;
    }
    return g_steal_pointer(&device);
}

int
gantry_pci_device_vf_number(const GantryPciDevice *device, const GantryPciAddress *address)
{
    for (guint i = 0; i < device->vfs->len; i++) {
        if (gantry_pci_address_compare(&g_array_index(device->vfs, GantryPciAddress, i), address) ==
            0) {
            return (int)i;
        }
    }
    return -1;
}

/* "0x8086" */
static gboolean
read_hex(const Reader *reader, const char *file, guint64 max, guint64 *ret_value, GError **error)
{
    g_autofree char *text = gantry_host_read(reader->host, GANTRY_HOST_FILE_MAX_BYTES, error,
                                             "%s/%s", reader->folder, file);

    if (!text) {
        return FALSE;
    }
    if (!g_str_has_prefix(text, "0x") ||
        !g_ascii_string_to_unsigned(text + 2, 16, 0, max, ret_value, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s/%2$s: '%3$.32s' is not a hexadecimal number"), reader->folder, file,
                    text);
        return FALSE;
    }
    return TRUE;
}

static gboolean
read_identity(Reader *reader, GError **error)
{
    guint64 vendor;
    guint64 device;
    guint64 class_code;

    if (!read_hex(reader, "vendor", G_MAXUINT16, &vendor, error) ||
        !read_hex(reader, "device", G_MAXUINT16, &device, error) ||
        !read_hex(reader, "class", 0xffffff, &class_code, error)) {
        return FALSE;
    }
    reader->device->vendor = (guint16)vendor;
    reader->device->device = (guint16)device;
    reader->device->class_code = (guint32)class_code;
    return TRUE;
}

static gboolean
has(const Reader *reader, const char *file)
{
    return gantry_host_exists(reader->host, "%s/%s", reader->folder, file);
}

static gboolean
read_placement(Reader *reader, GError **error)
{
    gint64 numa_node = -1;
    guint64 group;

    if (has(reader, "driver")) {
        reader->device->driver =
            gantry_host_link_name(reader->host, error, "%s/driver", reader->folder);
        if (!reader->device->driver) {
            return FALSE;
        }
    }
    if (has(reader, "numa_node") && !gantry_host_read_int(reader->host, -1, G_MAXINT, &numa_node,
                                                          error, "%s/numa_node", reader->folder)) {
        return FALSE;
    }
    reader->device->numa_node = (int)numa_node;
    reader->device->iommu_group = -1;
    if (has(reader, "iommu_group")) {
        g_autofree char *name =
            gantry_host_link_name(reader->host, error, "%s/iommu_group", reader->folder);

        if (!name) {
            return FALSE;
        }
        if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXINT, &group, NULL)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: '%2$.32s' is not the number of an IOMMU group"), reader->folder,
                        name);
            return FALSE;
        }
        reader->device->iommu_group = (int)group;
    }
    if (has(reader, "net")) {
        reader->device->net_names = gantry_host_list(reader->host, error, "%s/net", reader->folder);
        return reader->device->net_names != NULL;
    }
    reader->device->net_names = g_new0(char *, 1);
    return TRUE;
}

/* The device that a link of ours points to. */
static gboolean
read_link(const Reader *reader, const char *link, GantryPciAddress *ret_address, GError **error)
{
    g_autofree char *name =
        gantry_host_link_name(reader->host, error, "%s/%s", reader->folder, link);

    if (!name) {
        return FALSE;
    }
    if (!gantry_pci_address_parse(name, ret_address, error)) {
        g_prefix_error(error, "%s/%s: ", reader->folder, link);
        return FALSE;
    }
    return TRUE;
}

static gboolean
read_functions(Reader *reader, GError **error)
{
    gint64 vfs_max;

    if (has(reader, "physfn")) {
        reader->device->is_virtual = TRUE;
        return read_link(reader, "physfn", &reader->device->physical_function, error);
    }
    if (!has(reader, "sriov_totalvfs")) {
        return TRUE;
    }
    if (!gantry_host_read_int(reader->host, 0, G_MAXUINT16, &vfs_max, error, "%s/sriov_totalvfs",
                              reader->folder)) {
        return FALSE;
    }
    reader->device->vfs_max = (guint)vfs_max;
    for (guint i = 0; i < reader->device->vfs_max; i++) {
        g_autofree char *link = g_strdup_printf("virtfn%u", i);
        GantryPciAddress vf;

        /* The links are made and removed together, from 0 up. */
        if (!has(reader, link)) {
            break;
        }
        if (!read_link(reader, link, &vf, error)) {
            return FALSE;
        }
        g_array_append_val(reader->device->vfs, vf);
    }
    return TRUE;
}
