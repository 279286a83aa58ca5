/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loadbalancer/model/measure.h"

#include "common/base/error.h"

#define SECOND_USEC G_GINT64_CONSTANT(1000000)
#define SECOND_NSEC G_GUINT64_CONSTANT(1000000000)
#define GIB         (G_GUINT64_CONSTANT(1) << 30)

/* A host of 4 CPUs at @seconds, half of it busy, with one domain that uses one CPU. */
static LbSample *
sample_at(guint seconds)
{
    LbSample *sample = lb_sample_new();
    LbDomainSample *domain = lb_sample_add_domain(sample, "web", "uuid-web");

    sample->n_cpus = 4;
    sample->n_threads_per_core = 1;
    sample->cpu_time_usec = seconds * SECOND_USEC;
    sample->domains_time_usec = seconds * SECOND_USEC;
    sample->total_nsec = 100 + seconds * 4 * SECOND_NSEC;
    sample->busy_nsec = 50 + seconds * 2 * SECOND_NSEC;
    sample->memory_total_bytes = 16 * GIB;
    sample->memory_unused_bytes = 12 * GIB;
    domain->running = TRUE;
    domain->has_cpu_time = TRUE;
    domain->cpu_time_nsec = 7 + seconds * SECOND_NSEC;
    domain->has_memory = TRUE;
    domain->memory_bytes = 2 * GIB;
    return sample;
}

typedef struct {
    LbSample *before;
    LbSample *after;
    LbState *state;
    LbHost *host;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->before = sample_at(10);
    fixture->after = sample_at(12);
    fixture->state = lb_state_new();
    fixture->host = lb_state_add_host(fixture->state, "A", "");
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    lb_sample_free(fixture->before);
    lb_sample_free(fixture->after);
    lb_state_free(fixture->state);
}

static void
measure(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(lb_measure_host(fixture->before, fixture->after, fixture->host, &error));
    g_assert_no_error(error);
}

static LbDomainSample *
domain_of(LbSample *sample)
{
    return sample->domains->pdata[0];
}

static void
test_load(Fixture *fixture, gconstpointer data)
{
    measure(fixture);
    g_assert_cmpfloat_with_epsilon(fixture->host->capacity, 4.0, 1e-9);
    g_assert_cmpfloat_with_epsilon(fixture->host->busy, 2.0, 1e-9);
    g_assert_cmpuint(fixture->host->n_cores, ==, 4);
    g_assert_cmpuint(fixture->host->vms->len, ==, 1);
    g_assert_true(lb_host_vm(fixture->host, 0)->measured);
    g_assert_true(lb_host_vm(fixture->host, 0)->running);
    g_assert_cmpfloat_with_epsilon(lb_host_vm(fixture->host, 0)->cpu, 1.0, 1e-9);
}

/* libvirt says two CPUs, and /proc/stat shows the one that the host may use. */
static void
test_confined_host(Fixture *fixture, gconstpointer data)
{
    fixture->after->n_cpus = 2;
    fixture->after->total_nsec = fixture->before->total_nsec + 2 * SECOND_NSEC * 99 / 100;
    fixture->after->busy_nsec = fixture->before->busy_nsec + 2 * SECOND_NSEC * 95 / 100;
    measure(fixture);
    g_assert_cmpfloat_with_epsilon(lb_host_load(fixture->host), 95.0 / 99.0, 1e-9);
    g_assert_cmpuint(fixture->host->n_cores, ==, 1);
}

static void
test_threads_are_no_cores(Fixture *fixture, gconstpointer data)
{
    fixture->after->n_threads_per_core = 2;
    measure(fixture);
    g_assert_cmpuint(fixture->host->n_cores, ==, 2);
}

/* The domains' counters are read later than the host's, and later by different times. */
static void
test_late_domain_counters(Fixture *fixture, gconstpointer data)
{
    fixture->after->domains_time_usec += SECOND_USEC / 2;
    domain_of(fixture->after)->cpu_time_nsec += SECOND_NSEC / 2;
    measure(fixture);
    g_assert_cmpfloat_with_epsilon(lb_host_vm(fixture->host, 0)->cpu, 1.0, 1e-9);
}

static void
test_new_domain_is_unmeasured(Fixture *fixture, gconstpointer data)
{
    g_ptr_array_set_size(fixture->before->domains, 0);
    measure(fixture);
    g_assert_false(lb_host_vm(fixture->host, 0)->measured);
    g_assert_cmpfloat(lb_host_vm(fixture->host, 0)->cpu, ==, 0);
}

static void
test_restarted_domain_is_unmeasured(Fixture *fixture, gconstpointer data)
{
    domain_of(fixture->after)->cpu_time_nsec = 3;
    measure(fixture);
    g_assert_false(lb_host_vm(fixture->host, 0)->measured);
}

static void
test_domain_without_cpu_time_is_unmeasured(Fixture *fixture, gconstpointer data)
{
    domain_of(fixture->after)->has_cpu_time = FALSE;
    measure(fixture);
    g_assert_false(lb_host_vm(fixture->host, 0)->measured);
}

static void
test_gone_domain_is_gone(Fixture *fixture, gconstpointer data)
{
    g_ptr_array_set_size(fixture->after->domains, 0);
    measure(fixture);
    g_assert_cmpuint(fixture->host->vms->len, ==, 0);
}

static void
test_memory(Fixture *fixture, gconstpointer data)
{
    measure(fixture);
    g_assert_cmpuint(fixture->host->memory_total_bytes, ==, 16 * GIB);
    g_assert_cmpuint(fixture->host->memory_available_bytes, ==, 12 * GIB);
}

/* Caches look free, and hold the memory of a guest: what was promised counts. */
static void
test_promised_memory_is_not_available(Fixture *fixture, gconstpointer data)
{
    domain_of(fixture->after)->memory_bytes = 10 * GIB;
    measure(fixture);
    g_assert_cmpuint(fixture->host->memory_available_bytes, ==, 6 * GIB);
}

static void
test_overpromised_memory(Fixture *fixture, gconstpointer data)
{
    LbDomainSample *second = lb_sample_add_domain(fixture->after, "b", "uuid-b");

    second->has_memory = TRUE;
    second->memory_bytes = G_MAXUINT64;
    domain_of(fixture->after)->memory_bytes = G_MAXUINT64;
    measure(fixture);
    g_assert_cmpuint(fixture->host->memory_available_bytes, ==, 0);
}

/* As libvirt leaves it out for a domain that is busy with a job. */
static void
test_unknown_memory(Fixture *fixture, gconstpointer data)
{
    domain_of(fixture->after)->has_memory = FALSE;
    measure(fixture);
    g_assert_false(lb_host_vm(fixture->host, 0)->measured);
    g_assert_cmpuint(fixture->host->memory_available_bytes, ==, 0);
}

static void
test_senseless_samples(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) still = NULL;
    g_autoptr(GError) back = NULL;
    g_autoptr(LbSample) earlier = sample_at(3);

    g_assert_false(lb_measure_host(fixture->before, fixture->before, fixture->host, &still));
    g_assert_error(still, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    earlier->cpu_time_usec = earlier->domains_time_usec = 12 * SECOND_USEC;
    g_assert_false(lb_measure_host(fixture->before, earlier, fixture->host, &back));
    g_assert_error(back, GANTRY_ERROR, GANTRY_ERROR_INVALID);
    g_assert_cmpuint(fixture->host->vms->len, ==, 0);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/lb/measure/load", test_load);
    ADD("/lb/measure/confined-host", test_confined_host);
    ADD("/lb/measure/threads-are-no-cores", test_threads_are_no_cores);
    ADD("/lb/measure/late-domain-counters", test_late_domain_counters);
    ADD("/lb/measure/new-domain-is-unmeasured", test_new_domain_is_unmeasured);
    ADD("/lb/measure/restarted-domain-is-unmeasured", test_restarted_domain_is_unmeasured);
    ADD("/lb/measure/domain-without-cpu-time-is-unmeasured",
        test_domain_without_cpu_time_is_unmeasured);
    ADD("/lb/measure/gone-domain-is-gone", test_gone_domain_is_gone);
    ADD("/lb/measure/memory", test_memory);
    ADD("/lb/measure/promised-memory-is-not-available", test_promised_memory_is_not_available);
    ADD("/lb/measure/overpromised-memory", test_overpromised_memory);
    ADD("/lb/measure/unknown-memory", test_unknown_memory);
    ADD("/lb/measure/senseless-samples", test_senseless_samples);
    return g_test_run();
}
