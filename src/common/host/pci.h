/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/host/host.h"

typedef struct {
    guint32 domain; /* above 0xffff on hosts with VMD */
    guint8 bus;
    guint8 slot;     /* below 32 */
    guint8 function; /* below 8 */
} GantryPciAddress;

/**
 * gantry_pci_address_parse:
 * @text: "0000:3b:02.1" or, in domain 0, "3b:02.1"; hexadecimal
 */
gboolean gantry_pci_address_parse(const char *text, GantryPciAddress *ret_address, GError **error);

/* (transfer full): "0000:3b:02.1", as sysfs names it. */
char *gantry_pci_address_format(const GantryPciAddress *address);

/* Below, at or above 0, in the order of buses; as a GCompareFunc. */
int gantry_pci_address_compare(gconstpointer a, gconstpointer b);

typedef struct {
    GantryPciAddress address;
    guint16 vendor;
    guint16 device;
    guint32 class_code; /* base class, sub-class, interface: 0x020000 is an Ethernet controller */
    char *driver;       /* NULL: none bound */
    int iommu_group;    /* -1: none */
    int numa_node;      /* -1: unknown */
    GStrv net_names;    /* of its network interfaces in our network namespace; never NULL */

    gboolean is_virtual; /* a VF, of the PF at: */
    GantryPciAddress physical_function;

    guint vfs_max; /* 0: not a PF */
    GArray *vfs;   /* of GantryPciAddress, by VF number; never NULL */
} GantryPciDevice;

void gantry_pci_device_free(GantryPciDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryPciDevice, gantry_pci_device_free)

/* (transfer full) (element-type GantryPciAddress): all devices of the host, in the order of buses.
 */
GArray *gantry_host_pci_addresses(const GantryHost *host, GError **error);

/* (transfer full): what sysfs tells of one device; GANTRY_ERROR_NOT_FOUND where there is none. */
GantryPciDevice *gantry_host_pci_device(const GantryHost *host, const GantryPciAddress *address,
                                        GError **error);

/* The number of the VF @address of the PF @device, or -1. */
int gantry_pci_device_vf_number(const GantryPciDevice *device, const GantryPciAddress *address);
