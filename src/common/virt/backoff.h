/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * gantry_backoff_msec:
 * @attempt: how many attempts failed before, from 0
 * @random: in [0, 1)
 *
 * Exponential back-off with jitter: @min_msec doubled @attempt times, at most @max_msec; of that at
 * least one half, and the rest times @random, so that many clients of a server that went away do
 * not come back in step.
 */
guint gantry_backoff_msec(guint attempt, guint min_msec, guint max_msec, double random);
