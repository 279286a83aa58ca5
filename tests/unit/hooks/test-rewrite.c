/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "extensions/extensions.h"
#include "libvirt_hooks/fit_settings.h"
#include "libvirt_hooks/rewrite.h"

/* Runs @operation's rewrites with a host.conf over a domain, by its own settings. FALSE as
 * hook_rewrite(). */
static gboolean
run(const char *operation, const char *conf, const char *text, char **ret_text, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *path = NULL;
    g_autoptr(HookHostConfig) host = NULL;
    g_autoptr(GantryCpuset) online = gantry_cpuset_parse("0-31", NULL);
    g_autoptr(GantryXml) domain = gantry_xml_parse(text, strlen(text), "test", &local);
    g_autoptr(GantrySettings) settings =
        domain ? gantry_settings_resolve(gantry_extensions, domain, NULL, &local) : NULL;
    HookRewriteContext context;
    gsize length;
    int fd;

    g_assert_no_error(local);
    fd = g_file_open_tmp("gantry-host-XXXXXX.conf", &path, NULL);
    g_assert_cmpint(write(fd, conf, strlen(conf)), ==, strlen(conf));
    close(fd);
    host = hook_host_config_load(path, &local);
    unlink(path);
    g_assert_no_error(local);
    if (hook_host_config_has_cpus(host) &&
        !hook_fit_settings(settings, gantry_extensions, host, online, error)) {
        return FALSE;
    }
    context = (HookRewriteContext){
        .domain_name = "d", .settings = settings, .host = host, .online = online};
    return hook_rewrite(hook_operation_find(operation, "begin"), domain, &context, ret_text,
                        &length, error);
}

static const char conf[] = "[cpu-class a]\ncpus=16-19\nelsewhere=0-3\n[paths]\n/a = /z\n";

/* Everything that a disk may name, and what only looks like it. */
static void
test_paths(void)
{
    static const char before[] =
        "<domain><devices>"
        "<disk><source file='/a/1'/><backingStore><source file=\"/a/2\"/><backingStore>"
        "<source dev='/a/3'><dataStore><source file='/a/4'/></dataStore></source>"
        "<backingStore/></backingStore></backingStore>"
        "<mirror><source dir='/a/5'/></mirror></disk>"
        "<disk><source file='/aa/1' dev='/b'/></disk><disk><source pool='/a' volume='/a/1'/></disk>"
        "<disk/><filesystem><source dir='/a/x'/></filesystem>"
        "<x:disk xmlns:x='urn:x'><source file='/a/1'/></x:disk>"
        "</devices><os><kernel>/a/k</kernel></os></domain>";
    static const char after[] =
        "<domain><devices>"
        "<disk><source file='/z/1'/><backingStore><source file=\"/z/2\"/><backingStore>"
        "<source dev='/z/3'><dataStore><source file='/z/4'/></dataStore></source>"
        "<backingStore/></backingStore></backingStore>"
        "<mirror><source dir='/z/5'/></mirror></disk>"
        "<disk><source file='/aa/1' dev='/b'/></disk><disk><source pool='/a' volume='/a/1'/></disk>"
        "<disk/><filesystem><source dir='/a/x'/></filesystem>"
        "<x:disk xmlns:x='urn:x'><source file='/a/1'/></x:disk>"
        "</devices><os><kernel>/a/k</kernel></os></domain>";
    g_autofree char *text = NULL;
    g_autofree char *again = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(run("restore", conf, before, &text, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, after);
    g_assert_true(run("restore", conf, after, &again, &error));
    g_assert_null(again);
}

/* Only operations that may rewrite do, and only if there is something to change; one whose XML must
 * fit is refused as long as there is. */
static void
test_operations(void)
{
    static const char domain[] = "<domain><vcpu cpuset='0'>1</vcpu></domain>";
    static const char fitting[] = "<domain><vcpu cpuset='16'>1</vcpu></domain>";

    for (const HookOperation *o = hook_operations; o->name; o++) {
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_str_equal(o->sub_operation, "begin")) {
            continue;
        }
        if (o->must_fit) {
            g_assert_false(run(o->name, conf, domain, &text, &error));
            g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
            g_clear_error(&error);
        } else {
            g_assert_true(run(o->name, conf, domain, &text, &error));
        }
        g_assert_cmpstr(text, ==, o->may_rewrite ? fitting : NULL);
        g_clear_pointer(&text, g_free);
        g_assert_true(run(o->name, conf, fitting, &text, &error));
        g_assert_null(text);
    }
}

/* What an operator is to do about a definition that does not fit: as much as a line bears. */
static void
test_must_fit(void)
{
    static const char some[] =
        "<domain><cputune><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='17'/></cputune>"
        "<devices><disk><source file='/a/1'/></disk></devices></domain>";
    static const char many[] =
        "<domain><vcpu cpuset='0-3'>4</vcpu><cputune><vcpupin vcpu='0' cpuset='0'/>"
        "<vcpupin vcpu='1' cpuset='1'/><emulatorpin cpuset='2'/></cputune><devices>"
        "<disk><source file='/a/1'/></disk><disk><source file='/a/2'/></disk></devices></domain>";
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(run("prepare", conf, some, &text, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "'virsh edit': <vcpupin vcpu='0'> cpuset='1' -> '17'; "
                                            "<source> file='/a/1' -> '/z/1'"));
    g_assert_null(strstr(error->message, "vcpu='1'"));
    g_clear_error(&error);
    g_assert_false(run("prepare", conf, many, &text, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "<vcpu> cpuset='0-3' -> '16-19'; "));
    g_assert_true(
        g_str_has_suffix(error->message, "; <emulatorpin> cpuset='2' -> '18'; and 2 more"));
    g_assert_null(text);
}

static void
test_nothing_to_do(void)
{
    static const char *const domains[] = {
        "<domain/>", "<domain><cputune/><devices/></domain>",
        "<domain><vcpu>1</vcpu><cputune><vcpupin vcpu='0'/></cputune></domain>"};

    for (gsize i = 0; i < G_N_ELEMENTS(domains); i++) {
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(run("migrate", conf, domains[i], &text, &error));
        g_assert_null(text);
        g_assert_true(run("migrate", "", domains[i], &text, &error));
        g_assert_null(text);
    }
}

static void
test_refused(void)
{
    static const char domain[] =
        "<domain><cputune><iothreadpin iothread='7' cpuset='99'/></cputune></domain>";
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(run("migrate", conf, domain, &text, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT);
    g_assert_true(
        g_str_has_prefix(error->message, "<iothreadpin iothread='7'>: CPU 99 is not online"));
    g_assert_null(text);
}

#define IOQ(attributes, device, driver) \
    "<domain><metadata><t:tuning xmlns:t='urn:gantry:ioq:1'" attributes \
    "><t:device target='vda'" device "/></t:tuning></metadata><devices><disk type='file'>" driver \
    "<target dev='vda' bus='virtio'/></disk></devices>"

/* Settings become iothreads on the way in, with the CPUs that host.conf has for those of elsewhere,
 * and then fit: prepare does not mind them. */
static void
test_iothreads(void)
{
    static const char before[] =
        IOQ("", " queues-per-thread='2' cpuset='0-3'", "<driver queues='2'/>") "</domain>";
    static const char after[] =
        IOQ("", " queues-per-thread='2' cpuset='0-3'",
            "<driver queues='2' iothread='1'/>") "<iothreads>1</iothreads><iothreadids><iothread "
                                                 "id='1'/></iothreadids><cputune>"
                                                 "<iothreadpin iothread='1' "
                                                 "cpuset='16-19'/></cputune></domain>";
    static const char *const arrivals[] = {"migrate", "restore"};
    g_autoptr(GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(arrivals); i++) {
        g_autofree char *text = NULL;
        g_autofree char *again = NULL;

        g_assert_true(run(arrivals[i], conf, before, &text, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(text, ==, after);
        g_assert_true(run(arrivals[i], conf, after, &again, &error));
        g_assert_null(again);
        g_assert_true(run("prepare", conf, after, &again, &error));
        g_assert_no_error(error);
    }
}

/* Both change the same domain, here the same pin: what one made the other works on. */
static void
test_iothreads_after_cpus(void)
{
    static const char before[] =
        IOQ("", " cpuset='2'",
            "<driver queues='1' iothread='1'/>") "<vcpu "
                                                 "cpuset='0-3'>1</vcpu><iothreads>1</"
                                                 "iothreads><cputune><vcpupin vcpu='0' "
                                                 "cpuset='3'/><iothreadpin iothread='1' "
                                                 "cpuset='1'/></cputune></domain>";
    static const char after[] =
        IOQ("", " cpuset='2'",
            "<driver queues='1' iothread='1'/>") "<vcpu "
                                                 "cpuset='16-19'>1</vcpu><iothreads>1</"
                                                 "iothreads><cputune><vcpupin vcpu='0' "
                                                 "cpuset='19'/><iothreadpin iothread='1' "
                                                 "cpuset='18'/></cputune></domain>";
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(run("migrate", conf, before, &text, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, after);
}

/* A start is not rewritten, and a definition without iothreads starts. A guest that runs keeps the
 * queues it has. */
static void
test_iothreads_not_everywhere(void)
{
    static const char defined[] = IOQ("", "", "<driver queues='2'/>") "</domain>";
    static const char unsaid[] = IOQ("", "", "<driver/>") "</domain>";
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(run("prepare", "", defined, &text, &error));
    g_assert_null(text);
    g_assert_true(run("migrate", "", unsaid, &text, &error));
    g_assert_null(text);
}

/* What cannot be done keeps a domain from running only if it says so. */
static void
test_iothreads_required(void)
{
    static const char optional[] = IOQ("", " cpuset='99'", "<driver queues='2'/>") "</domain>";
    static const char required[] =
        IOQ(" required='yes'", " cpuset='99'", "<driver queues='2'/>") "</domain>";
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(run("migrate", "", optional, &text, &error));
    g_assert_null(text);
    g_assert_false(run("migrate", "", required, &text, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, "99"));
    g_assert_null(text);
}

/* Each rewrite is for operations that there are, and that may rewrite or must fit. */
static void
test_table(void)
{
    for (const HookRewrite *rewrite = hook_rewrites; rewrite->name; rewrite++) {
        for (const char *const *name = rewrite->operations; *name; name++) {
            const HookOperation *operation = hook_operation_find(*name, "begin");

            g_assert_nonnull(operation);
            g_assert_true(operation->may_rewrite || operation->must_fit);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hook/rewrite/paths", test_paths);
    g_test_add_func("/hook/rewrite/operations", test_operations);
    g_test_add_func("/hook/rewrite/must-fit", test_must_fit);
    g_test_add_func("/hook/rewrite/nothing-to-do", test_nothing_to_do);
    g_test_add_func("/hook/rewrite/refused", test_refused);
    g_test_add_func("/hook/rewrite/iothreads", test_iothreads);
    g_test_add_func("/hook/rewrite/iothreads/after-cpus", test_iothreads_after_cpus);
    g_test_add_func("/hook/rewrite/iothreads/not-everywhere", test_iothreads_not_everywhere);
    g_test_add_func("/hook/rewrite/iothreads/required", test_iothreads_required);
    g_test_add_func("/hook/rewrite/table", test_table);
    return g_test_run();
}
