/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * timer ROUNDS INPUT -- NAME PROGRAM ARGUMENT... [-- NAME PROGRAM ARGUMENT...]...
 *
 * Runs the programs in turn, ROUNDS times, each as libvirt runs a hook: INPUT's bytes through a
 * pipe on stdin, output read to its end from another. Prints one JSON object a program: wall-clock
 * and CPU time, the median of all rounds, in ms. Taking turns makes what else the machine does hit
 * all alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PROGRAMS = 32, WARM_UP = 3 };

typedef struct {
    const char *name;
    char **argv;
    double *wall_msec;
    double *cpu_msec;
    size_t n_output;
    int status;
} Program;

static void
die(const char *what)
{
    fprintf(stderr, "timer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double
now_msec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double
to_msec(struct timeval time)
{
    return (double)time.tv_sec * 1e3 + (double)time.tv_usec / 1e3;
}

static char *
read_file(const char *path, size_t *ret_length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    char *data;

    if (fd < 0 || fstat(fd, &info) < 0) {
        die(path);
    }
    data = malloc((size_t)info.st_size);
    if (!data || read(fd, data, (size_t)info.st_size) != info.st_size) {
        die(path);
    }
    close(fd);
    *ret_length = (size_t)info.st_size;
    return data;
}

/* Feeds @fd_in and drains @fd_out until both are closed. Returns how much came out. */
static size_t
exchange(int fd_in, int fd_out, const char *input, size_t length)
{
    struct pollfd fds[2] = {{fd_out, POLLIN, 0}, {fd_in, POLLOUT, 0}};
    char part[65536];
    size_t n_output = 0;

    while (fds[0].fd >= 0) {
        if (length == 0 && fds[1].fd >= 0) {
            close(fds[1].fd);
            fds[1].fd = -1;
        }
        if (poll(fds, 2, -1) < 0) {
            die("poll");
        }
        if (fds[1].fd >= 0 && fds[1].revents) {
            ssize_t n = write(fds[1].fd, input, length);

            if (n < 0 && errno != EAGAIN) {
                length = 0; /* it does not want to read */
            } else if (n > 0) {
                input += n;
                length -= (size_t)n;
            }
        }
        if (fds[0].revents) {
            ssize_t n = read(fds[0].fd, part, sizeof(part));

            if (n <= 0) {
                close(fds[0].fd);
                fds[0].fd = -1;
            } else {
                n_output += (size_t)n;
            }
        }
    }
    if (fds[1].fd >= 0) {
        close(fds[1].fd);
    }
    return n_output;
}

static void
run_once(Program *program, const char *input, size_t length, double *ret_wall, double *ret_cpu)
{
    char *const environment[] = {(char *)"LC_ALL=C", (char *)"PATH=/usr/bin:/bin", NULL};
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    int in[2], out[2], problem;
    double start;
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
        die("pipe");
    }
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    start = now_msec();
    problem = posix_spawn(&pid, program->argv[0], &actions, NULL, program->argv, environment);
    if (problem != 0) {
        errno = problem;
        die(program->argv[0]);
    }
    close(in[0]);
    close(out[1]);
    program->n_output = exchange(in[1], out[0], input, length);
    if (wait4(pid, &program->status, 0, &usage) < 0) {
        die("wait4");
    }
    *ret_wall = now_msec() - start;
    *ret_cpu = to_msec(usage.ru_utime) + to_msec(usage.ru_stime);
    posix_spawn_file_actions_destroy(&actions);
}

static int
compare(const void *a, const void *b)
{
    double first = *(const double *)a;
    double second = *(const double *)b;

    return first < second ? -1 : first > second;
}

int
main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    Program programs[MAX_PROGRAMS] = {0};
    size_t n_programs = 0;
    size_t rounds, length;
    char *input;

    if (argc < 6) {
        fprintf(stderr, "usage: timer ROUNDS INPUT -- NAME PROGRAM ARGUMENT... [-- ...]\n");
        return 2;
    }
    if (sscanf(argv[1], "%zu", &rounds) != 1 || rounds == 0) {
        fprintf(stderr, "timer: %s is no number of rounds\n", argv[1]);
        return 2;
    }
    input = read_file(argv[2], &length);
    sigaction(SIGPIPE, &ignore, NULL);
    for (int i = 3; i + 2 < argc && n_programs < MAX_PROGRAMS; i++) {
        if (argv[i] && strcmp(argv[i], "--") == 0) {
            argv[i] = NULL; /* ends the arguments of the one before */
            programs[n_programs].name = argv[i + 1];
            programs[n_programs].argv = argv + i + 2;
            programs[n_programs].wall_msec = calloc(rounds, sizeof(double));
            programs[n_programs].cpu_msec = calloc(rounds, sizeof(double));
            n_programs++;
        }
    }
    for (size_t round = 0; round < rounds + WARM_UP; round++) {
        for (size_t i = 0; i < n_programs; i++) {
            double wall, cpu;

            run_once(&programs[i], input, length, &wall, &cpu);
            if (round >= WARM_UP) {
                programs[i].wall_msec[round - WARM_UP] = wall;
                programs[i].cpu_msec[round - WARM_UP] = cpu;
            }
        }
    }
    for (size_t i = 0; i < n_programs; i++) {
        Program *program = &programs[i];

        qsort(program->wall_msec, rounds, sizeof(double), compare);
        qsort(program->cpu_msec, rounds, sizeof(double), compare);
        printf("{\"name\":\"%s\",\"rounds\":%zu,\"input_bytes\":%zu,\"output_bytes\":%zu,"
               "\"status\":%d,"
               "\"wall_ms\":%.3f,\"wall_min_ms\":%.3f,\"wall_p90_ms\":%.3f,\"cpu_ms\":%.3f}\n",
               program->name, rounds, length, program->n_output,
               WIFEXITED(program->status) ? WEXITSTATUS(program->status) : -1,
               program->wall_msec[rounds / 2], program->wall_msec[0],
               program->wall_msec[rounds * 9 / 10], program->cpu_msec[rounds / 2]);
    }
    return 0;
}
