/* SPDX-License-Identifier: MIT */
/* stub - the service that the benchmark's workflows call: POST /one and /two answer at once with about
 * 500 octets of JSON. It is configured as a companion is (BIND_ADDRESS, HTTP_THREADS, ONEXTREE_PORT) and
 * answers /health/ready when it listens.
 */
#include "io/http_server.h"
#include "io/node.h"

static const char usage[] =
    "stub\n\nThe service of the benchmark. Settings are environment variables:";

#define FILLER "abcdefghijklmnopqrstuvwxyz0123456789"

static void answer(struct http_response *response, const char *step)
{
    buffer_append_format(
        &response->body,
        "{\"step\":\"%s\",\"status\":\"success\",\"data\":{\"id\":\"7f3c9a52\",\"items\":["
        "{\"name\":\"first\",\"value\":1,\"text\":\"" FILLER FILLER FILLER "\"},"
        "{\"name\":\"second\",\"value\":2,\"text\":\"" FILLER FILLER FILLER "\"},"
        "{\"name\":\"third\",\"value\":3,\"text\":\"" FILLER FILLER FILLER "\"}]}}",
        step);
}

static void handle_one(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    answer(response, "one");
}

static void handle_two(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    answer(response, "two");
}

static void handle_ready(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    (void)context;
    buffer_append_text(&response->body, "{\"status\":\"healthy\"}");
}

static const struct http_route routes[] = {
    {"POST", "/one", handle_one, HTTP_OPEN, 0},
    {"POST", "/two", handle_two, HTTP_OPEN, 0},
    {"GET", "/health/ready", handle_ready, HTTP_OPEN, 0},
    {0},
};

int main(int argc, char **argv)
{
    struct node node;
    int status = node_begin(&node, FOR_ONEXTREE, "stub", usage, argc, argv);
    if (status != NODE_GO)
        return status;
    const struct http_server_options options = {
        .address = node.config.bind_address,
        .port = (int)node.config.onextree_port,
        .threads = (int)node.config.http_threads,
        .routes = routes,
        .config = &node.config,
    };
    struct http_server *server;
    struct error error = {0};
    if (http_server_start(&server, &options, &error) != ERR_OK)
        return node_fail(&node, &error);
    node_ready(&node, http_server_port(server));
    node_wait(&node, NULL, NULL);
    http_server_stop(server);
    return node_end(&node);
}
