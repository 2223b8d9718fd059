/* SPDX-License-Identifier: MIT */
#include "io/clock.h"
#include "io/node.h"
#include "metadata-stamping/service.h"

static const char usage[] = "metadata-stamping\n\nBLAKE3 hashes and ONEX stamps over HTTP. "
                            "Settings are environment variables:";

static void reload(const struct config *fresh, void *context)
{
    http_server_reload_keys(context, fresh);
}

int main(int argc, char **argv)
{
    struct node node;
    int status = node_begin(&node, FOR_STAMPING, "metadata-stamping", usage, argc, argv);
    if (status != NODE_GO)
        return status;
    struct service service = {.started_us = clock_monotonic_us()};
    if (stamp_store_configured())
        service.store = stamp_store_new(&node.config);
    const struct http_server_options options = {
        .address = node.config.bind_address,
        .port = (int)node.config.metadata_stamping_port,
        .threads = (int)node.config.http_threads,
        .routes = service_routes,
        .context = &service,
        .config = &node.config,
    };
    struct http_server *server;
    struct error error = {0};
    if (http_server_start(&server, &options, &error) != ERR_OK) {
        stamp_store_free(service.store);
        return node_fail(&node, &error);
    }
    node_ready(&node, http_server_port(server));
    node_wait(&node, reload, server);
    http_server_stop(server);
    stamp_store_free(service.store);
    return node_end(&node);
}
