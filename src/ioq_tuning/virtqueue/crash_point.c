/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/virtqueue/crash_point.h"

#ifdef IOQ_CRASH_POINTS
#    include <glib.h>
#    include <signal.h>
#    include <stdlib.h>
#    include <string.h>
#    include <unistd.h>

static const char *const names[] = {
    [IOQ_CRASH_FETCHED] = "fetched",     [IOQ_CRASH_MARKED] = "marked",
    [IOQ_CRASH_COMPLETED] = "completed", [IOQ_CRASH_LISTED] = "listed",
    [IOQ_CRASH_USED] = "used",           [IOQ_CRASH_WIPED] = "wiped",
};

static int wanted = -1; /* point */
static gint left;       /* atomic: hits until it is the one */

__attribute__((constructor)) static void
read_environment(void)
{
    const char *text = getenv("IOQ_CRASH_POINT");
    const char *colon = text ? strchr(text, ':') : NULL;

    for (gsize i = 0; colon && i < G_N_ELEMENTS(names); i++) {
        if (strlen(names[i]) == (gsize)(colon - text) &&
            strncmp(names[i], text, (gsize)(colon - text)) == 0) {
            wanted = (int)i;
            left = (gint)g_ascii_strtoull(colon + 1, NULL, 10);
        }
    }
}

int
ioq_control_is_off(IoqControl control)
{
    static const char *const control_names[] = {
        [IOQ_CONTROL_COUNTER] = "counter", [IOQ_CONTROL_BATCH] = "batch",
        [IOQ_CONTROL_DURABLE] = "durable", [IOQ_CONTROL_FENCE] = "fence",
        [IOQ_CONTROL_SETTLE] = "settle",   [IOQ_CONTROL_ONE_WAY] = "one-way",
    };

    return g_strcmp0(getenv("IOQ_CONTROL"), control_names[control]) == 0;
}

void
ioq_crash_point(IoqCrashPoint point)
{
    if ((int)point == wanted && g_atomic_int_dec_and_test(&left)) {
        kill(getpid(), SIGKILL);
        for (;;) {
            pause(); /* not one instruction more in this thread */
        }
    }
}
#endif
