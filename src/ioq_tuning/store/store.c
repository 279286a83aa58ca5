/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/store/store.h"

#define NULL_BLOCK 512

void
ioq_store_free(IoqStore *store)
{
    if (store) {
        store->ops->free(store);
    }
}

guint64
ioq_store_size(IoqStore *store)
{
    return __atomic_load_n(&store->size, __ATOMIC_ACQUIRE);
}

gboolean
ioq_store_refresh_size(IoqStore *store, GError **error)
{
    return store->ops->refresh_size && store->ops->refresh_size(store, error);
}

gboolean
ioq_store_acquire(IoqStore *store, GError **error)
{
    return !store->ops->acquire || store->ops->acquire(store, error);
}

void
ioq_store_release(IoqStore *store)
{
    if (store->ops->release) {
        store->ops->release(store);
    }
}

gboolean
ioq_store_must_settle(const IoqStore *store)
{
    return store->ops->settle && !store->read_only;
}

gboolean
ioq_store_settle(IoqStore *store, GError **error)
{
    return !ioq_store_must_settle(store) || store->ops->settle(store, error);
}

/* Null */

static void
null_submit(IoqStore *store, IoqLoop *loop, IoqIo *io)
{
    io->done(io, 0);
}

static void
null_free(IoqStore *store)
{
    g_free(store);
}

static const IoqStoreOps null_ops = {.name = "null", .submit = null_submit, .free = null_free};

IoqStore *
ioq_store_null_new(guint64 size)
{
    IoqStore *store = g_new0(IoqStore, 1);

    *store =
        (IoqStore){.ops = &null_ops, .size = size, .block_size = NULL_BLOCK, .can_unmap = TRUE};
    return store;
}

/* Delay */

typedef struct {
    IoqStore base;
    IoqStore *below;
    guint max_usec;
    guint32 random; /* atomic; only has to differ */
} DelayStore;

static void
delay_over(IoqEvent *event, int result, guint cqe_flags)
{
    IoqIo *io = (IoqIo *)(gpointer)((char *)event - G_STRUCT_OFFSET(IoqIo, event));
    DelayStore *delay = (DelayStore *)io->store;

    ioq_store_submit(delay->below, io->loop, io);
}

static void
delay_submit(IoqStore *store, IoqLoop *loop, IoqIo *io)
{
    DelayStore *delay = (DelayStore *)store;
    struct io_uring_sqe *sqe = ioq_loop_sqe(loop);
    guint32 random = __atomic_add_fetch(&delay->random, 0x9e3779b9, __ATOMIC_RELAXED);

    random ^= random >> 16;
    random *= 0x7feb352d;
    random ^= random >> 15;
    io->store = store;
    io->loop = loop;
    io->event.done = delay_over;
    io->delay = (struct __kernel_timespec){0, (long long)(random % (delay->max_usec + 1)) * 1000};
    io_uring_prep_timeout(sqe, &io->delay, 0, 0);
    ioq_loop_set_event(sqe, &io->event);
}

static void
delay_free(IoqStore *store)
{
    ioq_store_free(((DelayStore *)store)->below);
    g_free(store);
}

static gboolean
delay_acquire(IoqStore *store, GError **error)
{
    return ioq_store_acquire(((DelayStore *)store)->below, error);
}

static void
delay_release(IoqStore *store)
{
    ioq_store_release(((DelayStore *)store)->below);
}

static gboolean
delay_refresh_size(IoqStore *store, GError **error)
{
    DelayStore *delay = (DelayStore *)store;

    if (!ioq_store_refresh_size(delay->below, error)) {
        return FALSE;
    }
    __atomic_store_n(&store->size, ioq_store_size(delay->below), __ATOMIC_RELEASE);
    return TRUE;
}

static const IoqStoreOps delay_ops = {
    .name = "delay",
    .submit = delay_submit,
    .acquire = delay_acquire,
    .release = delay_release,
    .refresh_size = delay_refresh_size,
    .free = delay_free,
};

IoqStore *
ioq_store_delay_new(IoqStore *below, guint max_usec)
{
    DelayStore *delay = g_new0(DelayStore, 1);

    delay->base = *below;
    delay->base.ops = &delay_ops;
    delay->below = below;
    delay->max_usec = MIN(max_usec, 999999);
    return &delay->base;
}
