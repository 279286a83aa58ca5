/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gantry-hook itself: whom it lets pass, and what it makes of an engine that fails. Shell scripts
 * play the engine. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvirt_hooks/operation.h"
#include "tests/component/hook/world.h"

static const char balance[] = "<b:balance xmlns:b='urn:gantry:balance:1'/>";

/* A script that leaves a trace. */
static const char trace[] = "cat >stdin; echo \"$@\" >ran; env >environment";

static gboolean
engine_ran(const World *world)
{
    g_autofree char *text = world_read(world, "ran");

    return *text != '\0';
}

static void
check_pass(const World *world, const HookOperation *o, const char *xml)
{
    g_auto(Outcome) outcome = {0};

    world_run(world, o->name, o->sub_operation, xml, strlen(xml), &outcome);
    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_cmpstr(outcome.output, ==, "");
    g_assert_cmpstr(outcome.errors, ==, "");
}

/* Nothing concerns Gantry: no engine, no output, whatever the operation. */
static void
test_pass(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-prepare.xml", "");

    world_replace_engine(world, trace);
    /* None of these is a policy or a daemon. */
    world_write(world, "etc/gantry/policy.d/.hidden.conf", "x");
    world_write(world, "etc/gantry/policy.d/README", "x");
    world_write(world, "etc/gantry/policy.d/x.conf.bak", "x");
    world_write(world, "run/gantry/ioqd.sock.lock", "");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        check_pass(world, o, xml);
        check_pass(world, o, "");
    }
    g_assert_false(engine_ran(world));
}

/* What makes a domain Gantry's concern, and for which operations. */
static void
test_concern(World *world, gconstpointer data)
{
    const char *const all[] = {"migrate",   "restore", "prepare", "start", "started",
                               "reconnect", "stopped", "release", NULL};
    const char *const fitted[] = {"migrate", "restore", "prepare", NULL};
    const char *const ends[] = {"stopped", "release", NULL};
    struct {
        const char *metadata;
        const char *file; /* that is there */
        const char *const *operations;
    } cases[] = {
        {balance, NULL, all},
        {"<x:y xmlns:x='http://openstack.org/xmlns/libvirt/nova/1.1' name='gantry:ioq.required'/>",
         NULL, all},
        {"<x:y xmlns:x='urn:x' path='/run/gantry/ioq/a.sock'/>", NULL, all},
        {"", "etc/gantry/policy.d/50-a.conf", all},
        {"", "etc/gantry/host.conf", fitted},
        {"", "run/gantry/encapd.sock", ends},
    };

    world_replace_engine(world, trace);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml = world_domain("stdin-prepare.xml", cases[i].metadata);
        g_autofree char *file = cases[i].file ? world_path(world, cases[i].file) : NULL;
        g_autofree char *ran = world_path(world, "ran");

        if (file) {
            world_write(world, cases[i].file, "");
        }
        for (const HookOperation *o = hook_operations; o->name; o++) {
            remove(ran);
            check_pass(world, o, xml);
            if (engine_ran(world) != g_strv_contains(cases[i].operations, o->name)) {
                g_error("case %" G_GSIZE_FORMAT ", %s: the engine %s", i, o->name,
                        engine_ran(world) ? "ran" : "did not run");
            }
        }
        if (file) {
            g_assert_cmpint(remove(file), ==, 0);
        }
    }
}

/* The engine gets the same arguments, the same bytes, and nothing of libvirt's environment. */
static void
test_hand_over(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-start.xml", balance);
    g_autofree char *big = g_strnfill(300 * 1024, 'x');
    g_autofree char *long_xml = g_strconcat(xml, "<!--", big, "-->", NULL);
    const char *const argv[] = {world->front, "odd \"name\"\n$(x)", "prepare", "begin", "-", NULL};
    g_auto(Outcome) outcome = {0};
    g_autofree char *in = NULL;
    g_autofree char *arguments = NULL;
    g_autofree char *environment = NULL;

    world_replace_engine(world, trace);
    world_run_argv(world, argv, long_xml, strlen(long_xml), &outcome);
    g_assert_cmpint(outcome.status, ==, 0);
    in = world_read(world, "stdin");
    arguments = world_read(world, "ran");
    environment = world_read(world, "environment");
    g_assert_cmpstr(in, ==, long_xml);
    g_assert_cmpstr(arguments, ==, "odd \"name\"\n$(x) prepare begin -\n");
    g_assert_nonnull(strstr(environment, "LC_ALL=C.UTF-8\n"));
    g_assert_null(strstr(environment, "HOME="));
}

/* stdin is a file that nobody can change any more. */
static void
test_sealed(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-start.xml", balance);
    g_autofree char *result = NULL;
    g_auto(Outcome) outcome = {0};

    world_replace_engine(
        world,
        "if (echo x >>/proc/self/fd/0) 2>/dev/null; then echo open; else echo sealed; fi >result");
    world_run(world, "prepare", "begin", xml, strlen(xml), &outcome);
    result = world_read(world, "result");
    g_assert_cmpstr(result, ==, "sealed\n");
}

/* What the engine prints is passed on where libvirt takes it, if all went well. */
static void
test_output(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-migrate.xml", balance);

    world_replace_engine(world, "cat; cat /dev/zero | head -c 300000 | tr '\\0' x");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_auto(Outcome) outcome = {0};

        world_run(world, o->name, o->sub_operation, xml, strlen(xml), &outcome);
        g_assert_cmpint(outcome.status, ==, 0);
        g_assert_cmpuint(outcome.n_output, ==, o->may_rewrite ? strlen(xml) + 300000 : 0);
    }
}

/* How an engine can fail, and what is to be found on stderr then. */
typedef struct {
    const char *name;
    const char *script; /* NULL: there is no engine */
    const char *problem;
} Failure;

/* Has this operation to do with host.conf? */
static gboolean
fits_domains(const HookOperation *o)
{
    return o->may_rewrite || o->must_fit;
}

static const Failure failures[] = {
    {"missing", NULL, "cannot run libexec/gantry-hook-engine: No such file or directory"},
    {"crash", "kill -SEGV $$", "was killed by signal 11"},
    {"killed", "kill -KILL $$", "was killed by signal 9"},
    {"half-printed", "echo '<domain>'; kill -SEGV $$", "was killed by signal 11"},
    {"status", "echo '<domain>'; exit 99", "ended with status 99; mend"},
    {"last-words", "echo one >&2; printf 'can\\tnot\\n\\n' >&2; exit 127",
     "ended with status 127: can?not; mend"},
};

/* The engine has failed: is that told, in one line, and with the right exit status? */
static void
check_failed_engine(gboolean refuses, const char *problem, const Outcome *outcome)
{
    g_assert_cmpint(outcome->status, ==, refuses ? 1 : 0);
    g_assert_cmpstr(outcome->output, ==, "");
    g_assert_nonnull(strstr(outcome->errors, problem));
    g_assert_nonnull(strstr(outcome->errors, refuses ? " refused: " : " goes on without Gantry: "));
    g_assert_true(strchr(outcome->errors, '\n') == outcome->errors + strlen(outcome->errors) - 1);
}

/* Refused is a domain with settings, and any domain where host.conf would have to be heeded. */
static void
test_failed_engine(World *world, gconstpointer data)
{
    const Failure *failure = data;
    g_autofree char *policy = world_path(world, "etc/gantry/policy.d/50-a.conf");
    g_autofree char *with = world_domain("stdin-migrate.xml", balance);
    g_autofree char *without = world_domain("stdin-migrate.xml", "<!-- none -->");

    world_replace_engine(world, failure->script);
    world_write(world, "etc/gantry/policy.d/50-a.conf", ""); /* any domain may be concerned */
    for (int with_host_conf = 0; with_host_conf <= 1; with_host_conf++) {
        if (with_host_conf) {
            world_write(world, "etc/gantry/host.conf", "");
        }
        for (const HookOperation *o = hook_operations; o->name; o++) {
            gboolean may_refuse = o->failure == HOOK_FAILURE_REFUSES;
            g_auto(Outcome) of_with = {0};
            g_auto(Outcome) of_without = {0};

            world_run(world, o->name, o->sub_operation, with, strlen(with), &of_with);
            check_failed_engine(may_refuse, failure->problem, &of_with);
            world_run(world, o->name, o->sub_operation, without, strlen(without), &of_without);
            check_failed_engine(may_refuse && with_host_conf, failure->problem, &of_without);
            if (with_host_conf && fits_domains(o)) {
                g_assert_nonnull(strstr(of_without.errors, "to this host by etc/gantry/host.conf"));
            }
        }
    }
    /* A policy apart: host.conf alone is a reason to run the engine, and to refuse. */
    g_assert_cmpint(unlink(policy), ==, 0);
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_auto(Outcome) outcome = {0};

        if (fits_domains(o)) {
            world_run(world, o->name, o->sub_operation, without, strlen(without), &outcome);
            check_failed_engine(o->failure == HOOK_FAILURE_REFUSES, failure->problem, &outcome);
        } else {
            check_pass(world, o, without);
        }
    }
}

/* A refusal is one only where libvirt can bear it: never on reconnect and restore. */
static void
test_refusing_engine(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-migrate.xml", balance);

    world_replace_engine(world, "echo '<domain/>'; echo 'gantry-hook: no' >&2; exit 1");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_auto(Outcome) outcome = {0};

        world_run(world, o->name, o->sub_operation, xml, strlen(xml), &outcome);
        g_assert_cmpint(outcome.status, ==, o->failure == HOOK_FAILURE_REFUSES ? 1 : 0);
        g_assert_cmpstr(outcome.output, ==, "");
        if (o->failure == HOOK_FAILURE_REFUSES) {
            g_assert_cmpstr(outcome.errors, ==, "gantry-hook: no\n");
        }
    }
}

/* Runs "gantry-hook g1 OPERATION begin -" with @redirections by a shell. */
static void
run_redirected(const World *world, const char *operation, const char *redirections, const char *xml,
               Outcome *ret_outcome)
{
    g_autofree char *command =
        g_strdup_printf("exec \"$0\" g1 %s begin - %s", operation, redirections);
    const char *const argv[] = {"/bin/sh", "-c", command, world->front, NULL};

    world_run_argv(world, argv, xml, strlen(xml), ret_outcome);
}

/* However much the engine says, libvirt gets one line of it, the last, printable and not too long.
 */
static void
test_long_refusal(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-prepare.xml", balance);
    struct {
        const char *script;
        const char *head;
        gsize length;
    } cases[] = {
        {"echo first >&2; printf 'so\\033[1m no\\n' >&2; exit 1", "so?[1m no\n", 10},
        {"printf 'unended' >&2; exit 1", "unended\n", 8},
        {"{ echo 1; printf 'no: '; head -c 5000 /dev/zero | tr '\\0' x; echo; } >&2; exit 1",
         "no: xxx", 960},
        {"{ head -c 300000 /dev/zero | tr '\\0' y; } >&2; exit 1", "yyy", 960},
        /* ... and not the half of a character. */
        {"{ printf 'no'; for i in 1 2 3 4; do for j in 1 2 3 4 5 6 7 8 9 0; do printf "
         "'虚虚虚虚虚虚虚虚虚虚'; done; done; } >&2; exit 1",
         "no虚", 2 + 3 * 319 + 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Outcome) outcome = {0};

        world_replace_engine(world, cases[i].script);
        world_run(world, "prepare", "begin", xml, strlen(xml), &outcome);
        g_assert_cmpint(outcome.status, ==, 1);
        g_assert_true(g_str_has_prefix(outcome.errors, cases[i].head));
        g_assert_cmpuint(strlen(outcome.errors), ==, cases[i].length);
        g_assert_true(g_utf8_validate(outcome.errors, -1, NULL));
        g_assert_true(strchr(outcome.errors, '\n') == outcome.errors + strlen(outcome.errors) - 1);
    }
}

/* What the engine leaves behind keeps nothing open that libvirtd reads to its end: here a process
 * that waits until we have the whole outcome. */
static void
test_left_behind(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-migrate.xml", balance);
    g_autofree char *gate = world_path(world, "gate");
    g_auto(Outcome) outcome = {0};
    int fd;

    g_assert_cmpint(mkfifo(gate, 0600), ==, 0);
    world_replace_engine(world, "{ read line; } <gate & echo 'gantry-hook: no' >&2; exit 1");
    world_run(world, "migrate", "begin", xml, strlen(xml), &outcome);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_cmpstr(outcome.errors, ==, "gantry-hook: no\n");
    fd = open(gate, O_WRONLY); /* waits for the process */
    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

/* The engine ends with the front: what we read to its end is open as long as the engine lives. */
static void
test_dies_with_front(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-prepare.xml", balance);
    g_autofree char *gate = world_path(world, "gate");
    g_auto(Outcome) outcome = {0};

    g_assert_cmpint(mkfifo(gate, 0600), ==, 0);
    world_replace_engine(world, "echo ran >&9; kill -KILL $PPID; read line <gate");
    run_redirected(world, "prepare", "9>&1", xml, &outcome);
    g_assert_cmpint(outcome.status, ==, -1);
    g_assert_cmpstr(outcome.output, ==, "ran\n");
}

/* 10 MiB: more than the engine takes, so it is not run; a domain with settings is refused where it
 * can be, and with a host.conf any. */
static void
test_huge(World *world, gconstpointer data)
{
    g_autofree char *filling = g_strnfill(10 * 1024 * 1024, 'x');
    g_autofree char *with = g_strconcat("<domain>", balance, filling, NULL);
    g_autofree char *without = g_strconcat("<domain>", filling, NULL);

    world_replace_engine(world, trace);
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_auto(Outcome) refused = {0};
        g_auto(Outcome) passed = {0};

        world_run(world, o->name, o->sub_operation, with, strlen(with), &refused);
        g_assert_cmpint(refused.status, ==, o->failure == HOOK_FAILURE_REFUSES ? 1 : 0);
        world_run(world, o->name, o->sub_operation, without, strlen(without), &passed);
        g_assert_cmpint(passed.status, ==, 0);
    }
    world_write(world, "etc/gantry/host.conf", "");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_auto(Outcome) outcome = {0};

        world_run(world, o->name, o->sub_operation, without, strlen(without), &outcome);
        g_assert_cmpint(outcome.status, ==, o->failure == HOOK_FAILURE_REFUSES ? 1 : 0);
        g_assert_nonnull(strstr(outcome.errors, "; make its XML"));
    }
    g_assert_false(engine_ran(world));
}

/* Settings anywhere in a domain that is too large are seen, also on a border of what is read at a
 * time: all that the doubled buffer holds, then 64 KiB. */
static void
test_huge_behind_cut(World *world, gconstpointer data)
{
    const gsize places[] = {5 * 1024 * 1024, 8 * 1024 * 1024 - 3, 8 * 1024 * 1024 + 64 * 1024 - 3,
                            10 * 1024 * 1024 - 7};

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *xml = g_strnfill(10 * 1024 * 1024, 'x');
        g_auto(Outcome) refused = {0};
        g_auto(Outcome) passed = {0};

        world_write(world, "huge", xml);
        run_redirected(world, "prepare", "<huge", "", &passed);
        g_assert_cmpint(passed.status, ==, 0);
        memcpy(xml + places[i], "gantry:", 7);
        world_write(world, "huge", xml);
        run_redirected(world, "prepare", "<huge", "", &refused);
        g_assert_cmpint(refused.status, ==, 1);
        g_assert_nonnull(strstr(refused.errors, "larger than 4 MiB; make its XML"));
    }
}

/* Standard descriptors that are closed or broken are neither a crash nor somebody else's file. */
static void
test_descriptors(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-migrate.xml", balance);
    struct {
        const char *redirections;
        const char *operation;
        int status;
        const char *errors; /* part of it */
    } cases[] = {
        {"<&-", "prepare", 0, ""},
        {"<&- >&- 2>&-", "migrate", 0, ""},
        {">&-", "prepare", 0, ""},
        {"2>&-", "prepare", 0, ""},
        {">/dev/full", "migrate", 1, "cannot write the domain's new XML: No space left on device"},
        {">/dev/full", "restore", 0, "cannot write the domain's new XML"},
        {">/dev/full", "prepare", 0, ""},
        {"</", "migrate", 0, "cannot read the domain's XML: Is a directory"},
    };

    world_replace_engine(world, "cat");
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Outcome) outcome = {0};

        /* Nothing goes to a stdin that nobody reads: it might be gone before. */
        run_redirected(world, cases[i].operation, cases[i].redirections,
                       cases[i].redirections[0] == '<' ? "" : xml, &outcome);
        g_assert_cmpint(outcome.status, ==, cases[i].status);
        g_assert_nonnull(strstr(outcome.errors, cases[i].errors));
    }
}

/* libvirt stops reading: no signal, no hang. */
static void
test_reader_gone(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-migrate.xml", balance);
    const char *const argv[] = {"/bin/sh", "-c",
                                "{ \"$0\" g1 restore begin -; echo $? >status; } | { exec <&-; }",
                                world->front, NULL};
    g_autofree char *status = NULL;
    g_auto(Outcome) outcome = {0};

    world_replace_engine(world, "cat; cat /dev/zero | head -c 300000 | tr '\\0' x");
    world_run_argv(world, argv, xml, strlen(xml), &outcome);
    status = world_read(world, "status");
    g_assert_cmpstr(status, ==, "0\n");
}

/* That nobody reads stderr, and that no memfd may be filled, is told by a signal first. */
static void
test_signals(World *world, gconstpointer data)
{
    const char *const unread[] = {
        "/bin/sh", "-c", "{ \"$0\" g1 reconnect begin -; echo $? >status; } 2>&1 | { exec <&-; }",
        world->front, NULL};
    const char *const limited[] = {"/bin/sh", "-c", "ulimit -f 0; exec \"$0\" g1 reconnect begin -",
                                   world->front, NULL};
    g_autofree char *huge = g_strnfill(10 * 1024 * 1024, 'x');
    g_autofree char *xml = world_domain("stdin-reconnect.xml", balance);
    g_autofree char *status = NULL;
    g_auto(Outcome) outcome = {0};
    g_auto(Outcome) limited_outcome = {0};

    world_run_argv(world, unread, huge, strlen(huge), &outcome);
    status = world_read(world, "status");
    g_assert_cmpstr(status, ==, "0\n");
    world_run_argv(world, limited, xml, strlen(xml), &limited_outcome);
    g_assert_cmpint(limited_outcome.status, ==, 0);
    g_assert_nonnull(
        strstr(limited_outcome.errors, "cannot hand the domain's XML over: File too large"));
}

/* An engine that hangs, and has no alarm to end it. */
static void
test_hanging_engine(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-migrate.xml", balance);

    world_write(world, "impatient", "");
    world_replace_engine(world, "echo '<domain/>'; exec sleep 1000");
    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_auto(Outcome) outcome = {0};

        world_run(world, o->name, o->sub_operation, xml, strlen(xml), &outcome);
        g_assert_cmpint(outcome.status, ==, o->failure == HOOK_FAILURE_REFUSES ? 1 : 0);
        g_assert_cmpstr(outcome.output, ==, "");
        g_assert_nonnull(strstr(outcome.errors, "did not end within 1 s"));
    }
}

static void
test_command_line(World *world, gconstpointer data)
{
    g_autofree char *huge = g_strnfill(100 * 1024, 'y');
    struct {
        const char *const argv[6];
        int status;
        const char *output; /* parts of them */
        const char *errors;
    } cases[] = {
        {{world->front, NULL}, 2, "", "gantry-hook(8)"},
        {{world->front, "--help", NULL}, 0, "Usage: gantry-hook ", ""},
        {{world->front, "--version", NULL}, 0, "gantry-hook ", ""},
        {{world->front, "--operations", NULL}, 0, "reconnect begin\n", ""},
        {{world->front, "--oper", NULL}, 2, "", "unknown option '--oper'"},
        {{world->front, "g1", "prepare", NULL}, 2, "", "gantry-hook(8)"},
        {{world->front, "g1", "attach", "begin", "-", NULL}, 0, "", ""},
        {{world->front, "g1", "prepare", "end", "-", NULL}, 0, "", ""},
        {{world->front, "g1", huge, "begin", "-", NULL}, 0, "", ""},
        {{world->front, huge, "prepare", "begin", huge, NULL}, 0, "", ""},
        {{world->front, "", "", "", "", NULL}, 0, "", ""},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Outcome) outcome = {0};

        world_run_argv(world, cases[i].argv, "", 0, &outcome);
        g_assert_cmpint(outcome.status, ==, cases[i].status);
        g_assert_nonnull(strstr(outcome.output, cases[i].output));
        g_assert_nonnull(strstr(outcome.errors, cases[i].errors));
    }
}

/* However long or odd the name, the refusal is one bounded line. */
static void
test_odd_name(World *world, gconstpointer data)
{
    g_autofree char *xml = world_domain("stdin-prepare.xml", balance);
    g_autofree char *filling = g_strnfill(4000, 'n');
    g_autofree char *name = g_strconcat("a\nb\033[31m", filling, NULL);
    const char *const argv[] = {world->front, name, "prepare", "begin", "-", NULL};
    g_auto(Outcome) outcome = {0};

    world_replace_engine(world, NULL);
    world_run_argv(world, argv, xml, strlen(xml), &outcome);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_true(g_str_has_prefix(outcome.errors, "gantry-hook: prepare of domain 'a?b?[31mnn"));
    g_assert_true(strchr(outcome.errors, '\n') == outcome.errors + strlen(outcome.errors) - 1);
    g_assert_cmpuint(strlen(outcome.errors), <=, 1024);
}

#define ADD(path, function) g_test_add(path, World, NULL, world_set_up, function, world_tear_down)

int
main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
    g_test_init(&argc, &argv, NULL);
    ADD("/hook/front/pass", test_pass);
    ADD("/hook/front/concern", test_concern);
    ADD("/hook/front/hand-over", test_hand_over);
    ADD("/hook/front/sealed", test_sealed);
    ADD("/hook/front/output", test_output);
    for (gsize i = 0; i < G_N_ELEMENTS(failures); i++) {
        g_autofree char *path = g_strconcat("/hook/front/failed-engine/", failures[i].name, NULL);

        g_test_add(path, World, &failures[i], world_set_up, test_failed_engine, world_tear_down);
    }
    ADD("/hook/front/refusing-engine", test_refusing_engine);
    ADD("/hook/front/long-refusal", test_long_refusal);
    ADD("/hook/front/left-behind", test_left_behind);
    ADD("/hook/front/dies-with-front", test_dies_with_front);
    ADD("/hook/front/huge", test_huge);
    ADD("/hook/front/huge-behind-cut", test_huge_behind_cut);
    ADD("/hook/front/descriptors", test_descriptors);
    ADD("/hook/front/reader-gone", test_reader_gone);
    ADD("/hook/front/signals", test_signals);
    ADD("/hook/front/hanging-engine", test_hanging_engine);
    ADD("/hook/front/command-line", test_command_line);
    ADD("/hook/front/odd-name", test_odd_name);
    return g_test_run();
}
