/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The balancer's passes with a clock that the test turns and moves that end when it says so. */
#include <string.h>

#include "common/base/error.h"
#include "loadbalancer/daemon/engine.h"

#define GIB   (G_GUINT64_CONSTANT(1) << 30)
#define MIB   (G_GUINT64_CONSTANT(1) << 20)
#define START G_GINT64_CONSTANT(1000000)

typedef struct {
    LbStore *store;
    LbEngineOptions options;
    LbEngine *engine;
    gint64 now;
    gboolean measures;
    GString *log;  /* "begin web-1>B ..." */
    char *last_id; /* of what began */
} World;

static void
begin(const LbMoveRecord *record, gpointer data)
{
    World *world = data;

    g_string_append_printf(world->log, "begin %s>%s ", record->vm_name, record->target_name);
    g_free(world->last_id);
    world->last_id = g_strdup(record->id);
}

static void
adopt(const LbMoveRecord *record, gpointer data)
{
    World *world = data;

    g_string_append_printf(world->log, "adopt %s>%s ", record->vm_name, record->target_name);
    g_free(world->last_id);
    world->last_id = g_strdup(record->id);
}

static void
measure(const char *vm, const char *source, gpointer data)
{
    World *world = data;

    g_string_append_printf(world->log, "measure %s@%s ", vm, source);
}

static void
engine_start(World *world)
{
    const LbEngineActor actor = {begin, adopt, world->measures ? measure : NULL};

    g_clear_pointer(&world->engine, lb_engine_free);
    world->engine = lb_engine_new(&world->options, world->store, &actor, world);
}

static void
set_up(World *world, gconstpointer measures)
{
    world->store = lb_store_memory_new();
    world->options = (LbEngineOptions){
        .policy = {.threshold = 0.8, .n_over = 2},
        .history = {.n_samples = 10, .n_trigger = 3, .horizon = 2, .threshold = 0.8},
        .damping = lb_damping_defaults,
        .dirty_rate_sec = 120,
    };
    world->options.policy.cost = (LbCostLimits){100 * MIB, 0.7, 600};
    world->measures = measures != NULL;
    world->log = g_string_new(NULL);
    world->now = START;
    engine_start(world);
}

static void
tear_down(World *world, gconstpointer data)
{
    lb_engine_free(world->engine);
    lb_store_free(world->store);
    g_string_free(world->log, TRUE);
    g_free(world->last_id);
}

static LbHost *
add_host(LbState *state, const char *name, double busy)
{
    g_autofree char *uuid = g_strconcat("host-", name, NULL);
    LbHost *host = lb_state_add_host(state, name, uuid);

    host->n_cores = 1;
    host->capacity = 1;
    host->busy = busy;
    host->memory_total_bytes = 32 * GIB;
    host->memory_available_bytes = 16 * GIB;
    return host;
}

static void
add_vms(LbHost *host, guint n)
{
    for (guint i = 1; i <= n; i++) {
        g_autofree char *name = g_strdup_printf("web-%u", i);
        LbVm *vm = lb_host_add_vm(host, name, name);

        vm->cpu = 0.33;
        vm->memory_bytes = GIB;
        vm->max_downtime_msec = 300;
    }
}

/* A is overloaded by three VMs, B and C are idle. */
static LbState *
usual_state(void)
{
    LbState *state = lb_state_new();

    add_vms(add_host(state, "A", 0.99), 3);
    add_host(state, "B", 0.02);
    add_host(state, "C", 0.10);
    return state;
}

static void
pass(World *world, LbState *state)
{
    world->now += 30;
    lb_engine_pass(world->engine, state, world->now);
}

/* What was done since the last time. */
#define assert_log(world, text) \
    do { \
        g_assert_cmpstr((world)->log->str, ==, text); \
        g_string_truncate((world)->log, 0); \
    } while (0)

static void
end_move(World *world, LbRecordState state)
{
    const LbMoveRecord result = {.id = world->last_id,
                                 .state = state,
                                 .reason = state == LB_RECORD_DONE ? NULL : (char *)"why",
                                 .sent_bytes = GIB,
                                 .total_sec = 11,
                                 .downtime_msec = 50};

    lb_engine_ended(world->engine, &result, world->now);
}

static guint
count_moves(const World *world)
{
    g_autoptr(GPtrArray) moves = lb_engine_moves(world->engine);

    return moves->len;
}

static LbReason
verdict(const World *world, guint host)
{
    return g_array_index(lb_engine_plan(world->engine)->verdicts, LbVerdict, host).reason;
}

static void
test_trigger(World *world, gconstpointer data)
{
    pass(world, usual_state());
    assert_log(world, "");
    g_assert_cmpint(verdict(world, 0), ==, LB_REASON_NOT_SUSTAINED);
    pass(world, usual_state());
    assert_log(world, "begin web-1>B ");
}

/* While a move is under way nothing else of its hosts moves, and it is not begun again. */
static void
test_under_way(World *world, gconstpointer data)
{
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-1>B ");
    for (guint i = 0; i < 5; i++) {
        pass(world, usual_state());
        g_assert_cmpint(verdict(world, 0), ==, LB_REASON_SOURCE_TAKEN);
    }
    assert_log(world, "");
    g_assert_cmpuint(lb_host_vm(lb_state_host(lb_engine_state(world->engine), 0), 0)->moving, ==,
                     TRUE);
    g_assert_cmpuint(lb_state_host(lb_engine_state(world->engine), 1)->incoming_bytes, ==, GIB);
    end_move(world, LB_RECORD_DONE);
    pass(world, usual_state()); /* as if it had not helped: web-1 rests, another goes */
    assert_log(world, "begin web-2>B ");
}

static void
test_failure(World *world, gconstpointer data)
{
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-1>B ");
    end_move(world, LB_RECORD_STAYED);
    pass(world, usual_state()); /* not web-1 to B again; nothing is said of the others */
    assert_log(world, "begin web-2>B ");
    end_move(world, LB_RECORD_STAYED);
    pass(world, usual_state());
    assert_log(world, "begin web-3>B ");
    end_move(world, LB_RECORD_STAYED);
    pass(world, usual_state());
    assert_log(world, "begin web-1>C ");
}

/* An unclear move ties its VM until somebody has seen to it. */
static void
test_unclear(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-1>B ");
    end_move(world, LB_RECORD_UNCLEAR);
    world->now += 48 * 3600; /* no rest lasts so long */
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-2>B ");
    g_assert_nonnull(lb_host_vm(lb_state_host(lb_engine_state(world->engine), 0), 0)->tied_reason);
    end_move(world, LB_RECORD_DONE);
    engine_start(world); /* also after a restart */
    assert_log(world, "");
    g_assert_false(lb_engine_forget(world->engine, "web-2", &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
    g_assert_true(lb_engine_forget(world->engine, "web-1", NULL));
    world->now += 48 * 3600;
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-1>B ");
}

/* A balancer dies, and the next one finds a move under way: it follows it, and begins none again.
 */
static void
test_take_over(World *world, gconstpointer data)
{
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-1>B ");
    engine_start(world);
    assert_log(world, "adopt web-1>B ");
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "");
    g_assert_cmpint(verdict(world, 0), ==, LB_REASON_SOURCE_TAKEN);
    end_move(world, LB_RECORD_DONE);
    engine_start(world); /* what is done is done, and web-1 still rests */
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-2>B ");
}

static void
test_drain(World *world, gconstpointer data)
{
    LbState *state;

    world->store->ops->set_draining(world->store, "host-B", TRUE, NULL);
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "begin web-1>C "); /* B takes none */
    end_move(world, LB_RECORD_DONE);
    world->store->ops->set_draining(world->store, "host-A", TRUE, NULL);
    world->store->ops->set_draining(world->store, "host-B", FALSE, NULL);
    engine_start(world);
    state = lb_state_new();
    add_vms(add_host(state, "A", 0.1), 1);
    add_host(state, "B", 0.02);
    pass(world, state); /* whatever its load, at once, and though web-1 rests */
    assert_log(world, "begin web-1>B ");
}

/* Who does not lead plans, and begins nothing; the same where the store says no at the last moment.
 */
static gboolean leads;
static gboolean takes_writing;

static gboolean
is_leader(LbStore *store)
{
    return leads;
}

static gboolean
refuse_move(LbStore *store, const LbMoveRecord *record, GError **error)
{
    if (!takes_writing) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, "not the leader");
    }
    return takes_writing;
}

static void
test_only_the_leader_acts(World *world, gconstpointer data)
{
    LbStoreOps ops = *world->store->ops;
    const LbStoreOps *real = world->store->ops;

    ops.is_leader = is_leader;
    ops.put_move = refuse_move;
    world->store->ops = &ops;
    leads = FALSE;
    takes_writing = TRUE;
    pass(world, usual_state());
    pass(world, usual_state());
    g_assert_cmpuint(lb_engine_plan(world->engine)->moves->len, ==, 1);
    assert_log(world, "");
    leads = TRUE;
    takes_writing = FALSE;
    pass(world, usual_state());
    assert_log(world, "");
    g_assert_cmpuint(count_moves(world), ==, 0);
    takes_writing = TRUE; /* control: with both it begins */
    pass(world, usual_state());
    assert_log(world, "begin web-1>B ");
    world->store->ops = real;
}

static void
test_dirty_rate(World *world, gconstpointer data)
{
    pass(world, usual_state());
    pass(world, usual_state());
    assert_log(world, "measure web-1@host-A ");
    pass(world, usual_state());
    assert_log(world, ""); /* it is asked once */
    lb_engine_dirty_rate(world->engine, "web-1", 90 * MIB, world->now);
    pass(world, usual_state());
    assert_log(world, "measure web-2@host-A "); /* web-1 writes too fast */
    lb_engine_dirty_rate(world->engine, "web-2", 10 * MIB, world->now);
    pass(world, usual_state());
    assert_log(world, "begin web-2>B ");
    {
        g_autoptr(GPtrArray) moves = lb_engine_moves(world->engine);

        g_assert_cmpuint(((LbMoveRecord *)moves->pdata[0])->predicted_bytes, >, GIB);
    }
}

/* What was measured long ago says nothing. */
static void
test_old_dirty_rate(World *world, gconstpointer data)
{
    pass(world, usual_state());
    pass(world, usual_state());
    lb_engine_dirty_rate(world->engine, "web-1", 10 * MIB, world->now);
    world->now += 121;
    assert_log(world, "measure web-1@host-A ");
    pass(world, usual_state());
    assert_log(world, "measure web-1@host-A ");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, measures, func) \
    g_test_add("/lb/engine/" name, World, measures, set_up, func, tear_down)
    ADD("trigger", NULL, test_trigger);
    ADD("under-way", NULL, test_under_way);
    ADD("failure", NULL, test_failure);
    ADD("unclear", NULL, test_unclear);
    ADD("take-over", NULL, test_take_over);
    ADD("drain", NULL, test_drain);
    ADD("only-the-leader-acts", NULL, test_only_the_leader_acts);
    ADD("dirty-rate", "", test_dirty_rate);
    ADD("old-dirty-rate", "", test_old_dirty_rate);
    return g_test_run();
}
