/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/i18n.h"
#include "libvirt_hooks/paths.h"

enum { MAX_REASON = 4096 };

/* NULL if @uuid is none: it must not lead anywhere else. */
static char *
refusal_path(const char *run_dir, const char *uuid)
{
    return uuid && g_uuid_string_is_valid(uuid)
               ? g_build_filename(run_dir, HOOK_REFUSE_DIR, uuid, NULL)
               : NULL;
}

/* The run directory is every daemon's, what is in here is the hook's. */
static gboolean
make_directory(const char *run_dir, GError **error)
{
    g_autofree char *directory = g_build_filename(run_dir, HOOK_REFUSE_DIR, NULL);

    if (g_mkdir_with_parents(run_dir, 0755) < 0 ||
        (mkdir(directory, 0700) < 0 && errno != EEXIST)) {
        gantry_set_error_errno(error, errno, _("Cannot make %s"), directory);
        return FALSE;
    }
    return TRUE;
}

gboolean
hook_refusal_leave(const char *run_dir, const char *uuid, const char *reason, GError **error)
{
    g_autofree char *path = refusal_path(run_dir, uuid);

    if (!path) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("'%s' is not a uuid"),
                    uuid ? uuid : "");
        return FALSE;
    }
    return make_directory(run_dir, error) &&
           gantry_file_write_atomic(AT_FDCWD, path, reason, MIN(strlen(reason), MAX_REASON), 0600,
                                    error);
}

gboolean
hook_refusal_check(const char *run_dir, const char *uuid, GError **error)
{
    g_autofree char *path = refusal_path(run_dir, uuid);
    g_autoptr(GError) local = NULL;
    g_autofree char *reason = NULL;
    gsize length;

    if (!path) {
        return TRUE; /* none can have been left */
    }
    reason = gantry_file_read(AT_FDCWD, path, MAX_REASON, &length, &local);
    if (reason) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("its XML could not be rewritten for this host when it was restored: %s"),
                    reason);
        return FALSE;
    }
    if (!g_error_matches(local, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return TRUE;
}

gboolean
hook_refusal_remove(const char *run_dir, const char *uuid, GError **error)
{
    g_autofree char *path = refusal_path(run_dir, uuid);

    if (path && unlink(path) < 0 && errno != ENOENT) {
        gantry_set_error_errno(error, errno, _("Cannot remove %s"), path);
        return FALSE;
    }
    return TRUE;
}
