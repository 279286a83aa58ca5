/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ioq_tuning/vhost_user/protocol.h"

/**
 * vu_channel_receive:
 * @timeout_msec: for the whole message; a peer that sends half of one must not hold the thread
 *
 * Reads one message and the descriptors that came with it, which are close-on-exec. A payload is
 * taken only if it fits VuPayload; what each message must have is its handler's to check.
 *
 * Returns: TRUE with a message to be freed by vu_message_clear(). FALSE: with
 * GANTRY_ERROR_NOT_FOUND where the peer closed the connection between two messages;
 * GANTRY_ERROR_PROTOCOL (version, length, too many descriptors, or closed midway), _TIMEOUT, or
 * _SYSTEM.
 */
gboolean vu_channel_receive(int fd, guint timeout_msec, VuMessage *ret_message, GError **error);

/* Sends @size bytes of payload, and @n_fds descriptors that stay the caller's. Waits at most
 * @timeout_msec for a peer that does not read. */
gboolean vu_channel_send(int fd, guint timeout_msec, const VuHeader *header, gconstpointer payload,
                         const int *fds, guint n_fds, GError **error);

void vu_message_clear(VuMessage *message);

/* The descriptor at @index, which is the caller's from now on; -1 if there is none. */
int vu_message_take_fd(VuMessage *message, guint index);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VuMessage, vu_message_clear)
