/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry-hook: what libvirt runs. It is small, links libc only, and statically where that is
 * possible, because it runs three times a VM start and once a running VM when libvirtd restarts,
 * mostly for domains that are none of Gantry's concern: those it lets pass after one look at the
 * XML's bytes.
 *
 * For the others it runs gantry-hook-engine and stands between it and libvirt. The engine parses
 * XML, reads configuration and talks to daemons; if it crashes, is killed by its watchdog or cannot
 * be started, libvirt must not see that: a non-zero exit kills the VM on reconnect and destroys a
 * save image on restore. So the engine's output is collected in memory and passed on only after the
 * engine has ended well, and a failed engine becomes what hook_operations[] says.
 *
 * On a failed engine an operation that may refuse does refuse if the XML holds Gantry settings
 * (they may say required='yes', which nobody could read now), or if this host has a host.conf (the
 * domain may be pinned to another host's CPUs). It lets pass any other domain.
 *
 * Nothing of Gantry is linked but operation.c: no GLib, no messages of other languages. What is
 * printed ends up in virsh's error, one line.
 */
#include "libvirt_hooks/front.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gantry-config.h"
#include "libvirt_hooks/engine_process.h"
#include "libvirt_hooks/operation.h"

enum {
    FIRST_BYTES = 64 * 1024,
    PIPE_BYTES = 1024 * 1024,        /* what an unprivileged process may ask for */
    MAX_BYTES = 4 * 1024 * 1024,     /* the engine's limit */
    MAX_SEARCHED = 64 * 1024 * 1024, /* where we give up looking for settings */
};

/* That a domain has settings, or disks that cannot do without; see is_wanted(). */
static const char *const marks[] = {"gantry:", "gantry/ioq/"};
enum { LONGEST_MARK = 11 };

typedef struct {
    const HookPaths *paths;
    const HookOperation *operation;
    const char *domain;
    char *xml;
    size_t length;
    bool has_settings; /* the XML holds a mark */
    bool too_large;    /* for the engine */
} Front;

static bool is_wanted(const Front *front);
static bool read_stdin(Front *front, char *problem, size_t size);
static int run_engine(Front *front, char **argv);
static bool fits_domains(const Front *front);
static int engine_failed(const Front *front, const char *last_words, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int print_about(const char *option);
static void open_standard_fds(void);
static void ignore_signals(void);

int
hook_front_main(const HookPaths *paths, int argc, char **argv)
{
    Front front = {.paths = paths};
    char problem[128];
    int status;

    ignore_signals();
    open_standard_fds();
    if (argc == 2) {
        return print_about(argv[1]);
    }
    if (argc < 4) {
        dprintf(STDERR_FILENO, "gantry-hook: libvirt runs this, as gantry-hook DOMAIN OPERATION "
                               "SUB-OPERATION EXTRA; see gantry-hook(8)\n");
        return HOOK_EXIT_USAGE;
    }
    front.domain = argv[1];
    front.operation = hook_operation_find(argv[2], argv[3]);
    if (!front.operation) {
        return HOOK_EXIT_PASS; /* and libvirt does not mind that nobody reads */
    }
    if (!read_stdin(&front, problem, sizeof(problem))) {
        status = engine_failed(&front, "", "%s", problem);
    } else if (is_wanted(&front)) {
        status = run_engine(&front, argv);
    } else {
        status = HOOK_EXIT_PASS;
    }
    free(front.xml);
    return status;
}

/* Does @directory hold a file that is named *@suffix? */
static bool
directory_has(const char *directory, const char *suffix)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    bool found = false;

    if (!stream) {
        return false;
    }
    while (!found && (entry = readdir(stream))) {
        size_t length = strlen(entry->d_name);

        found = entry->d_name[0] != '.' && length > strlen(suffix) &&
                strcmp(entry->d_name + length - strlen(suffix), suffix) == 0;
    }
    closedir(stream);
    return found;
}

static bool
has_refusals(const HookPaths *paths)
{
    char directory[PATH_MAX];
    int length = snprintf(directory, sizeof(directory), "%s/" HOOK_REFUSE_DIR, paths->run_dir);

    return length > 0 && (size_t)length < sizeof(directory) && directory_has(directory, "");
}

/*
 * A domain's own settings hold the bytes "gantry:", in a namespace (urn:gantry:...) or an extra
 * spec's name (gantry:...); libvirt writes XML without character references for letters. A disk
 * that gantry-ioqd is to serve has its socket in /run/gantry/ioq: without settings it is refused.
 * Policies may give settings to any domain. The end of a domain concerns daemons even if its
 * settings were taken out meanwhile. While a restore has left a refusal, any domain may be the one
 * that it is about: only the engine reads uuids.
 */
static bool
is_wanted(const Front *front)
{
    const HookPaths *paths = front->paths;

    return front->has_settings || directory_has(paths->policy_dir, ".conf") ||
           fits_domains(front) ||
           (front->operation->tells_all && directory_has(paths->run_dir, ".sock")) ||
           has_refusals(paths);
}

static bool
has_mark(const Front *front)
{
    for (size_t i = 0; front->length > 0 && i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (memmem(front->xml, front->length, marks[i], strlen(marks[i]))) {
            return true;
        }
    }
    return false;
}

/*
 * Is a mark in what is still to be read? Whether a domain too large for us is refused depends on
 * it. Overwrites the XML but for its last bytes, with which a mark may begin.
 */
static bool
rest_has_settings(Front *front)
{
    const size_t overlap = LONGEST_MARK - 1;
    size_t total = front->length;

    while (total <= MAX_SEARCHED) {
        ssize_t got;

        memmove(front->xml, front->xml + front->length - overlap, overlap);
        do {
            got = read(STDIN_FILENO, front->xml + overlap, FIRST_BYTES);
        } while (got < 0 && errno == EINTR);
        if (got <= 0) {
            return false;
        }
        front->length = overlap + (size_t)got;
        total += (size_t)got;
        if (has_mark(front)) {
            return true;
        }
    }
    return false;
}

static bool
read_stdin(Front *front, char *problem, size_t size)
{
    size_t room = 0;
    ssize_t got = 1;

    problem[0] = '\0';
    while (got > 0 && front->length <= MAX_BYTES) {
        if (front->length == room) {
            size_t more = room ? MAX_BYTES + 1 : FIRST_BYTES;
            char *grown = realloc(front->xml, more);

            if (!grown) {
                snprintf(problem, size, "no memory for the domain's XML");
                break;
            }
            front->xml = grown;
            room = more;
            if (room > FIRST_BYTES) {
                /* A large domain: let libvirtd write it in few turns. Not a pipe? No matter. */
                fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_BYTES);
            }
        }
        do {
            got = read(STDIN_FILENO, front->xml + front->length, room - front->length);
        } while (got < 0 && errno == EINTR);
        if (got < 0) {
            snprintf(problem, size, "cannot read the domain's XML: %s", strerror(errno));
        } else {
            front->length += (size_t)got;
        }
    }
    front->has_settings = has_mark(front);
    front->too_large = front->length > MAX_BYTES;
    if (front->too_large) {
        snprintf(problem, size, "the domain's XML is larger than %d MiB", MAX_BYTES >> 20);
        front->has_settings = front->has_settings || rest_has_settings(front);
    }
    return problem[0] == '\0';
}

/* Copies what the engine printed to our stdout. */
static bool
pass_on(int from)
{
    char part[16 * 1024];
    ssize_t got;

    while ((got = read(from, part, sizeof(part))) > 0) {
        if (!engine_process_write_all(STDOUT_FILENO, part, (size_t)got)) {
            return false;
        }
    }
    return got == 0;
}

/* What is said ends up in virsh's error: one line, printable, of no more than 1 KiB. */
static void
print_line(const char *text)
{
    char line[1024];
    size_t length = strnlen(text, sizeof(line) - 1);

    if (length == 0) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        line[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    }
    line[length] = '\n';
    engine_process_write_all(STDERR_FILENO, line, length + 1);
}

static int
run_engine(Front *front, char **argv)
{
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    bool rewrites = front->operation->may_rewrite;
    char problem[256];
    EngineEnd end;

    sigaction(SIGCHLD, &by_default, NULL); /* whoever ignores it gets no exit status */
    if (!engine_process_run(front->paths, argv, front->xml, front->length, rewrites, &end, problem,
                            sizeof(problem))) {
        return engine_failed(front, end.last_words, "%s", problem);
    }
    if (end.status == HOOK_EXIT_REFUSED && front->operation->failure == HOOK_FAILURE_REFUSES) {
        print_line(end.last_words);
        return HOOK_EXIT_REFUSED;
    }
    if (end.status != HOOK_EXIT_PASS) {
        return engine_failed(front, end.last_words, "%s ended with status %d", front->paths->engine,
                             end.status);
    }
    if (rewrites && !pass_on(end.output)) {
        return engine_failed(front, "", "cannot write the domain's new XML: %s", strerror(errno));
    }
    print_line(end.last_words);
    return HOOK_EXIT_PASS;
}

/* Is it part of this operation to fit the domain to this host, and is there to what? */
static bool
fits_domains(const Front *front)
{
    return (front->operation->may_rewrite || front->operation->must_fit) &&
           access(front->paths->host_conf, F_OK) == 0;
}

/* One line on stderr, and the exit status that is right for it. */
static int
engine_failed(const Front *front, const char *last_words, const char *format, ...)
{
    bool fits = fits_domains(front);
    bool refuses =
        front->operation->failure == HOOK_FAILURE_REFUSES && (front->has_settings || fits);
    char problem[512];
    char remedy[256] = "mend Gantry's installation";
    char line[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem, sizeof(problem), format, arguments);
    va_end(arguments);
    if (front->too_large) {
        snprintf(remedy, sizeof(remedy), "make its XML (most likely its metadata) smaller");
    } else if (fits) {
        snprintf(remedy, sizeof(remedy),
                 "mend Gantry's installation, which fits domains to this host by %.128s",
                 front->paths->host_conf);
    } else if (refuses) {
        snprintf(remedy, sizeof(remedy),
                 "mend Gantry's installation, or take the domain's Gantry settings out");
    }
    snprintf(line, sizeof(line), "gantry-hook: %s of domain '%.128s' %s: %.256s%s%.256s; %s",
             front->operation->name, front->domain, refuses ? "refused" : "goes on without Gantry",
             problem, *last_words ? ": " : "", last_words, remedy);
    print_line(line);
    return refuses ? HOOK_EXIT_REFUSED : HOOK_EXIT_PASS;
}

static void
print_operations(void)
{
    for (const HookOperation *operation = hook_operations; operation->name; operation++) {
        printf("%s %s\n"
               "    stdin:         %s XML\n"
               "    may rewrite:   %s\n"
               "    our failure:   %s; libvirt %s\n"
               "    daemons:       %s: %s\n"
               "    undone by:     %s\n",
               operation->name, operation->sub_operation,
               operation->stdin_holds == HOOK_STDIN_LIVE ? "live" : "migratable",
               operation->may_rewrite ? "yes"
               : operation->must_fit  ? "no; refuses XML that host.conf would change"
                                      : "no",
               operation->failure == HOOK_FAILURE_REFUSES ? "refuses" : "passes, and is logged",
               operation->libvirt_on_failure, operation->method, operation->effect,
               operation->undone_by);
    }
}

static int
print_about(const char *option)
{
    if (strcmp(option, "--version") == 0) {
        printf("gantry-hook %s\n", GANTRY_VERSION);
    } else if (strcmp(option, "--operations") == 0) {
        print_operations();
    } else if (strcmp(option, "--help") == 0) {
        puts("Usage: gantry-hook DOMAIN OPERATION SUB-OPERATION EXTRA < DOMAIN-XML\n"
             "\n"
             "libvirt's qemu hook; libvirt runs it as /etc/libvirt/hooks/qemu.d/50-gantry.\n"
             "\n"
             "  --operations  what is done for each of libvirt's operations\n"
             "  --help        this text\n"
             "  --version     the version\n"
             "\n"
             "Example: what would be refused, or rewritten, of a domain that migrates to this "
             "host:\n"
             "  virsh dumpxml --migratable DOMAIN | gantry-hook DOMAIN migrate begin -\n");
    } else {
        dprintf(STDERR_FILENO, "gantry-hook: unknown option '%s'; see gantry-hook --help\n",
                option);
        return HOOK_EXIT_USAGE;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* So that no file that we open becomes stdin, stdout or stderr by accident. */
static void
open_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)!open("/dev/null", O_RDWR); /* takes the lowest free number, which is fd */
        }
    }
}

/* Death by a signal is a failure to libvirt. What a signal would tell, write(2) does too: nobody
 * reads any more, or libvirtd was given a limit of file sizes (RLIMIT_FSIZE), which memfds obey. */
static void
ignore_signals(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}
