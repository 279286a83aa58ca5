/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a device tells of itself. */
#include "ioq_tuning/worker/device_priv.h"

static void
stats_in_thread(IoqThread *thread, gpointer data)
{
    gpointer *pair = data;

    ioq_served_queue_stats(pair[0], pair[1]);
}

static void
add_count(JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

JsonNode *
ioq_device_status(IoqDevice *device)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "name");
    json_builder_add_string_value(builder, device->name);
    json_builder_set_member_name(builder, "connected");
    json_builder_add_boolean_value(builder, device->fd >= 0);
    add_count(builder, "bytes", ioq_store_size(device->blk.store));
    json_builder_set_member_name(builder, "write_back");
    json_builder_add_boolean_value(builder, g_atomic_int_get(&device->blk.write_back));
    add_count(builder, "queues_per_thread", device->options.queues_per_thread);
    json_builder_set_member_name(builder, "queues");
    json_builder_begin_array(builder);
    for (guint i = 0; i < device->options.max_queues; i++) {
        IoqServedQueue *served = device->vrings[i].served;
        IoqQueueStats stats = {0};
        gpointer pair[] = {served, &stats};

        if (!served) {
            continue;
        }
        ioq_thread_call(ioq_served_queue_thread(served), stats_in_thread, pair);
        json_builder_begin_object(builder);
        add_count(builder, "queue", i);
        add_count(builder, "thread", (guint64)ioq_thread_tid(ioq_served_queue_thread(served)));
        add_count(builder, "requests", stats.requests);
        add_count(builder, "errors", stats.errors);
        add_count(builder, "in_flight", stats.in_flight);
        add_count(builder, "kicks", stats.kicks);
        add_count(builder, "notifications", stats.notifications);
        json_builder_set_member_name(builder, "latency");
        json_builder_begin_array(builder);
        for (guint b = 0; b < IOQ_LATENCY_BUCKETS; b++) {
            json_builder_add_int_value(builder, (gint64)stats.latency[b]);
        }
        json_builder_end_array(builder);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    return json_builder_get_root(builder);
}
