/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * What one run of the hook leaves to the next: "prepare is to refuse this domain, because ...". A
 * restore whose rewrite fails cannot refuse by itself, since libvirt would delete the save image,
 * and must not go on with another host's disks and CPUs either.
 *
 * One file a domain in HOOK_REFUSE_DIR below the run directory, named by its uuid. @uuid may come
 * from anywhere: what is not one is GANTRY_ERROR_INVALID, and never part of a path.
 */
gboolean hook_refusal_leave(const char *run_dir, const char *uuid, const char *reason,
                            GError **error);

/* FALSE with the reason in @error (GANTRY_ERROR_REFUSED) if one was left, or if there is one that
 * cannot be read. */
gboolean hook_refusal_check(const char *run_dir, const char *uuid, GError **error);

/* Fine if there is none. */
gboolean hook_refusal_remove(const char *run_dir, const char *uuid, GError **error);
