/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/worker/device_priv.h"

/* What a handler has done about the answer. */
typedef enum {
    HANDLED_FAILED,  /* @error says why */
    HANDLED_DONE,    /* an acknowledgement is still due, if one is wanted */
    HANDLED_REPLIED, /* or it will be, later */
} Handled;

typedef Handled (*Handler)(IoqDevice *device, VuMessage *message, GError **error);

/* With GANTRY_ERROR_INVALID; @format takes @value, by PRIu64 or PRIx64. */
Handled message_refuse(GError **error, const char *format, guint64 value);

/* messages_ring.c */
Handled message_set_vring_num(IoqDevice *device, VuMessage *message, GError **error);
Handled message_set_vring_addr(IoqDevice *device, VuMessage *message, GError **error);
Handled message_set_vring_base(IoqDevice *device, VuMessage *message, GError **error);
Handled message_get_vring_base(IoqDevice *device, VuMessage *message, GError **error);
Handled message_set_vring_kick(IoqDevice *device, VuMessage *message, GError **error);
Handled message_set_vring_call(IoqDevice *device, VuMessage *message, GError **error);
Handled message_set_vring_err(IoqDevice *device, VuMessage *message, GError **error);
Handled message_set_vring_enable(IoqDevice *device, VuMessage *message, GError **error);
