/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/daemon/incoming.h"

#define LIMIT (IOQ_INCOMING_SEC * G_USEC_PER_SEC)

static void
test_once(void)
{
    g_autoptr(IoqIncoming) incoming = ioq_incoming_new();

    ioq_incoming_add(incoming, "a", 100);
    g_assert_false(ioq_incoming_take(incoming, "b", 100));
    g_assert_true(ioq_incoming_take(incoming, "a", 100));
    g_assert_false(ioq_incoming_take(incoming, "a", 100));
}

/* A migration that fails before prepare takes nothing back. */
static void
test_limit(void)
{
    g_autoptr(IoqIncoming) incoming = ioq_incoming_new();

    ioq_incoming_add(incoming, "a", 100);
    ioq_incoming_add(incoming, "b", 100);
    g_assert_true(ioq_incoming_take(incoming, "a", 100 + LIMIT - 1));
    g_assert_false(ioq_incoming_take(incoming, "b", 100 + LIMIT));
}

static void
test_announced_again(void)
{
    g_autoptr(IoqIncoming) incoming = ioq_incoming_new();

    ioq_incoming_add(incoming, "a", 100);
    ioq_incoming_add(incoming, "a", 100 + LIMIT / 2);
    ioq_incoming_add(incoming, "b", 100 + LIMIT);
    g_assert_true(ioq_incoming_take(incoming, "a", 100 + LIMIT));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ioq/incoming/once", test_once);
    g_test_add_func("/ioq/incoming/limit", test_limit);
    g_test_add_func("/ioq/incoming/announced-again", test_announced_again);
    return g_test_run();
}
