/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount-push SOURCE_PID TARGET_PID PATH:TARGET... - clone what is mounted at PATH in one process's
 * mount namespace and put it at TARGET in another's. open_tree(2) makes a detached copy, which
 * move_mount(2) may attach in any namespace: a bind mount cannot do that.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_TREES 16

static int
open_of(const char *pid, const char *what, int flags)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/proc/%.20s/%s", pid, what);
    fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        err(EXIT_FAILURE, "%s", path);
    }
    return fd;
}

static void
enter(int namespace, int root)
{
    if (setns(namespace, CLONE_NEWNS) != 0 || fchdir(root) != 0 || chroot(".") != 0) {
        err(EXIT_FAILURE, "cannot enter the mount namespace");
    }
}

int
main(int argc, char **argv)
{
    int trees[MAX_TREES], source, source_root, target, target_root;

    if (argc < 4 || argc - 3 > MAX_TREES) {
        fprintf(stderr, "usage: mount-push SOURCE_PID TARGET_PID PATH:TARGET...\n");
        return 2;
    }
    source = open_of(argv[1], "ns/mnt", O_RDONLY);
    source_root = open_of(argv[1], "root", O_PATH | O_DIRECTORY);
    target = open_of(argv[2], "ns/mnt", O_RDONLY);
    target_root = open_of(argv[2], "root", O_PATH | O_DIRECTORY);

    enter(source, source_root);
    for (int i = 3; i < argc; i++) {
        char *colon = strchr(argv[i], ':');

        if (!colon) {
            errx(2, "'%s' is not PATH:TARGET", argv[i]);
        }
        *colon = '\0';
        trees[i - 3] = (int)syscall(SYS_open_tree, AT_FDCWD, argv[i], OPEN_TREE_CLONE | O_CLOEXEC);
        if (trees[i - 3] < 0) {
            err(EXIT_FAILURE, "open_tree %s", argv[i]);
        }
    }
    enter(target, target_root);
    for (int i = 3; i < argc; i++) {
        const char *path = argv[i] + strlen(argv[i]) + 1;

        if (syscall(SYS_move_mount, trees[i - 3], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) !=
            0) {
            err(EXIT_FAILURE, "move_mount to %s", path);
        }
    }
    return EXIT_SUCCESS;
}
