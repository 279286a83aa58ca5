/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * virEventRegisterDefaultImpl() would watch its descriptors in the *default* main context, so that
 * the thread which runs libvirt's loop would dispatch the program's own sources, too. So libvirt
 * gets a main context that nobody else has, run by one thread.
 *
 * A watch is a descriptor or a timer. libvirt adds, changes and removes watches from any thread,
 * also from within their callbacks; they are found by number under one lock, which is not held
 * during callbacks. What libvirt gave is freed by a source in the loop's thread, hence never while
 * a callback of the same watch runs.
 */
#define GANTRY_LOG_MODULE "virt"
#include "common/virt/loop.h"

#include <glib-unix.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "common/base/log.h"
#include "common/virt/error.h"

typedef struct {
    int id;
    int fd; /* -1: a timer */
    virEventHandleCallback on_handle;
    virEventTimeoutCallback on_timeout;
    void *opaque;
    virFreeCallback free_opaque;
    GSource *source; /* NULL: switched off; under the lock */
} Watch;

static struct {
    GMutex lock;
    GMainContext *context;
    GHashTable *watches; /* id to Watch */
    int last_id;
} loop;

static void
watch_clear(gpointer data)
{
    Watch *watch = data;

    if (watch->free_opaque) {
        watch->free_opaque(watch->opaque);
    }
}

static void
watch_unref(gpointer data)
{
    g_atomic_rc_box_release_full(data, watch_clear);
}

static GIOCondition
to_condition(int events)
{
    return (events & VIR_EVENT_HANDLE_READABLE ? G_IO_IN : 0) |
           (events & VIR_EVENT_HANDLE_WRITABLE ? G_IO_OUT : 0) |
           (events & VIR_EVENT_HANDLE_ERROR ? G_IO_ERR : 0) |
           (events & VIR_EVENT_HANDLE_HANGUP ? G_IO_HUP : 0);
}

static int
from_condition(GIOCondition condition)
{
    return (condition & G_IO_IN ? VIR_EVENT_HANDLE_READABLE : 0) |
           (condition & G_IO_OUT ? VIR_EVENT_HANDLE_WRITABLE : 0) |
           (condition & (G_IO_ERR | G_IO_NVAL) ? VIR_EVENT_HANDLE_ERROR : 0) |
           (condition & G_IO_HUP ? VIR_EVENT_HANDLE_HANGUP : 0);
}

static gboolean
dispatch_handle(int fd, GIOCondition condition, gpointer data)
{
    Watch *watch = data;

    watch->on_handle(watch->id, fd, from_condition(condition), watch->opaque);
    return G_SOURCE_CONTINUE;
}

static gboolean
dispatch_timeout(gpointer data)
{
    Watch *watch = data;

    watch->on_timeout(watch->id, watch->opaque);
    return G_SOURCE_CONTINUE;
}

/* @setting: events of a descriptor, or milliseconds of a timer, as libvirt gives them. */
static void
watch_arm_locked(Watch *watch, int setting)
{
    if (watch->source) {
        g_source_destroy(watch->source);
        g_clear_pointer(&watch->source, g_source_unref);
    }
    if (watch->fd >= 0 && setting != 0) {
        watch->source = g_unix_fd_source_new(watch->fd, to_condition(setting));
        g_source_set_callback(watch->source, G_SOURCE_FUNC(dispatch_handle),
                              g_atomic_rc_box_acquire(watch), watch_unref);
    } else if (watch->fd < 0 && setting >= 0) {
        watch->source = g_timeout_source_new((guint)setting);
        g_source_set_callback(watch->source, dispatch_timeout, g_atomic_rc_box_acquire(watch),
                              watch_unref);
    }
    if (watch->source) {
        g_source_attach(watch->source, loop.context);
    }
}

static int
watch_add(Watch *model, int setting)
{
    Watch *watch = g_atomic_rc_box_dup(sizeof(*model), model);
    int id;

    g_mutex_lock(&loop.lock);
    id = watch->id = ++loop.last_id;
    g_hash_table_insert(loop.watches, GINT_TO_POINTER(id), watch);
    watch_arm_locked(watch, setting);
    g_mutex_unlock(&loop.lock);
    return id;
}

static void
watch_update(int id, int setting)
{
    Watch *watch;

    g_mutex_lock(&loop.lock);
    watch = g_hash_table_lookup(loop.watches, GINT_TO_POINTER(id));
    if (watch) {
        watch_arm_locked(watch, setting);
    }
    g_mutex_unlock(&loop.lock);
}

static gboolean
release_later(gpointer data)
{
    return G_SOURCE_REMOVE; /* its destroy notify does the work */
}

static int
watch_remove(int id)
{
    Watch *watch;

    g_mutex_lock(&loop.lock);
    watch = g_hash_table_lookup(loop.watches, GINT_TO_POINTER(id));
    if (watch) {
        GSource *release = g_idle_source_new();

        g_hash_table_remove(loop.watches, GINT_TO_POINTER(id));
        if (watch->source) {
            /* Its reference may go here: the table's one is still there. */
            g_source_destroy(watch->source);
            g_clear_pointer(&watch->source, g_source_unref);
        }
        g_source_set_priority(release, G_PRIORITY_DEFAULT);
        g_source_set_callback(release, release_later, watch, watch_unref);
        g_source_attach(release, loop.context);
        g_source_unref(release);
    }
    g_mutex_unlock(&loop.lock);
    return watch ? 0 : -1;
}

static int
add_handle(int fd, int events, virEventHandleCallback callback, void *opaque,
           virFreeCallback free_opaque)
{
    Watch model = {.fd = fd, .on_handle = callback, .opaque = opaque, .free_opaque = free_opaque};

    return watch_add(&model, events);
}

static int
add_timeout(int msec, virEventTimeoutCallback callback, void *opaque, virFreeCallback free_opaque)
{
    Watch model = {.fd = -1, .on_timeout = callback, .opaque = opaque, .free_opaque = free_opaque};

    return watch_add(&model, msec);
}

static void
ignore_error(void *data, virErrorPtr error)
{
    /* Callers take errors over as GError; libvirt's own handler would print each on stderr. */
}

static gpointer
run_loop(gpointer data)
{
    for (;;) {
        g_main_context_iteration(loop.context, TRUE);
    }
    return NULL;
}

static gpointer
init_once(gpointer data)
{
    loop.context = g_main_context_new();
    loop.watches = g_hash_table_new(NULL, NULL);
    virSetErrorFunc(NULL, ignore_error);
    virEventRegisterImpl(add_handle, watch_update, watch_remove, add_timeout, watch_update,
                         watch_remove);
    if (virInitialize() < 0) {
        /* Opening a connection will say so again, to someone who can report it. */
        gantry_dbg("cannot initialise libvirt: %s", gantry_virt_last_error_text());
    }
    g_thread_unref(g_thread_new("virt-events", run_loop, NULL));
    return NULL;
}

void
gantry_virt_init(void)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, init_once, NULL);
}
