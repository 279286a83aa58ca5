/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/**
 * What libvirt calls us for. Plain C: the front links this and libc, nothing else.
 *
 * All of it was tried on libvirt 11.3; docs/design/hook.md tells the traps.
 */
typedef enum {
    HOOK_STDIN_LIVE,       /* the XML of the domain as it runs, or is about to */
    HOOK_STDIN_MIGRATABLE, /* the inactive XML that came with the stream or the save image */
} HookStdin;

typedef enum {
    /* Exit 1, with one line on stderr that ends up in virsh's error: libvirt gives up, nothing is
       lost. */
    HOOK_FAILURE_REFUSES,
    /* Exit 0 whatever happens; what is wrong is logged. */
    HOOK_FAILURE_PASSES,
} HookFailure;

typedef struct {
    const char *name;
    const char *sub_operation;
    HookStdin stdin_holds;
    bool may_rewrite; /* libvirt takes our stdout as the new XML; elsewhere it ignores it */
    bool must_fit;    /* refused while host.conf would still change the XML */
    HookFailure failure;
    bool
        tells_all; /* every daemon there is, also those whose feature the domain does not use now */
    const char *method;             /* that daemons are called with */
    const char *libvirt_on_failure; /* what a non-zero exit would do; why @failure is what it is */
    const char *effect;             /* what daemons do, each idempotent */
    const char *undone_by;          /* where an effect is taken back */
} HookOperation;

extern const HookOperation hook_operations[]; /* ends with a NULL name */

/* NULL: not one of ours, let it pass. */
const HookOperation *hook_operation_find(const char *name, const char *sub_operation);
