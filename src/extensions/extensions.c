/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "extensions/extensions.h"

#include "ioq_tuning/ioq_ext.h"
#include "loadbalancer/balance_ext.h"
#include "ovs_encap/encap_ext.h"
#include "ovs_encap/steer_ext.h"
#include "vfio_migrate/passthrough_ext.h"
#include "vmsnap/standby_ext.h"

const GantryExtension *const gantry_extensions[] = {
    &lb_balance_extension,
    &ioq_extension,
    &encap_extension,
    &encap_steer_extension,
    &vfm_passthrough_extension,
    &snap_standby_extension,
    NULL,
};
