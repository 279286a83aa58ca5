/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt_hooks/host_config.h"

#include <string.h>

#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/xml/spec.h"

#define CLASS_PREFIX "cpu-class "

typedef struct {
    char *name;
    GantryCpuset *here;
    GPtrArray *elsewhere; /* of GantryCpuset */
} CpuClass;

/* The one set that a CPU stands in. */
typedef struct {
    const CpuClass *class; /* NULL: in none */
    const GantryCpuset *set;
    guint place; /* in the set, from 0 */
} CpuOwner;

typedef struct {
    char *from; /* no "/" at the end */
    char *to;
} PathMap;

struct HookHostConfig {
    GPtrArray *classes; /* of CpuClass */
    CpuOwner *owners;   /* GANTRY_CPUSET_MAX_CPUS of them */
    GPtrArray *paths;   /* of PathMap, longest @from first */
};

static gboolean load_class(HookHostConfig *config, GKeyFile *file, const char *path,
                           const char *section, GError **error);
static gboolean load_paths(HookHostConfig *config, GKeyFile *file, const char *path,
                           GError **error);
static gboolean check_paths(const HookHostConfig *config, const char *path, GError **error);
static gboolean enter_sets(HookHostConfig *config, const char *path, GError **error);

static void
class_free(gpointer data)
{
    CpuClass *class = data;

    g_free(class->name);
    gantry_cpuset_free(class->here);
    g_ptr_array_unref(class->elsewhere);
    g_free(class);
}

static void
path_map_free(gpointer data)
{
    PathMap *map = data;

    g_free(map->from);
    g_free(map->to);
    g_free(map);
}

HookHostConfig *
hook_host_config_load(const char *path, GError **error)
{
    static const char *const sections[] = {"cpu-class", "paths", NULL};
    g_autoptr(GKeyFile) file = gantry_key_file_load(path, error);
    g_autoptr(HookHostConfig) config = NULL;
    g_auto(GStrv) groups = NULL;

    if (!file) {
        return NULL;
    }
    config = g_new0(HookHostConfig, 1);
    config->classes = g_ptr_array_new_with_free_func(class_free);
    config->owners = g_new0(CpuOwner, GANTRY_CPUSET_MAX_CPUS);
    config->paths = g_ptr_array_new_with_free_func(path_map_free);
    groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; *group; group++) {
        if (g_str_has_prefix(*group, CLASS_PREFIX)) {
            if (!load_class(config, file, path, *group, error)) {
                return NULL;
            }
        } else if (g_str_equal(*group, "paths")) {
            if (!load_paths(config, file, path, error)) {
                return NULL;
            }
        } else {
            const char *nearest = gantry_nearest_word(*group, sections);

            g_set_error(
                error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                _("%1$s: unknown section [%2$s]; known are [cpu-class NAME] and [paths]%3$s%4$s"),
                path, *group, nearest ? _("; did you mean ") : "", nearest ? nearest : "");
            return NULL;
        }
    }
    if (!enter_sets(config, path, error)) {
        return NULL;
    }
    return g_steal_pointer(&config);
}

void
hook_host_config_free(HookHostConfig *config)
{
    if (config) {
        g_ptr_array_unref(config->classes);
        g_ptr_array_unref(config->paths);
        g_free(config->owners);
        g_free(config);
    }
}

gboolean
hook_host_config_has_cpus(const HookHostConfig *config)
{
    return config->classes->len > 0;
}

gboolean
hook_host_config_has_paths(const HookHostConfig *config)
{
    return config->paths->len > 0;
}

/* Adds what @cpu, of a set that is given in whole or in part, is here. */
static gboolean
map_cpu(const CpuOwner *owner, guint cpu, gboolean whole, GantryCpuset *mapped, const char *where,
        GError **error)
{
    guint n_here;
    int here = -1;

    if (!owner->class || owner->set == owner->class->here) {
        gantry_cpuset_add(mapped, cpu);
        return TRUE;
    }
    if (whole) {
        gantry_cpuset_or(mapped, owner->class->here);
        return TRUE;
    }
    n_here = gantry_cpuset_count(owner->class->here);
    if (owner->place >= n_here) {
        g_set_error(
            error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
            _("%1$s: CPU %2$u is number %3$u of the class '%4$s', which has only %5$u CPUs on "
              "this host; pin to fewer CPUs, or to the whole class"),
            where, cpu, owner->place + 1, owner->class->name, n_here);
        return FALSE;
    }
    for (guint i = 0; i <= owner->place; i++) {
        here = gantry_cpuset_next(owner->class->here, (guint)(here + 1));
    }
    gantry_cpuset_add(mapped, (guint)here);
    return TRUE;
}

gboolean
hook_host_config_map_cpus(const HookHostConfig *config, const char *cpus,
                          const GantryCpuset *online, const char *where, char **ret_mapped,
                          GError **error)
{
    g_autoptr(GantryCpuset) given = gantry_cpuset_parse(cpus, error);
    g_autoptr(GantryCpuset) mapped = gantry_cpuset_new();
    const GantryCpuset *seen = NULL; /* the set of the CPU before, */
    gboolean whole = FALSE;          /* and whether all of it is given */

    if (!given) {
        g_prefix_error(error, "%s: ", where);
        return FALSE;
    }
    for (int cpu = gantry_cpuset_next(given, 0); cpu >= 0;
         cpu = gantry_cpuset_next(given, (guint)cpu + 1)) {
        const CpuOwner *owner = &config->owners[cpu];

        if (owner->set && owner->set != seen) {
            seen = owner->set;
            whole = gantry_cpuset_is_subset(seen, given);
        }
        if (!map_cpu(owner, (guint)cpu, whole, mapped, where, error)) {
            return FALSE;
        }
    }
    if (!gantry_cpuset_is_subset(mapped, online)) {
        g_autofree char *names = gantry_cpuset_format(online);

        gantry_cpuset_and_not(mapped, online);
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("%1$s: CPU %2$d is not online on this host (%3$s are); give its class in "
                      "host.conf, [cpu-class NAME], 'elsewhere'"),
                    where, gantry_cpuset_next(mapped, 0), names);
        return FALSE;
    }
    *ret_mapped = gantry_cpuset_equal(given, mapped) ? NULL : gantry_cpuset_format(mapped);
    return TRUE;
}

/* Is @prefix the whole of @path, or does a "/" follow it there? */
static gboolean
is_below(const char *path, const char *prefix)
{
    gsize length = strlen(prefix);

    return strncmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

char *
hook_host_config_map_path(const HookHostConfig *config, const char *path)
{
    for (guint i = 0; i < config->paths->len; i++) {
        const PathMap *map = g_ptr_array_index(config->paths, i);

        if (is_below(path, map->from)) {
            return g_strconcat(map->to, path + strlen(map->from), NULL);
        }
    }
    return NULL;
}

static gboolean
load_class(HookHostConfig *config, GKeyFile *file, const char *path, const char *section,
           GError **error)
{
    static const char *const known[] = {"cpus", "elsewhere", NULL};
    g_auto(GStrv) keys = g_key_file_get_keys(file, section, NULL, NULL);
    CpuClass *class = g_new0(CpuClass, 1);

    class->name = g_strdup(section + strlen(CLASS_PREFIX));
    class->elsewhere = g_ptr_array_new_with_free_func((GDestroyNotify)gantry_cpuset_free);
    g_ptr_array_add(config->classes, class);
    for (char **key = keys; *key; key++) {
        g_autofree char *where = g_strdup_printf("%s: [%s] %s", path, section, *key);
        g_autofree char *text = g_key_file_get_string(file, section, *key, error);

        if (!text) {
            g_prefix_error(error, "%s: ", where);
            return FALSE;
        }
        if (g_str_equal(*key, "cpus")) {
            class->here = gantry_cpuset_parse(text, error);
            if (!class->here) {
                g_prefix_error(error, "%s: ", where);
                return FALSE;
            }
        } else if (g_str_equal(*key, "elsewhere")) {
            g_auto(GStrv) sets = g_strsplit(text, ";", -1);

            for (char **set = sets; *set; set++) {
                GantryCpuset *cpus = gantry_cpuset_parse(g_strstrip(*set), error);

                if (!cpus) {
                    g_prefix_error(error, "%s: ", where);
                    return FALSE;
                }
                g_ptr_array_add(class->elsewhere, cpus);
            }
        } else {
            const char *nearest = gantry_nearest_word(*key, known);

            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%1$s: unknown key; known are cpus and elsewhere%2$s%3$s"), where,
                        nearest ? _("; did you mean ") : "", nearest ? nearest : "");
            return FALSE;
        }
    }
    if (!class->here) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: [%2$s] has no key 'cpus': which of this host's CPUs are it?"), path,
                    section);
        return FALSE;
    }
    return TRUE;
}

/* An absolute path without "..", and without "/" at its end. */
static char *
clean_path(const char *text, const char *where, GError **error)
{
    static const GantryField field = {.name = "path", .type = GANTRY_FIELD_PATH};
    char *path = gantry_field_canonical(&field, text, where, error);

    if (path) {
        for (gsize length = strlen(path); length > 0 && path[length - 1] == '/'; length--) {
            path[length - 1] = '\0';
        }
        if (!*path) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("%s: '/' cannot be mapped; name a directory below it"), where);
            g_clear_pointer(&path, g_free);
        }
    }
    return path;
}

static gint
compare_longest_first(gconstpointer a, gconstpointer b)
{
    const PathMap *const *first = a;
    const PathMap *const *second = b;
    gsize n = strlen((*first)->from);
    gsize m = strlen((*second)->from);

    return n > m ? -1 : n < m;
}

static gboolean
load_paths(HookHostConfig *config, GKeyFile *file, const char *path, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, "paths", NULL, NULL);

    for (char **key = keys; *key; key++) {
        g_autofree char *where = g_strdup_printf("%s: [paths] %s", path, *key);
        g_autofree char *text = g_key_file_get_string(file, "paths", *key, error);
        PathMap *map;

        if (!text) {
            g_prefix_error(error, "%s: ", where);
            return FALSE;
        }
        map = g_new0(PathMap, 1);
        g_ptr_array_add(config->paths, map);
        map->from = clean_path(*key, where, error);
        if (!map->from) {
            return FALSE;
        }
        map->to = clean_path(text, where, error);
        if (!map->to) {
            return FALSE;
        }
    }
    g_ptr_array_sort(config->paths, compare_longest_first);
    return check_paths(config, path, error);
}

/* Refuses a map whose outcome, or something below it, would be mapped again. */
static gboolean
check_paths(const HookHostConfig *config, const char *path, GError **error)
{
    for (guint i = 0; i < config->paths->len; i++) {
        const PathMap *map = g_ptr_array_index(config->paths, i);
        g_autofree char *again = hook_host_config_map_path(config, map->to);
        const char *clash = again && !g_str_equal(again, map->to) ? map->to : NULL;

        for (guint j = 0; j < config->paths->len; j++) {
            const PathMap *other = g_ptr_array_index(config->paths, j);

            if (j != i && g_str_equal(other->from, map->from)) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                            _("%1$s: [paths] %2$s is given twice"), path, map->from);
                return FALSE;
            }
            if (is_below(other->from, map->to) && !g_str_equal(other->from, other->to)) {
                clash = other->from;
            }
        }
        if (clash) {
            g_set_error(
                error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                _("%1$s: [paths] %2$s = %3$s: %4$s would be mapped again; a disk that is already "
                  "right for this host must stay, so map to a place that is not mapped itself"),
                path, map->from, map->to, clash);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
enter_set(HookHostConfig *config, const CpuClass *class, const GantryCpuset *set, const char *path,
          GError **error)
{
    guint place = 0;

    for (int cpu = gantry_cpuset_next(set, 0); cpu >= 0;
         cpu = gantry_cpuset_next(set, (guint)cpu + 1)) {
        CpuOwner *owner = &config->owners[cpu];

        if (owner->class) {
            g_set_error(
                error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                _("%1$s: CPU %2$d stands in two sets, of the classes '%3$s' and '%4$s'; nobody "
                  "could tell which is meant in a VM's XML"),
                path, cpu, owner->class->name, class->name);
            return FALSE;
        }
        *owner = (CpuOwner){.class = class, .set = set, .place = place};
        place++;
    }
    return TRUE;
}

/* Fills in config->owners; refuses a CPU that would have two. */
static gboolean
enter_sets(HookHostConfig *config, const char *path, GError **error)
{
    for (guint i = 0; i < config->classes->len; i++) {
        const CpuClass *class = g_ptr_array_index(config->classes, i);

        if (!enter_set(config, class, class->here, path, error)) {
            return FALSE;
        }
        for (guint j = 0; j < class->elsewhere->len; j++) {
            if (!enter_set(config, class, g_ptr_array_index(class->elsewhere, j), path, error)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}
