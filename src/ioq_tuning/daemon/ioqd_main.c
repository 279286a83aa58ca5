/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry-ioqd: one a host. The hook tells it which VM starts and ends; it keeps a worker for each
 * VM that has disks of ours. Its own end touches no worker.
 */
#include <errno.h>
#include <glib-unix.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "common/base/option.h"
#include "common/rpc/rpc.h"
#include "gantry-config.h"
#include "ioq_tuning/daemon/disks.h"
#include "ioq_tuning/daemon/pinner.h"
#include "ioq_tuning/daemon/vm.h"

#define STATUS_TIMEOUT_MSEC 2000

typedef struct {
    char *socket;
    char *run_dir;
    char *worker;
    char *qemu_nbd;
    char *worker_user;
    char *qemu_user;
    char *group;
    char *connect;
    guint64 poll_usec;
    gboolean version;
} DaemonOptions;

static const GantryOption daemon_options[] = {
    {.name = "socket",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, socket),
     .fallback = GANTRY_RPC_RUN_DIR "/ioqd.sock",
     .metavar = "PATH",
     .summary = N_("Control socket, for the hook and gantry")},
    {.name = "run-dir",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, run_dir),
     .fallback = GANTRY_RPC_RUN_DIR "/ioq",
     .metavar = "DIR",
     .summary = N_("Where what must outlive this daemon is kept")},
    {.name = "worker",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, worker),
     .fallback = GANTRY_LIBEXECDIR "/gantry-ioq-worker",
     .metavar = "PROGRAM",
     .summary = N_("Program that serves a VM's disks")},
    {.name = "qemu-nbd",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, qemu_nbd),
     .fallback = "/usr/bin/qemu-nbd",
     .metavar = "PROGRAM",
     .summary = N_("QEMU's NBD server, for images in a format")},
    {.name = "worker-user",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, worker_user),
     .fallback = "nobody",
     .metavar = "USER",
     .summary = N_("User that a worker becomes")},
    {.name = "qemu-user",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, qemu_user),
     .fallback = "libvirt-qemu",
     .metavar = "USER",
     .summary = N_("User that QEMU runs as: it owns the disks' sockets; root if there is none")},
    {.name = "group",
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, group),
     .metavar = "GROUP",
     .summary = N_("Group that may use the control socket, besides root")},
    {.name = "connect",
     .short_name = 'c',
     .type = GANTRY_OPTION_STRING,
     .offset = G_STRUCT_OFFSET(DaemonOptions, connect),
     .fallback = "qemu:///system",
     .metavar = "URI",
     .summary = N_("libvirt of this host, which pins iothreads")},
    {.name = "poll",
     .type = GANTRY_OPTION_UINT,
     .offset = G_STRUCT_OFFSET(DaemonOptions, poll_usec),
     .fallback = "32",
     .min = 0,
     .max = 1000,
     .metavar = "USEC",
     .summary = N_("Longest busy wait for the next request; 0: none")},
    {.name = "version",
     .type = GANTRY_OPTION_FLAG,
     .offset = G_STRUCT_OFFSET(DaemonOptions, version),
     .summary = N_("Print the version")},
    GANTRY_OPTION_END,
};

static const char daemon_examples[] =
    N_("Examples:\n"
       "  gantry-ioqd\n"
       "  gantry-ioqd --qemu-user qemu --worker-user gantry-ioq\n");

typedef struct {
    IoqVmOptions vm_options;
    GHashTable *vms;      /* uuid -> IoqVm */
    GHashTable *incoming; /* set of uuids: VMs that another host is about to send */
    IoqPinner *pinner;
} Daemon;

/* Requests */

typedef struct {
    const char *uuid;
    const char *name;
    const char *settings; /* NULL: not on */
    const char *xml;
} HookParams;

/* What opens files as root, and ends VMs, is for the hook; the group has status and restarts. */
static gboolean
read_params(GantryRpcRequest *request, HookParams *params)
{
    JsonNode *node = gantry_rpc_request_params(request);
    JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    JsonObject *domain = object && json_object_has_member(object, "domain")
                             ? json_object_get_object_member(object, "domain")
                             : NULL;

    if (gantry_rpc_request_uid(request) != 0) {
        gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, _("this is for root only"));
        return FALSE;
    }
    if (domain) {
        params->uuid = json_object_get_string_member_with_default(domain, "uuid", NULL);
        params->name = json_object_get_string_member_with_default(domain, "name", NULL);
        params->settings = json_object_get_string_member_with_default(object, "settings", NULL);
        params->xml = json_object_get_string_member_with_default(object, "xml", NULL);
    }
    if (!domain || !params->name || !params->xml || !params->uuid ||
        !g_uuid_string_is_valid(params->uuid)) {
        gantry_rpc_request_fail(request, GANTRY_RPC_INVALID_PARAMS,
                                "domain.name, domain.uuid and xml are wanted");
        return FALSE;
    }
    return TRUE;
}

static void
reply_done(GantryRpcRequest *request)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, json_object_new());
    gantry_rpc_request_reply(request, node);
}

static void
fail(GantryRpcRequest *request, const GError *error)
{
    gantry_rpc_request_fail(request,
                            g_error_matches(error, GANTRY_ERROR, GANTRY_ERROR_INVALID)
                                ? GANTRY_RPC_INVALID_PARAMS
                                : GANTRY_RPC_REFUSED,
                            error->message);
}

static void
forget(Daemon *daemon, const char *uuid)
{
    IoqVm *vm = g_hash_table_lookup(daemon->vms, uuid);

    if (vm) {
        ioq_vm_stop(vm);
        g_hash_table_remove(daemon->vms, uuid);
    }
}

/* A socket that another VM has would be taken from it. */
static gboolean
sockets_are_free(Daemon *daemon, const char *uuid, const GPtrArray *disks, GError **error)
{
    GHashTableIter iter;
    gpointer vm;

    g_hash_table_iter_init(&iter, daemon->vms);
    while (g_hash_table_iter_next(&iter, NULL, &vm)) {
        for (guint i = 0; i < disks->len && !g_str_equal(ioq_vm_uuid(vm), uuid); i++) {
            const IoqDisk *disk = disks->pdata[i];
            const char *other = ioq_vm_target_of_socket(vm, disk->socket);

            if (other) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                            _("disk '%1$s': its socket '%2$s' is that of disk '%3$s' of domain "
                              "'%4$s'"),
                            disk->target, disk->socket, other, ioq_vm_name(vm));
                return FALSE;
            }
        }
    }
    return TRUE;
}

/* prepare: the VM is served as its settings say, or not at all. */
static void
on_prepare(GantryRpcRequest *request, gpointer data)
{
    Daemon *daemon = data;
    HookParams params = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = NULL;
    gboolean incoming;
    IoqVm *vm;

    if (!read_params(request, &params)) {
        return;
    }
    incoming = g_hash_table_remove(daemon->incoming, params.uuid);
    if (params.settings) {
        disks = ioq_disks_read(params.settings, params.xml, &error);
        if (!disks || !sockets_are_free(daemon, params.uuid, disks, &error)) {
            fail(request, error);
            return;
        }
    }
    vm = g_hash_table_lookup(daemon->vms, params.uuid);
    if (vm && disks && ioq_vm_has_disks(vm, disks)) {
        reply_done(request); /* asked again */
        return;
    }
    forget(daemon, params.uuid);
    if (!disks || disks->len == 0) {
        reply_done(request);
        return;
    }
    vm = ioq_vm_new(&daemon->vm_options, params.uuid, params.name, g_steal_pointer(&disks));
    if (!ioq_vm_start(vm, incoming, &error)) {
        ioq_vm_stop(vm);
        ioq_vm_free(vm);
        fail(request, error);
        return;
    }
    g_hash_table_insert(daemon->vms, g_strdup(params.uuid), vm);
    reply_done(request);
}

/* What runs in QEMU gets the CPUs that it should have; else it runs on where it is. */
static void
pin_iothreads(Daemon *daemon, const HookParams *params)
{
    g_autoptr(GError) error = NULL;

    if (params->settings && !ioq_pinner_look(daemon->pinner, params->uuid, params->name,
                                             params->settings, params->xml, &error)) {
        gantry_warn(_("domain '%1$s': its iothreads stay on the CPUs that they are on: %2$s"),
                    params->name, error->message);
    }
}

static void
on_started(GantryRpcRequest *request, gpointer data)
{
    HookParams params = {0};

    if (read_params(request, &params)) {
        pin_iothreads(data, &params);
        reply_done(request);
    }
}

/* reconnect: the VM runs. What serves it is not touched, whatever its settings say by now. */
static void
on_reconnect(GantryRpcRequest *request, gpointer data)
{
    Daemon *daemon = data;
    HookParams params = {0};

    if (!read_params(request, &params)) {
        return;
    }
    pin_iothreads(daemon, &params);
    if (g_hash_table_contains(daemon->vms, params.uuid)) {
        reply_done(request);
    } else {
        on_prepare(request, data);
    }
}

/* migrate: looks whether prepare could, which comes next. */
static void
on_migrate(GantryRpcRequest *request, gpointer data)
{
    Daemon *daemon = data;
    HookParams params = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = NULL;

    if (!read_params(request, &params)) {
        return;
    }
    disks = params.settings ? ioq_disks_read(params.settings, params.xml, &error) : NULL;
    if (error) {
        fail(request, error);
        return;
    }
    for (guint i = 0; disks && i < disks->len; i++) {
        const IoqDisk *disk = disks->pdata[i];

        if (g_str_equal(disk->format, "qcow2")) {
            /* Its server would have to open the image while the other host's still writes it. */
            g_autofree char *text = g_strdup_printf(
                _("disk '%1$s': format='%2$s' cannot be migrated live in this release; save and "
                  "restore the domain, or use format='raw'"),
                disk->target, disk->format);

            gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, text);
            return;
        }
        if (!g_file_test(disk->source, G_FILE_TEST_EXISTS)) {
            g_autofree char *text = g_strdup_printf(_("disk '%1$s': the image %2$s is not there"),
                                                    disk->target, disk->source);

            gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, text);
            return;
        }
    }
    g_hash_table_add(daemon->incoming, g_strdup(params.uuid));
    reply_done(request);
}

static void
on_release(GantryRpcRequest *request, gpointer data)
{
    HookParams params = {0};

    if (read_params(request, &params)) {
        g_hash_table_remove(((Daemon *)data)->incoming, params.uuid);
        forget(data, params.uuid);
        reply_done(request);
    }
}

static void
on_ping(GantryRpcRequest *request, gpointer data)
{
    reply_done(request);
}

/* The VM that a request of gantry names; NULL: it has been failed. */
static IoqVm *
vm_of(GantryRpcRequest *request, Daemon *daemon)
{
    JsonNode *node = gantry_rpc_request_params(request);
    JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *wanted =
        object ? json_object_get_string_member_with_default(object, "domain", NULL) : NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, daemon->vms);
    while (wanted && g_hash_table_iter_next(&iter, NULL, &value)) {
        if (g_str_equal(ioq_vm_name(value), wanted) || g_str_equal(ioq_vm_uuid(value), wanted)) {
            return value;
        }
    }
    gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED,
                            _("no disk of this domain is served here"));
    return NULL;
}

static void
on_restart(GantryRpcRequest *request, gpointer data)
{
    IoqVm *vm = vm_of(request, data);

    if (vm) {
        ioq_vm_restart(vm);
        reply_done(request);
    }
}

static void
on_refresh(GantryRpcRequest *request, gpointer data)
{
    IoqVm *vm = vm_of(request, data);
    g_autofree char *control = vm ? ioq_vm_control(vm) : NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) answer =
        vm ? gantry_rpc_call(control, "ioq/refresh", NULL, STATUS_TIMEOUT_MSEC, &error) : NULL;

    if (answer) {
        reply_done(request);
    } else if (error) {
        gantry_rpc_request_fail(request, GANTRY_RPC_REFUSED, error->message);
    }
}

static void
add_vm(JsonBuilder *builder, const IoqVm *vm)
{
    g_autofree char *control = ioq_vm_control(vm);
    g_autoptr(GError) error = NULL;
    JsonNode *worker = gantry_rpc_call(control, "ioq/status", NULL, STATUS_TIMEOUT_MSEC, &error);

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "domain");
    json_builder_add_string_value(builder, ioq_vm_name(vm));
    json_builder_set_member_name(builder, "uuid");
    json_builder_add_string_value(builder, ioq_vm_uuid(vm));
    json_builder_set_member_name(builder, "pid");
    json_builder_add_int_value(builder, ioq_vm_pid(vm));
    json_builder_set_member_name(builder, "restarts");
    json_builder_add_int_value(builder, ioq_vm_n_restarts(vm));
    json_builder_set_member_name(builder, "worker");
    if (worker) {
        json_builder_add_value(builder, worker);
    } else {
        json_builder_add_null_value(builder);
    }
    json_builder_end_object(builder);
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(ioq_vm_name(a), ioq_vm_name(b));
}

static void
on_status(GantryRpcRequest *request, gpointer data)
{
    Daemon *daemon = data;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(GList) vms = g_list_sort(g_hash_table_get_values(daemon->vms), compare_names);

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "vms");
    json_builder_begin_array(builder);
    for (GList *vm = vms; vm; vm = vm->next) {
        add_vm(builder, vm->data);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    gantry_rpc_request_reply(request, json_builder_get_root(builder));
}

static const GantryRpcMethod methods[] = {
    {"ping", on_ping},
    {"hook/migrate", on_migrate},
    {"hook/prepare", on_prepare},
    {"hook/started", on_started},
    {"hook/reconnect", on_reconnect},
    {"hook/release", on_release},
    {"ioq/status", on_status},
    {"ioq/restart", on_restart},
    {"ioq/refresh", on_refresh},
    {NULL, NULL},
};

/* Start and end */

static void
adopt_all(Daemon *daemon)
{
    g_autoptr(GDir) dir = g_dir_open(daemon->vm_options.run_dir, 0, NULL);
    const char *uuid;

    while (dir && (uuid = g_dir_read_name(dir))) {
        g_autoptr(GError) error = NULL;
        IoqVm *vm;

        if (!g_uuid_string_is_valid(uuid)) {
            continue;
        }
        vm = ioq_vm_adopt(&daemon->vm_options, uuid, &error);
        if (vm) {
            gantry_notice(_("domain '%1$s' is served by process %2$d"), ioq_vm_name(vm),
                          (int)ioq_vm_pid(vm));
            g_hash_table_insert(daemon->vms, g_strdup(uuid), vm);
        } else {
            gantry_warn(_("what is kept of domain %1$s makes no sense: %2$s"), uuid,
                        error->message);
        }
    }
}

static gboolean
find_user(const char *name, gboolean must_exist, guint *ret_uid, guint *ret_gid, GError **error)
{
    const struct passwd *user = getpwnam(name);

    if (!user && must_exist) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND, _("there is no user '%s'"), name);
        return FALSE;
    }
    *ret_uid = user ? user->pw_uid : 0;
    *ret_gid = user ? user->pw_gid : 0;
    return TRUE;
}

static gboolean
on_signal(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
run(const DaemonOptions *options, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GantryRpcServer) server = NULL;
    Daemon daemon = {
        .vm_options = {.run_dir = options->run_dir,
                       .worker = options->worker,
                       .qemu_nbd = options->qemu_nbd,
                       .poll_usec = (guint)options->poll_usec},
    };
    guint unused;

    if (!find_user(options->worker_user, TRUE, &daemon.vm_options.worker_uid,
                   &daemon.vm_options.worker_gid, error) ||
        !find_user(options->qemu_user, FALSE, &daemon.vm_options.qemu_uid, &unused, error)) {
        return FALSE;
    }
    daemon.vms =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ioq_vm_free);
    daemon.incoming = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    daemon.pinner = ioq_pinner_new(options->connect);
    server = gantry_rpc_server_new(options->socket, methods, options->group, &daemon, error);
    if (server) {
        adopt_all(&daemon);
        g_unix_signal_add(SIGTERM, on_signal, loop);
        g_unix_signal_add(SIGINT, on_signal, loop);
        g_main_loop_run(loop);
    }
    ioq_pinner_end(daemon.pinner);
    g_hash_table_unref(daemon.vms);
    g_hash_table_unref(daemon.incoming);
    return server != NULL;
}

int
main(int argc, char **argv)
{
    DaemonOptions options = {0};
    g_autoptr(GError) error = NULL;
    int status = EXIT_SUCCESS;

    gantry_log_init("gantry-ioqd");
    gantry_i18n_init();
    sigaction(SIGPIPE, &(const struct sigaction){.sa_handler = SIG_IGN}, NULL);
    gantry_options_init(daemon_options, &options);
    if (!gantry_options_parse_argv(daemon_options, &options, "gantry-ioqd [OPTION...]",
                                   _(daemon_examples), &argc, &argv, &error)) {
        status = 2;
    } else if (options.version) {
        printf("gantry-ioqd %s\n", GANTRY_VERSION);
    } else if (argc > 1) {
        g_set_error(&error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("takes no argument '%s'"),
                    argv[1]);
        status = 2;
    } else if (!run(&options, &error)) {
        status = EXIT_FAILURE;
    }
    if (error) {
        fprintf(stderr, "gantry-ioqd: %s\n", error->message);
    }
    gantry_options_clear(daemon_options, &options);
    return status;
}
