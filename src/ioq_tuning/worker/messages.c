/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each vhost-user message does. The table says how long a payload each has and how many
 * descriptors it may bring; handlers see only messages that fit it. A handler that fails leaves
 * everything as it was: a front end that asked for an acknowledgement gets a negative one, any
 * other loses its connection, since it would go on in the belief that all is well.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GANTRY_LOG_MODULE "ioq"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "ioq_tuning/vhost_user/seal.h"
#include "ioq_tuning/virtqueue/inflight.h"
#include "ioq_tuning/worker/messages_priv.h"

#define REPLY_TIMEOUT_MSEC 5000

gboolean
device_reply(IoqDevice *device, const VuHeader *to, gconstpointer payload, gsize length, int fd,
             GError **error)
{
    const VuHeader header = {to->request, VU_VERSION | VU_FLAG_REPLY, (guint32)length};

    return vu_channel_send(device->fd, REPLY_TIMEOUT_MSEC, &header, payload, &fd, fd >= 0 ? 1 : 0,
                           error);
}

gboolean
device_reply_u64(IoqDevice *device, const VuHeader *to, guint64 value, GError **error)
{
    return device_reply(device, to, &value, sizeof(value), -1, error);
}

static Handled
replied(gboolean sent)
{
    return sent ? HANDLED_REPLIED : HANDLED_FAILED;
}

Handled
message_refuse(GError **error, const char *format, guint64 value)
{
    /* The formats are the callers', each with one number. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID, format, value);
#pragma GCC diagnostic pop
    return HANDLED_FAILED;
}

static guint64
offered_features(const IoqDevice *device)
{
    return ioq_blk_features(&device->blk) | 1ULL << VIRTIO_F_VERSION_1 |
           1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
           1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VHOST_F_LOG_ALL |
           1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
}

static guint64
offered_protocol_features(const IoqDevice *device)
{
    return 1ULL << VU_PROTOCOL_F_MQ | 1ULL << VU_PROTOCOL_F_LOG_SHMFD |
           1ULL << VU_PROTOCOL_F_REPLY_ACK | 1ULL << VU_PROTOCOL_F_BACKEND_REQ |
           1ULL << VU_PROTOCOL_F_CONFIG | 1ULL << VU_PROTOCOL_F_RESET_DEVICE |
           1ULL << VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS | 1ULL << VU_PROTOCOL_F_STATUS |
           (device->options.no_inflight ? 0
                                        : 1ULL << VU_PROTOCOL_F_INFLIGHT_SHMFD |
                                              1ULL << VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT);
}

static Handled
get_features(IoqDevice *device, VuMessage *message, GError **error)
{
    return replied(device_reply_u64(device, &message->header, offered_features(device), error));
}

static Handled
set_features(IoqDevice *device, VuMessage *message, GError **error)
{
    guint64 features = message->payload.u64;
    guint64 changed = features ^ device->features;

    if (features & ~offered_features(device)) {
        return message_refuse(error, _("features 0x%" PRIx64 " are set, but were not offered"),
                              features & ~offered_features(device));
    }
    if (device_n_started(device) > 0 && (changed & ~(1ULL << VHOST_F_LOG_ALL))) {
        return message_refuse(error, _("features 0x%" PRIx64 " change while queues run"), changed);
    }
    device->features = features;
    g_atomic_int_set(&device->blk.write_back, (features >> VIRTIO_BLK_F_FLUSH) & 1);
    device_update_logs(device);
    return HANDLED_DONE;
}

static Handled
get_protocol_features(IoqDevice *device, VuMessage *message, GError **error)
{
    return replied(
        device_reply_u64(device, &message->header, offered_protocol_features(device), error));
}

static Handled
set_protocol_features(IoqDevice *device, VuMessage *message, GError **error)
{
    guint64 unknown = message->payload.u64 & ~offered_protocol_features(device);

    if (unknown) {
        return message_refuse(
            error, _("protocol features 0x%" PRIx64 " are set, but were not offered"), unknown);
    }
    device->protocol_features = message->payload.u64;
    return HANDLED_DONE;
}

static Handled
get_queue_num(IoqDevice *device, VuMessage *message, GError **error)
{
    return replied(device_reply_u64(device, &message->header, device->options.max_queues, error));
}

static Handled
nothing(IoqDevice *device, VuMessage *message, GError **error)
{
    return HANDLED_DONE;
}

/* Memory */

static Handled
set_mem_table(IoqDevice *device, VuMessage *message, GError **error)
{
    const VuMemoryTable *table = &message->payload.memory;
    g_autoptr(IoqMemory) memory = ioq_memory_new();

    if (table->n_regions > VU_MEM_TABLE_REGIONS || message->n_fds != table->n_regions ||
        message->header.size < 8 + table->n_regions * sizeof(VuMemoryRegion)) {
        return message_refuse(error,
                              _("a memory table of %" PRIu64
                                " regions has not as many descriptors, or is "
                                "too short"),
                              table->n_regions);
    }
    for (guint i = 0; i < table->n_regions; i++) {
        IoqMemory *larger = ioq_memory_with(memory, &table->regions[i], message->fds[i], error);

        if (!larger) {
            return HANDLED_FAILED;
        }
        ioq_memory_unref(memory);
        memory = larger;
    }
    return device_set_memory(device, g_steal_pointer(&memory), error) ? HANDLED_DONE
                                                                      : HANDLED_FAILED;
}

static Handled
get_max_mem_slots(IoqDevice *device, VuMessage *message, GError **error)
{
    return replied(device_reply_u64(device, &message->header, IOQ_MEMORY_MAX_REGIONS, error));
}

static Handled
add_mem_reg(IoqDevice *device, VuMessage *message, GError **error)
{
    IoqMemory *memory;

    if (message->n_fds != 1) {
        return message_refuse(error, _("a memory region comes with %" PRIu64 " descriptors"),
                              message->n_fds);
    }
    memory =
        ioq_memory_with(device->memory, &message->payload.region.region, message->fds[0], error);
    return memory && device_set_memory(device, memory, error) ? HANDLED_DONE : HANDLED_FAILED;
}

static Handled
rem_mem_reg(IoqDevice *device, VuMessage *message, GError **error)
{
    IoqMemory *memory = ioq_memory_without(device->memory, &message->payload.region.region, error);

    return memory && device_set_memory(device, memory, error) ? HANDLED_DONE : HANDLED_FAILED;
}

static Handled
set_log_base(IoqDevice *device, VuMessage *message, GError **error)
{
    const VuLog *wanted = &message->payload.log;
    IoqLog *log;

    if (message->n_fds != 1) {
        return message_refuse(error, _("a dirty log comes with %" PRIu64 " descriptors"),
                              message->n_fds);
    }
    log = ioq_log_new(message->fds[0], wanted->mmap_size, wanted->mmap_offset, error);
    if (!log) {
        return HANDLED_FAILED;
    }
    ioq_log_unref(device->log);
    device->log = log;
    device_update_logs(device);
    /* With LOG_SHMFD, which is the only way to come here, it is always answered. */
    return replied(device_reply_u64(device, &message->header, 0, error));
}

/* Configuration space */

static Handled
get_config(IoqDevice *device, VuMessage *message, GError **error)
{
    VuConfig *config = &message->payload.config;

    if (config->size > VU_CONFIG_MAX_BYTES || message->header.size < 12 ||
        !ioq_blk_config_read(&device->blk, config->offset, config->size, config->data)) {
        /* The specification's way to say no. */
        return replied(device_reply(device, &message->header, NULL, 0, -1, error));
    }
    return replied(
        device_reply(device, &message->header, config, 12 + (gsize)config->size, -1, error));
}

static Handled
set_config(IoqDevice *device, VuMessage *message, GError **error)
{
    return message_refuse(error, _("the configuration space cannot be written at %" PRIu64),
                          message->payload.config.offset);
}

static Handled
set_backend_req_fd(IoqDevice *device, VuMessage *message, GError **error)
{
    if (message->n_fds != 1) {
        return message_refuse(error, _("a back end's channel comes with %" PRIu64 " descriptors"),
                              message->n_fds);
    }
    gantry_fd_clear(&device->backend_fd);
    device->backend_fd = vu_message_take_fd(message, 0);
    return HANDLED_DONE;
}

/* In-flight region */

static Handled
get_inflight_fd(IoqDevice *device, VuMessage *message, GError **error)
{
    VuInflight answer = message->payload.inflight;
    gboolean packed = (device->features >> VIRTIO_F_RING_PACKED) & 1;
    gantry_autofd fd = -1;

    if (answer.num_queues == 0 || answer.num_queues > device->options.max_queues ||
        answer.queue_size == 0 || answer.queue_size > IOQ_QUEUE_MAX_SIZE) {
        return message_refuse(error, _("an in-flight region for queues of %" PRIu64 " entries"),
                              answer.queue_size);
    }
    answer.mmap_offset = 0;
    answer.mmap_size = ioq_inflight_queue_bytes(packed, answer.queue_size) * answer.num_queues;
    answer.padding = 0;
    fd = memfd_create("gantry-ioq-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)answer.mmap_size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        gantry_set_error_errno(error, errno, _("Cannot make an in-flight region"));
        return HANDLED_FAILED;
    }
    /* With as much padding as it was asked with. */
    return replied(
        device_reply(device, &message->header, &answer, message->header.size, fd, error));
}

static Handled
set_inflight_fd(IoqDevice *device, VuMessage *message, GError **error)
{
    const VuInflight *wanted = &message->payload.inflight;
    struct stat status;
    gsize length;
    void *base;

    if (device_n_started(device) > 0) {
        return message_refuse(error, _("the in-flight region changes while %" PRIu64 " queues run"),
                              device_n_started(device));
    }
    if (message->n_fds != 1 || wanted->num_queues > device->options.max_queues ||
        wanted->queue_size > IOQ_QUEUE_MAX_SIZE || wanted->mmap_size > G_MAXINT32 ||
        wanted->mmap_offset > G_MAXINT32 || wanted->mmap_offset % IOQ_INFLIGHT_ALIGN != 0 ||
        fstat(message->fds[0], &status) < 0 || !S_ISREG(status.st_mode) ||
        (guint64)status.st_size < wanted->mmap_offset + wanted->mmap_size) {
        return message_refuse(error,
                              _("an in-flight region of %" PRIu64 " bytes does not fit its file"),
                              wanted->mmap_size);
    }
    if (!vu_cannot_shrink(message->fds[0])) {
        return message_refuse(
            error, _("the in-flight region of %" PRIu64 " bytes is not sealed against shrinking"),
            wanted->mmap_size);
    }
    length = (gsize)(wanted->mmap_offset + wanted->mmap_size);
    base = mmap(NULL, MAX(length, 1), PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[0], 0);
    if (base == MAP_FAILED) {
        gantry_set_error_errno(error, errno, _("Cannot map the in-flight region"));
        return HANDLED_FAILED;
    }
    device_clear_inflight(device);
    device->inflight_base = base;
    device->inflight_mapped = MAX(length, 1);
    device->inflight_offset = (gsize)wanted->mmap_offset;
    device->inflight = *wanted;
    return HANDLED_DONE;
}

/* Reset and status */

static void
begin_reset(IoqDevice *device, const VuHeader *header)
{
    device->wait = WAIT_RESET;
    device->wait_header = *header;
    if (!((device->protocol_features >> VU_PROTOCOL_F_REPLY_ACK) & 1)) {
        device->wait_header.flags &= ~(guint32)VU_FLAG_NEED_REPLY;
    }
    for (guint i = 0; i < device->options.max_queues; i++) {
        device_stop_queue(device, i, FALSE);
    }
    device_limit_wait(device);
}

static Handled
reset_device(IoqDevice *device, VuMessage *message, GError **error)
{
    begin_reset(device, &message->header);
    return HANDLED_REPLIED;
}

static Handled
set_status(IoqDevice *device, VuMessage *message, GError **error)
{
    if (message->payload.u64 > G_MAXUINT8) {
        return message_refuse(error, _("a device status of %" PRIu64), message->payload.u64);
    }
    if (message->payload.u64 == 0) {
        begin_reset(device, &message->header);
        return HANDLED_REPLIED;
    }
    device->status = (guint8)message->payload.u64;
    return HANDLED_DONE;
}

static Handled
get_status(IoqDevice *device, VuMessage *message, GError **error)
{
    return replied(device_reply_u64(device, &message->header, device->status, error));
}

#define U64_BYTES   8
#define STATE_BYTES sizeof(VuVringState)

/* Longest payloads may be longer than C's structures where a front end pads. */
static const struct {
    VuRequest request;
    Handler handle;
    guint min_bytes;
    guint max_bytes;
    guint max_fds;
    gint protocol_feature; /* -1: none is needed */
} messages[] = {
    {VU_GET_FEATURES, get_features, 0, 0, 0, -1},
    {VU_SET_FEATURES, set_features, U64_BYTES, U64_BYTES, 0, -1},
    {VU_SET_OWNER, nothing, 0, 0, 0, -1},
    {VU_RESET_OWNER, nothing, 0, 0, 0, -1},
    {VU_SET_MEM_TABLE, set_mem_table, 8, sizeof(VuMemoryTable), VU_MAX_FDS, -1},
    {VU_SET_LOG_BASE, set_log_base, sizeof(VuLog), sizeof(VuLog), 1, VU_PROTOCOL_F_LOG_SHMFD},
    {VU_SET_LOG_FD, nothing, 0, U64_BYTES, 1, -1},
    {VU_SET_VRING_NUM, message_set_vring_num, STATE_BYTES, STATE_BYTES, 0, -1},
    {VU_SET_VRING_ADDR, message_set_vring_addr, sizeof(VuVringAddr), sizeof(VuVringAddr), 0, -1},
    {VU_SET_VRING_BASE, message_set_vring_base, STATE_BYTES, STATE_BYTES, 0, -1},
    {VU_GET_VRING_BASE, message_get_vring_base, STATE_BYTES, STATE_BYTES, 0, -1},
    {VU_SET_VRING_KICK, message_set_vring_kick, U64_BYTES, U64_BYTES, 1, -1},
    {VU_SET_VRING_CALL, message_set_vring_call, U64_BYTES, U64_BYTES, 1, -1},
    {VU_SET_VRING_ERR, message_set_vring_err, U64_BYTES, U64_BYTES, 1, -1},
    {VU_GET_PROTOCOL_FEATURES, get_protocol_features, 0, 0, 0, -1},
    {VU_SET_PROTOCOL_FEATURES, set_protocol_features, U64_BYTES, U64_BYTES, 0, -1},
    {VU_GET_QUEUE_NUM, get_queue_num, 0, 0, 0, VU_PROTOCOL_F_MQ},
    {VU_SET_VRING_ENABLE, message_set_vring_enable, STATE_BYTES, STATE_BYTES, 0, -1},
    {VU_SET_BACKEND_REQ_FD, set_backend_req_fd, 0, U64_BYTES, 1, VU_PROTOCOL_F_BACKEND_REQ},
    {VU_GET_CONFIG, get_config, 12, sizeof(VuConfig), 0, VU_PROTOCOL_F_CONFIG},
    {VU_SET_CONFIG, set_config, 12, sizeof(VuConfig), 0, VU_PROTOCOL_F_CONFIG},
    {VU_GET_INFLIGHT_FD, get_inflight_fd, VU_INFLIGHT_MIN_BYTES, sizeof(VuInflight), 0,
     VU_PROTOCOL_F_INFLIGHT_SHMFD},
    {VU_SET_INFLIGHT_FD, set_inflight_fd, VU_INFLIGHT_MIN_BYTES, sizeof(VuInflight), 1,
     VU_PROTOCOL_F_INFLIGHT_SHMFD},
    {VU_RESET_DEVICE, reset_device, 0, 0, 0, VU_PROTOCOL_F_RESET_DEVICE},
    {VU_GET_MAX_MEM_SLOTS, get_max_mem_slots, 0, 0, 0, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS},
    {VU_ADD_MEM_REG, add_mem_reg, sizeof(VuSingleRegion), sizeof(VuSingleRegion), 1,
     VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS},
    {VU_REM_MEM_REG, rem_mem_reg, sizeof(VuSingleRegion), sizeof(VuSingleRegion), 1,
     VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS},
    {VU_SET_STATUS, set_status, U64_BYTES, U64_BYTES, 0, VU_PROTOCOL_F_STATUS},
    {VU_GET_STATUS, get_status, 0, 0, 0, VU_PROTOCOL_F_STATUS},
};

static Handled
dispatch(IoqDevice *device, VuMessage *message, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(messages); i++) {
        if (messages[i].request != message->header.request) {
            continue;
        }
        if (messages[i].protocol_feature >= 0 &&
            !((device->protocol_features >> messages[i].protocol_feature) & 1)) {
            return message_refuse(error,
                                  _("message %" PRIu64 " belongs to a feature that is not on"),
                                  message->header.request);
        }
        if (message->header.size < messages[i].min_bytes ||
            message->header.size > messages[i].max_bytes || message->n_fds > messages[i].max_fds) {
            return message_refuse(error, _("message %" PRIu64 " has a wrong length or descriptors"),
                                  message->header.request);
        }
        return messages[i].handle(device, message, error);
    }
    return message_refuse(error, _("message %" PRIu64 " is not known"), message->header.request);
}

gboolean
device_handle_message(IoqDevice *device, VuMessage *message, GError **error)
{
    g_autoptr(GError) local_error = NULL;
    gboolean wants_reply = message->header.flags & VU_FLAG_NEED_REPLY &&
                           (device->protocol_features >> VU_PROTOCOL_F_REPLY_ACK) & 1;

    switch (dispatch(device, message, &local_error)) {
    case HANDLED_REPLIED:
        return TRUE;
    case HANDLED_DONE:
        return !wants_reply || device_reply_u64(device, &message->header, 0, error);
    case HANDLED_FAILED:
        break;
    }
    if (!wants_reply) {
        g_propagate_error(error, g_steal_pointer(&local_error));
        return FALSE;
    }
    gantry_warn(_("disk %1$s: %2$s; the front end is told"), device->name, local_error->message);
    return device_reply_u64(device, &message->header, 1, error);
}
