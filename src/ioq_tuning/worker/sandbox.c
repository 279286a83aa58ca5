/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/worker/sandbox.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
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
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    "fdatasync",
    "fadvise64",
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
    "futex",
    "set_robust_list",
    "rseq",
    "sched_setaffinity",
    "sched_getaffinity",
    "sched_yield",
    "gettid",
    "getpid",
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
    /* what is harmless, and asked for on the way */
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrandom",
    "uname",
    "unlink",
};

/* Those that could do more than a worker needs, and with which argument they do not. */
static int
allow_by_argument(scmp_filter_ctx filter)
{
    static const guint fcntls[] = {F_GETFD,     F_SETFD,        F_GETFL,     F_SETFL,
                                   F_DUPFD,     F_OFD_SETLK,    F_OFD_GETLK, F_GET_SEALS,
                                   F_ADD_SEALS, F_DUPFD_CLOEXEC};
    static const unsigned long ioctls[] = {BLKGETSIZE64, BLKSSZGET, TCGETS};
    int result = 0;

    for (guint i = 0; i < G_N_ELEMENTS(fcntls) && result == 0; i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                  SCMP_A1(SCMP_CMP_EQ, fcntls[i]));
    }
    for (guint i = 0; i < G_N_ELEMENTS(ioctls) && result == 0; i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
    }
    /* All workers may be one user's: signals to itself only. */
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    }
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    }
    /* Threads, no processes. clone3 has its flags where no filter sees them: libc falls back. */
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    }
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    return result;
}

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
        result = allow_by_argument(filter);
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

/* What io_uring does is not seen by a filter of system calls, and it makes sockets, too: they are
 * of a network that has nothing. */
static void
leave_network(void)
{
    if (unshare(CLONE_NEWNET) < 0) {
        gantry_notice(_("the worker has the host's network: %s"), g_strerror(errno));
    }
}

gboolean
sandbox_enter(guint uid, guint gid, GError **error)
{
    leave_network();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        (uid != 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
                      setresuid(uid, uid, uid) < 0))) {
        gantry_set_error_errno(error, errno, _("Cannot give up privileges"));
        return FALSE;
    }
    close_file_system();
    return filter_calls(error);
}
