/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

/**
 * A hardened XML document that knows which bytes of its text each element stands on, so that it can
 * be edited without touching a byte that the edit does not concern.
 *
 * Not thread-safe; one document, one thread.
 */
typedef struct GantryXml GantryXml;

#define GANTRY_XML_MAX_BYTES (4 * 1024 * 1024)
/* As libxml2 itself, hence libvirt: a disk may have 200 backing stores, each within the other. */
#define GANTRY_XML_MAX_DEPTH 256

/**
 * gantry_xml_parse:
 * @text: UTF-8; copied
 * @name: for error messages: a file name, or e.g. "domain XML on stdin"
 *
 * Refused: more than GANTRY_XML_MAX_BYTES or GANTRY_XML_MAX_DEPTH (GANTRY_ERROR_LIMIT); a document
 * type declaration, hence any entity but the five predefined ones; an encoding other than UTF-8;
 * anything not well formed (GANTRY_ERROR_INVALID with the line). Nothing is ever fetched.
 *
 * Returns: (transfer full): free with gantry_xml_free().
 */
GantryXml *gantry_xml_parse(const char *text, gsize length, const char *name, GError **error);
void gantry_xml_free(GantryXml *xml);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryXml, gantry_xml_free)

xmlNode *gantry_xml_root(GantryXml *xml);
const char *gantry_xml_name(const GantryXml *xml);
const char *gantry_xml_text(const GantryXml *xml, gsize *ret_length);

/* The line that @element's start tag begins on. */
int gantry_xml_line(const GantryXml *xml, const xmlNode *element);

/* First child element of @parent named @name in namespace @uri (NULL: none), after @previous if
 * that is not NULL. */
xmlNode *gantry_xml_next_child(const xmlNode *parent, const xmlNode *previous, const char *uri,
                               const char *name);

/* The element at a path of un-namespaced names below the root, e.g. "cputune", or
 * "devices/emulator"; NULL if absent. */
xmlNode *gantry_xml_path(GantryXml *xml, const char *path);

/* (transfer full) (nullable): the attribute without namespace. */
char *gantry_xml_attribute(const xmlNode *element, const char *name);

/* Text content, stripped of white space at both ends; "" if none. (transfer full) */
char *gantry_xml_content(const xmlNode *element);

/* @text (UTF-8) as it may stand in an attribute, in either kind of quotes, or between tags: what a
 * parser reads there is @text, its line breaks and tabs too. (transfer full) */
char *gantry_xml_escape(const char *text);

/* A list of edits to one document's text. Edits refer to the parsed document; they must not
 * overlap. */
typedef struct GantryXmlEdit GantryXmlEdit;

GantryXmlEdit *gantry_xml_edit_new(GantryXml *xml); /* borrows @xml */
void gantry_xml_edit_free(GantryXmlEdit *edit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GantryXmlEdit, gantry_xml_edit_free)

/* Gives @element's attribute the value (escaped as needed), adding the attribute where it is
 * absent. */
void gantry_xml_edit_set_attribute(GantryXmlEdit *edit, const xmlNode *element, const char *name,
                                   const char *value);

/* Takes the attribute away, with the white space before it; nothing happens where it is absent. */
void gantry_xml_edit_remove_attribute(GantryXmlEdit *edit, const xmlNode *element,
                                      const char *name);

/* Replaces the whole element, tags included, by @fragment ("" removes it). */
void gantry_xml_edit_replace(GantryXmlEdit *edit, const xmlNode *element, const char *fragment);

/* Puts @fragment in as @parent's last content, behind earlier ones; an empty-element tag is opened
 * up. */
void gantry_xml_edit_append(GantryXmlEdit *edit, const xmlNode *parent, const char *fragment);

gsize gantry_xml_edit_count(const GantryXmlEdit *edit);

/**
 * gantry_xml_edit_apply:
 *
 * Returns: (transfer full): the new text. NULL with GANTRY_ERROR_CONFLICT where two edits overlap,
 * or what gantry_xml_parse() says of the result: _INVALID where it is no longer well formed (a
 * fragment was broken, an attribute was added twice), _LIMIT where it has become too large.
 */
char *gantry_xml_edit_apply(GantryXmlEdit *edit, gsize *ret_length, GError **error);
