/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "common/xml/document.h"

/**
 * What a domain-XML extension may contain, as const tables, and the typed tree that reading one
 * gives.
 *
 * One table serves the typed reader, the canonical formatter, `gantry explain`, Nova extra specs
 * and policy files; a test holds the RELAX NG schema and the page in gantry(7) against it.
 */
typedef enum {
    GANTRY_FIELD_BOOL,   /* yes | no */
    GANTRY_FIELD_UINT,   /* decimal in [min, max], in @unit */
    GANTRY_FIELD_CHOICE, /* one of @choices */
    GANTRY_FIELD_NAME,  /* letters, digits, "_.:-", at most 64: group, pool, device and key names */
    GANTRY_FIELD_NAMES, /* names with commas between them; each once, at most 64 */
    GANTRY_FIELD_TEXT,  /* 1..1024 characters, no control characters */
    GANTRY_FIELD_PATH,  /* absolute, no "..", at most 4095 bytes */
    GANTRY_FIELD_CPUSET, /* Linux list format, "0-3,8"; canonical: sorted, merged; below 8192 */
    GANTRY_FIELD_MAC,    /* unicast 02:00:00:00:00:01; canonical: lower case */
    GANTRY_FIELD_IP,     /* IPv4 or IPv6 address; canonical by inet_ntop(3) */
} GantryFieldType;

typedef struct {
    const char *name; /* the XML attribute; as a settings key '-' becomes '_' */
    GantryFieldType type;
    gboolean required;    /* must be given (in the element; does not apply to settings from other
                             sources) */
    const char *fallback; /* default, canonical text; NULL: unset */
    guint64 min, max;     /* GANTRY_FIELD_UINT; both 0: no bounds */
    const char *unit;     /* e.g. "ms", for messages and explain; NULL: none */
    const char *const *choices; /* GANTRY_FIELD_CHOICE */
    const char *summary;        /* one sentence, N_() */
} GantryField;

#define GANTRY_FIELD_END \
    { \
        .name = NULL \
    }

typedef struct GantryElementSpec GantryElementSpec;
struct GantryElementSpec {
    const char *name;                         /* local name */
    const GantryField *fields;                /* ends with GANTRY_FIELD_END; NULL: no attributes */
    const GantryField *content;               /* type of the text content, NULL: no text allowed */
    const GantryElementSpec *const *children; /* NULL-terminated; NULL: none */
    guint max_occurs;                         /* within its parent; 0: once */
    guint min_occurs;
};

/* One element as read: values are canonical text, so equal settings are equal strings. */
typedef struct GantryElement GantryElement;
struct GantryElement {
    const GantryElementSpec *spec;
    char **values;       /* parallel to spec->fields; NULL entries: not given */
    char *content;       /* canonical text content, or NULL */
    GPtrArray *children; /* of GantryElement, in document order */
    int line;            /* of the start tag; 0: not from XML */
};

/**
 * gantry_field_canonical:
 * @where: what to name in an error, e.g. "dom.xml:12: <balance>: attribute 'movable'"
 *
 * Returns: (transfer full): @text in canonical form; NULL with GANTRY_ERROR_INVALID naming where,
 * value, and what is allowed.
 */
char *gantry_field_canonical(const GantryField *field, const char *text, const char *where,
                             GError **error);

/* What @field allows, for messages and help: "yes or no", "0 to 60000 ms", "one of: affinity,
 * anti-affinity". (transfer full) */
char *gantry_field_allowed(const GantryField *field);

/**
 * gantry_element_read:
 * @node: an element that stands in @uri
 *
 * Unknown attributes and elements, attributes in foreign namespaces, missing ones, too many
 * children, stray text: GANTRY_ERROR_INVALID "NAME:LINE: <element>: ..." with the value and what is
 * allowed (and the nearest known name).
 *
 * Returns: (transfer full): free with gantry_element_free().
 */
GantryElement *gantry_element_read(GantryXml *xml, const xmlNode *node, const char *uri,
                                   const GantryElementSpec *spec, GError **error);
GantryElement *gantry_element_new(const GantryElementSpec *spec); /* empty: all values NULL */
GantryElement *gantry_element_copy(const GantryElement *element);
void gantry_element_free(GantryElement *element);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryElement, gantry_element_free)

/* Canonical XML: attributes in table order, children in document order, xmlns=@uri on the root.
 * Read back it is the same tree. */
char *gantry_element_format(const GantryElement *element, const char *uri);

/* Value, else the field's default, else NULL/0/FALSE. @name must be in the table (programming error
 * otherwise). */
const char *gantry_element_string(const GantryElement *element, const char *name);
guint64 gantry_element_uint(const GantryElement *element, const char *name);
gboolean gantry_element_bool(const GantryElement *element, const char *name);
gboolean gantry_element_has(const GantryElement *element,
                            const char *name); /* given, not defaulted */

/* Stores canonical text (copied); NULL unsets. */
void gantry_element_set(GantryElement *element, const char *name, const char *canonical);

/* For validate(): FALSE with GANTRY_ERROR_CONFLICT where two children named @child_name have the
 * same value of their field @name. */
gboolean gantry_element_check_unique(const GantryElement *element, const char *child_name,
                                     const char *name, const char *where, GError **error);
