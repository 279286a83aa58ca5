/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ioq_tuning/apply/target.h"

#include "common/base/config.h"
#include "common/base/cpuset.h"
#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"
#include "ioq_tuning/apply/iothreads.h"

#define MAX_QUEUES 1024U /* of a virtio device: VIRTIO_QUEUE_MAX */
#define MAX_VCPUS  8192U

static const xmlNode *
next_disk(GantryXml *domain, const xmlNode *previous)
{
    const xmlNode *devices = gantry_xml_path(domain, "devices");

    return devices ? gantry_xml_next_child(devices, previous, NULL, "disk") : NULL;
}

/* (transfer full) (nullable): an attribute of a child. */
static char *
child_attribute(const xmlNode *element, const char *child, const char *name)
{
    const xmlNode *node = gantry_xml_next_child(element, NULL, NULL, child);

    return node ? gantry_xml_attribute(node, name) : NULL;
}

const xmlNode *
ioq_domain_disk(GantryXml *domain, const char *target)
{
    for (const xmlNode *disk = next_disk(domain, NULL); disk; disk = next_disk(domain, disk)) {
        g_autofree char *dev = child_attribute(disk, "target", "dev");

        if (g_strcmp0(dev, target) == 0) {
            return disk;
        }
    }
    return NULL;
}

/* For devices that do not say it themselves; 0: none. */
static guint
preset(const GantryElement *tuning, IoqDeviceType type)
{
    static const char *const names[] = {
        [IOQ_DEVICE_VHOST_USER] = "vhostuser-queues-per-thread",
        [IOQ_DEVICE_BLK] = "blk-queues-per-thread",
        [IOQ_DEVICE_SCSI] = "scsi-queues-per-thread",
    };
    guint64 own = gantry_element_uint(tuning, names[type]);

    return (guint)(own > 0 ? own : gantry_element_uint(tuning, "queues-per-thread"));
}

guint
ioq_queues_per_thread(const GantryElement *tuning, const GantryElement *device, IoqDeviceType type)
{
    guint k = device && gantry_element_has(device, "queues-per-thread")
                  ? (guint)gantry_element_uint(device, "queues-per-thread")
                  : preset(tuning, type);

    return MAX(k, 1);
}

void
ioq_target_free(gpointer data)
{
    IoqTarget *target = data;

    g_free(target->name);
    g_free(target->cpus);
    g_free(target);
}

guint
ioq_driver_queues(GantryXml *domain, const xmlNode *driver)
{
    g_autofree char *said = driver ? gantry_xml_attribute(driver, "queues") : NULL;
    const xmlNode *vcpu = gantry_xml_path(domain, "vcpu");
    g_autofree char *text = vcpu ? gantry_xml_content(vcpu) : NULL;
    guint64 n = 0;
    guint current;

    if (said) {
        gantry_parse_uint(said, 1, MAX_QUEUES, &n, NULL);
        return (guint)n;
    }
    if (vcpu && ioq_attribute_uint(vcpu, "current", MAX_VCPUS, &current) && current > 0) {
        n = current;
    } else if (!text || !gantry_parse_uint(text, 1, MAX_VCPUS, &n, NULL)) {
        n = 1;
    }
    return MIN((guint)n, MAX_QUEUES);
}

/* The controller that a disk with bus='scsi' is on. */
static const xmlNode *
controller_of(GantryXml *domain, const xmlNode *disk, const char *name, GError **error)
{
    const xmlNode *devices = gantry_xml_path(domain, "devices");
    const xmlNode *controller = NULL;
    g_autofree char *wanted = child_attribute(disk, "address", "controller");

    if (!wanted) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("%s has no <address> that says which controller it is on: let libvirt define "
                      "the domain first"),
                    name);
        return NULL;
    }
    while ((controller = gantry_xml_next_child(devices, controller, NULL, "controller"))) {
        g_autofree char *type = gantry_xml_attribute(controller, "type");
        g_autofree char *index = gantry_xml_attribute(controller, "index");

        if (g_strcmp0(type, "scsi") == 0 && g_strcmp0(index, wanted) == 0) {
            g_autofree char *model = gantry_xml_attribute(controller, "model");

            if (model && g_str_has_prefix(model, "virtio-")) {
                return controller;
            }
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("%1$s is on a scsi controller of model '%2$s': only model='virtio-scsi' "
                          "has queues"),
                        name, model ? model : _("not given"));
            return NULL;
        }
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                _("%1$s is on scsi controller %2$s, which the domain does not have"), name, wanted);
    return NULL;
}

/* The device that has the disk's queues; NULL where none can have iothreads. */
static const xmlNode *
device_of(GantryXml *domain, const xmlNode *disk, const char *name, GError **error)
{
    g_autofree char *type = gantry_xml_attribute(disk, "type");
    g_autofree char *bus = child_attribute(disk, "target", "bus");

    if (g_strcmp0(type, "vhostuser") == 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("%s is served by a process outside of QEMU: give its <device> a 'source', or "
                      "take it out"),
                    name);
        return NULL;
    }
    if (g_strcmp0(bus, "virtio") == 0) {
        return disk;
    }
    if (g_strcmp0(bus, "scsi") == 0) {
        return controller_of(domain, disk, name, error);
    }
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                _("%1$s is on bus '%2$s', which has no queues: use bus='virtio', or a virtio-scsi "
                  "controller, or take its <device> out"),
                name, bus ? bus : "");
    return NULL;
}

static gboolean
read_driver(GantryXml *domain, IoqTarget *target, GError **error)
{
    g_autofree char *ioeventfd = NULL;
    g_autofree char *queues = NULL;

    target->driver = gantry_xml_next_child(target->device, NULL, NULL, "driver");
    ioeventfd = target->driver ? gantry_xml_attribute(target->driver, "ioeventfd") : NULL;
    if (g_strcmp0(ioeventfd, "off") == 0) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                    _("%s has ioeventfd='off' in its <driver>, without which QEMU uses no "
                      "iothread: take it out"),
                    target->name);
        return FALSE;
    }
    queues = target->driver ? gantry_xml_attribute(target->driver, "queues") : NULL;
    target->says_queues = queues != NULL;
    target->n_queues = ioq_driver_queues(domain, target->driver);
    if (target->n_queues == 0) {
        g_autofree char *excerpt = gantry_excerpt(queues);

        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s has queues='%2$s' in its <driver>; 1 to %3$u are possible"),
                    target->name, excerpt, MAX_QUEUES);
        return FALSE;
    }
    return TRUE;
}

static IoqTarget *
target_new(GantryXml *domain, const xmlNode *disk, const GantryElement *tuning,
           const GantryElement *device, GError **error)
{
    IoqTarget *target = g_new0(IoqTarget, 1);
    g_autofree char *dev = child_attribute(disk, "target", "dev");
    g_autofree char *excerpt = gantry_excerpt(dev ? dev : "?");

    target->name = g_strdup_printf(_("disk '%s'"), excerpt);
    target->cpus = device ? g_strdup(gantry_element_string(device, "cpuset")) : NULL;
    target->device = device_of(domain, disk, target->name, error);
    if (!target->device || !read_driver(domain, target, error)) {
        ioq_target_free(target);
        return NULL;
    }
    target->type = target->device == disk ? IOQ_DEVICE_BLK : IOQ_DEVICE_SCSI;
    target->queues_per_thread = ioq_queues_per_thread(tuning, device, target->type);
    return target;
}

static const IoqTarget *
find_target(const GPtrArray *targets, const xmlNode *device)
{
    for (guint i = 0; i < targets->len; i++) {
        const IoqTarget *target = targets->pdata[i];

        if (target->device == device) {
            return target;
        }
    }
    return NULL;
}

/* Takes @target. Two disks of a controller may both say what is wanted of it, if it is the same. */
static gboolean
add_named(GPtrArray *targets, IoqTarget *target, GError **error)
{
    const IoqTarget *other = find_target(targets, target->device);
    gboolean agree = !other || (other->queues_per_thread == target->queues_per_thread &&
                                g_strcmp0(other->cpus, target->cpus) == 0);

    if (!other) {
        g_ptr_array_add(targets, target);
        return TRUE;
    }
    if (!agree) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_CONFLICT,
                    _("%1$s and %2$s share a controller, and so its threads: give both the same "
                      "queues-per-thread and cpuset, or leave one out"),
                    other->name, target->name);
    }
    ioq_target_free(target);
    return agree;
}

/* A device with threads that others use as well was arranged by hand: only a <device> that names it
 * changes that. */
static gboolean
shares_threads(const IoqThreads *threads, const xmlNode *driver)
{
    g_autoptr(GArray) ids = ioq_driver_ids(driver);

    for (guint i = 0; i < ids->len; i++) {
        if (ioq_threads_users(threads, g_array_index(ids, guint, i)) > 1) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
is_named(const GantryElement *tuning, const xmlNode *disk)
{
    g_autofree char *dev = child_attribute(disk, "target", "dev");

    for (guint i = 0; i < tuning->children->len; i++) {
        if (g_strcmp0(gantry_element_string(tuning->children->pdata[i], "target"), dev) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
add_others(GantryXml *domain, const GantryElement *tuning, GPtrArray *targets, GError **error)
{
    g_autoptr(IoqThreads) threads = ioq_threads_read(domain, error);

    if (!threads) {
        return FALSE;
    }
    for (const xmlNode *disk = next_disk(domain, NULL); disk; disk = next_disk(domain, disk)) {
        IoqTarget *target =
            is_named(tuning, disk) ? NULL : target_new(domain, disk, tuning, NULL, NULL);

        if (target && preset(tuning, target->type) > 0 && !find_target(targets, target->device) &&
            !shares_threads(threads, target->driver)) {
            g_ptr_array_add(targets, target);
        } else if (target) {
            ioq_target_free(target);
        }
    }
    return TRUE;
}

GPtrArray *
ioq_targets_read(GantryXml *domain, const GantryElement *tuning, GError **error)
{
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(ioq_target_free);

    for (guint i = 0; i < tuning->children->len; i++) {
        const GantryElement *device = tuning->children->pdata[i];
        const char *dev = gantry_element_string(device, "target");
        const xmlNode *disk;
        IoqTarget *target;

        if (gantry_element_has(device, "source")) {
            continue;
        }
        disk = ioq_domain_disk(domain, dev);
        if (!disk) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_NOT_FOUND,
                        _("disk '%s': the domain has no such disk: mend its <device>, or take it "
                          "out"),
                        dev);
            return NULL;
        }
        target = target_new(domain, disk, tuning, device, error);
        if (!target || !add_named(targets, target, error)) {
            return NULL;
        }
    }
    if ((preset(tuning, IOQ_DEVICE_BLK) > 0 || preset(tuning, IOQ_DEVICE_SCSI) > 0) &&
        !add_others(domain, tuning, targets, error)) {
        return NULL;
    }
    return g_steal_pointer(&targets);
}

gboolean
ioq_cpus_are_online(const char *name, const char *cpus, const GantryCpuset *online, GError **error)
{
    g_autoptr(GantryCpuset) missing = cpus ? gantry_cpuset_parse(cpus, error) : NULL;

    if (!cpus || !missing) {
        return !cpus;
    }
    if (online) {
        gantry_cpuset_and_not(missing, online);
        if (!gantry_cpuset_is_empty(missing)) {
            g_autofree char *text = gantry_cpuset_format(missing);
            g_autofree char *here = gantry_cpuset_format(online);

            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED,
                        _("%1$s: cpuset='%2$s' names CPUs that this host does not have online: "
                          "%3$s; it has %4$s"),
                        name, cpus, text, here);
            return FALSE;
        }
    }
    return TRUE;
}
