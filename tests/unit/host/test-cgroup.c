/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/host/cgroup.h"
#include "tree.h"

#define PID 4321
#define FS  "sys/fs/cgroup/"

#define MOUNTS_OTHER \
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n" \
    "30 22 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n"
#define MOUNTS_V1 \
    "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup " \
    "rw,cpu,cpuacct\n" \
    "33 30 0:30 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset,clone_children\n" \
    "39 30 0:36 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
#define MOUNT_HYBRID "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
#define MOUNT_V2 \
    "40 22 0:37 / /sys/fs/cgroup rw shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n"

#define SCOPE "machine.slice/machine-qemu\\x2d1\\x2dvm.scope"

static void
write_process(Tree *tree, const char *mounts, const char *cgroups)
{
    g_autofree char *path = g_strdup_printf("proc/%d/cgroup", PID);

    scratch_write(tree->root, "proc/self/mountinfo", mounts);
    scratch_write(tree->root, path, cgroups);
}

static void
write_v1(Tree *tree)
{
    write_process(tree, MOUNTS_OTHER MOUNTS_V1 MOUNT_HYBRID,
                  "12:cpuset:/" SCOPE "/emulator\n4:cpu,cpuacct:/" SCOPE "\n"
                  "1:name=systemd:/init.scope\n0::/" SCOPE "\n");
    scratch_write(tree->root, FS "cpu,cpuacct/" SCOPE "/cpuacct.usage", "123456789012\n");
    scratch_write(tree->root, FS "cpu,cpuacct/" SCOPE "/cpuacct.stat", "user 1000\nsystem 200\n");
    scratch_write(tree->root, FS "cpu,cpuacct/" SCOPE "/cpu.stat",
                  "nr_periods 10\nnr_throttled 3\nthrottled_time 7000999\n");
    scratch_write(tree->root, FS "cpuset/" SCOPE "/emulator/cpuset.effective_cpus", "2-3\n");
}

static void
write_v2(Tree *tree)
{
    write_process(tree, MOUNTS_OTHER MOUNT_V2, "0::/" SCOPE "/libvirt/emulator\n");
    scratch_write(tree->root, FS SCOPE "/libvirt/emulator/cpu.stat",
                  "usage_usec 5000000\nuser_usec 3000000\nsystem_usec 2000000\n"
                  "core_sched.force_idle_usec 0\nnr_periods 4\nnr_throttled 2\n"
                  "throttled_usec 900\n");
    scratch_write(tree->root, FS "cpuset.cpus.effective", "0-7\n");
    scratch_write(tree->root, FS SCOPE "/libvirt/cpuset.cpus.effective", "4-5\n");
}

static void
assert_folder(Tree *tree, const char *controller, const char *folder, gboolean unified)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryCgroup) cgroup = gantry_host_cgroup(tree->host, PID, controller, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(cgroup->folder, ==, folder);
    g_assert_cmpint(cgroup->unified, ==, unified);
    g_assert_true(g_str_has_prefix(cgroup->folder, cgroup->mount));
}

static void
assert_no_folder(Tree *tree, const char *controller, const char *part)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_host_cgroup(tree->host, PID, controller, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, part);
}

static void
test_hybrid(Tree *tree, gconstpointer data)
{
    write_v1(tree);
    assert_folder(tree, "cpuset", "/" FS "cpuset/" SCOPE "/emulator", FALSE);
    assert_folder(tree, "cpu", "/" FS "cpu,cpuacct/" SCOPE, FALSE);
    assert_folder(tree, "cpuacct", "/" FS "cpu,cpuacct/" SCOPE, FALSE);
    assert_folder(tree, "name=systemd", "/" FS "systemd/init.scope", FALSE);
    /* Not in version 1, so it can only be in version 2. */
    assert_folder(tree, "memory", "/" FS "unified/" SCOPE, TRUE);
    /* Whatever was mounted first. */
    scratch_write(tree->root, "proc/self/mountinfo", MOUNT_HYBRID MOUNTS_V1);
    assert_folder(tree, "cpu", "/" FS "cpu,cpuacct/" SCOPE, FALSE);
}

static void
test_unified(Tree *tree, gconstpointer data)
{
    write_v2(tree);
    assert_folder(tree, "cpuset", "/" FS SCOPE "/libvirt/emulator", TRUE);
    assert_folder(tree, "cpu", "/" FS SCOPE "/libvirt/emulator", TRUE);
}

static void
test_root_group(Tree *tree, gconstpointer data)
{
    write_process(tree, MOUNTS_V1, "1:cpu,cpuacct:/\n");
    assert_folder(tree, "cpu", "/" FS "cpu,cpuacct", FALSE);
}

/* In a container the mount shows a part of the hierarchy only, and blanks are escaped. */
static void
test_mounted_part(Tree *tree, gconstpointer data)
{
    write_process(tree, "31 30 0:28 /docker/a\\040b /cg\\134x ro - cgroup cgroup rw,cpu\n",
                  "1:cpu:/docker/a b/inner\n");
    assert_folder(tree, "cpu", "/cg\\x/inner", FALSE);
    write_process(tree, "31 30 0:28 /docker/a\\040b /cg ro - cgroup cgroup rw,cpu\n",
                  "1:cpu:/docker/a b\n");
    assert_folder(tree, "cpu", "/cg", FALSE);
    write_process(tree, "31 30 0:28 /docker/a /cg ro - cgroup cgroup rw,cpu\n",
                  "1:cpu:/docker/ab\n");
    assert_no_folder(tree, "cpu", "/cg");
    write_process(tree, "31 30 0:28 /docker/a /cg ro - cgroup cgroup rw,cpu\n", "1:cpu:/\n");
    assert_no_folder(tree, "cpu", "/cg");
    write_process(tree, MOUNTS_V1, "1:cpu,cpuacct:/../other\n");
    assert_no_folder(tree, "cpu", "cannot be seen");
}

static void
test_nothing_there(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(gantry_host_cgroup(tree->host, PID, "cpu", &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "proc/4321/cgroup");
    write_process(tree, MOUNTS_OTHER, "1:cpu:/\n");
    assert_no_folder(tree, "cpu", "mounted");
    write_process(tree, MOUNTS_V1, "1:cpuset:/\n");
    assert_no_folder(tree, "cpu", "cannot be seen");
    write_process(tree, MOUNTS_V1, "");
    assert_no_folder(tree, "cpu", "cannot be seen");
}

/* Lines that the kernel would not write are passed over. */
static void
test_malformed(Tree *tree, gconstpointer data)
{
    g_autofree char *huge = g_strnfill(4 * 1024 * 1024 + 1, 'x');
    g_autoptr(GError) error = NULL;

    write_process(tree,
                  "x\n\n - cgroup cgroup cpu\n1 2 3 / /a rw - cgroup\n1 2 3 / /a - cgroup x cpu\n",
                  "::\n:\ncpu\n1:cpu\n");
    assert_no_folder(tree, "cpu", "mounted");
    write_process(tree, MOUNTS_V1, "::\n:\ncpu\n1:cpu\n0:\n");
    assert_no_folder(tree, "cpu", "cannot be seen");
    write_process(tree, huge, "1:cpu:/\n");
    g_assert_null(gantry_host_cgroup(tree->host, PID, "cpu", &error));
    assert_failed(&error, GANTRY_ERROR_LIMIT, "mountinfo");
}

static void
test_cpu_stat_v1(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GantryCgroupCpuStat stat;

    write_v1(tree);
    g_assert_true(gantry_host_cgroup_cpu_stat(tree->host, PID, &stat, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(stat.usage_usec, ==, 123456789);
    g_assert_cmpuint(stat.user_usec, ==, 10000000);
    g_assert_cmpuint(stat.system_usec, ==, 2000000);
    g_assert_cmpuint(stat.n_periods, ==, 10);
    g_assert_cmpuint(stat.n_throttled, ==, 3);
    g_assert_cmpuint(stat.throttled_usec, ==, 7000);
}

static void
test_cpu_stat_v2(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GantryCgroupCpuStat stat;

    write_v2(tree);
    g_assert_true(gantry_host_cgroup_cpu_stat(tree->host, PID, &stat, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(stat.usage_usec, ==, 5000000);
    g_assert_cmpuint(stat.user_usec, ==, 3000000);
    g_assert_cmpuint(stat.system_usec, ==, 2000000);
    g_assert_cmpuint(stat.n_periods, ==, 4);
    g_assert_cmpuint(stat.n_throttled, ==, 2);
    g_assert_cmpuint(stat.throttled_usec, ==, 900);
}

static void
test_bad_cpu_stat(Tree *tree, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GantryCgroupCpuStat stat = {.usage_usec = 42};

    write_v2(tree);
    scratch_write(tree->root, FS SCOPE "/libvirt/emulator/cpu.stat", "usage_usec -1\n");
    g_assert_false(gantry_host_cgroup_cpu_stat(tree->host, PID, &stat, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "usage_usec");
    scratch_write(tree->root, FS SCOPE "/libvirt/emulator/cpu.stat", "usage_usecs 1\n");
    g_assert_false(gantry_host_cgroup_cpu_stat(tree->host, PID, &stat, &error));
    assert_failed(&error, GANTRY_ERROR_NOT_FOUND, "usage_usec");
    write_v1(tree);
    scratch_write(tree->root, FS "cpu,cpuacct/" SCOPE "/cpuacct.usage", "many\n");
    g_assert_false(gantry_host_cgroup_cpu_stat(tree->host, PID, &stat, &error));
    assert_failed(&error, GANTRY_ERROR_INVALID, "cpuacct.usage");
    g_assert_cmpuint(stat.usage_usec, ==, 42);
}

static void
assert_cpuset(Tree *tree, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryCpuset) set = gantry_host_cgroup_cpuset(tree->host, PID, &error);

    g_assert_no_error(error);
    assert_cpus(set, expected);
}

static void
test_cpuset(Tree *tree, gconstpointer data)
{
    write_v1(tree);
    assert_cpuset(tree, "2-3");
}

static void
test_cpuset_v2(Tree *tree, gconstpointer data)
{
    /* The nearest ancestor in which the controller is enabled. */
    write_v2(tree);
    assert_cpuset(tree, "4-5");
    /* A process elsewhere: only the root group has the file. */
    write_process(tree, MOUNT_V2, "0::/system.slice/a.service\n");
    assert_cpuset(tree, "0-7");
}

/* The controller is enabled nowhere, as in a hybrid host's version 2 part. */
static void
test_cpuset_unrestricted(Tree *tree, gconstpointer data)
{
    write_process(tree, MOUNT_HYBRID, "0::/a/b\n");
    scratch_write(tree->root, "sys/devices/system/cpu/online", "0-15\n");
    assert_cpuset(tree, "0-15");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TREE_TEST("/cgroup/hybrid", test_hybrid);
    TREE_TEST("/cgroup/unified", test_unified);
    TREE_TEST("/cgroup/root-group", test_root_group);
    TREE_TEST("/cgroup/mounted-part", test_mounted_part);
    TREE_TEST("/cgroup/nothing-there", test_nothing_there);
    TREE_TEST("/cgroup/malformed", test_malformed);
    TREE_TEST("/cgroup/cpu-stat-v1", test_cpu_stat_v1);
    TREE_TEST("/cgroup/cpu-stat-v2", test_cpu_stat_v2);
    TREE_TEST("/cgroup/bad-cpu-stat", test_bad_cpu_stat);
    TREE_TEST("/cgroup/cpuset-v1", test_cpuset);
    TREE_TEST("/cgroup/cpuset-v2", test_cpuset_v2);
    TREE_TEST("/cgroup/cpuset-unrestricted", test_cpuset_unrestricted);
    return g_test_run();
}
