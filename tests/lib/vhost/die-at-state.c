/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For LD_PRELOAD: gantry-ioqd is killed when it is about to put a worker.pid in its place, while
 * the file $DIE_AT_STATE is there (it goes first).
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int renameat(int from_dir, const char *from, int to_dir, const char *to);

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    int (*real)(int, const char *, int, const char *);
    const char *mark = getenv("DIE_AT_STATE");

    if (mark && strcmp(to, "worker.pid") == 0 && unlink(mark) == 0) {
        raise(SIGKILL);
    }
    *(void **)&real = dlsym(RTLD_NEXT, "renameat");
    return real(from_dir, from, to_dir, to);
}
