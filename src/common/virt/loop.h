/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * gantry_virt_init:
 *
 * Once a process, before the first connection is opened: gives libvirt an event loop in a thread of
 * its own, without which there are neither keepalive nor events; and stops libvirt from printing
 * errors on stderr. gantry_virt_conn_new() calls it. May be called again.
 */
void gantry_virt_init(void);
