/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/daemon.h"

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/rpc/rpc.h"
#include "extensions/extensions.h"
#include "gantry-config.h"

static void
daemon_free(gpointer data)
{
    CliDaemon *daemon = data;

    g_free(daemon->socket);
    g_free(daemon->problem);
    g_free(daemon);
}

static gboolean
has_name(gconstpointer daemon, gconstpointer name)
{
    return g_str_equal(((const CliDaemon *)daemon)->name, name);
}

static gboolean
is_installed(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/gantry-%s", GANTRY_LIBEXECDIR, name);

    return g_file_test(path, G_FILE_TEST_IS_EXECUTABLE);
}

GPtrArray *
cli_daemons_probe(guint timeout_msec)
{
    GPtrArray *daemons = g_ptr_array_new_with_free_func(daemon_free);

    for (const GantryExtension *const *e = gantry_extensions; *e; e++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) answer = NULL;
        CliDaemon *daemon;

        if (!(*e)->daemon ||
            g_ptr_array_find_with_equal_func(daemons, (*e)->daemon, has_name, NULL)) {
            continue;
        }
        daemon = g_new0(CliDaemon, 1);
        daemon->name = (*e)->daemon;
        daemon->socket = g_strdup_printf("%s/%s.sock", GANTRY_RPC_RUN_DIR, daemon->name);
        answer = gantry_rpc_call(daemon->socket, "ping", NULL, timeout_msec, &error);
        /* That it does not know "ping" is an answer, too. */
        daemon->listening = answer || g_error_matches(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
        daemon->installed = is_installed(daemon->name);
        if (!daemon->listening) {
            daemon->problem = g_strdup(daemon->installed ? error->message : _("not installed"));
        }
        g_ptr_array_add(daemons, daemon);
    }
    return daemons;
}
