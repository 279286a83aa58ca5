/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/cpuset.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"

#define WORD_BITS 64
#define N_WORDS   (GANTRY_CPUSET_MAX_CPUS / WORD_BITS)

struct GantryCpuset {
    guint64 words[N_WORDS];
};

static gboolean parse_range(const char *range, guint64 *ret_first, guint64 *ret_last);

GantryCpuset *
gantry_cpuset_parse(const char *text, GError **error)
{
    g_autoptr(GantryCpuset) set = gantry_cpuset_new();
    g_auto(GStrv) ranges = g_strsplit(*text ? text : " ", ",", -1);

    for (gsize i = 0; ranges[i]; i++) {
        guint64 first;
        guint64 last;

        if (!parse_range(ranges[i], &first, &last)) {
            g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                        _("'%1$s' is not a list of CPUs: '%2$s' is wrong; write for example 0-3,8 "
                          "with numbers below %3$d"),
                        text, *text ? ranges[i] : "", GANTRY_CPUSET_MAX_CPUS);
            return NULL;
        }
        for (guint64 cpu = first; cpu <= last; cpu++) {
            gantry_cpuset_add(set, (guint)cpu);
        }
    }
    return g_steal_pointer(&set);
}

char *
gantry_cpuset_format(const GantryCpuset *set)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int first;
    int last;

    for (first = gantry_cpuset_next(set, 0); first >= 0;
         first = gantry_cpuset_next(set, (guint)last + 1)) {
        last = first;
        while (gantry_cpuset_contains(set, (guint)last + 1)) {
            last++;
        }
        g_string_append_printf(text, text->len ? ",%d" : "%d", first);
        if (last > first) {
            g_string_append_printf(text, "-%d", last);
        }
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

GantryCpuset *
gantry_cpuset_new(void)
{
    return g_new0(GantryCpuset, 1);
}

GantryCpuset *
gantry_cpuset_copy(const GantryCpuset *set)
{
    return g_memdup2(set, sizeof(*set));
}

void
gantry_cpuset_free(GantryCpuset *set)
{
    g_free(set);
}

void
gantry_cpuset_add(GantryCpuset *set, guint cpu)
{
    g_return_if_fail(cpu < GANTRY_CPUSET_MAX_CPUS);
    set->words[cpu / WORD_BITS] |= G_GUINT64_CONSTANT(1) << cpu % WORD_BITS;
}

void
gantry_cpuset_remove(GantryCpuset *set, guint cpu)
{
    g_return_if_fail(cpu < GANTRY_CPUSET_MAX_CPUS);
    set->words[cpu / WORD_BITS] &= ~(G_GUINT64_CONSTANT(1) << cpu % WORD_BITS);
}

gboolean
gantry_cpuset_contains(const GantryCpuset *set, guint cpu)
{
    return cpu < GANTRY_CPUSET_MAX_CPUS && (set->words[cpu / WORD_BITS] >> cpu % WORD_BITS & 1);
}

guint
gantry_cpuset_count(const GantryCpuset *set)
{
    guint count = 0;

    for (gsize i = 0; i < N_WORDS; i++) {
        count += (guint)__builtin_popcountll(set->words[i]);
    }
    return count;
}

gboolean
gantry_cpuset_is_empty(const GantryCpuset *set)
{
    return gantry_cpuset_next(set, 0) < 0;
}

gboolean
gantry_cpuset_equal(const GantryCpuset *a, const GantryCpuset *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

gboolean
gantry_cpuset_is_subset(const GantryCpuset *part, const GantryCpuset *whole)
{
    for (gsize i = 0; i < N_WORDS; i++) {
        if (part->words[i] & ~whole->words[i]) {
            return FALSE;
        }
    }
    return TRUE;
}

void
gantry_cpuset_and(GantryCpuset *set, const GantryCpuset *other)
{
    for (gsize i = 0; i < N_WORDS; i++) {
        set->words[i] &= other->words[i];
    }
}

void
gantry_cpuset_or(GantryCpuset *set, const GantryCpuset *other)
{
    for (gsize i = 0; i < N_WORDS; i++) {
        set->words[i] |= other->words[i];
    }
}

void
gantry_cpuset_and_not(GantryCpuset *set, const GantryCpuset *other)
{
    for (gsize i = 0; i < N_WORDS; i++) {
        set->words[i] &= ~other->words[i];
    }
}

int
gantry_cpuset_next(const GantryCpuset *set, guint from)
{
    for (gsize i = from / WORD_BITS; i < N_WORDS; i++) {
        guint64 word = set->words[i];

        if (i == from / WORD_BITS) {
            word &= ~G_GUINT64_CONSTANT(0) << from % WORD_BITS;
        }
        if (word) {
            return (int)(i * WORD_BITS) + __builtin_ctzll(word);
        }
    }
    return -1;
}

static gboolean
parse_range(const char *range, guint64 *ret_first, guint64 *ret_last)
{
    const char *dash = strchr(range, '-');
    g_autofree char *low = dash ? g_strndup(range, (gsize)(dash - range)) : g_strdup(range);
    const char *high = dash ? dash + 1 : low;
    guint64 first;
    guint64 last;

    if (!g_ascii_string_to_unsigned(low, 10, 0, GANTRY_CPUSET_MAX_CPUS - 1, &first, NULL) ||
        !g_ascii_string_to_unsigned(high, 10, first, GANTRY_CPUSET_MAX_CPUS - 1, &last, NULL)) {
        return FALSE;
    }
    *ret_first = first;
    *ret_last = last;
    return TRUE;
}
