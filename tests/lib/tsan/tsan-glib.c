/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GLib locks by futexes of its own, in code that ThreadSanitizer has not instrumented: what a
 * GMutex, a GCond or a GSource hands over would be reported as a race. Preloaded, this library
 * tells it. In a process without ThreadSanitizer it does nothing.
 */
#include <dlfcn.h>
#include <glib.h>

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

static void
acquire(gpointer address)
{
    if (__tsan_acquire) {
        __tsan_acquire(address);
    }
}

static void
release(gpointer address)
{
    if (__tsan_release) {
        __tsan_release(address);
    }
}

/* GLib's own function of that name. */
#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) { \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
    }

void(g_mutex_lock)(GMutex *mutex)
{
    REAL(g_mutex_lock)
    real(mutex);
    acquire(mutex);
}

gboolean(g_mutex_trylock)(GMutex *mutex)
{
    REAL(g_mutex_trylock)
    if (!real(mutex)) {
        return FALSE;
    }
    acquire(mutex);
    return TRUE;
}

void(g_mutex_unlock)(GMutex *mutex)
{
    REAL(g_mutex_unlock)
    release(mutex);
    real(mutex);
}

void(g_cond_wait)(GCond *cond, GMutex *mutex)
{
    REAL(g_cond_wait)
    release(mutex);
    real(cond, mutex);
    acquire(mutex);
}

gboolean(g_cond_wait_until)(GCond *cond, GMutex *mutex, gint64 end_time)
{
    gboolean is_signalled;

    REAL(g_cond_wait_until)
    release(mutex);
    is_signalled = real(cond, mutex, end_time);
    acquire(mutex);
    return is_signalled;
}

/* Counted references: who clears sees what all others did before they let go. */
static __thread GDestroyNotify clear_func;

static void
clear(gpointer box)
{
    acquire(box);
    clear_func(box);
}

void(g_atomic_rc_box_release_full)(gpointer box, GDestroyNotify func)
{
    REAL(g_atomic_rc_box_release_full)
    release(box);
    clear_func = func; /* another may be set while it runs, not before */
    real(box, clear);
}

#define MAGIC 0x6761746e72795473ULL

/* What was done before a source got its callback has happened before the callback runs, in whatever
 * thread. */
typedef struct {
    guint64 magic;
    GSourceFunc func;
    gpointer data;
    GDestroyNotify notify;
} Callback;

static gboolean
is_callback(gsize value)
{
    return value > G_MAXUINT && *(guint64 *)GSIZE_TO_POINTER(value) == MAGIC; /* not an integer */
}

/* Most sources call with (data), cancellables with (it, data), descriptors and sockets with (it,
 * condition, data). */
static gboolean
call_back(gsize first, gsize second, gsize third)
{
    typedef gboolean (*Func)(gsize, gsize, gsize);
    gsize *place = is_callback(first) ? &first : is_callback(second) ? &second : &third;
    Callback *callback = GSIZE_TO_POINTER(*place);

    acquire(callback);
    *place = GPOINTER_TO_SIZE(callback->data);
    return ((Func)(void (*)(void))callback->func)(first, second, third);
}

static void
callback_free(gpointer data)
{
    Callback *callback = data;

    acquire(callback);
    if (callback->notify) {
        callback->notify(callback->data);
    }
    g_free(callback);
}

void(g_source_set_callback)(GSource *source, GSourceFunc func, gpointer data, GDestroyNotify notify)
{
    Callback *callback = g_new(Callback, 1);

    REAL(g_source_set_callback)
    *callback = (Callback){MAGIC, func, data, notify};
    release(callback);
    real(source, (GSourceFunc)(void (*)(void))call_back, callback, callback_free);
}
