/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * init - all of the lab's guest: PID 1 of a Debian cloud kernel with nothing else in its initrd but
 * modules.
 *
 * Every 100 ms it writes "T COUNT UPTIME_MSEC" to the first serial port, and once a second COUNT to
 * the first disk, so that a test sees from outside whether, and how smoothly, the guest goes on.
 * The timer is absolute: after a pause the missed ticks are not made up, so the gap in host time
 * between two lines is the pause. Commands come on the second serial port, a line each: "burn
 * PERCENT", "dirty MIB_PER_SEC", "disk NAME" (answered by "D NAME BYTES", -1 where there is none),
 * "off". Kernel command line: lab.burn=, lab.dirty=, lab.verify=.
 *
 * With lab.verify=N, N threads write and read back blocks of /dev/vdb, each in a part of its own,
 * and once a second "V LEAST BAD ERRORS" is written: the rounds of the thread that has made the
 * fewest, so that one request that hangs is seen; blocks that were not as written; and requests
 * that failed.
 */
#define _GNU_SOURCE /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TICK_MSEC  100
#define SLICE_NSEC (50 * 1000 * 1000L) /* of the burner: busy for its share of each */
#define WORK_STEPS 20000 /* of a piece of work: well below a slice, well above a clock's step */
#define DIRTY_MAX  (96 << 20) /* memory that the dirtier walks over */

static atomic_int burn_percent;
static atomic_int dirty_mib_per_sec;
static int verify_threads;
static int serial = 2;    /* ttyS0: what we tell */
static int commands = -1; /* ttyS1: what we are told */

static long long
now_nsec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
sleep_until(long long nsec)
{
    struct timespec t = {nsec / 1000000000LL, nsec % 1000000000LL};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void
work(void)
{
    for (volatile int i = 0; i < WORK_STEPS; i++) {
    }
}

/*
 * Under emulation a guest cannot see when its vCPU is not running, so to be busy for a time would
 * ask for less the fuller the host is. What is asked for is work, as much as fits into that time on
 * an idle host: the fastest piece so far tells how much that is.
 */
static void *
burn(void *unused)
{
    long long slice = now_nsec();
    long long piece_nsec = SLICE_NSEC;
    long long owed_nsec = 0;

    for (;;) {
        owed_nsec += SLICE_NSEC / 100 * burn_percent;
        while (owed_nsec > 0 && burn_percent > 0) {
            long long before = now_nsec();
            long long took;

            work();
            took = now_nsec() - before;
            piece_nsec = took > 0 && took < piece_nsec ? took : piece_nsec;
            owed_nsec -= piece_nsec;
        }
        slice += SLICE_NSEC;
        /* What was missed, be it by a pause of the whole guest, is not made up. */
        if (slice < now_nsec() - SLICE_NSEC) {
            slice = now_nsec();
        }
        sleep_until(slice);
    }
    return unused;
}

#define VERIFY_BLOCK  4096
#define VERIFY_BLOCKS 64 /* a thread's part of the disk */
#define VERIFY_MAX    64 /* threads */

static atomic_long rounds[VERIFY_MAX], bad, failed;
static const char *const verify_disk = "/dev/vdb";

static void
fill(unsigned long long *words, unsigned long long block, unsigned long long version)
{
    for (unsigned i = 0; i < VERIFY_BLOCK / sizeof(*words); i += 2) {
        words[i] = block << 32 | i;
        words[i + 1] = version;
    }
}

static long
least_rounds(void)
{
    long least = rounds[0];

    for (int i = 1; i < verify_threads && i < VERIFY_MAX; i++) {
        least = rounds[i] < least ? rounds[i] : least;
    }
    return least;
}

static void *
verify(void *number)
{
    unsigned long long first = (unsigned long long)(size_t)number * VERIFY_BLOCKS;
    unsigned long long versions[VERIFY_BLOCKS] = {0};
    void *wanted = aligned_alloc(VERIFY_BLOCK, VERIFY_BLOCK);
    void *got = aligned_alloc(VERIFY_BLOCK, VERIFY_BLOCK);
    int disk = open(verify_disk, O_RDWR | O_DIRECT | O_CLOEXEC);

    for (unsigned long long round = 0; wanted && got && disk >= 0; round++) {
        unsigned i = (unsigned)(round * 7 % VERIFY_BLOCKS);
        unsigned k = (unsigned)(round * 11 % VERIFY_BLOCKS);

        fill(wanted, first + i, ++versions[i]);
        if (pwrite(disk, wanted, VERIFY_BLOCK, (off_t)(first + i) * VERIFY_BLOCK) != VERIFY_BLOCK ||
            pread(disk, got, VERIFY_BLOCK, (off_t)(first + k) * VERIFY_BLOCK) != VERIFY_BLOCK) {
            failed++;
            continue;
        }
        fill(wanted, first + k, versions[k]);
        if (versions[k] > 0 && memcmp(wanted, got, VERIFY_BLOCK) != 0) {
            bad++;
        }
        rounds[(size_t)number]++;
        if (round % 256 == 0 && fdatasync(disk) != 0) {
            failed++;
        }
    }
    dprintf(serial, "E %s: %s\n", verify_disk, strerror(errno));
    return NULL;
}

static void *
dirty(void *unused)
{
    char *memory = malloc(DIRTY_MAX);
    size_t at = 0;
    char value = 0;

    for (;;) {
        long long next = now_nsec() + SLICE_NSEC;
        size_t bytes = (size_t)dirty_mib_per_sec * (1 << 20) / (1000000000L / SLICE_NSEC);

        for (size_t done = 0; memory && done < bytes; done += 4096) {
            memory[at] = ++value;
            at = (at + 4096) % DIRTY_MAX;
        }
        sleep_until(next);
    }
    return unused;
}

/* Modules in the order that mkguest put into /modules/order. */
static void
load_modules(void)
{
    FILE *order = fopen("/modules/order", "re");
    char name[128];

    while (order && fscanf(order, "%100s", name) == 1) {
        char path[160];
        int fd;

        snprintf(path, sizeof(path), "/modules/%s", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) {
            dprintf(serial, "E module %s: %s\n", name, strerror(errno));
        }
        close(fd);
    }
}

static int
open_serial(const char *path)
{
    struct termios mode;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0 && tcgetattr(fd, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(fd, TCSANOW, &mode);
    }
    return fd;
}

static void
read_command_line(void)
{
    char text[2048] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0) {
        const char *burn_at = strstr(text, "lab.burn=");
        const char *dirty_at = strstr(text, "lab.dirty=");
        const char *verify_at = strstr(text, "lab.verify=");

        verify_threads = verify_at ? atoi(verify_at + strlen("lab.verify=")) : 0;
        burn_percent = burn_at ? atoi(burn_at + strlen("lab.burn=")) : 0;
        dirty_mib_per_sec = dirty_at ? atoi(dirty_at + strlen("lab.dirty=")) : 0;
    }
    close(fd);
}

static void
tell_size(const char *disk)
{
    char path[64];
    int fd;
    long long bytes = -1;

    snprintf(path, sizeof(path), "/dev/%s", disk);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        bytes = lseek(fd, 0, SEEK_END);
        close(fd);
    }
    dprintf(serial, "D %s %lld\n", disk, bytes);
}

static void
obey(const char *line)
{
    char disk[32];
    int value;

    if (sscanf(line, "burn %d", &value) == 1 && value >= 0 && value <= 100) {
        burn_percent = value;
    } else if (sscanf(line, "dirty %d", &value) == 1 && value >= 0) {
        dirty_mib_per_sec = value;
    } else if (sscanf(line, "disk %31s", disk) == 1) {
        tell_size(disk);
    } else if (strcmp(line, "off") == 0) {
        reboot(RB_POWER_OFF);
    } else {
        dprintf(serial, "E command '%s'\n", line);
        return;
    }
    dprintf(serial, "C %s\n", line);
}

/* Collects what comes; a whole line is obeyed. */
static void
take_input(void)
{
    static char line[128];
    static size_t length;
    char c;

    if (read(commands, &c, 1) != 1) {
        return;
    }
    if (c == '\n' || c == '\r') {
        line[length] = '\0';
        if (length > 0) {
            obey(line);
        }
        length = 0;
    } else if (length < sizeof(line) - 1) {
        line[length++] = c;
    }
}

static void
write_count(int disk, unsigned long count)
{
    static char sector[4096] __attribute__((aligned(4096)));

    snprintf(sector, sizeof(sector), "COUNT %lu\n", count);
    if (disk >= 0 && pwrite(disk, sector, sizeof(sector), 0) != sizeof(sector)) {
        dprintf(serial, "E disk: %s\n", strerror(errno));
    }
}

int
main(void)
{
    struct itimerspec period = {{0, TICK_MSEC * 1000000L}, {0, TICK_MSEC * 1000000L}};
    struct pollfd fds[2];
    pthread_t thread;
    unsigned long count = 0;
    int timer, disk;

    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    serial = open_serial("/dev/ttyS0");
    commands = open_serial("/dev/ttyS1");
    load_modules();
    read_command_line();
    disk = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
    pthread_create(&thread, NULL, burn, NULL);
    pthread_create(&thread, NULL, dirty, NULL);
    for (long i = 0; i < verify_threads && i < VERIFY_MAX; i++) {
        pthread_create(&thread, NULL, verify, (void *)i);
    }

    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timerfd_settime(timer, 0, &period, NULL);
    fds[0] = (struct pollfd){timer, POLLIN, 0};
    fds[1] = (struct pollfd){commands, POLLIN, 0};
    dprintf(serial, "B booted in %lld ms, disk %s\n", now_nsec() / 1000000,
            disk >= 0 ? "yes" : "no");
    for (;;) {
        if (poll(fds, 2, -1) < 0) {
            continue;
        }
        if (fds[0].revents) {
            unsigned long long missed;

            if (read(timer, &missed, sizeof(missed)) == sizeof(missed)) {
                dprintf(serial, "T %lu %lld\n", ++count, now_nsec() / 1000000);
                if (count % (1000 / TICK_MSEC) == 0) {
                    write_count(disk, count);
                    if (verify_threads > 0) {
                        dprintf(serial, "V %ld %ld %ld\n", least_rounds(), bad, failed);
                    }
                }
            }
        }
        if (fds[1].revents & POLLIN) {
            take_input();
        } else if (fds[1].revents) {
            fds[1].fd = -1; /* nobody can tell us anything any more; ticking goes on */
        }
    }
}
