/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/daemon/disks.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/xml/extension.h"
#include "ioq_tuning/apply/target.h"
#include "ioq_tuning/ioq_ext.h"

static const struct {
    const char *name;
    gsize offset;
} texts[] = {
    {"target", G_STRUCT_OFFSET(IoqDisk, target)}, {"source", G_STRUCT_OFFSET(IoqDisk, source)},
    {"format", G_STRUCT_OFFSET(IoqDisk, format)}, {"export", G_STRUCT_OFFSET(IoqDisk, export)},
    {"socket", G_STRUCT_OFFSET(IoqDisk, socket)}, {"cpus", G_STRUCT_OFFSET(IoqDisk, cpus)},
};

void
ioq_disk_free(gpointer data)
{
    IoqDisk *disk = data;

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_free(G_STRUCT_MEMBER(char *, disk, texts[i].offset));
    }
    g_free(disk);
}

gboolean
ioq_disk_is_raw(const IoqDisk *disk)
{
    return g_str_equal(disk->format, "raw");
}

static gboolean
refuse(GError **error, const char *target, const char *why)
{
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, _("disk '%1$s': %2$s"), target, why);
    return FALSE;
}

/* QEMU gives a disk as many as the VM has CPUs, where it is not told. */
static guint
read_queues(GantryXml *domain, const xmlNode *disk)
{
    const xmlNode *driver = gantry_xml_next_child(disk, NULL, NULL, "driver");
    const xmlNode *vcpu = gantry_xml_path(domain, "vcpu");
    g_autofree char *text = driver ? gantry_xml_attribute(driver, "queues") : NULL;
    guint64 n = 0;

    if (!text && vcpu) {
        text = gantry_xml_content(vcpu);
    }
    return text && g_ascii_string_to_unsigned(text, 10, 1, IOQ_DISK_MAX_QUEUES, &n, NULL)
               ? (guint)n
               : IOQ_DISK_MAX_QUEUES;
}

/* What of the disk is in the domain's own XML. */
static gboolean
read_domain_disk(GantryXml *domain, IoqDisk *disk, GError **error)
{
    const xmlNode *node = ioq_domain_disk(domain, disk->target);
    const xmlNode *source;
    g_autofree char *type = NULL;

    if (!node) {
        return refuse(error, disk->target, _("the domain has no such disk"));
    }
    type = gantry_xml_attribute(node, "type");
    if (g_strcmp0(type, "vhostuser") != 0) {
        return refuse(error, disk->target,
                      _("it has a source in <tuning>, so it must be a <disk type='vhostuser'>"));
    }
    source = gantry_xml_next_child(node, NULL, NULL, "source");
    disk->socket = source ? gantry_xml_attribute(source, "path") : NULL;
    if (!disk->socket || disk->socket[0] != '/') {
        return refuse(error, disk->target, _("its <source> has no absolute path of a socket"));
    }
    disk->read_only = gantry_xml_next_child(node, NULL, NULL, "readonly") != NULL;
    disk->n_queues = read_queues(domain, node);
    return TRUE;
}

static IoqDisk *
read_device(const GantryElement *tuning, const GantryElement *device, GantryXml *domain,
            GError **error)
{
    IoqDisk *disk = g_new0(IoqDisk, 1);

    disk->target = g_strdup(gantry_element_string(device, "target"));
    disk->source = g_strdup(gantry_element_string(device, "source"));
    disk->format = g_strdup(gantry_element_string(device, "format"));
    disk->export = g_strdup(gantry_element_string(device, "export"));
    disk->cpus = g_strdup(gantry_element_string(device, "cpuset"));
    disk->queues_per_thread = ioq_queues_per_thread(tuning, device, IOQ_DEVICE_VHOST_USER);
    if (!read_domain_disk(domain, disk, error)) {
        ioq_disk_free(disk);
        return NULL;
    }
    return disk;
}

/* Each by itself is fine; are they together? */
static gboolean
have_own_sockets(const GPtrArray *disks, GError **error)
{
    for (guint i = 1; i < disks->len; i++) {
        const IoqDisk *disk = disks->pdata[i];

        for (guint k = 0; k < i; k++) {
            const IoqDisk *other = disks->pdata[k];

            if (g_str_equal(disk->socket, other->socket)) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                            _("disk '%1$s': its socket '%2$s' is that of disk '%3$s', too"),
                            disk->target, disk->socket, other->target);
                return FALSE;
            }
        }
    }
    return TRUE;
}

static gboolean
has_shared_memory(GantryXml *domain)
{
    const xmlNode *access = gantry_xml_path(domain, "memoryBacking/access");
    g_autofree char *mode = access ? gantry_xml_attribute(access, "mode") : NULL;

    return g_strcmp0(mode, "shared") == 0;
}

GPtrArray *
ioq_disks_read(const char *settings, const char *domain_text, GError **error)
{
    g_autoptr(GantryXml) xml = gantry_xml_parse(settings, strlen(settings), "settings", error);
    g_autoptr(GantryXml) domain =
        xml ? gantry_xml_parse(domain_text, strlen(domain_text), "domain", error) : NULL;
    g_autoptr(GantryElement) tuning =
        domain ? gantry_element_read(xml, gantry_xml_root(xml), ioq_extension.uri,
                                     ioq_extension.root, error)
               : NULL;
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(ioq_disk_free);

    if (!tuning) {
        return NULL;
    }
    for (guint i = 0; i < tuning->children->len; i++) {
        const GantryElement *device = tuning->children->pdata[i];
        IoqDisk *disk;

        if (!gantry_element_has(device, "source")) {
            continue;
        }
        disk = read_device(tuning, device, domain, error);
        if (!disk) {
            return NULL;
        }
        g_ptr_array_add(disks, disk);
    }
    if (disks->len > 0 && !has_shared_memory(domain)) {
        refuse(error, ((IoqDisk *)disks->pdata[0])->target,
               _("it takes memory that is shared: <memoryBacking><source type='memfd'/>"
                 "<access mode='shared'/></memoryBacking>"));
        return NULL;
    }
    return have_own_sockets(disks, error) ? g_steal_pointer(&disks) : NULL;
}

char *
ioq_disks_format(const GPtrArray *disks)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_array(builder);
    for (guint i = 0; i < disks->len; i++) {
        const IoqDisk *disk = disks->pdata[i];

        json_builder_begin_object(builder);
        for (guint k = 0; k < G_N_ELEMENTS(texts); k++) {
            const char *text = G_STRUCT_MEMBER(char *, disk, texts[k].offset);

            if (text) {
                json_builder_set_member_name(builder, texts[k].name);
                json_builder_add_string_value(builder, text);
            }
        }
        json_builder_set_member_name(builder, "read_only");
        json_builder_add_boolean_value(builder, disk->read_only);
        json_builder_set_member_name(builder, "queues_per_thread");
        json_builder_add_int_value(builder, disk->queues_per_thread);
        json_builder_set_member_name(builder, "n_queues");
        json_builder_add_int_value(builder, disk->n_queues);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

GPtrArray *
ioq_disks_parse(const char *text, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(ioq_disk_free);
    JsonArray *array;

    if (!json_parser_load_from_data(parser, text, -1, error)) {
        return NULL;
    }
    if (!json_parser_get_root(parser) || !JSON_NODE_HOLDS_ARRAY(json_parser_get_root(parser))) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("it is not a list of disks"));
        return NULL;
    }
    array = json_node_get_array(json_parser_get_root(parser));
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonObject *object = json_array_get_object_element(array, i);
        IoqDisk *disk = g_new0(IoqDisk, 1);

        g_ptr_array_add(disks, disk);
        for (guint k = 0; object && k < G_N_ELEMENTS(texts); k++) {
            G_STRUCT_MEMBER(char *, disk, texts[k].offset) =
                g_strdup(json_object_get_string_member_with_default(object, texts[k].name, NULL));
        }
        if (!disk->target || !disk->source || !disk->format || !disk->socket) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, _("disk %u is not complete"), i);
            return NULL;
        }
        disk->read_only = json_object_get_boolean_member_with_default(object, "read_only", FALSE);
        disk->queues_per_thread = (guint)CLAMP(
            json_object_get_int_member_with_default(object, "queues_per_thread", 1), 1, 256);
        disk->n_queues = (guint)CLAMP(
            json_object_get_int_member_with_default(object, "n_queues", IOQ_DISK_MAX_QUEUES), 1,
            IOQ_DISK_MAX_QUEUES);
    }
    return g_steal_pointer(&disks);
}
