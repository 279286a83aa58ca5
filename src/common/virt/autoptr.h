/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* g_autoptr for libvirt's handles, and structs for what libvirt gives as pointer and count. */
#include <glib.h>
#include <libvirt/libvirt.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)

typedef struct {
    virTypedParameterPtr params;
    int n;
} GantryVirtParams;

static inline void
gantry_virt_params_clear(GantryVirtParams *params)
{
    virTypedParamsFree(params->params, params->n);
    params->params = NULL;
    params->n = 0;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GantryVirtParams, gantry_virt_params_clear)

/* The NULL-terminated array of virConnectGetAllDomainStats(). */
typedef virDomainStatsRecordPtr GantryVirtStats;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryVirtStats, virDomainStatsRecordListFree)

/* The array of virConnectListAllDomains(); (element-type virDomain). */
static inline GPtrArray *
gantry_virt_domains_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))virDomainFree);
}
