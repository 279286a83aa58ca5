/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What gantry-hook must never be: a program that calls libvirt. For test-linkage. */
#include <libvirt/libvirt.h>

int
main(void)
{
    return virInitialize();
}
