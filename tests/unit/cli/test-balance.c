/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry balance between its moves. Hosts and migrations are made up here; with real ones it is
 * tried in tests/system/balancer.
 */
#include <signal.h>

#include "cli/cli.h"
#include "loadbalancer/act/actuator.h"
#include "loadbalancer/collect/collector.h"
#include "scratch.h"

#define GIB (G_GUINT64_CONSTANT(1) << 30)

G_DEFINE_QUARK(lb - move - error - quark, lb_move_error)

static guint n_moves;
static gboolean interrupt; /* during the first move, too late to cancel it */

LbCollector *
lb_collector_new(const char *const *uris)
{
    return g_malloc0(1);
}

void
lb_collector_free(LbCollector *collector)
{
    g_free(collector);
}

void
lb_collector_sample(LbCollector *collector, guint timeout_msec, gboolean with_xml)
{
}

/* Two full hosts and two empty ones: two moves. */
LbState *
lb_collector_state(LbCollector *collector, const GantryExtension *const *extensions,
                   const GantryPolicy *policy, GError **error)
{
    static const char *const names[] = {"full-1", "full-2", "empty-1", "empty-2"};
    LbState *state = lb_state_new();

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        LbHost *host = lb_state_add_host(state, names[i], names[i]);

        host->n_cores = 1;
        host->capacity = 1;
        host->memory_total_bytes = host->memory_available_bytes = 16 * GIB;
        for (guint j = 0; i < 2 && j < 2; j++) {
            g_autofree char *name = g_strdup_printf("web-%u-%u", i, j);
            LbVm *vm = lb_host_add_vm(host, name, name);

            vm->cpu = 0.45;
            vm->memory_bytes = GIB;
            host->busy += vm->cpu;
        }
    }
    return state;
}

gboolean
lb_move(const LbMove *move, const LbMoveWatcher *watcher, gpointer data, LbMoveResult *ret_result,
        GError **error)
{
    n_moves++;
    if (interrupt) {
        raise(SIGINT);
    }
    return TRUE;
}

static int
run(void)
{
    char *folder = scratch_new();
    g_autofree char *policy = g_strconcat("--policy-dir=", folder, NULL);
    char *argv[] = {(char *)"balance",
                    (char *)"--once",
                    (char *)"--hosts=test:///1,test:///2,test:///3,test:///4",
                    (char *)"--interval=100ms",
                    policy,
                    NULL};
    int status = cli_balance(G_N_ELEMENTS(argv) - 1, argv);

    scratch_remove(folder);
    return status;
}

static void
test_all_moves(void)
{
    if (g_test_subprocess()) {
        g_assert_cmpint(run(), ==, 0);
        g_assert_cmpuint(n_moves, ==, 2);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr_unmatched("*not moved*");
}

static void
test_interrupted_between_moves(void)
{
    if (g_test_subprocess()) {
        interrupt = TRUE;
        g_assert_cmpint(run(), ==, 10);
        g_assert_cmpuint(n_moves, ==, 1);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*domain 'web-?-?' was not moved from full-? to empty-?: inter*");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/balance/all-moves", test_all_moves);
    g_test_add_func("/cli/balance/interrupted-between-moves", test_interrupted_between_moves);
    return g_test_run();
}
