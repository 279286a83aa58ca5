/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/apply/pins.h"

#include "common/base/cpuset.h"
#include "ioq_tuning/apply/iothreads.h"
#include "ioq_tuning/apply/target.h"

static void
pin_free(gpointer data)
{
    IoqPin *pin = data;

    g_free(pin->cpus);
    g_free(pin);
}

static gboolean
is_pinned(GantryXml *domain, guint id, const char *cpus)
{
    const xmlNode *pin = ioq_threads_pin(domain, id);
    g_autofree char *text = pin ? gantry_xml_attribute(pin, "cpuset") : NULL;
    g_autoptr(GantryCpuset) now = text ? gantry_cpuset_parse(text, NULL) : NULL;
    g_autoptr(GantryCpuset) wanted = gantry_cpuset_parse(cpus, NULL);

    return now && wanted && gantry_cpuset_equal(now, wanted);
}

static void
add_pins(GantryXml *domain, const IoqTarget *target, const IoqThreads *threads, GPtrArray *pins)
{
    g_autoptr(GArray) ids = ioq_driver_ids(target->driver);

    for (guint i = 0; i < ids->len; i++) {
        guint id = g_array_index(ids, guint, i);

        if (ioq_threads_has(threads, id) && ioq_threads_users(threads, id) == 1 &&
            !is_pinned(domain, id, target->cpus)) {
            IoqPin *pin = g_new(IoqPin, 1);

            *pin = (IoqPin){id, g_strdup(target->cpus)};
            g_ptr_array_add(pins, pin);
        }
    }
}

GPtrArray *
ioq_pins_read(GantryXml *domain, const GantryElement *tuning, GError **error)
{
    g_autoptr(GPtrArray) targets = ioq_targets_read(domain, tuning, error);
    g_autoptr(IoqThreads) threads = targets ? ioq_threads_read(domain, error) : NULL;
    g_autoptr(GPtrArray) pins = g_ptr_array_new_with_free_func(pin_free);

    if (!threads) {
        return NULL;
    }
    for (guint i = 0; i < targets->len; i++) {
        const IoqTarget *target = targets->pdata[i];

        if (target->cpus) {
            add_pins(domain, target, threads, pins);
        }
    }
    return g_steal_pointer(&pins);
}
