/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/measure.h"

#include <math.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

static void
domain_free(gpointer data)
{
    LbDomainSample *domain = data;

    g_free(domain->name);
    g_free(domain->uuid);
    g_free(domain->xml);
    g_free(domain);
}

LbSample *
lb_sample_new(void)
{
    LbSample *sample = g_new0(LbSample, 1);

    sample->domains = g_ptr_array_new_with_free_func(domain_free);
    return sample;
}

void
lb_sample_free(LbSample *sample)
{
    g_free(sample->hostname);
    g_free(sample->uuid);
    g_ptr_array_unref(sample->domains);
    g_free(sample);
}

LbDomainSample *
lb_sample_add_domain(LbSample *sample, const char *name, const char *uuid)
{
    LbDomainSample *domain = g_new0(LbDomainSample, 1);

    domain->name = g_strdup(name);
    domain->uuid = g_strdup(uuid);
    g_ptr_array_add(sample->domains, domain);
    return domain;
}

static guint
count_cores(const LbSample *sample, double capacity)
{
    guint physical = sample->n_cpus / MAX(sample->n_threads_per_core, 1);
    guint usable = (guint)llround(CLAMP(capacity, 1.0, (double)G_MAXINT));

    return MAX(MIN(physical, usable), 1);
}

static guint64
memory_for_more(const LbSample *sample)
{
    guint64 promised = 0;
    guint64 rest;

    for (guint i = 0; i < sample->domains->len; i++) {
        const LbDomainSample *domain = sample->domains->pdata[i];

        if (!domain->has_memory) {
            return 0; /* it may take whatever is there */
        }
        promised += MIN(domain->memory_bytes, G_MAXUINT64 - promised);
    }
    rest = sample->memory_total_bytes > promised ? sample->memory_total_bytes - promised : 0;
    return MIN(rest, sample->memory_unused_bytes);
}

gboolean
lb_measure_host(const LbSample *before, const LbSample *after, LbHost *host, GError **error)
{
    g_autoptr(GHashTable) earlier = g_hash_table_new(g_str_hash, g_str_equal);
    double wall_nsec = (double)(after->cpu_time_usec - before->cpu_time_usec) * 1000;
    double domains_nsec = (double)(after->domains_time_usec - before->domains_time_usec) * 1000;

    if (wall_nsec <= 0 || domains_nsec <= 0 || after->total_nsec <= before->total_nsec ||
        after->busy_nsec < before->busy_nsec) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("its CPU counters did not move on; was it restarted?"));
        return FALSE;
    }
    host->capacity = (double)(after->total_nsec - before->total_nsec) / wall_nsec;
    host->busy = (double)(after->busy_nsec - before->busy_nsec) / wall_nsec;
    host->n_cores = count_cores(after, host->capacity);
    host->memory_total_bytes = after->memory_total_bytes;
    host->memory_available_bytes = memory_for_more(after);

    for (guint i = 0; i < before->domains->len; i++) {
        LbDomainSample *domain = before->domains->pdata[i];

        g_hash_table_insert(earlier, domain->uuid, domain);
    }
    for (guint i = 0; i < after->domains->len; i++) {
        const LbDomainSample *now = after->domains->pdata[i];
        const LbDomainSample *then = g_hash_table_lookup(earlier, now->uuid);
        LbVm *vm = lb_host_add_vm(host, now->name, now->uuid);

        vm->running = now->running;
        vm->memory_bytes = now->memory_bytes;
        /* Without an earlier one it came just now; with a greater one it was started anew. */
        vm->measured = now->has_memory && then && then->has_cpu_time && now->has_cpu_time &&
                       now->cpu_time_nsec >= then->cpu_time_nsec;
        vm->cpu =
            vm->measured ? (double)(now->cpu_time_nsec - then->cpu_time_nsec) / domains_nsec : 0.0;
    }
    return TRUE;
}
