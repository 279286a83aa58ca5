/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/operation.h"

#include <stddef.h>
#include <string.h>

/* In the order of a VM's life. */
const HookOperation hook_operations[] = {
    {
        .name = "migrate",
        .sub_operation = "begin",
        .stdin_holds = HOOK_STDIN_MIGRATABLE,
        .may_rewrite = true,
        .failure = HOOK_FAILURE_REFUSES,
        .method = "hook/migrate",
        .libvirt_on_failure = "refuses the migration; the VM keeps running at its source",
        .effect =
            "check that the VM can run here; reserve nothing, since no release follows a refusal",
        .undone_by = "nothing to undo",
    },
    {
        .name = "restore",
        .sub_operation = "begin",
        .stdin_holds = HOOK_STDIN_MIGRATABLE,
        .may_rewrite = true,
        .failure = HOOK_FAILURE_PASSES,
        .method = "hook/restore",
        .libvirt_on_failure =
            "deletes a managed save image (libvirt 11.3); refuse in prepare instead",
        .effect = "make the save image complete",
        .undone_by = "nothing to undo",
    },
    {
        .name = "prepare",
        .sub_operation = "begin",
        .stdin_holds = HOOK_STDIN_LIVE,
        .must_fit = true,
        .failure = HOOK_FAILURE_REFUSES,
        .method = "hook/prepare",
        .libvirt_on_failure = "refuses the start, restore or migration; stopped and release follow",
        .effect = "reserve and set up what the VM needs before it is there",
        .undone_by = "release",
    },
    {
        .name = "start",
        .sub_operation = "begin",
        .stdin_holds = HOOK_STDIN_LIVE,
        .failure = HOOK_FAILURE_PASSES,
        .method = "hook/start",
        .libvirt_on_failure = "fails a start that prepare has let pass",
        .effect = "set up what takes aliases and device names",
        .undone_by = "stopped, release",
    },
    {
        .name = "started",
        .sub_operation = "begin",
        .stdin_holds = HOOK_STDIN_LIVE,
        .failure = HOOK_FAILURE_PASSES,
        .method = "hook/started",
        .libvirt_on_failure = "kills the VM that has just started",
        .effect = "bind threads, open traffic",
        .undone_by = "stopped, release",
    },
    {
        .name = "reconnect",
        .sub_operation = "begin",
        .stdin_holds = HOOK_STDIN_LIVE,
        .failure = HOOK_FAILURE_PASSES,
        .method = "hook/reconnect",
        .libvirt_on_failure = "kills the running VM",
        .effect = "see that what prepare, start and started did is still in place",
        .undone_by = "stopped, release",
    },
    {
        .name = "stopped",
        .sub_operation = "end",
        .stdin_holds = HOOK_STDIN_LIVE,
        .failure = HOOK_FAILURE_PASSES,
        .tells_all = true,
        .method = "hook/stopped",
        .libvirt_on_failure = "ignores it",
        .effect = "take back what start and started did",
        .undone_by = "nothing to undo",
    },
    {
        .name = "release",
        .sub_operation = "end",
        .stdin_holds = HOOK_STDIN_LIVE,
        .failure = HOOK_FAILURE_PASSES,
        .tells_all = true,
        .method = "hook/release",
        .libvirt_on_failure = "ignores it",
        .effect = "take back all that is left",
        .undone_by = "nothing to undo",
    },
    {.name = NULL},
};

const HookOperation *
hook_operation_find(const char *name, const char *sub_operation)
{
    for (const HookOperation *operation = hook_operations; operation->name; operation++) {
        if (strcmp(operation->name, name) == 0 &&
            strcmp(operation->sub_operation, sub_operation) == 0) {
            return operation;
        }
    }
    return NULL;
}
