/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files with all extensions: whatever stands in them is taken or refused, and matched. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/xml/settings.h"
#include "extensions/extensions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *folder;
static const char *const domain_text =
    "<domain><name>vm-1</name><uuid>6a7f9a1c-0000-4000-8000-000000000001</uuid></domain>";

static void
check(gboolean holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz-policy: %s\n", what);
        abort();
    }
}

static void
remove_folder(void)
{
    g_autofree char *link = g_build_filename(folder, "a.conf", NULL);

    unlink(link);
    rmdir(folder);
    g_free(folder);
}

/* A folder with one policy file: a link to the file in memory @fd. */
static void
make_folder(int fd)
{
    g_autofree char *link = NULL;
    g_autofree char *target = g_strdup_printf("/proc/self/fd/%d", fd);

    folder = g_dir_make_tmp("gantry-fuzz-policy-XXXXXX", NULL);
    check(folder != NULL, "no folder");
    link = g_build_filename(folder, "a.conf", NULL);
    check(symlink(target, link) == 0, "no link");
    atexit(remove_folder);
}

static void
check_resolution(const GantryPolicy *policy)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryXml) domain = gantry_xml_parse(domain_text, strlen(domain_text), "dom", &error);
    g_autoptr(GantrySettings) settings = NULL;

    check(domain != NULL, "the domain is good");
    settings = gantry_settings_resolve(gantry_extensions, domain, policy, &error);
    check((settings != NULL) == (error == NULL), "both or neither of settings and error");
    check(!error || error->domain == GANTRY_ERROR, "an error that is not ours");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    g_autoptr(GError) error = NULL;
    g_autoptr(GantryPolicy) policy = NULL;

    if (fd < 0) {
        fd = memfd_create("policy", MFD_CLOEXEC);
        check(fd >= 0 && fchmod(fd, 0600) == 0, "no memory file");
        make_folder(fd);
    }
    check(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
              gantry_fd_write_all(fd, (const char *)data, size, NULL),
          "cannot write");
    policy = gantry_policy_load(folder, gantry_extensions, &error);
    check((policy != NULL) == (error == NULL), "both or neither of policy and error");
    if (policy) {
        check_resolution(policy);
    } else {
        check(error->domain == GANTRY_ERROR, "an error that is not ours");
    }
    return 0;
}
