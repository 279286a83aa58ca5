/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loadbalancer/act/actuator.h"
#include "loadbalancer/plan/planner.h"

/* What `gantry balance` shows of a pass. All of it goes to stdout. */
void balance_view_hosts(const LbState *state, const LbPlan *plan, const LbPolicy *policy);
void balance_view_candidates(const LbState *state, const LbPlan *plan, const LbPolicy *policy);
void balance_view_decision(const LbState *state, const LbPlan *plan, const LbPolicy *policy);

/* A bar that is drawn anew on a terminal, a line a change of ten percent elsewhere. */
typedef struct {
    char *label;
    gboolean fancy;
    int last_tenth;
} BalanceBar;

void balance_view_bar_begin(BalanceBar *bar, const char *domain, const char *source,
                            const char *target);
void balance_view_bar_update(const LbMoveProgress *progress, gpointer bar);
/* @result: NULL: it failed. @max_downtime_msec: what the downtime is held against. */
void balance_view_bar_end(BalanceBar *bar, const LbMoveResult *result, guint max_downtime_msec);
