/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "loadbalancer/plan/planner.h"

/**
 * The planner's state and answers as JSON, for `gantry balance --json`, and to be planned again
 * from a file. The schema is in gantry-balance(1).
 */

/**
 * lb_state_from_json:
 * @root: an object with the member "hosts", and optionally "threshold" (percent) and
 * "memory_reserve_bytes", such as `gantry balance --json` prints
 * @policy: (inout): gets what @root gives
 *
 * Returns: (transfer full): NULL with GANTRY_ERROR_INVALID naming the member and what is wrong.
 */
LbState *lb_state_from_json(JsonNode *root, LbPolicy *policy, GError **error);

/* Adds the members "threshold", "memory_reserve_bytes" and "hosts" to the open object. */
void lb_state_to_json(const LbState *state, const LbPlan *plan, const LbPolicy *policy,
                      JsonBuilder *builder);

/* Adds the members "outcome", "explanation", "candidates" and "moves" to the open object. */
void lb_plan_to_json(const LbPlan *plan, const LbState *state, const LbPolicy *policy,
                     JsonBuilder *builder);
