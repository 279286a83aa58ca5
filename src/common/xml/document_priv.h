/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/document.h"

/* Where an element stands in the text, in bytes. */
typedef struct {
    gsize start;   /* its '<' */
    gsize tag_end; /* the '>' or '/>' of its start tag */
    gsize end;     /* just behind it */
    int line;      /* that it starts on */
} GantryXmlSpan;

struct GantryXml {
    char *name;
    char *text;
    gsize length;
    xmlDoc *doc;
    GArray *spans; /* of GantryXmlSpan, in document order */
};

const GantryXmlSpan *gantry_xml_span(const GantryXml *xml, const xmlNode *element);
