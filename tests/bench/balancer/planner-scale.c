/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long it takes to plan for a fleet, with the history of each host and VM, and how much memory
 * that is: a line of JSON. planner-scale HOSTS VMS-A-HOST PERCENT-OVERLOADED PASSES */
#include <glib.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "loadbalancer/model/history.h"
#include "loadbalancer/plan/planner.h"

#define GIB      (G_GUINT64_CONSTANT(1) << 30)
#define CAPACITY 64.0

static double
cpu_sec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Most hosts are between 30 and 75 % busy; the overloaded ones have one VM that would suffice. */
static void
add_host(LbState *state, GRand *random, guint index, guint n_vms, gboolean overloaded)
{
    g_autofree char *name = g_strdup_printf("compute-%05u", index);
    g_autofree char *uuid = g_strdup_printf("%08x-0000-4000-8000-000000000000", index);
    LbHost *host = lb_state_add_host(state, name, uuid);
    double busy = overloaded ? 0.9 : g_rand_double_range(random, 0.3, 0.75);

    host->n_cores = (guint)CAPACITY / 2;
    host->capacity = CAPACITY * g_rand_double_range(random, 0.999, 1.001); /* as it is measured */
    host->busy = busy * host->capacity;
    host->memory_total_bytes = 512 * GIB;
    host->memory_available_bytes = (guint64)g_rand_int_range(random, 2, 200) * GIB;
    for (guint i = 0; i < n_vms; i++) {
        g_autofree char *vm_name = g_strdup_printf("instance-%05u%03u", index, i);
        g_autofree char *vm_uuid = g_strdup_printf("%08x-0000-4000-9000-%012x", index, i);
        LbVm *vm = lb_host_add_vm(host, vm_name, vm_uuid);

        vm->n_vcpus = 8;
        vm->cpu = i == 0 && overloaded ? 8 : host->busy / n_vms;
        vm->memory_bytes = (guint64)g_rand_int_range(random, 1, 16) * GIB;
        vm->max_downtime_msec = 300;
        if (g_rand_int_range(random, 0, 20) == 0) {
            vm->group = g_strdup_printf("group-%d", g_rand_int_range(random, 0, 1000000));
            vm->policy = LB_GROUP_ANTI_AFFINITY;
        }
    }
}

int
main(int argc, char **argv)
{
    guint n_hosts = argc > 1 ? (guint)g_ascii_strtoull(argv[1], NULL, 10) : 1000;
    guint n_vms = argc > 2 ? (guint)g_ascii_strtoull(argv[2], NULL, 10) : 50;
    guint percent = argc > 3 ? (guint)g_ascii_strtoull(argv[3], NULL, 10) : 5;
    guint n_passes = argc > 4 ? (guint)g_ascii_strtoull(argv[4], NULL, 10) : 5;
    const LbPolicy policy = {.threshold = 0.8, .memory_reserve_bytes = GIB, .margin = 0.05};
    const LbHistoryOptions options = {
        .n_samples = 30, .n_trigger = 5, .horizon = 10, .threshold = 0.8};
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    g_autoptr(LbState) state = lb_state_new();
    g_autoptr(LbHistory) history = lb_history_new(&options);
    double plan_sec = G_MAXDOUBLE;
    double history_sec = 0;
    guint n_moves = 0;
    struct rusage usage;

    for (guint h = 0; h < n_hosts; h++) {
        add_host(state, random, h, n_vms, h % 100 < percent);
    }
    for (guint i = 0; i < n_passes; i++) {
        double begin = cpu_sec();
        double end;

        lb_history_add(history, state);
        end = cpu_sec();
        history_sec = end - begin;
        {
            g_autoptr(LbPlan) plan = lb_plan_new(state, &policy);

            n_moves = plan->moves->len;
        }
        plan_sec = MIN(plan_sec, cpu_sec() - end);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"hosts\": %u, \"vms\": %u, \"overloaded_percent\": %u, \"moves\": %u, "
           "\"plan_seconds\": %.4f, \"history_seconds\": %.4f, \"max_rss_mib\": %ld}\n",
           n_hosts, n_hosts * n_vms, percent, n_moves, plan_sec, history_sec,
           usage.ru_maxrss / 1024);
    return 0;
}
