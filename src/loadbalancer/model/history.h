/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/model/state.h"

/**
 * What hosts and VMs used in the last samples, and what that says of the next minutes. Fed with one
 * state an interval; a host or VM that is missing in one, or cannot be measured, begins anew.
 *
 * The forecast is the 95th percentile of the samples, plus what their trend (least squares) adds
 * until the horizon, where it rises: a rise is believed, a fall is not.
 */
typedef struct LbHistory LbHistory;

typedef struct {
    guint n_samples;  /* that are kept: the window */
    guint n_trigger;  /* of them, the last that are looked at for load over the threshold */
    double horizon;   /* how many intervals ahead */
    double threshold; /* as in LbPolicy */
} LbHistoryOptions;

#define LB_HISTORY_MAX_SAMPLES 120

LbHistory *lb_history_new(const LbHistoryOptions *options);
void lb_history_free(LbHistory *history);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LbHistory, lb_history_free)

/**
 * lb_history_add:
 * @state: (inout): its hosts' and VMs' loads are kept; it gets forecasts, and for how many samples
 *   each host was over the threshold (0 where the last one was not)
 *
 * A VM keeps its history when it changes hosts. Forecasts are given from a quarter of the window
 * on.
 */
void lb_history_add(LbHistory *history, LbState *state);

/* For tests, and for what is measured elsewhere: @values: the last one at the end. */
double lb_forecast(const float *values, guint n, double horizon);
