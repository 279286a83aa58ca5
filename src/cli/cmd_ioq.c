/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry ioq: the disks that gantry-ioqd serves on this host, and the threads of those that QEMU
 * serves (cmd_ioq_apply.c); what fits them (cmd_ioq_tune.c).
 */
#include "cli/ioq.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "cli/subcommand.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"
#include "common/rpc/rpc.h"
#include "gantry-config.h"
#include "ioq_tuning/front/read_load.h"

#define NAME_COLUMNS   20
#define RESTART_FACTOR 2 /* the daemon waits for the old worker, too */
#define LOOK_MSEC      100

const GantryOption cli_ioq_options[] = {
    {.name = "socket",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, socket),
     .fallback = GANTRY_RPC_RUN_DIR "/ioqd.sock",
     .metavar = "PATH",
     .summary = N_("Control socket of gantry-ioqd")},
    {.name = "connect",
     .short_name = 'c',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, connect),
     .fallback = "qemu:///system",
     .metavar = "URI",
     .summary = N_("libvirt to ask")},
    {.name = "policy-dir",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, policy_dir),
     .fallback = GANTRY_CONFDIR "/policy.d",
     .metavar = "DIR",
     .summary = N_("Folder of the policy files")},
    {.name = "dry-run",
     .short_name = 'n',
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, dry_run),
     .summary = N_("Only show what 'apply' would change")},
    {.name = "target",
     .short_name = 't',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, target),
     .metavar = "DEV",
     .summary = N_("Disk to 'tune', where the domain's settings name several")},
    {.name = "image",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, image),
     .metavar = "FILE",
     .summary = N_("Raw image to 'tune' on, instead of the disk's; it is only read")},
    {.name = "null",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, null),
     .summary = N_("'tune' on a disk that does nothing, instead of an image")},
    {.name = "queues",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, n_queues),
     .fallback = "0",
     .min = 0,
     .max = CLI_IOQ_MAX_QUEUES,
     .metavar = "N",
     .summary = N_("Queues to 'tune' with; 0: as many as the disk has")},
    {.name = "depth",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, depth),
     .fallback = "32",
     .min = 1,
     .max = FRONT_READ_MAX_DEPTH,
     .metavar = "N",
     .summary = N_("Requests that 'tune' keeps in flight in each queue")},
    {.name = "time",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, time_msec),
     .fallback = "3s",
     .min = 100,
     .max = 600 * 1000,
     .metavar = "TIME",
     .summary = N_("How long 'tune' puts load on each candidate")},
    {.name = "plot",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, plot),
     .metavar = "FILE",
     .summary = N_("Draw what 'tune' has measured into FILE (SVG)")},
    {.name = "worker",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, worker),
     .fallback = GANTRY_LIBEXECDIR "/gantry-ioq-worker",
     .metavar = "PROGRAM",
     .summary = N_("Back end to 'tune' with")},
    {.name = "timeout",
     .type = GANTRY_OPTION_DURATION,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, timeout_msec),
     .fallback = "10s",
     .min = 1,
     .max = 3600 * 1000,
     .metavar = "TIME",
     .summary = N_("Give up on gantry-ioqd, or libvirt, after TIME")},
    {.name = "json",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(CliIoqOptions, json),
     .summary = N_("Print JSON")},
    GANTRY_OPTION_END,
};

static const char ioq_examples[] =
    N_("Commands:\n"
       "  status [DOMAIN]   each queue with its thread, requests, and latencies\n"
       "  restart DOMAIN    another worker process, as after an upgrade; no request is lost\n"
       "  refresh DOMAIN    tell the guest of images that have grown\n"
       "  apply DOMAIN      libvirt's iothreads for disks that QEMU serves, as the settings say\n"
       "  tune [DOMAIN]     try each number of queues a thread under load, and recommend one\n"
       "\n"
       "Examples:\n"
       "  gantry ioq status\n"
       "  gantry ioq status --json db1 | jq '.vms[].worker.disks[].queues[].in_flight'\n"
       "  gantry ioq restart db1\n"
       "  gantry ioq apply --dry-run db1\n"
       "  gantry ioq tune --null --queues 8\n");

static gint64
number(JsonObject *object, const char *name)
{
    return json_object_get_int_member_with_default(object, name, 0);
}

/* Upper end, in microseconds, of the bucket that holds this share of a queue's requests. */
static guint64
percentile(JsonArray *latency, double share)
{
    guint n = json_array_get_length(latency);
    double total = 0, sum = 0;

    for (guint i = 0; i < n; i++) {
        total += (double)json_array_get_int_element(latency, i);
    }
    for (guint i = 0; i < n; i++) {
        sum += (double)json_array_get_int_element(latency, i);
        if (total > 0 && sum >= total * share) {
            return G_GUINT64_CONSTANT(1) << i;
        }
    }
    return 0;
}

static void
print_disk(const char *domain, JsonObject *disk)
{
    JsonArray *queues = json_object_get_array_member(disk, "queues");
    g_autofree char *printable = gantry_printable(domain);
    g_autofree char *name = cli_padded(printable, NAME_COLUMNS);
    const char *target = json_object_get_string_member_with_default(disk, "name", "?");

    if (json_array_get_length(queues) == 0) {
        printf("%s %-8s %s\n", name, target,
               json_object_get_boolean_member_with_default(disk, "connected", FALSE)
                   ? _("no queue is started")
                   : _("no front end is connected"));
    }
    for (guint i = 0; i < json_array_get_length(queues); i++) {
        JsonObject *queue = json_array_get_object_element(queues, i);
        JsonArray *latency = json_object_get_array_member(queue, "latency");

        printf("%s %-8s %5" PRId64 " %8" PRId64 " %12" PRId64 " %9" PRId64 " %9" PRIu64 " %9" PRIu64
               "\n",
               name, target, number(queue, "queue"), number(queue, "thread"),
               number(queue, "requests"), number(queue, "in_flight"), percentile(latency, 0.5),
               percentile(latency, 0.99));
    }
}

static gboolean
is_wanted(JsonObject *vm, const char *wanted)
{
    return !wanted ||
           g_strcmp0(json_object_get_string_member_with_default(vm, "domain", ""), wanted) == 0 ||
           g_strcmp0(json_object_get_string_member_with_default(vm, "uuid", ""), wanted) == 0;
}

/* NULL: it does not answer. */
static JsonObject *
worker_of(JsonObject *vm)
{
    JsonNode *worker = json_object_get_member(vm, "worker");

    return worker && JSON_NODE_HOLDS_OBJECT(worker) ? json_node_get_object(worker) : NULL;
}

static void
print_vm(JsonObject *vm)
{
    const char *domain = json_object_get_string_member_with_default(vm, "domain", "?");
    JsonObject *worker = worker_of(vm);
    JsonArray *disks;

    if (!worker) {
        g_autofree char *printable = gantry_printable(domain);
        g_autofree char *name = cli_padded(printable, NAME_COLUMNS);

        printf("%s %s\n", name, _("its worker does not answer"));
        return;
    }
    disks = json_object_get_array_member(worker, "disks");
    for (guint i = 0; i < json_array_get_length(disks); i++) {
        print_disk(domain, json_array_get_object_element(disks, i));
    }
}

/* The daemon's answer, with those VMs that are @domain (NULL: all). */
static JsonNode *
ask_status(const CliIoqOptions *options, const char *domain, JsonArray **ret_vms, GError **error)
{
    JsonNode *answer =
        gantry_rpc_call(options->socket, "ioq/status", NULL, (guint)options->timeout_msec, error);
    JsonArray *vms;

    if (!answer) {
        return NULL;
    }
    vms = json_object_get_array_member(json_node_get_object(answer), "vms");
    for (guint i = json_array_get_length(vms); i > 0; i--) {
        if (!is_wanted(json_array_get_object_element(vms, i - 1), domain)) {
            json_array_remove_element(vms, i - 1);
        }
    }
    *ret_vms = vms;
    return answer;
}

static int
report_not_served(const char *domain)
{
    g_autofree char *printable = gantry_printable(domain);

    fprintf(stderr, _("gantry ioq: no disk of domain '%s' is served here\n"), printable);
    return CLI_EXIT_FAILED;
}

static int
status(const CliIoqOptions *options, const char *domain)
{
    g_autoptr(GError) error = NULL;
    JsonArray *vms = NULL;
    g_autoptr(JsonNode) answer = ask_status(options, domain, &vms, &error);
    guint n = answer ? json_array_get_length(vms) : 0;
    gboolean all_answer = TRUE;

    if (!answer) {
        return cli_report_error("ioq", &error, CLI_EXIT_FAILED);
    }
    for (guint i = 0; i < n; i++) {
        all_answer = all_answer && worker_of(json_array_get_object_element(vms, i));
    }
    if (options->json) {
        cli_print_json(json_node_copy(answer));
    } else if (n > 0) {
        g_autofree char *title = cli_padded(_("DOMAIN"), NAME_COLUMNS);

        printf("%s %-8s %5s %8s %12s %9s %9s %9s\n", title, _("DISK"), _("QUEUE"), _("THREAD"),
               _("REQUESTS"), _("IN FLIGHT"), "P50 <us", "P99 <us");
        for (guint i = 0; i < n; i++) {
            print_vm(json_array_get_object_element(vms, i));
        }
    } else if (!domain) {
        puts(_("No disk is served here."));
    }
    if (domain && n == 0) {
        return report_not_served(domain);
    }
    return all_answer ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

static int
tell_daemon(const CliIoqOptions *options, const char *method, const char *domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) params = NULL;
    g_autoptr(JsonNode) answer = NULL;

    json_builder_begin_object(builder);
    cli_json_string(builder, "domain", domain);
    json_builder_end_object(builder);
    params = json_builder_get_root(builder);
    answer = gantry_rpc_call(options->socket, method, params,
                             (guint)options->timeout_msec * RESTART_FACTOR, &error);
    return answer ? CLI_EXIT_OK : cli_report_error("ioq", &error, CLI_EXIT_FAILED);
}

/* The daemon has started a worker; whether that can do what it should is seen when it answers. */
static int
restart(const CliIoqOptions *options, const char *domain)
{
    int result = tell_daemon(options, "ioq/restart", domain);
    gint64 end_usec =
        g_get_monotonic_time() + (gint64)options->timeout_msec * RESTART_FACTOR * 1000;
    g_autofree char *printable = gantry_printable(domain);

    while (result == CLI_EXIT_OK) {
        g_autoptr(GError) error = NULL;
        JsonArray *vms = NULL;
        g_autoptr(JsonNode) answer = ask_status(options, domain, &vms, &error);

        if (!answer) {
            return cli_report_error("ioq", &error, CLI_EXIT_FAILED);
        }
        if (json_array_get_length(vms) == 0) {
            return report_not_served(domain); /* the domain has ended */
        }
        if (worker_of(json_array_get_object_element(vms, 0))) {
            return CLI_EXIT_OK;
        }
        if (g_get_monotonic_time() >= end_usec) {
            fprintf(stderr,
                    _("gantry ioq: the new worker of domain '%s' does not answer, so its disks "
                      "stand still; gantry-ioqd's log says why\n"),
                    printable);
            return CLI_EXIT_FAILED;
        }
        poll(NULL, 0, LOOK_MSEC); /* between two looks */
    }
    return result;
}

static int
refresh(const CliIoqOptions *options, const char *domain)
{
    return tell_daemon(options, "ioq/refresh", domain);
}

static const struct {
    const char *name;
    gboolean needs_domain;
    int (*run)(const CliIoqOptions *options, const char *domain);
    const char *const *options; /* that it takes; NULL-terminated */
} subcommands[] = {
    {"status", FALSE, status, (const char *const[]){"socket", "timeout", "json", NULL}},
    {"restart", TRUE, restart, (const char *const[]){"socket", "timeout", NULL}},
    {"refresh", TRUE, refresh, (const char *const[]){"socket", "timeout", NULL}},
    {"apply", TRUE, cli_ioq_apply,
     (const char *const[]){"connect", "policy-dir", "dry-run", "timeout", "json", NULL}},
    {"tune", FALSE, cli_ioq_tune,
     (const char *const[]){"connect", "policy-dir", "target", "image", "null", "queues", "depth",
                           "time", "plot", "worker", "timeout", "json", NULL}},
};

/* The parser leaves "--" before what only looks like an option, as a domain's name may. */
static void
drop_dashes(char **words)
{
    while (*words && !g_str_equal(*words, "--")) {
        words++;
    }
    for (; *words; words++) {
        words[0] = words[1];
    }
}

/* Returns: the exit status. @words: NULL-terminated, without options. */
static int
run(const CliIoqOptions *options, int argc, char **argv, char **words)
{
    guint n_words;

    drop_dashes(words);
    n_words = g_strv_length(words);
    for (gsize i = 0; n_words > 0 && i < G_N_ELEMENTS(subcommands); i++) {
        const GantryOption *foreign;

        if (!g_str_equal(words[0], subcommands[i].name) || n_words > 2 ||
            (subcommands[i].needs_domain && n_words < 2)) {
            continue;
        }
        foreign = cli_foreign_option(cli_ioq_options, sizeof(CliIoqOptions), argc, argv,
                                     subcommands[i].options);
        if (foreign) {
            fprintf(stderr, _("gantry ioq: '%1$s' has no option --%2$s; see --help\n"), words[0],
                    foreign->name);
            return CLI_EXIT_USAGE;
        }
        return subcommands[i].run(options, words[1]);
    }
    if (n_words > 0) {
        g_autofree char *text = g_strjoinv(" ", words);

        fprintf(stderr, "gantry ioq: '%s'?\n", text);
    }
    fputs(_("gantry ioq: give a command: status [DOMAIN], tune [DOMAIN], or restart, refresh or "
            "apply DOMAIN\n"),
          stderr);
    return CLI_EXIT_USAGE;
}

int
cli_ioq(int argc, char **argv)
{
    CliIoqOptions options = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char **given = g_memdup2(argv, ((gsize)argc + 1) * sizeof(*argv));
    int n_given = argc;
    int result;

    gantry_options_init(cli_ioq_options, &options);
    if (gantry_options_parse_argv(cli_ioq_options, &options,
                                  "gantry ioq [OPTION...] COMMAND [DOMAIN]", _(ioq_examples), &argc,
                                  &argv, &error)) {
        result = run(&options, n_given, given, argv + 1);
    } else {
        result = cli_report_error("ioq", &error, CLI_EXIT_USAGE);
    }
    gantry_options_clear(cli_ioq_options, &options);
    return result;
}
