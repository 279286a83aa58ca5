/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Where the hook finds things. The installed programs have it from the build; the component tests
 * build the same sources with paths below the current directory. It cannot come from the
 * environment or the command line: a root program that libvirt runs takes neither from anybody.
 */
typedef struct {
    const char *engine;     /* program */
    const char *hook_conf;  /* /etc/gantry/hook.conf */
    const char *host_conf;  /* /etc/gantry/host.conf */
    const char *policy_dir; /* /etc/gantry/policy.d */
    const char *run_dir;    /* of the daemons' sockets */
    const char *log_file;   /* unless hook.conf names one */
    const char *root;       /* that /sys is below */
    int engine_max_sec;     /* how long the front waits for the engine, at the very most */
} HookPaths;

/* Below run_dir: domains that prepare is to refuse, see refusal.h. Plain C, for the front. */
#define HOOK_REFUSE_DIR "refuse"

/* Exit status of the engine, by which the front knows that it worked as it should. */
enum {
    HOOK_EXIT_PASS = 0,    /* go on; stdout holds the new XML, or nothing */
    HOOK_EXIT_REFUSED = 1, /* the reason is on stderr */
    HOOK_EXIT_USAGE = 2,
    HOOK_EXIT_BROKEN = 3, /* stdout holds a part of the new XML, which is worth nothing */
};
