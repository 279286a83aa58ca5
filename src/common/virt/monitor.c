/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/virt/monitor_priv.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>

#include "common/base/error.h"
#include "common/base/i18n.h"
#include "common/virt/error.h"

/* Whatever stands there: QEMU is not trusted to keep its protocol. */
static const char *
string_member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;
    const char *text = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;

    return text ? text : "?";
}

JsonNode *
gantry_virt_monitor(virDomainPtr domain, const char *command, GError **error)
{
    char *answer = NULL;
    JsonNode *node;

    if (virDomainQemuMonitorCommand(domain, command, &answer, 0) < 0) {
        gantry_virt_set_error(error, _("QEMU monitor of domain %s"), virDomainGetName(domain));
        return NULL;
    }
    node = gantry_virt_monitor_parse(command, answer, error);
    free(answer); /* allocated by libvirt */
    return node;
}

JsonNode *
gantry_virt_monitor_parse(const char *command, const char *answer, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) syntax = NULL;
    JsonNode *root = NULL;
    JsonObject *object;

    if (json_parser_load_from_data(parser, answer, -1, &syntax)) {
        root = json_parser_get_root(parser);
    }
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("QEMU's answer to %1$s is not a JSON object: %2$s"), command,
                    syntax ? syntax->message : answer);
        return NULL;
    }
    object = json_node_get_object(root);
    if (json_object_has_member(object, "error")) {
        JsonNode *member = json_object_get_member(object, "error");
        JsonObject *failure = JSON_NODE_HOLDS_OBJECT(member) ? json_node_get_object(member) : NULL;

        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_REFUSED, _("QEMU refused %1$s: %2$s: %3$s"),
                    command, string_member(failure, "class"), string_member(failure, "desc"));
        return NULL;
    }
    if (!json_object_has_member(object, "return")) {
        g_set_error(error, GANTRY_ERROR, GANTRY_ERROR_PROTOCOL,
                    _("QEMU's answer to %1$s has neither return nor error: %2$s"), command, answer);
        return NULL;
    }
    return json_node_copy(json_object_get_member(object, "return"));
}
