/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* A set of CPUs (or of NUMA nodes) by their Linux numbers, below GANTRY_CPUSET_MAX_CPUS. */
typedef struct GantryCpuset GantryCpuset;

#define GANTRY_CPUSET_MAX_CPUS 8192 /* the kernel's largest CONFIG_NR_CPUS */

/**
 * gantry_cpuset_parse:
 * @text: Linux list format, "0-3,8": in any order, overlaps are fine, no white space, not empty
 *
 * Returns: (transfer full): free with gantry_cpuset_free(). NULL with GANTRY_ERROR_INVALID naming
 * the text and the part that is wrong.
 */
GantryCpuset *gantry_cpuset_parse(const char *text, GError **error);

/* (transfer full): canonical list format: sorted, neighbours merged ("0-1", not "0,1"); "" if
 * empty. */
char *gantry_cpuset_format(const GantryCpuset *set);

GantryCpuset *gantry_cpuset_new(void); /* empty */
GantryCpuset *gantry_cpuset_copy(const GantryCpuset *set);
void gantry_cpuset_free(GantryCpuset *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryCpuset, gantry_cpuset_free)

/* @cpu must be below GANTRY_CPUSET_MAX_CPUS. */
void gantry_cpuset_add(GantryCpuset *set, guint cpu);
void gantry_cpuset_remove(GantryCpuset *set, guint cpu);

/* FALSE also for numbers that no set can hold. */
gboolean gantry_cpuset_contains(const GantryCpuset *set, guint cpu);

guint gantry_cpuset_count(const GantryCpuset *set);
gboolean gantry_cpuset_is_empty(const GantryCpuset *set);
gboolean gantry_cpuset_equal(const GantryCpuset *a, const GantryCpuset *b);
gboolean gantry_cpuset_is_subset(const GantryCpuset *part, const GantryCpuset *whole);

/* @set becomes the intersection, the union, and what is in @set but not in @other. */
void gantry_cpuset_and(GantryCpuset *set, const GantryCpuset *other);
void gantry_cpuset_or(GantryCpuset *set, const GantryCpuset *other);
void gantry_cpuset_and_not(GantryCpuset *set, const GantryCpuset *other);

/* The smallest member that is at least @from, or -1: for (c = next(s, 0); c >= 0; c = next(s, c +
 * 1)). */
int gantry_cpuset_next(const GantryCpuset *set, guint from);
