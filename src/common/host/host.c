/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/file.h"
#include "common/base/i18n.h"

#define LIST_MAX_ENTRIES 65536

struct GantryHost {
    int root;
};

static int open_below(const GantryHost *host, const char *path, int flags, GError **error);
static gboolean take_names(DIR *dir, const char *path, GPtrArray *names, GError **error);

#define FORMAT_PATH(path, format) \
    G_STMT_START \
    { \
        va_list args_; \
        va_start(args_, format); \
        (path) = g_strdup_vprintf((format), args_); \
        va_end(args_); \
    } \
    G_STMT_END

GantryHost *
gantry_host_open(const char *root, GError **error)
{
    gantry_autofd fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    GantryHost *host;

    if (fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open the folder %s"), root);
        return NULL;
    }
    host = g_new0(GantryHost, 1);
    host->root = gantry_fd_steal(&fd);
    return host;
}

void
gantry_host_free(GantryHost *host)
{
    gantry_fd_clear(&host->root);
    g_free(host);
}

static char *
read_file(const GantryHost *host, const char *path, gsize limit, GError **error)
{
    gantry_autofd fd = open_below(host, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, error);
    char *text;
    gsize length;

    if (fd < 0) {
        return NULL;
    }
    text = gantry_file_read_fd(fd, path, limit, &length, error);
    if (text && strlen(text) != length) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("%s holds a NUL byte"), path);
        g_clear_pointer(&text, g_free);
    }
    return text ? g_strchomp(text) : NULL;
}

char *
gantry_host_read(const GantryHost *host, gsize limit, GError **error, const char *path_format, ...)
{
    g_autofree char *path = NULL;

    FORMAT_PATH(path, path_format);
    return read_file(host, path, limit, error);
}

gboolean
gantry_host_read_int(const GantryHost *host, gint64 min, gint64 max, gint64 *ret_value,
                     GError **error, const char *path_format, ...)
{
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;

    FORMAT_PATH(path, path_format);
    text = read_file(host, path, GANTRY_HOST_FILE_MAX_BYTES, error);
    if (!text) {
        return FALSE;
    }
    if (!g_ascii_string_to_signed(text, 10, min, max, ret_value, NULL)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: '%2$.32s' is not the number that should stand there"), path, text);
        return FALSE;
    }
    return TRUE;
}

GantryCpuset *
gantry_host_read_cpuset(const GantryHost *host, GError **error, const char *path_format, ...)
{
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    GantryCpuset *set;

    FORMAT_PATH(path, path_format);
    text = read_file(host, path, GANTRY_HOST_FILE_MAX_BYTES, error);
    if (!text) {
        return NULL;
    }
    if (*text == '\0') {
        return gantry_cpuset_new();
    }
    set = gantry_cpuset_parse(text, error);
    if (!set) {
        g_prefix_error(error, "%s: ", path);
    }
    return set;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GStrv
gantry_host_list(const GantryHost *host, GError **error, const char *path_format, ...)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = NULL;
    gantry_autofd fd = -1;
    DIR *dir;
    gboolean ok;

    FORMAT_PATH(path, path_format);
    fd = open_below(host, path, O_RDONLY | O_DIRECTORY, error);
    if (fd < 0) {
        return NULL;
    }
    dir = fdopendir(fd);
    if (!dir) {
        gantry_set_error_errno(error, errno, _("Cannot list %s"), path);
        return NULL;
    }
    gantry_fd_steal(&fd); /* now the stream's */
    ok = take_names(dir, path, names, error);
    closedir(dir);
    if (!ok) {
        return NULL;
    }
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

char *
gantry_host_link_name(const GantryHost *host, GError **error, const char *path_format, ...)
{
    g_autofree char *path = NULL;
    char target[PATH_MAX];
    gantry_autofd fd = -1;
    gssize length;

    FORMAT_PATH(path, path_format);
    fd = open_below(host, path, O_PATH | O_NOFOLLOW, error);
    if (fd < 0) {
        return NULL;
    }
    length = readlinkat(fd, "", target, sizeof(target) - 1);
    if (length < 0) {
        gantry_set_error_errno(error, errno, _("Cannot read the link %s"), path);
        return NULL;
    }
    target[length] = '\0';
    return g_path_get_basename(target);
}

gboolean
gantry_host_exists(const GantryHost *host, const char *path_format, ...)
{
    g_autofree char *path = NULL;
    gantry_autofd fd = -1;

    FORMAT_PATH(path, path_format);
    fd = open_below(host, path, O_PATH, NULL);
    return fd >= 0;
}

/* glibc has no wrapper for openat2(2). */
static int
open_below(const GantryHost *host, const char *path, int flags, GError **error)
{
    struct open_how how = {
        .flags = (guint64)flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int fd;

    /* EAGAIN: something was renamed while ".." was being resolved, so the kernel could not be sure.
     */
    do {
        fd = (int)syscall(SYS_openat2, host->root, path, &how, sizeof(how));
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    if (fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot open %s"), path);
    }
    return fd;
}

static gboolean
take_names(DIR *dir, const char *path, GPtrArray *names, GError **error)
{
    struct dirent *entry;

    while ((errno = 0, entry = readdir(dir))) {
        if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..")) {
            continue;
        }
        if (names->len >= LIST_MAX_ENTRIES) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT,
                        _("%1$s has more than the %2$d entries that are accepted"), path,
                        LIST_MAX_ENTRIES);
            return FALSE;
        }
        g_ptr_array_add(names, g_strdup(entry->d_name));
    }
    if (errno != 0) {
        gantry_set_error_errno(error, errno, _("Cannot list %s"), path);
        return FALSE;
    }
    return TRUE;
}
