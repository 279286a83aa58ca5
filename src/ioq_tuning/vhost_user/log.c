/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/vhost_user/log.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "ioq_tuning/vhost_user/seal.h"

#define PAGE_BITS 12

struct IoqLog {
    gint ref_count; /* atomic */
    char *base;
    gsize mapped;
    guint8 *bits;
    guint64 size; /* bytes */
};

IoqLog *
ioq_log_new(int fd, guint64 size, guint64 offset, GError **error)
{
    struct stat status;
    IoqLog *log;
    void *base;

    if (fstat(fd, &status) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot examine the dirty log's file"));
        return NULL;
    }
    if (size == 0 || size > G_MAXINT64 || offset > G_MAXINT64 - size || !S_ISREG(status.st_mode) ||
        (guint64)status.st_size < offset + size) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("a dirty log of %1$" PRIu64 " bytes at %2$" PRIu64 " does not fit its file"),
                    size, offset);
        return NULL;
    }
    if (!vu_cannot_shrink(fd)) {
        g_set_error_literal(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                            _("the dirty log's file is not sealed against shrinking"));
        return NULL;
    }
    base = mmap(NULL, (gsize)(offset + size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        gantry_set_error_errno(error, errno, _("Cannot map the dirty log"));
        return NULL;
    }
    log = g_new0(IoqLog, 1);
    log->ref_count = 1;
    log->base = base;
    log->mapped = (gsize)(offset + size);
    log->bits = (guint8 *)base + offset;
    log->size = size;
    return log;
}

IoqLog *
ioq_log_ref(IoqLog *log)
{
    g_atomic_int_inc(&log->ref_count);
    return log;
}

void
ioq_log_unref(IoqLog *log)
{
    if (log && g_atomic_int_dec_and_test(&log->ref_count)) {
        munmap(log->base, log->mapped);
        g_free(log);
    }
}

void
ioq_log_mark(IoqLog *log, guint64 guest_address, guint64 length)
{
    guint64 first = guest_address >> PAGE_BITS;
    guint64 last;

    if (length == 0) {
        return;
    }
    last = MIN((guest_address + length - 1) >> PAGE_BITS, log->size * 8 - 1);
    for (guint64 page = first; page <= last; page++) {
        guint8 bit = (guint8)(1U << (page % 8));

        /* Most pages are set already, and a cache line that is only read stays shared. */
        if (!(__atomic_load_n(&log->bits[page / 8], __ATOMIC_RELAXED) & bit)) {
            __atomic_fetch_or(&log->bits[page / 8], bit, __ATOMIC_SEQ_CST);
        }
    }
}
