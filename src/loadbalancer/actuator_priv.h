/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests only: how the actuator judges what libvirt says. */
#include "common/virt/connection.h"
#include "loadbalancer/actuator.h"

/* Whether a job, as virDomainGetJobStats() tells it, is a migration to another host. */
gboolean lb_job_is_migration_out(int type, const GantryVirtParams *params);
