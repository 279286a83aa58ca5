/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine as the front sees it: a process between three files in memory.
 *
 * libvirtd reads the hook's stdout and stderr until nobody has them open any more, whether the hook
 * has ended or not, and holds the domain's lock meanwhile. So an engine that hangs in the kernel,
 * where not even SIGKILL ends it, must have neither of them. It dies with the front, as far as it
 * can be killed at all: nobody reads what it would still find out.
 */
#include "libvirt_hooks/engine_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { IN, OUT, ERRORS, N_FILES }; /* in the order of the standard descriptors */

static int seal_xml(const char *xml, size_t length);
static bool start(const HookPaths *paths, char **argv, const int *files, pid_t *ret_pid);
static bool wait_for_end(pid_t pid, int max_sec, int *ret_status);
static void read_last_words(int fd, char *words, size_t size);

static bool
open_files(const char *xml, size_t length, bool keep_output, int *ret_files)
{
    ret_files[IN] = seal_xml(xml, length);
    ret_files[OUT] = keep_output ? memfd_create("new domain XML", MFD_CLOEXEC)
                                 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    ret_files[ERRORS] = memfd_create("engine's errors", MFD_CLOEXEC);
    return ret_files[IN] >= 0 && ret_files[OUT] >= 0 && ret_files[ERRORS] >= 0;
}

/* Runs it to its end, however that is. */
static bool
run(const HookPaths *paths, char **argv, const int *files, int *ret_status, char *problem,
    size_t size)
{
    pid_t pid;

    if (!start(paths, argv, files, &pid)) {
        snprintf(problem, size, "cannot run %s: %s", paths->engine, strerror(errno));
        return false;
    }
    if (!wait_for_end(pid, paths->engine_max_sec, ret_status)) {
        if (errno == ETIMEDOUT) {
            snprintf(problem, size, "%s did not end within %d s", paths->engine,
                     paths->engine_max_sec);
        } else {
            snprintf(problem, size, "cannot wait for %s: %s", paths->engine, strerror(errno));
        }
        return false;
    }
    if (WIFSIGNALED(*ret_status)) {
        snprintf(problem, size, "%s was killed by signal %d", paths->engine, WTERMSIG(*ret_status));
        return false;
    }
    *ret_status = WEXITSTATUS(*ret_status);
    return true;
}

bool
engine_process_run(const HookPaths *paths, char **argv, const char *xml, size_t length,
                   bool keep_output, EngineEnd *ret_end, char *problem, size_t size)
{
    int files[N_FILES];
    bool ended = false;

    *ret_end = (EngineEnd){.output = -1};
    if (!open_files(xml, length, keep_output, files)) {
        snprintf(problem, size, "cannot hand the domain's XML over: %s", strerror(errno));
    } else {
        ended = run(paths, argv, files, &ret_end->status, problem, size);
        read_last_words(files[ERRORS], ret_end->last_words, sizeof(ret_end->last_words));
    }
    if (ended && lseek(files[OUT], 0, SEEK_SET) >= 0) {
        ret_end->output = files[OUT];
        files[OUT] = -1;
    }
    for (int i = 0; i < N_FILES; i++) {
        if (files[i] >= 0) {
            close(files[i]);
        }
    }
    return ended;
}

bool
engine_process_write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0) {
            data += n;
            length -= (size_t)n;
        }
    }
    return true;
}

/* The XML as a file that nobody can change any more, at its beginning; or -1. */
static int
seal_xml(const char *xml, size_t length)
{
    int fd = memfd_create("domain XML", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return -1;
    }
    if (!engine_process_write_all(fd, xml, length) || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* What the child does until it is the engine. Returns if it cannot be, with errno. */
static void
become_engine(const HookPaths *paths, char **argv, const int *files, pid_t parent)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    static char locale[] = "LC_ALL=C.UTF-8";
    char *const environment[] = {path, locale, NULL};
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t none;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        return;
    }
    if (getppid() != parent) {
        errno = ESRCH; /* it ended before we asked to be told */
        return;
    }
    for (int i = 0; i < N_FILES; i++) {
        if (dup2(files[i], i) < 0) {
            return;
        }
    }
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &by_default, NULL); /* fails for those that always have their default */
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(paths->engine, argv, environment);
}

/*
 * Starts the engine on @files. FALSE with errno. Not by posix_spawn(), which knows no
 * PR_SET_PDEATHSIG; a pipe that exec closes tells whether there was one.
 */
static bool
start(const HookPaths *paths, char **argv, const int *files, pid_t *ret_pid)
{
    int told[2];
    int problem = 0;
    pid_t parent = getpid();

    argv[0] = (char *)paths->engine;
    if (pipe2(told, O_CLOEXEC) < 0) {
        return false;
    }
    *ret_pid = fork();
    if (*ret_pid == 0) {
        become_engine(paths, argv, files, parent);
        problem = errno;
        (void)!write(told[1], &problem, sizeof(problem));
        _exit(127);
    }
    if (*ret_pid < 0) {
        problem = errno;
    }
    close(told[1]);
    if (*ret_pid > 0) {
        ssize_t got;

        do {
            got = read(told[0], &problem, sizeof(problem));
        } while (got < 0 && errno == EINTR);
        if (problem != 0) {
            waitpid(*ret_pid, NULL, 0);
        }
    }
    close(told[0]);
    errno = problem;
    return problem == 0;
}

static int64_t
now_msec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the process @pidfd ends. FALSE with ETIMEDOUT, or why it cannot be waited for. */
static bool
poll_engine(int pidfd, int max_sec)
{
    int64_t deadline = now_msec() + (int64_t)max_sec * 1000;
    struct pollfd end = {.fd = pidfd, .events = POLLIN};

    while (true) {
        int64_t left = deadline - now_msec();
        int ready = poll(&end, 1, left > 0 ? (int)left : 0);

        if (ready > 0) {
            return true;
        }
        if (ready == 0) {
            errno = ETIMEDOUT;
            return false;
        }
        if (errno != EINTR) {
            return false;
        }
    }
}

/*
 * The engine's own alarm ends it long before our deadline, unless it hangs in the kernel, on a dead
 * disk say. Not even SIGKILL ends it then, so nobody waits for that: libvirt holds the domain's
 * lock meanwhile, and init inherits the process.
 */
static bool
wait_for_end(pid_t pid, int max_sec, int *ret_status)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool ended;

    if (pidfd >= 0) {
        ended = poll_engine(pidfd, max_sec);
    } else {
        ended = errno == ENOSYS; /* Linux before 5.3: wait without a deadline */
    }
    if (!ended) {
        int saved = errno;

        kill(pid, SIGKILL);
        errno = saved;
    }
    if (pidfd >= 0) {
        int saved = errno;

        close(pidfd);
        errno = saved;
    }
    while (ended && waitpid(pid, ret_status, 0) < 0) {
        ended = errno == EINTR;
    }
    return ended;
}

/* The last line of a file, or its beginning where it is too long; no character is cut in two. */
static void
read_last_words(int fd, char *words, size_t size)
{
    char tail[8 * 1024];
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t got =
        pread(fd, tail, sizeof(tail), end > (off_t)sizeof(tail) ? end - (off_t)sizeof(tail) : 0);
    size_t length = got > 0 ? (size_t)got : 0;
    const char *line;

    while (length > 0 && tail[length - 1] == '\n') {
        length--;
    }
    line = memrchr(tail, '\n', length);
    line = line ? line + 1 : tail;
    length -= (size_t)(line - tail);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)line[length] & 0xc0) == 0x80) {
            length--;
        }
    }
    memcpy(words, line, length);
    words[length] = '\0';
}
