/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a domain is. Nova writes <nova:instance> into the metadata in every release; its namespace's
 * version has been 1.0 and 1.1, and both say what we need in the same way.
 */
#include "common/xml/settings_priv.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/base/text.h"

const xmlNode *
gantry_nova_instance(GantryXml *domain, const char **ret_uri)
{
    static const char *const uris[] = {"http://openstack.org/xmlns/libvirt/nova/1.1",
                                       "http://openstack.org/xmlns/libvirt/nova/1.0"};
    const xmlNode *metadata = gantry_xml_path(domain, "metadata");

    for (guint i = 0; metadata && i < G_N_ELEMENTS(uris); i++) {
        const xmlNode *instance = gantry_xml_next_child(metadata, NULL, uris[i], "instance");

        if (instance) {
            *ret_uri = uris[i];
            return instance;
        }
    }
    return NULL;
}

/* Text of the domain's child, "" if absent. */
static char *
child_text(GantryXml *domain, const char *name)
{
    const xmlNode *node = gantry_xml_path(domain, name);

    return node ? gantry_xml_content(node) : g_strdup("");
}

/* Attribute of the element at a path of names below @instance, "" if absent. */
static char *
nova_attribute(const xmlNode *instance, const char *uri, const char *const *path,
               const char *attribute)
{
    const xmlNode *node = instance;
    char *value;

    for (; *path && node; path++) {
        node = gantry_xml_next_child(node, NULL, uri, *path);
    }
    value = node ? gantry_xml_attribute(node, attribute) : NULL;
    return value ? value : g_strdup("");
}

gboolean
gantry_domain_identity_read(GantryXml *domain, GantryDomainIdentity *ret_identity, GError **error)
{
    const xmlNode *root = gantry_xml_root(domain);
    const char *uri = NULL;
    const xmlNode *instance;

    if (root->ns || !g_str_equal(root->name, "domain")) {
        g_autofree char *name = gantry_excerpt((const char *)root->name);

        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_INVALID,
                    _("%1$s: the root element is <%2$s>, not <domain>"), gantry_xml_name(domain),
                    name);
        return FALSE;
    }
    instance = gantry_nova_instance(domain, &uri);
    ret_identity->name = child_text(domain, "name");
    ret_identity->uuid = child_text(domain, "uuid");
    ret_identity->nova = instance != NULL;
    if (instance) {
        static const char *const flavor[] = {"flavor", NULL};
        static const char *const project[] = {"owner", "project", NULL};

        ret_identity->flavor = nova_attribute(instance, uri, flavor, "name");
        ret_identity->project = nova_attribute(instance, uri, project, "uuid");
    } else {
        ret_identity->flavor = g_strdup("");
        ret_identity->project = g_strdup("");
    }
    return TRUE;
}

void
gantry_domain_identity_clear(GantryDomainIdentity *identity)
{
    g_clear_pointer(&identity->name, g_free);
    g_clear_pointer(&identity->uuid, g_free);
    g_clear_pointer(&identity->flavor, g_free);
    g_clear_pointer(&identity->project, g_free);
}
