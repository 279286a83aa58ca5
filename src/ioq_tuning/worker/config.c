/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/worker/device.h"
#include "ioq_tuning/worker/worker.h"

#define MAX_CONFIG_BYTES (1024 * 1024)
#define MAX_DISKS        64

/* A member of a disk: text where is_text, else a number. */
static const struct {
    const char *name;
    gsize offset;
    enum { MEMBER_TEXT, MEMBER_INT, MEMBER_UINT64 } type;
} members[] = {
    {"name", G_STRUCT_OFFSET(WorkerDisk, name), MEMBER_TEXT},
    {"domain", G_STRUCT_OFFSET(WorkerDisk, domain), MEMBER_TEXT},
    {"listen_fd", G_STRUCT_OFFSET(WorkerDisk, listen_fd), MEMBER_INT},
    {"image", G_STRUCT_OFFSET(WorkerDisk, image), MEMBER_TEXT},
    {"buffered_fd", G_STRUCT_OFFSET(WorkerDisk, buffered_fd), MEMBER_INT},
    {"direct_fd", G_STRUCT_OFFSET(WorkerDisk, direct_fd), MEMBER_INT},
    {"export", G_STRUCT_OFFSET(WorkerDisk, export), MEMBER_TEXT},
    {"null_mib", G_STRUCT_OFFSET(WorkerDisk, null_mib), MEMBER_UINT64},
    {"delay_usec", G_STRUCT_OFFSET(WorkerDisk, delay_usec), MEMBER_INT},
    {"read_only", G_STRUCT_OFFSET(WorkerDisk, read_only), MEMBER_INT},
    {"no_lock", G_STRUCT_OFFSET(WorkerDisk, no_lock), MEMBER_INT},
    {"max_queues", G_STRUCT_OFFSET(WorkerDisk, max_queues), MEMBER_INT},
    {"queue_size", G_STRUCT_OFFSET(WorkerDisk, queue_size), MEMBER_INT},
    {"queues_per_thread", G_STRUCT_OFFSET(WorkerDisk, queues_per_thread), MEMBER_INT},
    {"cpus", G_STRUCT_OFFSET(WorkerDisk, cpus), MEMBER_TEXT},
    {"poll_usec", G_STRUCT_OFFSET(WorkerDisk, poll_usec), MEMBER_INT},
    {"drain_msec", G_STRUCT_OFFSET(WorkerDisk, drain_msec), MEMBER_INT},
    {"serial", G_STRUCT_OFFSET(WorkerDisk, serial), MEMBER_TEXT},
    {"no_inflight", G_STRUCT_OFFSET(WorkerDisk, no_inflight), MEMBER_INT},
};

WorkerConfig *
worker_config_new(guint n_disks)
{
    WorkerConfig *config = g_new0(WorkerConfig, 1);

    config->ready_fd = -1;
    config->n_disks = n_disks;
    config->disks = g_new0(WorkerDisk, n_disks);
    for (guint i = 0; i < n_disks; i++) {
        config->disks[i].listen_fd = config->disks[i].buffered_fd = -1;
        config->disks[i].direct_fd = -1;
    }
    return config;
}

void
worker_config_free(WorkerConfig *config)
{
    if (!config) {
        return;
    }
    for (guint i = 0; i < config->n_disks; i++) {
        WorkerDisk *disk = &config->disks[i];

        gantry_fd_clear(&disk->listen_fd);
        gantry_fd_clear(&disk->buffered_fd);
        gantry_fd_clear(&disk->direct_fd);
        for (guint k = 0; k < disk->n_nbd; k++) {
            gantry_fd_clear(&disk->nbd_fds[k]);
        }
        g_free(disk->name);
        g_free(disk->image);
        g_free(disk->export);
        g_free(disk->cpus);
        g_free(disk->serial);
    }
    gantry_fd_clear(&config->ready_fd);
    g_free(config->disks);
    g_free(config->control);
    g_free(config);
}

static void
read_disk(JsonObject *object, WorkerDisk *disk)
{
    JsonArray *nbd = json_object_has_member(object, "nbd_fds")
                         ? json_object_get_array_member(object, "nbd_fds")
                         : NULL;

    for (guint i = 0; nbd && i < json_array_get_length(nbd) && i < IOQ_NBD_MAX_CONNECTIONS; i++) {
        disk->nbd_fds[disk->n_nbd++] = (int)json_array_get_int_element(nbd, i);
    }
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        gpointer member = G_STRUCT_MEMBER_P(disk, members[i].offset);

        if (members[i].type == MEMBER_TEXT) {
            *(char **)member =
                g_strdup(json_object_get_string_member_with_default(object, members[i].name, NULL));
        } else if (members[i].type == MEMBER_INT) {
            *(int *)member =
                (int)json_object_get_int_member_with_default(object, members[i].name, 0);
        } else {
            *(guint64 *)member =
                (guint64)json_object_get_int_member_with_default(object, members[i].name, 0);
        }
    }
}

static gboolean
is_sane(const WorkerDisk *disk)
{
    return disk->name && disk->listen_fd >= 0 && disk->max_queues >= 1 &&
           disk->max_queues <= IOQ_DEVICE_MAX_QUEUES && disk->queue_size >= 4 &&
           disk->queue_size <= IOQ_QUEUE_MAX_SIZE && disk->queues_per_thread >= 1 &&
           (disk->buffered_fd >= 0 || disk->n_nbd > 0 || disk->null_mib > 0);
}

WorkerConfig *
worker_config_read(int fd, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(WorkerConfig) config = NULL;
    g_autofree char *text = NULL;
    JsonArray *disks = NULL;
    JsonObject *root;
    gsize length;

    text = gantry_fd_read_all(fd, MAX_CONFIG_BYTES, -1, &length, error);
    if (!text || !json_parser_load_from_data(parser, text, (gssize)length, error)) {
        return NULL;
    }
    if (json_parser_get_root(parser) && JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser))) {
        root = json_node_get_object(json_parser_get_root(parser));
        disks = json_object_has_member(root, "disks") ? json_object_get_array_member(root, "disks")
                                                      : NULL;
    }
    if (!disks || json_array_get_length(disks) == 0 || json_array_get_length(disks) > MAX_DISKS) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("the worker's configuration has no disks"));
        return NULL;
    }
    config = worker_config_new(json_array_get_length(disks));
    config->control = g_strdup(json_object_get_string_member_with_default(root, "control", NULL));
    config->ready_fd = (int)json_object_get_int_member_with_default(root, "ready_fd", -1);
    config->uid = (guint)json_object_get_int_member_with_default(root, "uid", 0);
    config->gid = (guint)json_object_get_int_member_with_default(root, "gid", 0);
    for (guint i = 0; i < config->n_disks; i++) {
        JsonObject *object = json_array_get_object_element(disks, i);

        if (object) {
            read_disk(object, &config->disks[i]);
        }
        if (!is_sane(&config->disks[i])) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("disk %u of the worker's configuration is not complete"), i);
            return NULL;
        }
    }
    return g_steal_pointer(&config);
}

static void
add_disk(JsonBuilder *builder, const WorkerDisk *disk)
{
    json_builder_begin_object(builder);
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        gconstpointer member = G_STRUCT_MEMBER_P(disk, members[i].offset);

        json_builder_set_member_name(builder, members[i].name);
        if (members[i].type == MEMBER_TEXT) {
            const char *text = *(char *const *)member;

            if (text) {
                json_builder_add_string_value(builder, text);
            } else {
                json_builder_add_null_value(builder);
            }
        } else if (members[i].type == MEMBER_INT) {
            json_builder_add_int_value(builder, *(const int *)member);
        } else {
            json_builder_add_int_value(builder, (gint64) * (const guint64 *)member);
        }
    }
    json_builder_set_member_name(builder, "nbd_fds");
    json_builder_begin_array(builder);
    for (guint i = 0; i < disk->n_nbd; i++) {
        json_builder_add_int_value(builder, disk->nbd_fds[i]);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

char *
worker_config_format(const WorkerConfig *config)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    if (config->control) {
        json_builder_set_member_name(builder, "control");
        json_builder_add_string_value(builder, config->control);
    }
    json_builder_set_member_name(builder, "ready_fd");
    json_builder_add_int_value(builder, config->ready_fd);
    json_builder_set_member_name(builder, "uid");
    json_builder_add_int_value(builder, config->uid);
    json_builder_set_member_name(builder, "gid");
    json_builder_add_int_value(builder, config->gid);
    json_builder_set_member_name(builder, "disks");
    json_builder_begin_array(builder);
    for (guint i = 0; i < config->n_disks; i++) {
        add_disk(builder, &config->disks[i]);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

int
worker_config_to_file(const WorkerConfig *config, GError **error)
{
    g_autofree char *text = worker_config_format(config);
    gantry_autofd fd = memfd_create("gantry-ioq-config", MFD_CLOEXEC);

    if (fd < 0) {
        gantry_set_error_errno(error, errno, _("Cannot write a worker's configuration"));
        return -1;
    }
    if (!gantry_fd_write_all(fd, text, strlen(text), error)) {
        return -1;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot write a worker's configuration"));
        return -1;
    }
    return gantry_fd_steal(&fd);
}

void
worker_config_forget_fds(WorkerConfig *config)
{
    config->ready_fd = -1;
    for (guint i = 0; i < config->n_disks; i++) {
        WorkerDisk *disk = &config->disks[i];

        disk->listen_fd = disk->buffered_fd = disk->direct_fd = -1;
        disk->n_nbd = 0;
    }
}
