/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/vhost_user/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

#define MAX_MAPPINGS 4096 /* of the process, for the guard */

/* A mapped file range; shared by the tables that have it. */
typedef struct {
    gint ref_count; /* atomic */
    char *base;
    gsize length;
    gint damaged; /* atomic */
} Mapping;

typedef struct {
    guint64 guest_address;
    guint64 size;
    guint64 user_address;
    char *host;
    Mapping *mapping;
} Region;

struct IoqMemory {
    gint ref_count; /* atomic */
    guint n_regions;
    Region regions[]; /* by guest address */
};

/* For the signal handler, which can take no lock: a slot is empty, or a mapping that is alive. */
static Mapping *guarded[MAX_MAPPINGS];
static guint n_guarded;  /* slots ever used */
static gint any_damaged; /* atomic */

static void
guard_add(Mapping *mapping)
{
    for (guint i = 0; i < MAX_MAPPINGS; i++) {
        if (g_atomic_pointer_compare_and_exchange(&guarded[i], NULL, mapping)) {
            guint used = (guint)g_atomic_int_get(&n_guarded);

            while (used <= i && !g_atomic_int_compare_and_exchange((gint *)&n_guarded, (gint)used,
                                                                   (gint)i + 1)) {
                used = (guint)g_atomic_int_get(&n_guarded);
            }
            return;
        }
    }
}

static void
guard_remove(Mapping *mapping)
{
    for (guint i = 0; i < MAX_MAPPINGS; i++) {
        if (g_atomic_pointer_compare_and_exchange(&guarded[i], mapping, NULL)) {
            return;
        }
    }
}

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
    const char *address = info->si_addr;
    guint n = (guint)g_atomic_int_get(&n_guarded);

    for (guint i = 0; i < n; i++) {
        Mapping *mapping = g_atomic_pointer_get(&guarded[i]);

        if (mapping && address >= mapping->base && address < mapping->base + mapping->length) {
            g_atomic_int_set(&mapping->damaged, TRUE);
            g_atomic_int_set(&any_damaged, TRUE);
            /* The whole of it: the guest's data are gone, and no second signal is needed. */
            if (mmap(mapping->base, mapping->length, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
                     0) == mapping->base) {
                return;
            }
        }
    }
    /* Not ours: the instruction is done again, and ends the process. */
    sigaction(number, &(const struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

void
ioq_memory_guard_install(void)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static Mapping *
mapping_ref(Mapping *mapping)
{
    g_atomic_int_inc(&mapping->ref_count);
    return mapping;
}

static void
mapping_unref(Mapping *mapping)
{
    if (g_atomic_int_dec_and_test(&mapping->ref_count)) {
        guard_remove(mapping);
        munmap(mapping->base, mapping->length);
        g_free(mapping);
    }
}

static IoqMemory *
memory_alloc(guint n_regions)
{
    IoqMemory *memory = g_malloc0(sizeof(*memory) + n_regions * sizeof(Region));

    memory->ref_count = 1;
    return memory;
}

IoqMemory *
ioq_memory_new(void)
{
    return memory_alloc(0);
}

IoqMemory *
ioq_memory_ref(IoqMemory *memory)
{
    g_atomic_int_inc(&memory->ref_count);
    return memory;
}

void
ioq_memory_unref(IoqMemory *memory)
{
    if (memory && g_atomic_int_dec_and_test(&memory->ref_count)) {
        for (guint i = 0; i < memory->n_regions; i++) {
            mapping_unref(memory->regions[i].mapping);
        }
        g_free(memory);
    }
}

guint
ioq_memory_n_regions(const IoqMemory *memory)
{
    return memory->n_regions;
}

static gboolean
overlaps(guint64 a, guint64 a_size, guint64 b, guint64 b_size)
{
    return a < b + b_size && b < a + a_size;
}

static gboolean
check_region(const IoqMemory *memory, const VuMemoryRegion *wanted, int fd, struct stat *ret_status,
             GError **error)
{
    if (memory->n_regions >= IOQ_MEMORY_MAX_REGIONS) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_LIMIT, _("more than %d memory regions"),
                    IOQ_MEMORY_MAX_REGIONS);
        return FALSE;
    }
    if (wanted->size == 0 || wanted->size > G_MAXINT64 ||
        wanted->guest_address > G_MAXUINT64 - wanted->size ||
        wanted->user_address > G_MAXUINT64 - wanted->size ||
        wanted->mmap_offset > G_MAXINT64 - wanted->size) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a memory region of %1$" PRIu64 " bytes at 0x%2$" PRIx64
                      " goes beyond the end of its address space"),
                    wanted->size, wanted->guest_address);
        return FALSE;
    }
    for (guint i = 0; i < memory->n_regions; i++) {
        const Region *region = &memory->regions[i];

        if (overlaps(region->guest_address, region->size, wanted->guest_address, wanted->size) ||
            overlaps(region->user_address, region->size, wanted->user_address, wanted->size)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("the memory region at 0x%" PRIx64 " overlaps another one"),
                        wanted->guest_address);
            return FALSE;
        }
    }
    if (fstat(fd, ret_status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot examine a memory region's file"));
        return FALSE;
    }
    if (!S_ISREG(ret_status->st_mode) ||
        (guint64)ret_status->st_size < wanted->mmap_offset + wanted->size) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("the memory region at 0x%1$" PRIx64 " needs a file of %2$" PRIu64
                      " bytes; it has %3$" PRIu64),
                    wanted->guest_address, wanted->mmap_offset + wanted->size,
                    S_ISREG(ret_status->st_mode) ? (guint64)ret_status->st_size : 0);
        return FALSE;
    }
    return TRUE;
}

/* From the start of the file, and whole huge pages (st_blksize is a hugetlbfs' page): offsets need
 * not be a multiple of one, but a mapping must. */
static Mapping *
map_file(const VuMemoryRegion *wanted, const struct stat *status, int fd, GError **error)
{
    gsize page = MAX((gsize)status->st_blksize, 1);
    gsize length = ((gsize)(wanted->mmap_offset + wanted->size) + page - 1) / page * page;
    void *base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    Mapping *mapping;

    if (base == MAP_FAILED) {
        gantry_set_error_errno(error, errno, _("Cannot map %" PRIu64 " bytes of guest memory"),
                               (guint64)length);
        return NULL;
    }
    madvise(base, length, MADV_DONTDUMP);
    mapping = g_new0(Mapping, 1);
    mapping->ref_count = 1;
    mapping->base = base;
    mapping->length = length;
    guard_add(mapping);
    return mapping;
}

IoqMemory *
ioq_memory_with(const IoqMemory *memory, const VuMemoryRegion *wanted, int fd, GError **error)
{
    struct stat status;
    Mapping *mapping;
    IoqMemory *result;
    guint at = 0;

    if (!check_region(memory, wanted, fd, &status, error) ||
        !(mapping = map_file(wanted, &status, fd, error))) {
        return NULL;
    }
    result = memory_alloc(memory->n_regions + 1);
    result->n_regions = memory->n_regions + 1;
    for (guint i = 0; i < memory->n_regions; i++) {
        if (memory->regions[i].guest_address < wanted->guest_address) {
            at = i + 1;
        }
    }
    for (guint i = 0; i < memory->n_regions; i++) {
        result->regions[i < at ? i : i + 1] = memory->regions[i];
        mapping_ref(memory->regions[i].mapping);
    }
    result->regions[at] = (Region){wanted->guest_address, wanted->size, wanted->user_address,
                                   mapping->base + wanted->mmap_offset, mapping};
    return result;
}

IoqMemory *
ioq_memory_without(const IoqMemory *memory, const VuMemoryRegion *wanted, GError **error)
{
    for (guint i = 0; i < memory->n_regions; i++) {
        const Region *region = &memory->regions[i];
        IoqMemory *result;

        if (region->guest_address != wanted->guest_address || region->size != wanted->size ||
            region->user_address != wanted->user_address) {
            continue;
        }
        result = memory_alloc(memory->n_regions - 1);
        result->n_regions = memory->n_regions - 1;
        for (guint k = 0; k < memory->n_regions; k++) {
            if (k != i) {
                result->regions[k < i ? k : k - 1] = memory->regions[k];
                mapping_ref(memory->regions[k].mapping);
            }
        }
        return result;
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                _("there is no memory region at 0x%1$" PRIx64 " of %2$" PRIu64 " bytes"),
                wanted->guest_address, wanted->size);
    return NULL;
}

gpointer
ioq_memory_guest(const IoqMemory *memory, guint64 address, guint64 length, guint64 *ret_length)
{
    guint low = 0;
    guint high = memory->n_regions;

    while (low < high) {
        guint middle = (low + high) / 2;
        const Region *region = &memory->regions[middle];

        if (address < region->guest_address) {
            high = middle;
        } else if (address - region->guest_address >= region->size) {
            low = middle + 1;
        } else {
            guint64 offset = address - region->guest_address;

            *ret_length = MIN(length, region->size - offset);
            return region->host + offset;
        }
    }
    return NULL;
}

gpointer
ioq_memory_user(const IoqMemory *memory, guint64 address, guint64 length)
{
    for (guint i = 0; i < memory->n_regions; i++) {
        const Region *region = &memory->regions[i];
        guint64 offset = address - region->user_address;

        if (address >= region->user_address && offset < region->size &&
            length <= region->size - offset) {
            return region->host + offset;
        }
    }
    return NULL;
}

gboolean
ioq_memory_guest_address(const IoqMemory *memory, gconstpointer pointer, guint64 *ret_address)
{
    for (guint i = 0; i < memory->n_regions; i++) {
        const Region *region = &memory->regions[i];
        const char *p = pointer;

        if (p >= region->host && (guint64)(p - region->host) < region->size) {
            *ret_address = region->guest_address + (guint64)(p - region->host);
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
ioq_memory_is_damaged(const IoqMemory *memory)
{
    /* Asked in each round of a queue, and next to never true. */
    if (!g_atomic_int_get(&any_damaged)) {
        return FALSE;
    }
    for (guint i = 0; i < memory->n_regions; i++) {
        if (g_atomic_int_get(&memory->regions[i].mapping->damaged)) {
            return TRUE;
        }
    }
    return FALSE;
}
