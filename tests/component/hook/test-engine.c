/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gantry-hook with its real engine: settings, policies, rewrites, daemons well and badly behaved.
 */
#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvirt_hooks/operation.h"
#include "tests/component/hook/world.h"
#include "tests/lib/fake-daemon.h"

#define OK_ANSWER "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":{}}\n"
#define ERROR_ANSWER(code, message) \
    "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"error\":{\"code\":" code ",\"message\":\"" message "\"}}" \
    "\n"

/* One operation of each kind; that all of a kind are treated alike is what test-front sees to. */
static const char *const kinds[] = {"migrate", "restore", "prepare", "reconnect", "release", NULL};

/* Where only the message differs from case to case: one that refuses, and one that must not. */
static const char *const pair[] = {"prepare", "reconnect", NULL};

/* Exit status and output that an operation must end with when something is wrong. */
static void
check_failure(const World *world, const HookOperation *o, const char *xml, const char *message)
{
    g_auto(Outcome) outcome = {0};
    g_autofree char *log_path = world_path(world, "log/hook.log");
    g_autofree char *log = NULL;

    unlink(log_path);
    world_run(world, o->name, o->sub_operation, xml, strlen(xml), &outcome);
    log = world_read(world, "log/hook.log");
    g_assert_cmpstr(outcome.output, ==, "");
    if (!strstr(log, message)) {
        g_error("%s: the log does not say '%s': %s", o->name, message, log);
    }
    if (o->failure == HOOK_FAILURE_REFUSES) {
        g_autofree char *head =
            g_strdup_printf("gantry-hook: %s of domain 'g1' refused: ", o->name);

        g_assert_cmpint(outcome.status, ==, 1);
        g_assert_true(g_str_has_prefix(outcome.errors, head));
        g_assert_nonnull(strstr(outcome.errors, message));
        g_assert_true(strchr(outcome.errors, '\n') == outcome.errors + strlen(outcome.errors) - 1);
    } else {
        g_assert_cmpint(outcome.status, ==, 0);
        g_assert_cmpstr(outcome.errors, ==, "");
    }
}

/* Passes, with nothing on stdout and stderr. */
static void
check_pass(const World *world, const char *operation, const char *sub_operation, const char *xml)
{
    g_auto(Outcome) outcome = {0};

    world_run(world, operation, sub_operation, xml, strlen(xml), &outcome);
    g_assert_cmpstr(outcome.errors, ==, "");
    g_assert_cmpstr(outcome.output, ==, "");
    g_assert_cmpint(outcome.status, ==, 0);
}

/* What cannot be read as a domain with settings: refused where that is safe, logged where it is
 * not. */
typedef struct {
    const char *name;
    const char *xml;      /* the whole; or NULL: */
    const char *metadata; /* put into a real domain */
    const char *policy;   /* a policy file */
    const char *message;
} BadInput;

#define IOQ(attributes) "<q:tuning xmlns:q='urn:gantry:ioq:1' " attributes "/>"

static const BadInput bad_inputs[] = {
    {"empty", "", NULL, "[policy x]\nmatch_domain=*\nbalance.movable=no\n", "domain XML on stdin"},
    {"truncated", "<domain><metadata><a xmlns='urn:gantry:balance:1'", NULL, NULL,
     "domain XML on stdin:1"},
    {"wrong-root", "<network><a xmlns='urn:gantry:balance:1'/></network>", NULL, NULL,
     "<network>, not <domain>"},
    {"foreign-root", "<domain xmlns='urn:gantry:balance:1'/>", NULL, NULL, "not <domain>"},
    {"garbage", "gantry: \001\002\377", NULL, NULL, "domain XML on stdin"},
    {"entity-bomb",
     "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>"
     "<domain><name>&c;</name><!-- gantry: --></domain>",
     NULL, NULL, "domain XML on stdin"},
    {"external-entity",
     "<!DOCTYPE d [<!ENTITY a SYSTEM '/etc/passwd'>]><domain><name>&a;</name><!-- gantry: "
     "--></domain>",
     NULL, NULL, "domain XML on stdin"},
    {"bad-value", NULL, "<b:balance xmlns:b='urn:gantry:balance:1' movable='maybe'/>", NULL,
     "'maybe'"},
    {"bad-attribute", NULL, "<b:balance xmlns:b='urn:gantry:balance:1' moveable='yes'/>", NULL,
     "'movable'"},
    {"bad-namespace", NULL, "<b:balance xmlns:b='urn:gantry:ballance:1'/>", NULL,
     "urn:gantry:ballance:1"},
    {"bad-version", NULL, "<b:balance xmlns:b='urn:gantry:balance:2'/>", NULL,
     "urn:gantry:balance:2"},
    {"twice", NULL,
     "<b:balance xmlns:b='urn:gantry:balance:1'/><b:balance xmlns:b='urn:gantry:balance:1'/>", NULL,
     "second element"},
    {"bad-policy", NULL, "<b:balance xmlns:b='urn:gantry:balance:1'/>",
     "[policy x]\nmatch_domain=*\nbalance.movabel=no\n", "50-test.conf"},
    {"bad-policy-value", NULL, "<b:balance xmlns:b='urn:gantry:balance:1'/>",
     "[policy x]\nmatch_domain=other\nbalance.priority=1000\n", "1000"},
    {"conflict", NULL, "<b:balance xmlns:b='urn:gantry:balance:1' group='db'/>", NULL,
     "'policy' go together"},
};

static void
test_bad_input(World *world, gconstpointer data)
{
    const BadInput *bad = data;
    g_autofree char *xml =
        bad->xml ? g_strdup(bad->xml) : world_domain("stdin-migrate.xml", bad->metadata);

    if (bad->policy) {
        world_write(world, "etc/gantry/policy.d/50-test.conf", bad->policy);
    }
    for (const HookOperation *o = hook_operations; o->name; o++) {
        if (g_strv_contains(bad->policy ? kinds : pair, o->name)) {
            check_failure(world, o, xml, bad->message);
        }
    }
}

/* A domain without settings of its own is not kept from running by another's typo in policy.d; the
 * log tells. */
static void
test_bad_policy_of_others(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-migrate.xml", "");

    world_write(world, "etc/gantry/policy.d/50-test.conf",
                "[policy x]\nmatch_domain=*\nbalance.movabel=no\n");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_autofree char *log_path = world_path(world, "log/hook.log");
        g_autofree char *log = NULL;

        unlink(log_path);
        check_pass(world, o->name, o->sub_operation, xml);
        log = world_read(world, "log/hook.log");
        g_assert_nonnull(strstr(log, "domain 'g1' goes on without policies: "));
        g_assert_nonnull(strstr(log, "50-test.conf"));
        g_assert_nonnull(strstr(log, "movabel"));
    }
}

/* The control of the ones above: with good settings the same domain passes. */
static void
test_good_input(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain(
        "stdin-migrate.xml",
        "<b:balance xmlns:b='urn:gantry:balance:1' movable='no' group='db' policy='affinity'/>");
    g_autofree char *log = NULL;

    world_write(world, "etc/gantry/policy.d/50-test.conf",
                "[policy x]\nmatch_domain=*\nbalance.priority=10\n");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        check_pass(world, o->name, o->sub_operation, xml);
    }
    log = world_read(world, "log/hook.log");
    g_assert_nonnull(
        strstr(log, "prepare g1 (0120a4f9-196a-4f9e-89f5-23f31f914da7): features balance in "));
}

/* A mistake in hook.conf keeps no VM from starting; it is logged, by file and key. */
static void
test_bad_hook_conf(World *world, gconstpointer data)
{
    g_autofree char *xml =
        world_domain("stdin-prepare.xml", "<b:balance xmlns:b='urn:gantry:balance:1'/>");
    g_autofree char *log = NULL;

    world_write(world, "etc/gantry/hook.conf", "[hook]\ncal_timeout=1s\n");
    check_pass(world, "prepare", "begin", xml);
    log = world_read(world, "log/hook.log");
    g_assert_nonnull(strstr(log, "etc/gantry/hook.conf"));
    g_assert_nonnull(strstr(log, "cal_timeout"));
}

/* The log's disk is full, or its path is impossible: nothing changes but the log. */
static void
test_no_log(World *world, gconstpointer data)
{
    const char *const files[] = {"/dev/full", "etc/gantry/hook.conf/x"};
    g_autofree char *good =
        world_domain("stdin-prepare.xml", "<b:balance xmlns:b='urn:gantry:balance:1'/>");
    g_autofree char *bad = world_domain("stdin-prepare.xml", IOQ("required='perhaps'"));

    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *conf = g_strdup_printf("[log]\nfile=%s\n", files[i]);
        g_auto(Outcome) passed = {0};
        g_auto(Outcome) refused = {0};

        world_write(world, "etc/gantry/hook.conf", conf);
        world_run(world, "prepare", "begin", good, strlen(good), &passed);
        g_assert_cmpint(passed.status, ==, 0);
        world_run(world, "prepare", "begin", bad, strlen(bad), &refused);
        g_assert_cmpint(refused.status, ==, 1);
        g_assert_nonnull(strstr(refused.errors, "gantry-hook: prepare of domain 'g1' refused: "));
    }
}

/* Something hangs that nobody thought of, here a FIFO for a log: the watchdog ends it. */
static void
test_watchdog(World *world, gconstpointer data)
{
    g_autofree char *xml =
        world_domain("stdin-prepare.xml", "<b:balance xmlns:b='urn:gantry:balance:1'/>");
    g_autofree char *fifo = world_path(world, "fifo");
    g_auto(Outcome) outcome = {0};

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    world_write(world, "etc/gantry/hook.conf", "[hook]\nhook_timeout=10ms\n[log]\nfile=fifo\n");
    world_run(world, "reconnect", "begin", xml, strlen(xml), &outcome);
    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_nonnull(strstr(outcome.errors, "was killed by signal 14"));
}

/* How a daemon can behave, and what the hook makes of it. */
typedef struct {
    const char *name;
    gboolean there;
    FakeMode mode;
    const char *answer;
    gboolean fails;   /* the daemon does not do its part */
    gboolean hangs;   /* and does not even end the call */
    gboolean refuses; /* it says no */
    const char *message;
} Behaviour;

static const Behaviour behaviours[] = {
    {"ok", TRUE, FAKE_ANSWER, OK_ANSWER, .message = NULL},
    {"no-method", TRUE, FAKE_ANSWER, ERROR_ANSWER("-32601", "what?"), .message = NULL},
    {"refuses", TRUE, FAKE_ANSWER, ERROR_ANSWER("1", "the pool is full"), .refuses = TRUE,
     .message = "ioq: the pool is full"},
    {"absent", FALSE, FAKE_GONE, NULL, .fails = TRUE, .message = "is its daemon running?"},
    {"gone", TRUE, FAKE_GONE, NULL, .fails = TRUE, .message = "Connection refused"},
    {"silent", TRUE, FAKE_SILENT, NULL, .fails = TRUE, .hangs = TRUE, .message = "within 50 ms"},
    {"drip", TRUE, FAKE_DRIP, NULL, .fails = TRUE, .hangs = TRUE, .message = "within 50 ms"},
    {"full", TRUE, FAKE_FULL, NULL, .fails = TRUE, .hangs = TRUE, .message = "within 50 ms"},
    {"garbage", TRUE, FAKE_ANSWER, "HTTP/1.1 200 OK\n", .fails = TRUE,
     .message = "not one JSON object"},
    {"hangs-up", TRUE, FAKE_HANG_UP, NULL, .fails = TRUE, .message = "before a whole answer"},
    {"internal", TRUE, FAKE_ANSWER, ERROR_ANSWER("-32603", "ouch\\nsecond line"), .fails = TRUE,
     .message = "ouch"},
};

#define IOQ_DEVICE(attributes) \
    "<q:tuning xmlns:q='urn:gantry:ioq:1'><q:device target='vda' " attributes "/></q:tuning>"

/* Settings, and whether a domain that has them may not run without their daemon. */
static const struct {
    const char *metadata;
    gboolean required;
} demands[] = {
    {IOQ("queues-per-thread='2'"), FALSE},
    {IOQ("required='yes'"), TRUE},
    {IOQ_DEVICE("queues-per-thread='2'"), FALSE}, /* QEMU serves it */
    {IOQ_DEVICE("source='/srv/a.img' format='raw'"), TRUE},
};

static void
test_daemon(World *world, gconstpointer data)
{
    const Behaviour *b = data;
    g_autofree char *socket = world_path(world, "run/gantry/ioqd.sock");
    g_autoptr(FakeDaemon) daemon = NULL;

    /* A deadline that passes where nothing else ends the call, and one that does not matter. */
    world_write(world, "etc/gantry/hook.conf",
                b->hangs ? "[hook]\ncall_timeout=50ms\nhook_timeout=60s\n"
                         : "[hook]\ncall_timeout=20s\nhook_timeout=60s\n");
    if (b->there) {
        daemon = fake_daemon_start(socket, b->mode, b->answer);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(demands); i++) {
        g_autofree char *xml = world_domain("stdin-migrate.xml", demands[i].metadata);

        for (const HookOperation *o = hook_operations; o->name; o++) {
            g_auto(Outcome) outcome = {0};
            gboolean refused = o->failure == HOOK_FAILURE_REFUSES &&
                               (b->refuses || (b->fails && demands[i].required));

            if (!g_strv_contains(b->refuses || b->hangs ? kinds : pair, o->name)) {
                continue;
            }
            world_run(world, o->name, o->sub_operation, xml, strlen(xml), &outcome);
            g_assert_cmpint(outcome.status, ==, refused ? 1 : 0);
            g_assert_cmpstr(outcome.output, ==, "");
            if (refused) {
                g_assert_nonnull(strstr(outcome.errors, b->message));
                g_assert_true(strchr(outcome.errors, '\n') ==
                              outcome.errors + strlen(outcome.errors) - 1);
            } else {
                g_assert_cmpstr(outcome.errors, ==, "");
            }
        }
    }
    if (b->message) {
        g_autofree char *log = world_read(world, "log/hook.log");

        g_assert_nonnull(strstr(log, b->message));
    }
}

/* 2 MiB of answer. */
static void
test_big_answer(World *world, gconstpointer data)
{
    g_autofree char *filling = g_strnfill(2 * 1024 * 1024, 'x');
    g_autofree char *answer =
        g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":\"%s\"}\n", filling);
    g_autofree char *socket = world_path(world, "run/gantry/ioqd.sock");
    g_autoptr(FakeDaemon) daemon = fake_daemon_start(socket, FAKE_ANSWER, answer);
    g_autofree char *required = world_domain("stdin-prepare.xml", IOQ("required='yes'"));
    g_autofree char *optional = world_domain("stdin-prepare.xml", IOQ("required='no'"));
    g_auto(Outcome) refused = {0};

    world_run(world, "prepare", "begin", required, strlen(required), &refused);
    g_assert_cmpint(refused.status, ==, 1);
    g_assert_nonnull(strstr(refused.errors, "longer than"));
    check_pass(world, "prepare", "begin", optional);
    g_assert_cmpuint(fake_daemon_n_calls(daemon), ==, 2);
}

/* What a daemon is told. */
static void
test_call(World *world, gconstpointer data)
{
    g_autofree char *socket = world_path(world, "run/gantry/ioqd.sock");
    g_autoptr(FakeDaemon) daemon = fake_daemon_start(socket, FAKE_ANSWER, OK_ANSWER);
    g_autofree char *xml =
        world_domain("stdin-prepare.xml", "<q:tuning xmlns:q='urn:gantry:ioq:1' required='yes'>"
                                          "<q:device target='vda' cpuset='3,2'/></q:tuning>");
    g_autoptr(JsonNode) node = NULL;
    JsonObject *object, *params;
    const char *sent;

    check_pass(world, "prepare", "begin", xml);
    g_assert_cmpuint(fake_daemon_n_calls(daemon), ==, 1);
    node = json_from_string(fake_daemon_call(daemon, 0), NULL);
    object = json_node_get_object(node);
    g_assert_cmpstr(json_object_get_string_member(object, "method"), ==, "hook/prepare");
    params = json_object_get_object_member(object, "params");
    g_assert_cmpstr(json_object_get_string_member(params, "operation"), ==, "prepare");
    g_assert_cmpstr(json_object_get_string_member(params, "sub_operation"), ==, "begin");
    g_assert_cmpstr(json_object_get_string_member(params, "extra"), ==, "-");
    g_assert_cmpstr(json_object_get_string_member(params, "feature"), ==, "ioq");
    sent = json_object_get_string_member(params, "settings");
    g_assert_nonnull(strstr(sent, "urn:gantry:ioq:1"));
    g_assert_nonnull(strstr(sent, "required='yes'"));
    g_assert_nonnull(strstr(sent, "cpuset='2-3'")); /* canonical */
    object = json_object_get_object_member(params, "domain");
    g_assert_cmpstr(json_object_get_string_member(object, "name"), ==, "g1");
    g_assert_cmpstr(json_object_get_string_member(object, "uuid"), ==,
                    "0120a4f9-196a-4f9e-89f5-23f31f914da7");
    sent = json_object_get_string_member(params, "xml");
    g_assert_nonnull(strstr(sent, "<target dev='vda' bus='virtio'/>"));
    g_assert_null(strstr(sent, "metadata"));
    g_assert_null(strstr(sent, "gantry:"));
}

/* A message has room for a big domain, and metadata takes none of it; what is larger is as if the
 * daemon had failed. */
static void
test_big_domain(World *world, gconstpointer data)
{
    g_autofree char *socket = world_path(world, "run/gantry/ioqd.sock");
    g_autoptr(FakeDaemon) daemon = fake_daemon_start(socket, FAKE_ANSWER, OK_ANSWER);
    g_autofree char *filling = g_strnfill(1200 * 1024, 'x');
    g_autofree char *metadata =
        g_strconcat(IOQ("required='yes'"), "<x:y xmlns:x='urn:x'>", filling, "</x:y>", NULL);
    g_autofree char *passes = world_domain("stdin-prepare.xml", metadata);
    g_autofree char *plain = world_domain("stdin-prepare.xml", IOQ("required='yes'"));
    g_autofree char *too_big = g_strconcat(plain, "<!--", filling, "-->", NULL);
    g_auto(Outcome) refused = {0};

    check_pass(world, "prepare", "begin", passes);
    g_assert_cmpuint(fake_daemon_n_calls(daemon), ==, 1);
    world_run(world, "prepare", "begin", too_big, strlen(too_big), &refused);
    g_assert_cmpint(refused.status, ==, 1);
    g_assert_nonnull(strstr(refused.errors, "longer than"));
    check_pass(world, "reconnect", "begin", too_big);
    g_assert_cmpuint(fake_daemon_n_calls(daemon), ==, 1);
}

/* A domain's end is told to every daemon that is there, also when its settings are gone, or make no
 * sense. */
static void
test_ends(World *world, gconstpointer data)
{
    g_autofree char *socket = world_path(world, "run/gantry/encapd.sock");
    g_autoptr(FakeDaemon) daemon = fake_daemon_start(socket, FAKE_ANSWER, OK_ANSWER);
    const char *const metadata[] = {"",
                                    "<b:balance xmlns:b='urn:gantry:balance:1' movable='maybe'/>"};
    guint n = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(metadata); i++) {
        g_autofree char *xml = world_domain("stdin-release.xml", metadata[i]);

        check_pass(world, "stopped", "end", xml);
        check_pass(world, "release", "end", xml);
        n += 4; /* encap and steer, twice */
        g_assert_cmpuint(fake_daemon_n_calls(daemon), ==, n);
        g_assert_nonnull(strstr(fake_daemon_call(daemon, n - 1), "\"method\":\"hook/release\""));
        g_assert_nonnull(
            strstr(fake_daemon_call(daemon, n - 1), "\"feature\":\"steer\",\"settings\":null"));
        check_pass(world, "started", "begin", xml);
        g_assert_cmpuint(fake_daemon_n_calls(daemon), ==, n);
    }
}

/* Three daemons hang, each call may take a minute: all together they cost the hook's own limit. */
static void
test_hook_timeout(World *world, gconstpointer data)
{
    const char *const names[] = {"ioqd", "encapd", "standbyd"};
    FakeDaemon *daemons[G_N_ELEMENTS(names)];
    g_autofree char *xml = world_domain(
        "stdin-prepare.xml", IOQ("required='no'") "<e:encap xmlns:e='urn:gantry:encap:1'/>"
                                                  "<s:standby xmlns:s='urn:gantry:standby:1'/>");
    g_autofree char *log = NULL;

    world_write(world, "etc/gantry/hook.conf", "[hook]\ncall_timeout=60s\nhook_timeout=300ms\n");
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path =
            g_strdup_printf("%s/run/gantry/%s.sock", world->directory, names[i]);

        daemons[i] = fake_daemon_start(path, FAKE_SILENT, NULL);
    }
    check_pass(world, "prepare", "begin", xml);
    log = world_read(world, "log/hook.log");
    g_assert_nonnull(strstr(log, "ioqd/ioq=timeout encapd/encap=timeout standbyd/standby=timeout"));
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        fake_daemon_stop(daemons[i]);
    }
}

static const char pins[] =
    "<vcpu placement='static' cpuset=\"0-3\">1</vcpu>\n"
    "  <cputune>\n    <vcpupin vcpu='0' cpuset='1' />\n"
    "    <emulatorpin\tcpuset='0-3'/>\n    <iothreadpin iothread='1' cpuset='3,0'/>\n"
    "    <x:vcpupin xmlns:x='urn:x' cpuset='0-3'/>\n  </cputune>";
static const char pins_here[] = "<vcpu placement='static' cpuset=\"8-11\">1</vcpu>\n"
                                "  <cputune>\n    <vcpupin vcpu='0' cpuset='9' />\n"
                                "    <emulatorpin\tcpuset='8-11'/>\n"
                                "    <iothreadpin iothread='1' cpuset='8,11'/>\n"
                                "    <x:vcpupin xmlns:x='urn:x' cpuset='0-3'/>\n  </cputune>";

static char *
replace(const char *text, const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(text, from, -1);

    g_assert_cmpuint(g_strv_length(parts), >, 1);
    return g_strjoinv(to, parts);
}

/* The bytes of pins and paths change, no other, and only where libvirt takes our output. */
static void
test_rewrite(World *world, gconstpointer data)
{
    g_autofree char *plain =
        world_domain("stdin-migrate.xml", "<x:q xmlns:x='urn:x'>\r\n\t&lt; \xc3\xa4</x:q>");
    g_autofree char *xml = replace(plain, "<vcpu placement='static'>1</vcpu>", pins);
    g_autofree char *half = replace(xml, pins, pins_here);
    g_autofree char *expected =
        replace(half, "/var/lib/gantry-lab/shared/disk0.img", "/mnt/a&amp;b/disk0.img");

    world_write(world, "etc/gantry/host.conf",
                "[cpu-class fast]\ncpus=8-11\nelsewhere=0-3\n[paths]\n/var/lib/gantry-lab/shared = "
                "/mnt/a&b\n");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_auto(Outcome) outcome = {0};

        if (o->must_fit) {
            continue; /* see below */
        }
        world_run(world, o->name, o->sub_operation, xml, strlen(xml), &outcome);
        g_assert_cmpint(outcome.status, ==, 0);
        g_assert_cmpstr(outcome.errors, ==, "");
        g_assert_cmpstr(outcome.output, ==, o->may_rewrite ? expected : "");
    }
    /* What is right already stays: no output, so libvirt does not taint the domain. */
    check_pass(world, "migrate", "begin", expected);
    /* Where there is no rewriting, a definition of another host's does not start. */
    check_failure(world, hook_operation_find("prepare", "begin"), xml,
                  "'virsh edit': <vcpu> cpuset='0-3' -> '8-11'; <vcpupin vcpu='0'> cpuset='1' -> "
                  "'9'; ");
    check_pass(world, "prepare", "begin", expected);
}

/* A host.conf that does not say how to fit the domain, or is wrong itself. */
static void
test_rewrite_refused(World *world, gconstpointer data)
{
    g_autofree char *plain =
        world_domain("stdin-migrate.xml", "<b:balance xmlns:b='urn:gantry:balance:1'/>");
    g_autofree char *xml = replace(plain, "<vcpu placement='static'>1</vcpu>", pins);
    struct {
        const char *conf;
        const char *message;
    } cases[] = {
        {"[cpu-class fast]\ncpus=14-17\nelsewhere=0-3\n",
         "CPU 16 is not online on this host (0-15 are)"},
        {"[cpu-class fast]\ncpus=8-9\nelsewhere=0-7\n", "number 3 of the class 'fast'"},
        {"[cpu-class fast]\ncpu=8-9\n", "host.conf: [cpu-class fast] cpu: unknown key"},
        {"[paths]\n/a=b\n", "host.conf: [paths] /a"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        world_write(world, "etc/gantry/host.conf", cases[i].conf);
        check_failure(world, hook_operation_find("migrate", "begin"), xml, cases[i].message);
        check_failure(world, hook_operation_find("restore", "begin"), xml, cases[i].message);
        check_failure(world, hook_operation_find("prepare", "begin"), xml, cases[i].message);
        check_pass(world, "release", "end", xml);
    }
}

/* A domain whose restore could not be rewritten does not run: prepare refuses it, and no other,
 * until it is released or its restore goes well. Without settings or policies, too. */
static void
test_restore_refused(World *world, gconstpointer data)
{
    const HookOperation *restore = hook_operation_find("restore", "begin");
    const HookOperation *prepare = hook_operation_find("prepare", "begin");
    g_autofree char *xml = world_domain("stdin-restore.xml", "");
    g_autofree char *other = replace(xml, "0120a4f9-", "0220a4f9-");
    g_autofree char *refuse = world_path(world, "run/gantry/refuse");
    struct stat status;

    world_write(world, "etc/gantry/host.conf", "[paths]\n/a=b\n");
    check_failure(world, restore, xml, "host.conf: [paths] /a");
    g_assert_cmpint(stat(refuse, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0700);
    world_write(world, "etc/gantry/host.conf", "");
    check_failure(world, prepare, xml, "host.conf: [paths] /a");
    check_pass(world, "prepare", "begin", other);
    check_pass(world, "release", "end", other);
    check_failure(world, prepare, xml, "host.conf: [paths] /a");
    check_pass(world, "release", "end", xml);
    check_pass(world, "prepare", "begin", xml);

    world_write(world, "etc/gantry/host.conf", "[paths]\n/a=b\n");
    check_failure(world, restore, xml, "host.conf: [paths] /a");
    world_write(world, "etc/gantry/host.conf", "");
    check_failure(world, prepare, xml, "host.conf: [paths] /a");
    check_pass(world, "restore", "begin", xml);
    check_pass(world, "prepare", "begin", xml);
}

/* What is no uuid is not made a path. */
static void
test_restore_odd_uuid(World *world, gconstpointer data)
{
    g_autofree char *plain = world_domain("stdin-restore.xml", "");
    g_autofree char *xml = replace(plain, "0120a4f9-196a-4f9e-89f5-23f31f914da7",
                                   "../../../escaped-from-the-refusals");
    g_autofree char *refuse = world_path(world, "run/gantry/refuse");
    g_autofree char *escaped = world_path(world, "escaped-from-the-refusals");

    world_write(world, "etc/gantry/host.conf", "[paths]\n/a=b\n");
    check_failure(world, hook_operation_find("restore", "begin"), xml, "is not a uuid");
    g_assert_false(g_file_test(refuse, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_mkdir_with_parents(refuse, 0700), ==, 0);
    world_write(world, "escaped-from-the-refusals", "x");
    check_failure(world, hook_operation_find("restore", "begin"), xml, "is not a uuid");
    world_write(world, "etc/gantry/host.conf", "");
    check_pass(world, "restore", "begin", xml);
    check_pass(world, "release", "end", xml);
    g_assert_true(g_file_test(escaped, G_FILE_TEST_EXISTS));
}

/* There is no room for all of the new XML: nothing of it is printed, since libvirt would delete the
 * image of a restore whose XML is half of one. The limit is that of a file's size, which the XML as
 * it came in just keeps. */
static void
test_no_room(World *world, gconstpointer data)
{
    enum { BLOCK = 512 }; /* of the shell's ulimit */
    g_autofree char *plain = world_domain("stdin-restore.xml", "");
    gsize length = strlen(plain);
    g_autofree char *filling = g_strnfill(32 * BLOCK - length % BLOCK, '\n');
    g_autofree char *xml = g_strconcat(plain, filling, NULL);
    g_autofree char *limited =
        g_strdup_printf("ulimit -f %" G_GSIZE_FORMAT "; exec \"$0\" \"$@\"", strlen(xml) / BLOCK);
    const char *const operations[] = {"restore", "migrate"};

    world_write(world, "etc/gantry/host.conf",
                "[paths]\n/var/lib/gantry-lab/shared = /mnt/with/a/longer/name/than/before\n");
    for (gsize i = 0; i < G_N_ELEMENTS(operations); i++) {
        const char *const argv[] = {"/bin/sh",     "-c",    limited, world->front, "g1",
                                    operations[i], "begin", "-",     NULL};
        gboolean refuses = g_str_equal(operations[i], "migrate");
        g_auto(Outcome) outcome = {0};
        g_auto(Outcome) unlimited = {0};

        world_run_argv(world, argv, xml, strlen(xml), &outcome);
        g_assert_cmpstr(outcome.output, ==, "");
        g_assert_cmpint(outcome.status, ==, refuses ? 1 : 0);
        g_assert_nonnull(strstr(outcome.errors, refuses ? "File too large" : "with status 3"));
        world_run(world, operations[i], "begin", xml, strlen(xml), &unlimited);
        g_assert_cmpuint(unlimited.n_output, >, strlen(xml));
    }
}

/* A daemon on the destination sees the domain as it will run there. */
static void
test_rewritten_call(World *world, gconstpointer data)
{
    g_autofree char *socket = world_path(world, "run/gantry/ioqd.sock");
    g_autoptr(FakeDaemon) daemon = fake_daemon_start(socket, FAKE_ANSWER, OK_ANSWER);
    g_autofree char *xml = world_domain("stdin-migrate.xml", IOQ(""));
    g_auto(Outcome) outcome = {0};

    world_write(world, "etc/gantry/host.conf", "[paths]\n/var/lib/gantry-lab = /mnt\n");
    world_run(world, "migrate", "begin", xml, strlen(xml), &outcome);
    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_nonnull(strstr(outcome.output, "file='/mnt/shared/disk0.img'"));
    g_assert_nonnull(strstr(fake_daemon_wait(daemon, 1), "file='/mnt/shared/disk0.img'"));
    g_assert_null(
        strstr(fake_daemon_wait(daemon, 1), "file='/var/lib/gantry-lab/shared/disk0.img'"));
}

/* CPUs of the settings are told as host.conf has them here; CPUs that cannot be had here are not
 * told, and refuse a start. */
static void
test_fitting_call(World *world, gconstpointer data)
{
    g_autofree char *socket = world_path(world, "run/gantry/ioqd.sock");
    g_autoptr(FakeDaemon) daemon = fake_daemon_start(socket, FAKE_ANSWER, OK_ANSWER);
    g_autofree char *xml =
        world_domain("stdin-prepare.xml", "<q:tuning xmlns:q='urn:gantry:ioq:1'>"
                                          "<q:device target='vda' cpuset='1-2'/></q:tuning>");
    static const char *const told[] = {"prepare", "started", "reconnect"};
    g_auto(Outcome) outcome = {0};

    world_write(world, "etc/gantry/host.conf", "[cpu-class fast]\ncpus=8-11\nelsewhere=0-3\n");
    for (gsize i = 0; i < G_N_ELEMENTS(told); i++) {
        check_pass(world, told[i], "begin", xml);
        g_assert_nonnull(strstr(fake_daemon_call(daemon, (guint)i), "cpuset='9-10'"));
    }
    world_write(world, "etc/gantry/host.conf", "[cpu-class fast]\ncpus=8\nelsewhere=0-3\n");
    check_failure(world, hook_operation_find("prepare", "begin"), xml, "<device> cpuset");
    world_run(world, "reconnect", "begin", xml, strlen(xml), &outcome);
    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_cmpuint(fake_daemon_n_calls(daemon), ==, G_N_ELEMENTS(told) + 1);
    g_assert_null(strstr(fake_daemon_call(daemon, G_N_ELEMENTS(told)), "cpuset"));
}

#define DISK(type, source) \
    "<disk type='" type "' device='disk'><driver name='qemu' type='raw'/>" source \
    "<target dev='vdb' bus='virtio'/></disk></devices>"
#define SOCKET(path) "<source type='unix' path='" path "'/>"

/* A disk with a socket of gantry-ioqd's, which nobody would make: QEMU would wait for it for ever.
 */
static void
test_disk_without_settings(World *world, gconstpointer data)
{
    static const struct {
        const char *metadata;
        const char *disk;
        gboolean refused;
    } cases[] = {
        {"", DISK("vhostuser", SOCKET("/run/gantry/ioq/a.sock")), TRUE},
        {"", DISK("vhostuser", SOCKET("/var/run/gantry/ioq/a.sock")), TRUE},
        {"<q:tuning xmlns:q='urn:gentry:ioq:1'><q:device target='vdb' source='/a' "
         "format='raw'/></q:tuning>",
         DISK("vhostuser", SOCKET("/run/gantry/ioq/a.sock")), TRUE},
        {IOQ(""), DISK("vhostuser", SOCKET("/run/gantry/ioq/a.sock")), TRUE},
        {IOQ_DEVICE("source='/a' format='raw'"),
         DISK("vhostuser", SOCKET("/run/gantry/ioq/a.sock")), TRUE}, /* of vda */
        {"<q:tuning xmlns:q='urn:gantry:ioq:1'><q:device target='vdb'/></q:tuning>",
         DISK("vhostuser", SOCKET("/run/gantry/ioq/a.sock")), TRUE},
        /* As it should be, and what is none of ours. */
        {"<q:tuning xmlns:q='urn:gantry:ioq:1'><q:device target='vdb' source='/a' "
         "format='raw'/></q:tuning>",
         DISK("vhostuser", SOCKET("/run/gantry/ioq/a.sock")), FALSE},
        {"", DISK("vhostuser", SOCKET("/run/spdk/gantry/ioq/a.sock")), FALSE},
        {"", DISK("file", "<source file='/run/gantry/ioq/a.img'/>"), FALSE},
    };
    g_autofree char *socket = world_path(world, "run/gantry/ioqd.sock");
    g_autoptr(FakeDaemon) daemon G_GNUC_UNUSED = fake_daemon_start(socket, FAKE_ANSWER, OK_ANSWER);

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *plain = world_domain("stdin-migrate.xml", cases[i].metadata);
        g_autofree char *xml = replace(plain, "</devices>", cases[i].disk);

        for (const HookOperation *o = hook_operations; o->name; o++) {
            if (cases[i].refused && o->failure == HOOK_FAILURE_REFUSES) {
                check_failure(world, o, xml, "gantry/ioq/a.sock, which gantry-ioqd is to serve");
                check_failure(world, o, xml, "<device target='vdb'");
            } else {
                check_pass(world, o->name, o->sub_operation, xml);
            }
        }
    }
}

#define ADD(path, function) g_test_add(path, World, NULL, world_set_up, function, world_tear_down)

int
main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(bad_inputs); i++) {
        g_autofree char *path = g_strconcat("/hook/engine/bad-input/", bad_inputs[i].name, NULL);

        g_test_add(path, World, &bad_inputs[i], world_set_up, test_bad_input, world_tear_down);
    }
    ADD("/hook/engine/bad-policy-of-others", test_bad_policy_of_others);
    ADD("/hook/engine/good-input", test_good_input);
    ADD("/hook/engine/bad-hook-conf", test_bad_hook_conf);
    ADD("/hook/engine/no-log", test_no_log);
    ADD("/hook/engine/watchdog", test_watchdog);
    for (gsize i = 0; i < G_N_ELEMENTS(behaviours); i++) {
        g_autofree char *path = g_strconcat("/hook/engine/daemon/", behaviours[i].name, NULL);

        g_test_add(path, World, &behaviours[i], world_set_up, test_daemon, world_tear_down);
    }
    ADD("/hook/engine/big-answer", test_big_answer);
    ADD("/hook/engine/call", test_call);
    ADD("/hook/engine/big-domain", test_big_domain);
    ADD("/hook/engine/ends", test_ends);
    ADD("/hook/engine/hook-timeout", test_hook_timeout);
    ADD("/hook/engine/rewrite", test_rewrite);
    ADD("/hook/engine/rewrite-refused", test_rewrite_refused);
    ADD("/hook/engine/restore-refused", test_restore_refused);
    ADD("/hook/engine/restore-odd-uuid", test_restore_odd_uuid);
    ADD("/hook/engine/no-room", test_no_room);
    ADD("/hook/engine/rewritten-call", test_rewritten_call);
    ADD("/hook/engine/fitting-call", test_fitting_call);
    ADD("/hook/engine/disk-without-settings", test_disk_without_settings);
    return g_test_run();
}
