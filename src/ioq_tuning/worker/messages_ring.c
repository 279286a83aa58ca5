/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages about one ring. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/i18n.h"
#include "ioq_tuning/worker/messages_priv.h"

static Vring *
vring_of(IoqDevice *device, guint32 index, GError **error)
{
    if (index >= device->options.max_queues) {
        message_refuse(error, _("there is no queue %" PRIu64), index);
        return NULL;
    }
    return &device->vrings[index];
}

static Vring *
stopped_vring_of(IoqDevice *device, guint32 index, GError **error)
{
    Vring *vring = vring_of(device, index, error);

    if (vring && vring->served) {
        message_refuse(error, _("queue %" PRIu64 " is running"), index);
        return NULL;
    }
    return vring;
}

Handled
message_set_vring_num(IoqDevice *device, VuMessage *message, GError **error)
{
    Vring *vring = stopped_vring_of(device, message->payload.state.index, error);

    if (!vring) {
        return HANDLED_FAILED;
    }
    if (message->payload.state.num == 0 || message->payload.state.num > IOQ_QUEUE_MAX_SIZE) {
        return message_refuse(error, _("a queue of %" PRIu64 " entries"),
                              message->payload.state.num);
    }
    vring->size = (guint16)message->payload.state.num;
    return HANDLED_DONE;
}

Handled
message_set_vring_addr(IoqDevice *device, VuMessage *message, GError **error)
{
    const VuVringAddr *address = &message->payload.address;
    Vring *vring = vring_of(device, address->index, error);

    if (!vring) {
        return HANDLED_FAILED;
    }
    /* Sent again to a running queue when logging begins and ends, with the same addresses. */
    if (vring->served &&
        (vring->address.descriptor != address->descriptor ||
         vring->address.available != address->available || vring->address.used != address->used)) {
        return message_refuse(error, _("queue %" PRIu64 " is moved while it runs"), address->index);
    }
    vring->address = *address;
    vring->has_address = TRUE;
    return HANDLED_DONE;
}

Handled
message_set_vring_base(IoqDevice *device, VuMessage *message, GError **error)
{
    Vring *vring = stopped_vring_of(device, message->payload.state.index, error);

    if (!vring) {
        return HANDLED_FAILED;
    }
    vring->base = message->payload.state.num;
    return HANDLED_DONE;
}

Handled
message_get_vring_base(IoqDevice *device, VuMessage *message, GError **error)
{
    guint32 index = message->payload.state.index;

    if (!vring_of(device, index, error)) {
        return HANDLED_FAILED;
    }
    device->wait = WAIT_GET_BASE;
    device->wait_index = index;
    device->wait_header = message->header;
    /* A front end with this feature takes the region elsewhere, where the rest is done. */
    device_stop_queue(device, index,
                      !((device->protocol_features >> VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT) & 1));
    device_limit_wait(device);
    return HANDLED_REPLIED;
}

/* The descriptor of SET_VRING_KICK, _CALL or _ERR; -1: there is none. Neither the other side's full
 * pipe nor its socket may ever make a thread of ours wait. */
static gboolean
take_vring_fd(VuMessage *message, int *ret_fd, GError **error)
{
    gboolean none = message->payload.u64 & VU_VRING_NOFD;
    int flags;

    if (message->n_fds != (none ? 0 : 1)) {
        message_refuse(error, _("a queue's message comes with %" PRIu64 " descriptors"),
                       message->n_fds);
        return FALSE;
    }
    *ret_fd = vu_message_take_fd(message, 0);
    if (*ret_fd >= 0) {
        flags = fcntl(*ret_fd, F_GETFL);
        if (flags < 0 || fcntl(*ret_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
            gantry_set_error_errno(error, errno, _("Cannot use a queue's descriptor"));
            gantry_fd_clear(ret_fd);
            return FALSE;
        }
    }
    return TRUE;
}

Handled
message_set_vring_kick(IoqDevice *device, VuMessage *message, GError **error)
{
    guint32 index = message->payload.u64 & VU_VRING_INDEX_MASK;
    int fd;

    if (!stopped_vring_of(device, index, error) || !take_vring_fd(message, &fd, error)) {
        return HANDLED_FAILED;
    }
    return device_start_queue(device, index, fd, error) ? HANDLED_DONE : HANDLED_FAILED;
}

typedef struct {
    IoqServedQueue *served;
    int fd;
    gboolean enabled;
} RingCall;

static void
set_call_in_thread(IoqThread *thread, gpointer data)
{
    RingCall *call = data;

    ioq_served_queue_set_call(call->served, call->fd);
}

static void
set_err_in_thread(IoqThread *thread, gpointer data)
{
    RingCall *call = data;

    ioq_served_queue_set_err(call->served, call->fd);
}

static void
enable_in_thread(IoqThread *thread, gpointer data)
{
    RingCall *call = data;

    ioq_served_queue_enable(call->served, call->enabled);
}

/* To the thread if the queue runs, else kept until it does. */
static Handled
set_vring_fd(IoqDevice *device, VuMessage *message, gsize offset,
             void (*in_thread)(IoqThread *, gpointer), GError **error)
{
    Vring *vring = vring_of(device, message->payload.u64 & VU_VRING_INDEX_MASK, error);
    int *kept;
    int fd;

    if (!vring || !take_vring_fd(message, &fd, error)) {
        return HANDLED_FAILED;
    }
    kept = G_STRUCT_MEMBER_P(vring, offset);
    if (vring->served) {
        RingCall call = {vring->served, fd, FALSE};

        ioq_thread_call(ioq_served_queue_thread(vring->served), in_thread, &call);
    } else {
        gantry_fd_clear(kept);
        *kept = fd;
    }
    return HANDLED_DONE;
}

Handled
message_set_vring_call(IoqDevice *device, VuMessage *message, GError **error)
{
    return set_vring_fd(device, message, G_STRUCT_OFFSET(Vring, call_fd), set_call_in_thread,
                        error);
}

Handled
message_set_vring_err(IoqDevice *device, VuMessage *message, GError **error)
{
    return set_vring_fd(device, message, G_STRUCT_OFFSET(Vring, err_fd), set_err_in_thread, error);
}

Handled
message_set_vring_enable(IoqDevice *device, VuMessage *message, GError **error)
{
    Vring *vring = vring_of(device, message->payload.state.index, error);

    if (!vring) {
        return HANDLED_FAILED;
    }
    if (message->payload.state.num > 1) {
        return message_refuse(error, _("a queue is enabled by %" PRIu64),
                              message->payload.state.num);
    }
    vring->enabled = message->payload.state.num == 1;
    if (vring->served) {
        RingCall call = {vring->served, -1, vring->enabled};

        ioq_thread_call(ioq_served_queue_thread(vring->served), enable_in_thread, &call);
    }
    return HANDLED_DONE;
}
