/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread hands a number over, in one of GLib's ways, or ("race") in none: then ThreadSanitizer
 * must say so. */
#include <glib.h>
#include <string.h>

typedef struct {
    GMutex lock;
    int number;
} Box;

static GMainLoop *loop;

static void
box_clear(gpointer data)
{
    Box *box = data;

    box->number++;
}

static gboolean
take(gpointer data)
{
    box_clear(data);
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static gpointer
give(gpointer data)
{
    Box *box = data;

    g_mutex_lock(&box->lock);
    box->number++;
    g_mutex_unlock(&box->lock);
    return NULL;
}

static gpointer
give_by_reference(gpointer data)
{
    ((Box *)data)->number++;
    g_atomic_rc_box_release_full(data, box_clear);
    return NULL;
}

static gpointer
give_by_source(gpointer data)
{
    GSource *source = g_idle_source_new();

    ((Box *)data)->number++;
    g_source_set_callback(source, take, data, NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
    return NULL;
}

int
main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    Box *box = g_atomic_rc_box_new0(Box);
    GThread *thread;

    if (strcmp(how, "reference") == 0) {
        thread = g_thread_new(how, give_by_reference, g_atomic_rc_box_acquire(box));
        g_atomic_rc_box_release_full(box, box_clear);
    } else if (strcmp(how, "source") == 0) {
        loop = g_main_loop_new(NULL, FALSE);
        thread = g_thread_new(how, give_by_source, box);
        g_main_loop_run(loop);
    } else {
        thread = g_thread_new(how, give, box);
        if (strcmp(how, "race") != 0) {
            g_mutex_lock(&box->lock);
        }
        box->number++;
        if (strcmp(how, "race") != 0) {
            g_mutex_unlock(&box->lock);
        }
    }
    g_thread_join(thread);
    return 0;
}
