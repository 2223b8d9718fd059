/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "io/node.h"
#include "onextree/service.h"

static const char usage[] =
    "onextree\n\nWhat is in a project's tree, over HTTP. Settings are environment variables:";

static void reload(const struct config *fresh, void *context)
{
    http_server_reload_keys(context, fresh);
}

static enum error_code load_first(struct service *service, const char *root, struct error *error)
{
    struct error reason = {0};
    if (*root == '\0' || service_load(service, root, &reason) == ERR_OK)
        return ERR_OK;
    return error_set(error, ERR_CONFIG, "ONEXTREE_PROJECT_ROOT: %s", reason.text);
}

int main(int argc, char **argv)
{
    struct node node;
    int status = node_begin(&node, FOR_ONEXTREE, "onextree", usage, argc, argv);
    if (status != NODE_GO)
        return status;
    struct service service;
    service_init(&service);
    const struct http_server_options options = {
        .address = node.config.bind_address,
        .port = (int)node.config.onextree_port,
        .threads = (int)node.config.http_threads,
        .routes = service_routes,
        .context = &service,
        .config = &node.config,
    };
    struct http_server *server;
    struct error error = {0};
    if (load_first(&service, node.config.onextree_project_root, &error) != ERR_OK ||
        http_server_start(&server, &options, &error) != ERR_OK) {
        service_fini(&service);
        return node_fail(&node, &error);
    }
    node_ready(&node, http_server_port(server));
    node_wait(&node, reload, server);
    http_server_stop(server);
    service_fini(&service);
    return node_end(&node);
}
