/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "ioq_tuning/vhost_user/log.h"
#include "ioq_tuning/vhost_user/memory.h"

#define PAGE   4096U
#define GUEST  G_GUINT64_CONSTANT(0x100000000)
#define USER   G_GUINT64_CONSTANT(0x7f0000000000)
#define TWO_63 (G_GUINT64_CONSTANT(1) << 63)

static int
file_of(gsize bytes)
{
    int fd = memfd_create("test-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)bytes), ==, 0);
    return fd;
}

/* As a front end shares what is not guest memory. */
static int
sealed_file_of(gsize bytes)
{
    int fd = file_of(bytes);

    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    return fd;
}

static char *
map(int fd, gsize bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    g_assert_true(memory != MAP_FAILED);
    return memory;
}

/* (transfer full): @memory, which is released, with one region more. */
static IoqMemory *
with(IoqMemory *memory, guint64 guest, guint64 size, guint64 user, guint64 offset, int fd)
{
    const VuMemoryRegion region = {guest, size, user, offset};
    g_autoptr(GError) error = NULL;
    IoqMemory *result = ioq_memory_with(memory, &region, fd, &error);

    g_assert_no_error(error);
    g_assert_nonnull(result);
    ioq_memory_unref(memory);
    return result;
}

/* What is refused beside a region of one page at GUEST + PAGE. */
typedef struct {
    const char *name;
    VuMemoryRegion region;
    const char *text;
} Refusal;

static const Refusal refusals[] = {
    {"overlap/same", {GUEST + PAGE, PAGE, USER, 0}, "overlaps"},
    {"overlap/last-byte", {GUEST + 1, PAGE, USER, 0}, "overlaps"},
    {"overlap/first-byte", {GUEST + 2 * PAGE - 1, PAGE, USER, 0}, "overlaps"},
    {"overlap/around", {GUEST, 3 * PAGE, USER, 0}, "overlaps"},
    {"overlap/inside", {GUEST + PAGE + 8, 8, USER, 0}, "overlaps"},
    {"overlap/user", {GUEST, PAGE, USER + 2 * PAGE - 1, 0}, "overlaps"},
    {"size/zero", {GUEST, 0, USER, 0}, "of 0 bytes"},
    {"size/huge", {0, TWO_63, USER, 0}, "beyond the end"},
    {"size/all", {0, G_MAXUINT64, USER, 0}, "beyond the end"},
    {"overflow/guest", {G_MAXUINT64 - PAGE + 2, PAGE, USER, 0}, "beyond the end"},
    {"overflow/guest-last", {G_MAXUINT64, 1, USER, 0}, "beyond the end"},
    {"overflow/user", {GUEST, PAGE, G_MAXUINT64 - 1, 0}, "beyond the end"},
    {"overflow/offset", {GUEST, PAGE, USER, G_MAXUINT64 - PAGE + 1}, "beyond the end"},
    {"file/offset-at-end", {GUEST, PAGE, USER, 4 * PAGE}, "needs a file"},
    {"file/one-byte-short", {GUEST, PAGE, USER, 3 * PAGE + 1}, "needs a file"},
    {"file/size", {GUEST + 2 * PAGE, 4 * PAGE + 1, USER + 2 * PAGE, 0}, "needs a file"},
};

static void
test_refusal(gconstpointer data)
{
    const Refusal *refusal = data;
    gantry_autofd fd = file_of(4 * PAGE);
    g_autoptr(IoqMemory) memory = with(ioq_memory_new(), GUEST + PAGE, PAGE, USER + PAGE, PAGE, fd);
    g_autoptr(GError) error = NULL;

    g_assert_null(ioq_memory_with(memory, &refusal->region, fd, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, refusal->text));
    g_assert_cmpuint(ioq_memory_n_regions(memory), ==, 1);
}

static void
test_not_a_file(void)
{
    const VuMemoryRegion region = {GUEST, PAGE, USER, 0};
    g_autoptr(IoqMemory) memory = ioq_memory_new();
    g_autoptr(GError) error = NULL;
    int ends[2];

    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_null(ioq_memory_with(memory, &region, ends[0], &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    close(ends[0]);
    close(ends[1]);
    g_clear_error(&error);
    g_assert_null(ioq_memory_with(memory, &region, -1, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_SYSTEM);
}

static void
test_neighbours(void)
{
    gantry_autofd fd = file_of(4 * PAGE);
    g_autoptr(IoqMemory) memory = ioq_memory_new();
    guint64 length;

    memory = with(memory, GUEST + PAGE, PAGE, USER + PAGE, PAGE, fd);
    memory = with(memory, GUEST, PAGE, USER + 2 * PAGE, 0, fd);
    memory = with(memory, GUEST + 2 * PAGE, PAGE, USER, 2 * PAGE, fd);
    g_assert_cmpuint(ioq_memory_n_regions(memory), ==, 3);
    for (guint i = 0; i < 3; i++) {
        guint64 address = GUEST + i * PAGE;

        g_assert_nonnull(ioq_memory_guest(memory, address, 1, &length));
        g_assert_cmpuint(length, ==, 1);
        g_assert_nonnull(ioq_memory_guest(memory, address + PAGE - 1, 2, &length));
        g_assert_cmpuint(length, ==, 1);
        g_assert_nonnull(ioq_memory_guest(memory, address, G_MAXUINT64, &length));
        g_assert_cmpuint(length, ==, PAGE);
    }
    g_assert_null(ioq_memory_guest(memory, GUEST - 1, 2, &length));
    g_assert_null(ioq_memory_guest(memory, GUEST + 3 * PAGE, 1, &length));
    g_assert_null(ioq_memory_guest(memory, 0, 1, &length));
    g_assert_null(ioq_memory_guest(memory, G_MAXUINT64, 1, &length));
}

static void
test_user(void)
{
    gantry_autofd fd = file_of(4 * PAGE);
    g_autoptr(IoqMemory) memory = with(ioq_memory_new(), GUEST, 2 * PAGE, USER, 0, fd);

    memory = with(memory, GUEST + 2 * PAGE, PAGE, USER + 2 * PAGE, 2 * PAGE, fd);
    g_assert_nonnull(ioq_memory_user(memory, USER, 2 * PAGE));
    g_assert_nonnull(ioq_memory_user(memory, USER + 2 * PAGE - 1, 1));
    /* Rings are taken in one piece, so never over the end of a region. */
    g_assert_null(ioq_memory_user(memory, USER + PAGE, PAGE + 1));
    g_assert_null(ioq_memory_user(memory, USER - 1, 1));
    g_assert_null(ioq_memory_user(memory, USER + 3 * PAGE, 1));
    g_assert_null(ioq_memory_user(memory, USER, G_MAXUINT64));
    g_assert_null(ioq_memory_user(memory, GUEST, 1));
}

static void
test_contents(void)
{
    gantry_autofd fd = file_of(4 * PAGE);
    char *bytes = map(fd, 4 * PAGE);
    g_autoptr(IoqMemory) memory = with(ioq_memory_new(), GUEST, PAGE, USER, PAGE + 16, fd);
    guint64 length;
    guint64 address;
    char *first = ioq_memory_guest(memory, GUEST, PAGE, &length);

    g_strlcpy(bytes + PAGE + 16, "from the guest", 100);
    g_assert_cmpstr(first, ==, "from the guest");
    g_assert_true(first + 5 == (char *)ioq_memory_user(memory, USER + 5, 1));
    g_strlcpy(first + 100, "to the guest", 100);
    g_assert_cmpstr(bytes + PAGE + 116, ==, "to the guest");

    g_assert_true(ioq_memory_guest_address(memory, first + PAGE - 1, &address));
    g_assert_cmpuint(address, ==, GUEST + PAGE - 1);
    g_assert_false(ioq_memory_guest_address(memory, first + PAGE, &address));
    g_assert_false(ioq_memory_guest_address(memory, first - 1, &address));
    munmap(bytes, 4 * PAGE);
}

static void
test_without(void)
{
    static const VuMemoryRegion wrong[] = {
        {GUEST + 1, PAGE, USER, 0},
        {GUEST, PAGE - 1, USER, 0},
        {GUEST, PAGE, USER + 1, 0},
    };
    static const VuMemoryRegion first = {GUEST, PAGE, USER, 0};
    gantry_autofd fd = file_of(2 * PAGE);
    g_autoptr(IoqMemory) memory = with(ioq_memory_new(), GUEST, PAGE, USER, 0, fd);
    g_autoptr(IoqMemory) smaller = NULL;
    g_autoptr(GError) error = NULL;
    guint64 length;
    char *kept;

    memory = with(memory, GUEST + PAGE, PAGE, USER + PAGE, PAGE, fd);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_null(ioq_memory_without(memory, &wrong[i], &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND);
        g_clear_error(&error);
    }
    smaller = ioq_memory_without(memory, &first, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(ioq_memory_n_regions(smaller), ==, 1);
    g_assert_null(ioq_memory_guest(smaller, GUEST, 1, &length));
    kept = ioq_memory_guest(smaller, GUEST + PAGE, 1, &length);
    g_assert_true(kept == (char *)ioq_memory_guest(memory, GUEST + PAGE, 1, &length));
    /* The old table is as it was, and what both have outlives it. */
    g_assert_nonnull(ioq_memory_guest(memory, GUEST, 1, &length));
    g_clear_pointer(&memory, ioq_memory_unref);
    *kept = 1;
}

static void
test_limit(void)
{
    gantry_autofd fd = file_of(PAGE);
    g_autoptr(IoqMemory) memory = ioq_memory_new();
    g_autoptr(GError) error = NULL;
    VuMemoryRegion one_more = {GUEST - PAGE, PAGE, USER - PAGE, 0};
    guint64 length;

    /* From the end to the start, so that each goes to the front of the table. */
    for (guint i = IOQ_MEMORY_MAX_REGIONS; i-- > 0;) {
        memory = with(memory, GUEST + (guint64)i * PAGE, PAGE, USER + (guint64)i * PAGE, 0, fd);
    }
    g_assert_cmpuint(ioq_memory_n_regions(memory), ==, 512);
    for (guint i = 0; i < IOQ_MEMORY_MAX_REGIONS; i++) {
        g_assert_nonnull(ioq_memory_guest(memory, GUEST + (guint64)i * PAGE, 1, &length));
    }
    g_assert_null(ioq_memory_with(memory, &one_more, fd, &error));
    g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT);
}

static void
test_truncated(void)
{
    gantry_autofd fd = file_of(4 * PAGE);
    gantry_autofd other_fd = file_of(PAGE);
    g_autoptr(IoqMemory) memory = NULL;
    g_autoptr(IoqMemory) other = NULL;
    guint64 length;
    volatile char *bytes;

    ioq_memory_guard_install();
    memory = with(ioq_memory_new(), GUEST, 4 * PAGE, USER, 0, fd);
    other = with(ioq_memory_new(), GUEST, PAGE, USER, 0, other_fd);
    bytes = ioq_memory_guest(memory, GUEST, 4 * PAGE, &length);
    bytes[0] = bytes[3 * PAGE] = 7;
    g_assert_cmpint(ftruncate(fd, PAGE), ==, 0);
    g_assert_false(ioq_memory_is_damaged(memory));
    g_assert_cmpint(bytes[3 * PAGE], ==, 0);
    g_assert_true(ioq_memory_is_damaged(memory));
    g_assert_false(ioq_memory_is_damaged(other));
    g_assert_cmpint(bytes[0], ==, 0);
    bytes[3 * PAGE] = 8;
    g_assert_cmpint(bytes[3 * PAGE], ==, 8);
}

/* A SIGBUS that is not of guest memory ends the process, as ever. */
static void
test_foreign_sigbus(void)
{
    if (g_test_subprocess()) {
        int fd = file_of(PAGE);
        volatile char *bytes = map(fd, PAGE);

        ioq_memory_guard_install();
        g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        bytes[0] = 1;
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
}

/* Log */

#define LOG_BYTES  8U /* 64 pages */
#define LOG_OFFSET 24U

static void
test_log_marks(void)
{
    static const struct {
        guint64 address;
        guint64 length;
        guint64 pages; /* bits */
    } cases[] = {
        {0, 1, 1},
        {PAGE - 1, 1, 1},
        {PAGE - 1, 2, 3},
        {PAGE, PAGE, 2},
        {PAGE, PAGE + 1, 6},
        {0, 0, 0},
        {5 * PAGE + 7, 0, 0},
        {7 * PAGE, 2 * PAGE, 3ULL << 7}, /* over a byte's edge */
        {0, 64 * PAGE, G_MAXUINT64},
        {63 * PAGE + 1, 100 * PAGE, 1ULL << 63}, /* beyond the bitmap's end */
        {64 * PAGE, PAGE, 0},
        {G_MAXUINT64 - PAGE, PAGE, 0},
    };
    gantry_autofd fd = sealed_file_of(LOG_OFFSET + LOG_BYTES + 8);
    guint8 *bytes = (guint8 *)map(fd, PAGE);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        IoqLog *log = ioq_log_new(fd, LOG_BYTES, LOG_OFFSET, &error);
        guint64 pages;

        g_assert_no_error(error);
        ioq_log_mark(log, cases[i].address, cases[i].length);
        memcpy(&pages, bytes + LOG_OFFSET, sizeof(pages));
        g_assert_cmphex(pages, ==, cases[i].pages);
        memset(bytes + LOG_OFFSET, 0, LOG_BYTES);
        for (guint k = 0; k < LOG_OFFSET + LOG_BYTES + 8; k++) {
            g_assert_cmpuint(bytes[k], ==, 0);
        }
        ioq_log_unref(log);
    }
    munmap(bytes, PAGE);
}

static void
test_log_keeps_bits(void)
{
    gantry_autofd fd = sealed_file_of(LOG_BYTES);
    guint8 *bytes = (guint8 *)map(fd, PAGE);
    g_autoptr(GError) error = NULL;
    IoqLog *log = ioq_log_new(fd, LOG_BYTES, 0, &error);

    g_assert_no_error(error);
    bytes[0] = 0x81;
    ioq_log_mark(log, PAGE, PAGE);
    g_assert_cmphex(bytes[0], ==, 0x83);
    ioq_log_unref(log);
    munmap(bytes, PAGE);
}

static void
test_log_refusals(void)
{
    static const VuLog wrong[] = {
        {0, 0},
        {LOG_BYTES + 1, 0},
        {LOG_BYTES, 1},
        {G_MAXUINT64, 0},
        {LOG_BYTES, G_MAXUINT64 - LOG_BYTES + 1},
        {G_MAXINT64, G_MAXINT64},
    };
    gantry_autofd fd = sealed_file_of(LOG_BYTES);

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(ioq_log_new(fd, wrong[i].mmap_size, wrong[i].mmap_offset, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    }
    {
        gantry_autofd open_fd = file_of(LOG_BYTES);
        g_autoptr(GError) error = NULL;

        g_assert_null(ioq_log_new(open_fd, LOG_BYTES, 0, &error));
        g_assert_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "sealed"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strdup_printf("/ioq/memory/refusal/%s", refusals[i].name);

        g_test_add_data_func(path, &refusals[i], test_refusal);
    }
    g_test_add_func("/ioq/memory/not-a-file", test_not_a_file);
    g_test_add_func("/ioq/memory/neighbours", test_neighbours);
    g_test_add_func("/ioq/memory/user", test_user);
    g_test_add_func("/ioq/memory/contents", test_contents);
    g_test_add_func("/ioq/memory/without", test_without);
    g_test_add_func("/ioq/memory/limit", test_limit);
    g_test_add_func("/ioq/memory/truncated", test_truncated);
    g_test_add_func("/ioq/memory/foreign-sigbus", test_foreign_sigbus);
    g_test_add_func("/ioq/log/marks", test_log_marks);
    g_test_add_func("/ioq/log/keeps-bits", test_log_keeps_bits);
    g_test_add_func("/ioq/log/refusals", test_log_refusals);
    return g_test_run();
}
