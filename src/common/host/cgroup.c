/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * /proc/PID/cgroup has a line "ID:CONTROLLERS:PATH" for each hierarchy of version 1, and "0::PATH"
 * for version 2. /proc/self/mountinfo tells where hierarchies are mounted, and which of their
 * folders is what we see at the mount point (not "/" in a container). A controller's folder is the
 * mount point with what of PATH lies below that root.
 *
 * Version 1 wins where a controller is mounted in it, since the kernel gives a controller to one
 * version only.
 */
#include "common/host/cgroup.h"

#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/host/keyed.h"

#define MOUNTS_FILE      "proc/self/mountinfo"
#define MOUNTS_MAX_BYTES (4 * 1024 * 1024)
#define TIME_MAX_USEC    (G_MAXUINT64 / 16)

/* A mounted hierarchy. */
typedef struct {
    char *root;  /* its folder that is seen at */
    char *point; /* this mount point */
    gboolean unified;
} Mount;

static gboolean find_mount(const GantryHost *host, const char *controller, Mount *ret_mount,
                           GError **error);
static char *find_path(const char *text, const char *controller, gboolean unified);
static GantryCgroup *locate(const Mount *mount, const char *path);
static gboolean read_stat_v1(const GantryHost *host, pid_t pid, const GantryCgroup *accounting,
                             GantryCgroupCpuStat *stat, GError **error);
static gboolean read_stat_v2(const GantryHost *host, const GantryCgroup *cgroup,
                             GantryCgroupCpuStat *stat, GError **error);
static void mount_clear(Mount *mount);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Mount, mount_clear)

void
gantry_cgroup_free(GantryCgroup *cgroup)
{
    g_free(cgroup->folder);
    g_free(cgroup->mount);
    g_free(cgroup);
}

GantryCgroup *
gantry_host_cgroup(const GantryHost *host, pid_t pid, const char *controller, GError **error)
{
    g_autofree char *text =
        gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, "proc/%d/cgroup", (int)pid);
    g_autofree char *path = NULL;
    g_auto(Mount) mount = {0};
    GantryCgroup *cgroup;

    if (!text || !find_mount(host, controller, &mount, error)) {
        return NULL;
    }
    path = find_path(text, controller, mount.unified);
    cgroup = path ? locate(&mount, path) : NULL;
    if (!cgroup) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                    _("The %1$s control group of process %2$d cannot be seen below %3$s"),
                    controller, (int)pid, mount.point);
    }
    return cgroup;
}

gboolean
gantry_host_cgroup_cpu_stat(const GantryHost *host, pid_t pid, GantryCgroupCpuStat *ret_stat,
                            GError **error)
{
    g_autoptr(GantryCgroup) cgroup = gantry_host_cgroup(host, pid, "cpuacct", error);
    GantryCgroupCpuStat stat = {0};

    if (!cgroup) {
        return FALSE;
    }
    if (cgroup->unified ? !read_stat_v2(host, cgroup, &stat, error)
                        : !read_stat_v1(host, pid, cgroup, &stat, error)) {
        return FALSE;
    }
    *ret_stat = stat;
    return TRUE;
}

GantryCpuset *
gantry_host_cgroup_cpuset(const GantryHost *host, pid_t pid, GError **error)
{
    g_autoptr(GantryCgroup) cgroup = gantry_host_cgroup(host, pid, "cpuset", error);
    g_autofree char *folder = NULL;

    if (!cgroup) {
        return NULL;
    }
    if (!cgroup->unified) {
        return gantry_host_read_cpuset(host, error, "%s/cpuset.effective_cpus", cgroup->folder);
    }
    /* A group in which the controller is not enabled has no such file: its nearest ancestor's
     * holds. */
    folder = g_strdup(cgroup->folder);
    while (strlen(folder) > strlen(cgroup->mount) &&
           !gantry_host_exists(host, "%s/cpuset.cpus.effective", folder)) {
        char *parent = g_path_get_dirname(folder);

        g_free(folder);
        folder = parent;
    }
    if (gantry_host_exists(host, "%s/cpuset.cpus.effective", folder)) {
        return gantry_host_read_cpuset(host, error, "%s/cpuset.cpus.effective", folder);
    }
    /* Enabled nowhere: nothing restricts. */
    return gantry_host_read_cpuset(host, error, "sys/devices/system/cpu/online");
}

/* mountinfo writes blanks and backslashes as three octal digits. */
static char *
unescape(const char *text)
{
    g_autoptr(GString) plain = g_string_new(NULL);

    while (*text) {
        if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
            g_string_append_c(
                plain, (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0')));
            text += 4;
        } else {
            g_string_append_c(plain, *text++);
        }
    }
    return g_string_free(g_steal_pointer(&plain), FALSE);
}

static gboolean
list_contains(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);

    return g_strv_contains((const char *const *)words, word);
}

/* "36 35 0:31 ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER-OPTIONS"; FALSE if it is not a
 * hierarchy of @controller. */
static gboolean
parse_mount(const char *line, const char *controller, Mount *ret_mount)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    guint n = g_strv_length(words);
    guint dash = 6;
    gboolean unified;

    while (dash < n && !g_str_equal(words[dash], "-")) {
        dash++;
    }
    if (dash + 3 >= n) {
        return FALSE;
    }
    unified = g_str_equal(words[dash + 1], "cgroup2");
    if (!unified &&
        !(g_str_equal(words[dash + 1], "cgroup") && list_contains(words[dash + 3], controller))) {
        return FALSE;
    }
    ret_mount->root = unescape(words[3]);
    ret_mount->point = unescape(words[4]);
    ret_mount->unified = unified;
    return TRUE;
}

static gboolean
find_mount(const GantryHost *host, const char *controller, Mount *ret_mount, GError **error)
{
    g_autofree char *text = gantry_host_read(host, MOUNTS_MAX_BYTES, error, MOUNTS_FILE);
    g_auto(GStrv) lines = NULL;
    g_auto(Mount) best = {0};

    if (!text) {
        return FALSE;
    }
    lines = g_strsplit(text, "\n", -1);
    for (gsize i = 0; lines[i]; i++) {
        g_auto(Mount) mount = {0};

        if (parse_mount(lines[i], controller, &mount) &&
            (!best.point || (best.unified && !mount.unified))) {
            mount_clear(&best);
            best = mount;
            mount = (Mount){0};
        }
    }
    if (!best.point) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                    _("No control groups for %s are mounted"), controller);
        return FALSE;
    }
    *ret_mount = best;
    best = (Mount){0};
    return TRUE;
}

/* (nullable): the process's path in the hierarchy of @controller. */
static char *
find_path(const char *text, const char *controller, gboolean unified)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (gsize i = 0; lines[i]; i++) {
        g_auto(GStrv) parts = g_strsplit(lines[i], ":", 3);

        if (g_strv_length(parts) == 3 && (unified ? g_str_equal(parts[0], "0") && *parts[1] == '\0'
                                                  : list_contains(parts[1], controller))) {
            return g_strdup(parts[2]);
        }
    }
    return NULL;
}

/* (nullable): NULL where @path is not below what is mounted. */
static GantryCgroup *
locate(const Mount *mount, const char *path)
{
    gsize n_root = g_str_equal(mount->root, "/") ? 0 : strlen(mount->root);
    const char *below = path + n_root;
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    GantryCgroup *cgroup;

    if (strncmp(path, mount->root, n_root) != 0 || (*below != '\0' && *below != '/') ||
        g_strv_contains((const char *const *)parts, "..")) {
        return NULL;
    }
    cgroup = g_new0(GantryCgroup, 1);
    cgroup->mount = g_strdup(mount->point);
    cgroup->folder = g_str_equal(below, "/") || *below == '\0'
                         ? g_strdup(mount->point)
                         : g_strconcat(mount->point, below, NULL);
    cgroup->unified = mount->unified;
    return cgroup;
}

static gboolean
read_throttling_v1(const GantryHost *host, const GantryCgroup *cgroup, GantryCgroupCpuStat *stat,
                   GError **error)
{
    g_autofree char *file = g_strdup_printf("%s/cpu.stat", cgroup->folder);
    g_autofree char *text = NULL;
    guint64 throttled_nsec;

    /* Only kernels with quotas have it. */
    if (!gantry_host_exists(host, "%s", file)) {
        return TRUE;
    }
    text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, "%s", file);
    if (!text ||
        !gantry_keyed_uint(text, file, "nr_periods", FALSE, G_MAXUINT64, &stat->n_periods, error) ||
        !gantry_keyed_uint(text, file, "nr_throttled", FALSE, G_MAXUINT64, &stat->n_throttled,
                           error) ||
        !gantry_keyed_uint(text, file, "throttled_time", FALSE, G_MAXUINT64, &throttled_nsec,
                           error)) {
        return FALSE;
    }
    stat->throttled_usec = throttled_nsec / 1000;
    return TRUE;
}

static gboolean
read_stat_v1(const GantryHost *host, pid_t pid, const GantryCgroup *accounting,
             GantryCgroupCpuStat *stat, GError **error)
{
    guint64 usec_per_tick = G_USEC_PER_SEC / (guint64)sysconf(_SC_CLK_TCK);
    guint64 max_ticks = TIME_MAX_USEC / usec_per_tick;
    g_autofree char *file = g_strdup_printf("%s/cpuacct.stat", accounting->folder);
    g_autofree char *text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, "%s", file);
    g_autoptr(GantryCgroup) cpu = NULL;
    guint64 user_ticks;
    guint64 system_ticks;
    gint64 usage_nsec;

    if (!text || !gantry_keyed_uint(text, file, "user", TRUE, max_ticks, &user_ticks, error) ||
        !gantry_keyed_uint(text, file, "system", TRUE, max_ticks, &system_ticks, error) ||
        !gantry_host_read_int(host, 0, G_MAXINT64, &usage_nsec, error, "%s/cpuacct.usage",
                              accounting->folder)) {
        return FALSE;
    }
    stat->usage_usec = (guint64)usage_nsec / 1000;
    stat->user_usec = user_ticks * usec_per_tick;
    stat->system_usec = system_ticks * usec_per_tick;
    cpu = gantry_host_cgroup(host, pid, "cpu", error);
    return cpu && read_throttling_v1(host, cpu, stat, error);
}

static gboolean
read_stat_v2(const GantryHost *host, const GantryCgroup *cgroup, GantryCgroupCpuStat *stat,
             GError **error)
{
    const struct {
        const char *key;
        gboolean required;
        guint64 *value;
    } lines[] = {
        {"usage_usec", TRUE, &stat->usage_usec},
        {"user_usec", TRUE, &stat->user_usec},
        {"system_usec", TRUE, &stat->system_usec},
        {"nr_periods", FALSE, &stat->n_periods},
        {"nr_throttled", FALSE, &stat->n_throttled},
        {"throttled_usec", FALSE, &stat->throttled_usec},
    };
    g_autofree char *file = g_strdup_printf("%s/cpu.stat", cgroup->folder);
    g_autofree char *text = gantry_host_read(host, GANTRY_HOST_FILE_MAX_BYTES, error, "%s", file);

    if (!text) {
        return FALSE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        if (!gantry_keyed_uint(text, file, lines[i].key, lines[i].required, TIME_MAX_USEC,
                               lines[i].value, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void
mount_clear(Mount *mount)
{
    g_clear_pointer(&mount->root, g_free);
    g_clear_pointer(&mount->point, g_free);
}
