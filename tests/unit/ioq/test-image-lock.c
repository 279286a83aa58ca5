/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Locks on images, between stores and against who does as QEMU does. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "ioq_tuning/store/store.h"
#include "scratch.h"

typedef struct {
    char *root;
    char *path;
} World;

static void
set_up(World *world, gconstpointer data)
{
    world->root = scratch_new();
    world->path = g_build_filename(world->root, "image", NULL);
    scratch_write(world->root, "image", "an image");
}

static void
tear_down(World *world, gconstpointer data)
{
    scratch_remove(world->root);
    g_free(world->path);
}

static IoqStore *
store_on(int fd, gboolean read_only)
{
    g_autoptr(GError) error = NULL;
    IoqStore *store = ioq_store_file_new(fd, -1, read_only, &error);

    g_assert_no_error(error);
    ioq_store_file_set_name(store, "/srv/the.img");
    return store;
}

static IoqStore *
open_store(World *world, gboolean read_only)
{
    return store_on(open(world->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC), read_only);
}

static void
assert_acquires(IoqStore *store)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(ioq_store_acquire(store, &error));
    g_assert_no_error(error);
}

static void
assert_is_refused(IoqStore *store)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(ioq_store_acquire(store, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "/srv/the.img is in use"));
}

static void
test_two_writers(World *world, gconstpointer data)
{
    g_autoptr(IoqStore) first = open_store(world, FALSE);
    g_autoptr(IoqStore) second = open_store(world, FALSE);

    assert_acquires(first);
    assert_is_refused(second);
    assert_acquires(first); /* again: it is his own */
    ioq_store_release(first);
    assert_acquires(second); /* what was refused has left no mark */
    assert_is_refused(first);
}

static void
test_readers(World *world, gconstpointer data)
{
    g_autoptr(IoqStore) first = open_store(world, TRUE);
    g_autoptr(IoqStore) second = open_store(world, TRUE);
    g_autoptr(IoqStore) writer = open_store(world, FALSE);

    assert_acquires(first);
    assert_acquires(second);
    assert_is_refused(writer);
    ioq_store_release(first);
    assert_is_refused(writer);
    ioq_store_release(second);
    assert_acquires(writer);
    assert_is_refused(first);
}

/* A descriptor of the same open file has the same lock: gantry-ioqd's while a worker is replaced.
 */
static void
test_same_open_file(World *world, gconstpointer data)
{
    gantry_autofd kept = open(world->path, O_RDWR | O_CLOEXEC);
    IoqStore *worker = store_on(fcntl(kept, F_DUPFD_CLOEXEC, 0), FALSE);
    g_autoptr(IoqStore) other = open_store(world, FALSE);

    assert_acquires(worker);
    ioq_store_free(worker); /* as when it dies: without a release */
    assert_is_refused(other);
    worker = store_on(fcntl(kept, F_DUPFD_CLOEXEC, 0), FALSE);
    assert_acquires(worker);
    ioq_store_release(worker);
    ioq_store_free(worker);
    assert_acquires(other);
}

static gboolean
lock(int fd, short type, off_t byte)
{
    struct flock mark = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &mark) == 0;
}

/* QEMU's permissions: read 0, write 1; used at 100 + p, not shared at 200 + p. */
static void
test_marks_are_qemus(World *world, gconstpointer data)
{
    static const struct {
        off_t theirs;
        gboolean keeps_writer_out, keeps_reader_out;
    } marks[] = {
        {100, FALSE, FALSE}, {101, TRUE, TRUE},  {102, FALSE, FALSE}, {103, FALSE, FALSE},
        {200, TRUE, TRUE},   {201, TRUE, FALSE}, {203, FALSE, FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(marks); i++) {
        for (guint read_only = 0; read_only < 2; read_only++) {
            g_autoptr(IoqStore) store = open_store(world, read_only);
            gantry_autofd qemu = open(world->path, O_RDWR | O_CLOEXEC);

            g_assert_true(lock(qemu, F_RDLCK, marks[i].theirs));
            if (read_only ? marks[i].keeps_reader_out : marks[i].keeps_writer_out) {
                assert_is_refused(store);
            } else {
                assert_acquires(store);
            }
        }
    }
}

/* What QEMU sees of ours: it looks by asking for a write lock. */
static void
test_marks_are_seen(World *world, gconstpointer data)
{
    for (guint read_only = 0; read_only < 2; read_only++) {
        g_autoptr(IoqStore) store = open_store(world, read_only);
        gantry_autofd qemu = open(world->path, O_RDWR | O_CLOEXEC);

        assert_acquires(store);
        for (off_t byte = 0; byte < 300; byte++) {
            gboolean marked = byte == 100 || (byte == 101 && !read_only) || byte == 201;

            g_assert_cmpint(lock(qemu, F_WRLCK, byte), ==, !marked);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) \
    g_test_add("/ioq/image-lock/" name, World, NULL, set_up, function, tear_down)
    ADD("two-writers", test_two_writers);
    ADD("readers", test_readers);
    ADD("same-open-file", test_same_open_file);
    ADD("marks-are-qemus", test_marks_are_qemus);
    ADD("marks-are-seen", test_marks_are_seen);
    return g_test_run();
}
