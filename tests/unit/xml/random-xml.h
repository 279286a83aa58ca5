/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Where the generator put an element, in document order. */
typedef struct {
    gsize start;
    gsize tag_end; /* of the '>' or '/>' of the start tag */
    gsize end;
    int line;
} RandomElement;

typedef struct {
    GString *text;
    GArray *elements; /* of RandomElement */
    gsize counted;    /* generator's: newlines are counted up to here */
    int lines;
} RandomXml;

/**
 * random_xml_new:
 * @wanted_bytes: about as large the document becomes
 *
 * A well-formed document with everything that makes it hard to find tags in its text: '>' and both
 * kinds of quotes in values, references, CDATA sections, comments and processing instructions that
 * look like tags, CR LF, multi-byte characters, white space inside tags, empty-element tags,
 * prefixes, a byte-order mark or a declaration.
 */
RandomXml *random_xml_new(GRand *random, gsize wanted_bytes);
void random_xml_free(RandomXml *xml);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RandomXml, random_xml_free)
