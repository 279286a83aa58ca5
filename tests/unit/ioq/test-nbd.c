/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store on an NBD server, and what it makes of servers that are limited, slow, wrong or gone.
 */
#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "ioq_tuning/store/store.h"
#include "nbd-server.h"

#define USUAL   (NBD_FLUSH | NBD_FUA | NBD_TRIM | NBD_ZEROES | NBD_MULTI_CONN)
#define BLOCK   512U
#define MANY    16U
#define MAX_IOV 8U

static guint n_lost; /* by the store that is tested */

typedef struct {
    NbdServer *server;
    IoqStore *store;
    IoqLoop *loop;
    guint n_connections;
} World;

typedef struct {
    IoqIo io;
    struct iovec iov[MAX_IOV];
    gboolean done;
    int result;
    guint lost_before;
} Request;

static void
on_lost(const char *name, const char *why)
{
    g_assert_cmpstr(name, ==, "server");
    g_assert_nonnull(why);
    n_lost++;
}

static IoqStore *
connect_to(NbdServer *server, guint n_fds, gboolean read_only, guint *ret_n, GError **error)
{
    const IoqNbdOptions options = {
        .name = "server", .read_only = read_only, .timeout_msec = 500, .lost = on_lost};
    int fds[IOQ_NBD_MAX_CONNECTIONS];
    IoqStore *store;

    for (guint i = 0; i < n_fds; i++) {
        fds[i] = nbd_server_connect(server);
    }
    store = ioq_store_nbd_new(fds, n_fds, &options, ret_n, error);
    for (guint i = 0; i < n_fds; i++) {
        g_assert_cmpint(fds[i], ==, -1); /* it owns them, whatever comes */
    }
    return store;
}

static void
open_world(World *world, const NbdBehaviour *behaviour, guint n_fds)
{
    g_autoptr(GError) error = NULL;

    n_lost = 0;
    world->server = nbd_server_new(behaviour);
    world->store = connect_to(world->server, n_fds, FALSE, &world->n_connections, &error);
    g_assert_no_error(error);
    world->loop = ioq_loop_new(64, &error);
    g_assert_no_error(error);
}

static void
close_world(World *world)
{
    ioq_loop_free(world->loop);
    ioq_store_free(world->store);
    nbd_server_free(world->server);
}

static void
on_done(IoqIo *io, int result)
{
    Request *request = (Request *)io;

    g_assert_false(request->done);
    request->done = TRUE;
    request->result = result;
    request->lost_before = n_lost;
}

/* @bytes in @n_pieces, the first ones one byte longer than the one before it. */
static void
begin(World *world, Request *request, IoqIoKind kind, guint64 offset, gpointer bytes,
      guint64 length, guint n_pieces)
{
    char *next = bytes;

    *request = (Request){.io = {.kind = kind, .offset = offset, .length = length}};
    request->io.done = on_done;
    for (guint i = 0; bytes && i < n_pieces; i++) {
        gsize step = i + 1 == n_pieces ? (gsize)((char *)bytes + length - next) : i + 1U;

        request->iov[i] = (struct iovec){next, step};
        next += step;
    }
    request->io.iov = request->iov;
    request->io.n_iov = n_pieces;
    ioq_store_submit(world->store, world->loop, &request->io);
}

static int
finish(World *world, Request *request)
{
    while (!request->done) {
        ioq_loop_run(world->loop, TRUE);
    }
    return request->result;
}

static int
run(World *world, IoqIoKind kind, guint64 offset, gpointer bytes, guint64 length, guint n_pieces)
{
    Request request;

    begin(world, &request, kind, offset, bytes, length, n_pieces);
    return finish(world, &request);
}

static void
fill(guint8 *bytes, gsize length, guint seed)
{
    for (gsize i = 0; i < length; i++) {
        bytes[i] = (guint8)(i * 7 + i / 251 + seed);
    }
}

static void
assert_flags(World *world, guint16 type, guint16 flags)
{
    for (guint i = 0; i < world->server->commands->len; i++) {
        const NbdCommand *command = &g_array_index(world->server->commands, NbdCommand, i);

        if (command->type == type) {
            g_assert_cmpuint(command->flags, ==, flags);
        }
    }
}

/* Data */

static void
test_data(void)
{
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL}, 1);
    g_assert_cmpuint(ioq_store_size(world.store), ==, NBD_DISK_BYTES);
    g_assert_true(world.store->can_unmap);
    for (guint n = 1; n <= MAX_IOV; n++) {
        g_autofree guint8 *wanted = g_malloc(3 * BLOCK), *seen = g_malloc(3 * BLOCK);

        fill(wanted, 3 * BLOCK, n);
        g_assert_cmpint(run(&world, IOQ_IO_WRITE, n * 4096, wanted, 3 * BLOCK, n), ==, 0);
        g_assert_cmpmem(world.server->disk + n * 4096, 3 * BLOCK, wanted, 3 * BLOCK);
        g_assert_cmpint(run(&world, IOQ_IO_READ, n * 4096, seen, 3 * BLOCK, MAX_IOV + 1 - n), ==,
                        0);
        g_assert_cmpmem(seen, 3 * BLOCK, wanted, 3 * BLOCK);
    }
    close_world(&world);
}

/* What has changed data is on the medium, though nobody has asked for that. */
static void
test_writes_are_durable(void)
{
    guint8 block[BLOCK] = {0};
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL}, 1);
    g_assert_cmpint(run(&world, IOQ_IO_WRITE, 0, block, BLOCK, 1), ==, 0);
    g_assert_cmpint(run(&world, IOQ_IO_DISCARD, 0, NULL, BLOCK, 0), ==, 0);
    g_assert_cmpint(run(&world, IOQ_IO_WRITE_ZEROES, 0, NULL, BLOCK, 0), ==, 0);
    g_assert_cmpint(run(&world, IOQ_IO_FLUSH, 0, NULL, 0, 0), ==, 0);
    assert_flags(&world, NBD_CMD_WRITE, 1);
    assert_flags(&world, NBD_CMD_TRIM, 1);
    assert_flags(&world, NBD_CMD_ZEROES, 1 | 2); /* and no hole */
    g_assert_cmpuint(nbd_server_count(world.server, NBD_CMD_TRIM), ==, 1);
    g_assert_cmpuint(nbd_server_count(world.server, NBD_CMD_ZEROES), ==, 1);
    g_assert_cmpuint(nbd_server_count(world.server, NBD_CMD_FLUSH), ==, 1);
    close_world(&world);
}

static void
test_durable_without_fua(void)
{
    guint8 block[BLOCK] = {0};
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = NBD_FLUSH}, 1);
    g_assert_false(world.store->can_unmap);
    for (guint i = 1; i <= 3; i++) {
        g_assert_cmpint(run(&world, IOQ_IO_WRITE, 0, block, BLOCK, i), ==, 0);
        g_assert_cmpuint(nbd_server_count(world.server, NBD_CMD_FLUSH), ==, i);
        g_assert_cmpint(run(&world, IOQ_IO_READ, 0, block, BLOCK, 1), ==, 0);
        g_assert_cmpuint(nbd_server_count(world.server, NBD_CMD_FLUSH), ==, i);
    }
    g_assert_cmpint(run(&world, IOQ_IO_DISCARD, 0, NULL, BLOCK, 0), ==, 0); /* a hint */
    g_assert_cmpuint(nbd_server_count(world.server, NBD_CMD_TRIM), ==, 0);
    close_world(&world);
}

static void
test_out_of_order(void)
{
    Request requests[MANY];
    guint8 blocks[MANY][BLOCK];
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL, .hold = MANY}, 1);
    for (guint i = 0; i < MANY; i++) {
        begin(&world, &requests[i], IOQ_IO_READ, i * BLOCK, blocks[i], BLOCK, 1 + i % MAX_IOV);
    }
    for (guint i = 0; i < MANY; i++) {
        g_assert_cmpint(finish(&world, &requests[i]), ==, 0);
        g_assert_cmpmem(blocks[i], BLOCK, world.server->disk + i * BLOCK, BLOCK);
    }
    close_world(&world);
}

/* More than the server takes at once, and more than goes through one piece of memory. */
static void
test_large(void)
{
    g_autofree guint8 *wanted = g_malloc(NBD_DISK_BYTES), *seen = g_malloc(NBD_DISK_BYTES);
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL, .smallest = 1, .largest = 65536}, 1);
    for (guint n = 1; n <= 3; n++) {
        fill(wanted, NBD_DISK_BYTES, n);
        g_assert_cmpint(run(&world, IOQ_IO_WRITE, 0, wanted, NBD_DISK_BYTES, n), ==, 0);
        g_assert_cmpint(run(&world, IOQ_IO_READ, 0, seen, NBD_DISK_BYTES, n), ==, 0);
        g_assert_cmpmem(seen, NBD_DISK_BYTES, wanted, NBD_DISK_BYTES);
    }
    for (guint i = 0; i < world.server->commands->len; i++) {
        g_assert_cmpuint(g_array_index(world.server->commands, NbdCommand, i).length, <=, 65536);
    }
    close_world(&world);
}

/* Limits */

static void
test_block_size(void)
{
    g_autofree guint8 *bytes = g_malloc0(4096);
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL, .smallest = 4096, .largest = 1 << 25},
               1);
    g_assert_cmpuint(world.store->block_size, ==, 4096);
    g_assert_cmpint(run(&world, IOQ_IO_WRITE, 512, bytes, 4096, 1), ==, -EINVAL);
    g_assert_cmpint(run(&world, IOQ_IO_WRITE, 0, bytes, 512, 1), ==, -EINVAL);
    g_assert_cmpint(run(&world, IOQ_IO_WRITE, 4096, bytes, 4096, 1), ==, 0);
    g_assert_cmpuint(nbd_server_count(world.server, NBD_CMD_WRITE), ==, 1);
    close_world(&world);
}

static void
refused(const NbdBehaviour *behaviour, const char *why)
{
    NbdServer *server = nbd_server_new(behaviour);
    g_autoptr(GError) error = NULL;
    guint n;

    g_assert_null(connect_to(server, 3, FALSE, &n, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, why));
    nbd_server_free(server);
}

static void
test_refusals(void)
{
    refused(&(const NbdBehaviour){.flags = USUAL | NBD_READ_ONLY}, "for reading only");
    refused(&(const NbdBehaviour){.flags = USUAL, .smallest = 8192, .largest = 1 << 25},
            "larger than 4096");
    refused(&(const NbdBehaviour){.silent = TRUE}, "does not answer");
}

static void
test_read_only(void)
{
    NbdServer *server = nbd_server_new(&(const NbdBehaviour){.flags = NBD_READ_ONLY});
    g_autoptr(GError) error = NULL;
    guint n;
    IoqStore *store = connect_to(server, 3, TRUE, &n, &error);

    g_assert_no_error(error);
    g_assert_true(store->read_only);
    g_assert_false(store->can_unmap);
    g_assert_cmpuint(n, ==, 3); /* what nobody writes is the same for all */
    ioq_store_free(store);
    nbd_server_free(server);
}

/* Connections */

static void
test_one_connection_a_loop(void)
{
    guint8 block[BLOCK];
    IoqLoop *loops[3];
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL}, 2);
    g_assert_cmpuint(world.n_connections, ==, 2);
    loops[0] = world.loop;
    loops[1] = ioq_loop_new(8, NULL);
    loops[2] = ioq_loop_new(8, NULL);
    for (guint i = 0; i < 3; i++) {
        world.loop = loops[i];
        g_assert_cmpint(run(&world, IOQ_IO_READ, 0, block, BLOCK, 1), ==, i < 2 ? 0 : -EIO);
    }
    /* One that has ended gives its connection back. */
    ioq_loop_free(loops[0]);
    g_assert_cmpint(run(&world, IOQ_IO_READ, 0, block, BLOCK, 1), ==, 0);
    world.loop = loops[1];
    g_assert_cmpint(run(&world, IOQ_IO_READ, 0, block, BLOCK, 1), ==, 0);
    {
        const NbdCommand *commands = (const NbdCommand *)(gpointer)world.server->commands->data;

        g_assert_cmpuint(world.server->commands->len, ==, 4);
        g_assert_cmpuint(commands[0].connection, !=, commands[1].connection);
        g_assert_cmpuint(commands[2].connection, ==, commands[0].connection);
        g_assert_cmpuint(commands[3].connection, ==, commands[1].connection);
    }
    ioq_loop_free(loops[2]);
    close_world(&world);
}

static void
test_without_multi_conn(void)
{
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL & ~NBD_MULTI_CONN}, 4);
    g_assert_cmpuint(world.n_connections, ==, 1);
    close_world(&world);
}

/* Errors */

static void
test_errors_of_requests(void)
{
    static const struct {
        guint32 sent;
        int seen;
    } errors[] = {{5, -EIO}, {28, -ENOSPC}, {95, -EOPNOTSUPP}, {1, -EPERM}};

    for (guint i = 0; i < G_N_ELEMENTS(errors); i++) {
        guint8 block[BLOCK] = {0};
        World world;

        open_world(&world, &(const NbdBehaviour){.flags = USUAL, .error = errors[i].sent}, 1);
        g_assert_cmpint(run(&world, IOQ_IO_WRITE, 0, block, BLOCK, 1), ==, errors[i].seen);
        g_assert_cmpint(run(&world, IOQ_IO_READ, 0, block, BLOCK, 3), ==, errors[i].seen);
        g_assert_cmpuint(n_lost, ==, 0);
        close_world(&world);
    }
}

/* The owner is told before the first of the requests ends, so that he can see to it that none
 * does. */
static void
test_lost(void)
{
    Request requests[MANY];
    guint8 blocks[MANY][BLOCK];
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL, .hold = MANY, .drop = MANY}, 1);
    for (guint i = 0; i < MANY; i++) {
        begin(&world, &requests[i], IOQ_IO_READ, i * BLOCK, blocks[i], BLOCK, 1 + i % MAX_IOV);
    }
    for (guint i = 0; i < MANY; i++) {
        g_assert_cmpint(finish(&world, &requests[i]), ==, -EIO);
        g_assert_cmpuint(requests[i].lost_before, ==, 1);
    }
    g_assert_cmpint(run(&world, IOQ_IO_READ, 0, blocks[0], BLOCK, 1), ==, -EIO);
    g_assert_cmpuint(n_lost, ==, 1);
    close_world(&world);
}

/* A server that is told to end says so to what it has not done: no error of the disk. */
static void
test_shutting_down(void)
{
    guint8 block[BLOCK];
    Request request;
    World world;

    open_world(&world, &(const NbdBehaviour){.flags = USUAL, .error = 108}, 1);
    begin(&world, &request, IOQ_IO_READ, 0, block, BLOCK, 1);
    finish(&world, &request);
    g_assert_cmpuint(request.lost_before, ==, 1);
    close_world(&world);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ioq/nbd/data", test_data);
    g_test_add_func("/ioq/nbd/writes-are-durable", test_writes_are_durable);
    g_test_add_func("/ioq/nbd/durable-without-fua", test_durable_without_fua);
    g_test_add_func("/ioq/nbd/out-of-order", test_out_of_order);
    g_test_add_func("/ioq/nbd/large", test_large);
    g_test_add_func("/ioq/nbd/block-size", test_block_size);
    g_test_add_func("/ioq/nbd/refusals", test_refusals);
    g_test_add_func("/ioq/nbd/read-only", test_read_only);
    g_test_add_func("/ioq/nbd/one-connection-a-loop", test_one_connection_a_loop);
    g_test_add_func("/ioq/nbd/without-multi-conn", test_without_multi_conn);
    g_test_add_func("/ioq/nbd/errors-of-requests", test_errors_of_requests);
    g_test_add_func("/ioq/nbd/lost", test_lost);
    g_test_add_func("/ioq/nbd/shutting-down", test_shutting_down);
    return g_test_run();
}
