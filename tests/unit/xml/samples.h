/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/spec.h"

/* Texts for one field, found from its table row alone. */
typedef struct {
    GStrv valid;   /* as written, not always canonical */
    GStrv invalid; /* what its RELAX NG schema can refuse as well */
    GStrv beyond;  /* invalid, but no schema can say so: order, uniqueness, lengths in bytes */
} FieldSamples;

void field_samples_init(FieldSamples *samples, const GantryField *field);
void field_samples_clear(FieldSamples *samples);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FieldSamples, field_samples_clear)

/* An element of @spec with random valid values, required ones always, and random children. */
GantryElement *random_element_new(GRand *random, const GantryElementSpec *spec);
