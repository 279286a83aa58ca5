/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/worker/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"

/* By what they are for. */
static const char *const allowed[] = {
    /* storage */
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "ioctl",
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    /* sockets and descriptors */
    "accept",
    "accept4",
    "recvmsg",
    "sendmsg",
    "recvfrom",
    "sendto",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
    "shutdown",
    "poll",
    "ppoll",
    "read",
    "readv",
    "write",
    "writev",
    "close",
    "fcntl",
    "dup",
    "dup3",
    "eventfd2",
    "pipe2",
    /* memory */
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    "memfd_create",
    "ftruncate",
    /* threads */
    "clone",
    "clone3",
    "futex",
    "set_robust_list",
    "rseq",
    "sched_setaffinity",
    "sched_getaffinity",
    "sched_yield",
    "gettid",
    "getpid",
    "prctl",
    "exit",
    "exit_group",
    "getrusage",
    "membarrier",
    /* time and signals */
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "tgkill",
    /* what is harmless, and asked for on the way */
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrandom",
    "uname",
    "unlink",
};

static gboolean
filter_calls(GError **error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = filter ? 0 : -ENOMEM;

    for (guint i = 0; i < G_N_ELEMENTS(allowed) && result == 0; i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);

        /* Not every architecture has every one. */
        if (number != __NR_SCMP_ERROR) {
            result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        }
    }
    if (result == 0) {
        result = seccomp_load(filter);
    }
    seccomp_release(filter);
    if (result < 0) {
        gantry_set_error_errno(error, -result, _("Cannot restrict the worker's system calls"));
        return FALSE;
    }
    return TRUE;
}

/* A set of rules that allows nothing. */
static void
close_file_system(void)
{
    const struct landlock_ruleset_attr attributes = {
        /* The first version's, which every kernel with Landlock knows. */
        .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
    };
    gantry_autofd fd =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);

    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
        gantry_notice(_("this kernel has no Landlock: files are kept from the worker by its user "
                        "alone"));
    }
}

gboolean
sandbox_enter(guint uid, guint gid, GError **error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        (uid != 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
                      setresuid(uid, uid, uid) < 0))) {
        gantry_set_error_errno(error, errno, _("Cannot give up privileges"));
        return FALSE;
    }
    close_file_system();
    return filter_calls(error);
}
