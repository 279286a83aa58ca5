/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/backoff.h"

guint
gantry_backoff_msec(guint attempt, guint min_msec, guint max_msec, double random)
{
    guint64 base = min_msec;
    guint64 half;

    for (guint i = 0; i < attempt && base < max_msec; i++) {
        base *= 2;
    }
    base = MIN(base, max_msec);
    half = base / 2;
    return (guint)(base - half) + (guint)((double)half * random);
}
