/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/ioq_ext.h"

#include "common/base/error.h"
#include "common/base/i18n.h"

#define MAX_DEVICES     64
#define IOQ_SOCKET_MARK "gantry/ioq/" /* as the hook's front has it */

static const char *const formats[] = {"raw", "qcow2", "nbd", NULL};

static const GantryField device_fields[] = {
    {.name = "target",
     .type = GANTRY_FIELD_NAME,
     .required = TRUE,
     .summary = N_("The disk's <target dev>, as vda")},
    {.name = "source",
     .type = GANTRY_FIELD_PATH,
     .summary =
         N_("Image that Gantry's back end serves: a file or block device; for 'nbd' a server's "
            "unix socket")},
    {.name = "format",
     .type = GANTRY_FIELD_CHOICE,
     .choices = formats,
     .summary = N_("Format of 'source'")},
    {.name = "export",
     .type = GANTRY_FIELD_TEXT,
     .summary = N_("Name of the NBD server's export; without it the server's default")},
    {.name = "queues-per-thread",
     .type = GANTRY_FIELD_UINT,
     .min = 1,
     .max = 256,
     .summary = N_("How many of the disk's queues one thread serves")},
    {.name = "cpuset",
     .type = GANTRY_FIELD_CPUSET,
     .summary = N_("Host CPUs of the disk's threads")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec device = {
    .name = "device", .fields = device_fields, .max_occurs = MAX_DEVICES};

static const GantryField fields[] = {
    {.name = "required",
     .type = GANTRY_FIELD_BOOL,
     .fallback = "no",
     .summary = N_("Refuse the start when the daemon cannot be reached; a 'source' implies it")},
    {.name = "queues-per-thread",
     .type = GANTRY_FIELD_UINT,
     .min = 1,
     .max = 256,
     .summary = N_("For devices that do not say it themselves")},
    {.name = "vhostuser-queues-per-thread",
     .type = GANTRY_FIELD_UINT,
     .min = 1,
     .max = 256,
     .summary = N_("The same, only for disks of Gantry's back end; goes before it")},
    {.name = "blk-queues-per-thread",
     .type = GANTRY_FIELD_UINT,
     .min = 1,
     .max = 256,
     .summary = N_("The same, only for virtio disks that QEMU serves")},
    {.name = "scsi-queues-per-thread",
     .type = GANTRY_FIELD_UINT,
     .min = 1,
     .max = 256,
     .summary = N_("The same, only for virtio-scsi controllers")},
    GANTRY_FIELD_END,
};

static const GantryElementSpec *const children[] = {&device, NULL};
static const GantryElementSpec root = {.name = "tuning", .fields = fields, .children = children};

/* Are both the same image? A server may offer several. */
static gboolean
have_same_source(const GantryElement *a, const GantryElement *b)
{
    g_autofree char *source_a = NULL;
    g_autofree char *source_b = NULL;

    if (!gantry_element_has(a, "source") || !gantry_element_has(b, "source")) {
        return FALSE;
    }
    source_a = g_canonicalize_filename(gantry_element_string(a, "source"), "/");
    source_b = g_canonicalize_filename(gantry_element_string(b, "source"), "/");
    return g_str_equal(source_a, source_b) &&
           g_strcmp0(gantry_element_string(a, "export"), gantry_element_string(b, "export")) == 0;
}

/* Two disks on one image would each write over what the other has written. */
static gboolean
check_sources(const GantryElement *element, const char *where, GError **error)
{
    for (guint i = 0; i < element->children->len; i++) {
        const GantryElement *child = element->children->pdata[i];

        for (guint k = 0; k < i; k++) {
            const GantryElement *before = element->children->pdata[k];

            if (have_same_source(before, child)) {
                g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                            _("%1$s: targets '%2$s' and '%3$s' have the same 'source' %4$s: an "
                              "image can be one disk's only"),
                            where, gantry_element_string(before, "target"),
                            gantry_element_string(child, "target"),
                            gantry_element_string(child, "source"));
                return FALSE;
            }
        }
    }
    return TRUE;
}

/* One <device> a target, a format only with a source, an export only of a server, and no image
 * twice. */
static gboolean
validate(const GantryElement *element, const char *where, GError **error)
{
    if (!gantry_element_check_unique(element, "device", "target", where, error)) {
        return FALSE;
    }
    for (guint i = 0; i < element->children->len; i++) {
        const GantryElement *child = element->children->pdata[i];

        if (gantry_element_has(child, "source") != gantry_element_has(child, "format")) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: target '%2$s': 'source' and 'format' go together: give both, or "
                          "none"),
                        where, gantry_element_string(child, "target"));
            return FALSE;
        }
        if (gantry_element_has(child, "export") &&
            g_strcmp0(gantry_element_string(child, "format"), "nbd") != 0) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                        _("%1$s: target '%2$s': 'export' is for format='nbd' only"), where,
                        gantry_element_string(child, "target"));
            return FALSE;
        }
    }
    return check_sources(element, where, error);
}

/* QEMU waits for the socket of a disk of ours, without end: it must be there before QEMU is. */
static gboolean
is_required(const GantryElement *element)
{
    for (guint i = 0; i < element->children->len; i++) {
        if (gantry_element_has(element->children->pdata[i], "source")) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
is_served(const GantryElement *element, const char *target)
{
    for (guint i = 0; element && i < element->children->len; i++) {
        const GantryElement *child = element->children->pdata[i];

        if (gantry_element_has(child, "source") &&
            g_strcmp0(gantry_element_string(child, "target"), target) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* (transfer full) (nullable): a vhost-user disk's socket in the folder that is gantry-ioqd's. */
static char *
our_socket(const xmlNode *disk)
{
    static const char *const folders[] = {"/run/" IOQ_SOCKET_MARK, "/var/run/" IOQ_SOCKET_MARK};
    const xmlNode *source = gantry_xml_next_child(disk, NULL, NULL, "source");
    g_autofree char *type = gantry_xml_attribute(disk, "type");
    g_autofree char *path = source ? gantry_xml_attribute(source, "path") : NULL;

    for (gsize i = 0; path && g_strcmp0(type, "vhostuser") == 0 && i < G_N_ELEMENTS(folders); i++) {
        if (g_str_has_prefix(path, folders[i])) {
            return g_steal_pointer(&path);
        }
    }
    return NULL;
}

/* A disk of ours that no <device> is about: nobody would make its socket, and QEMU would wait. */
static gboolean
check_domain(GantryXml *domain, const GantryElement *element, GError **error)
{
    const xmlNode *devices = gantry_xml_path(domain, "devices");
    const xmlNode *disk = NULL;

    while (devices && (disk = gantry_xml_next_child(devices, disk, NULL, "disk"))) {
        const xmlNode *target = gantry_xml_next_child(disk, NULL, NULL, "target");
        g_autofree char *dev = target ? gantry_xml_attribute(target, "dev") : NULL;
        g_autofree char *socket = our_socket(disk);

        if (socket && !is_served(element, dev)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                        _("disk '%1$s' has the socket %2$s, which gantry-ioqd is to serve, but the "
                          "domain's settings do not say what: give its metadata <tuning "
                          "xmlns='urn:gantry:ioq:1'><device target='%1$s' source='...' "
                          "format='...'/></tuning>"),
                        dev ? dev : "?", socket);
            return FALSE;
        }
    }
    return TRUE;
}

const GantryExtension ioq_extension = {
    .feature = "ioq",
    .uri = "urn:gantry:ioq:1",
    .root = &root,
    .daemon = "ioqd",
    .validate = validate,
    .is_required = is_required,
    .check_domain = check_domain,
};
