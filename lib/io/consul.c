/* SPDX-License-Identifier: MIT */
#include "io/consul.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/json.h"
#include "io/clock.h"
#include "io/http_client.h"
#include "io/log.h"

#define CALL_MS 2000
#define RETRY_MS_MAX 30000

struct consul {
    char *agent_url;  /* "http://host:8500" */
    char *service_id; /* "omninode-bridge-reducer-<uuid>" */
    char *registration;
    int watch_interval_ms;
    int retry_interval_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    bool registered;
    /* the thread's own */
    struct http_client *client;
    struct http_reply reply;
    bool complained;
};

/* -- the document -- */

static void tag(struct json *tags, const char *prefix, const char *text)
{
    struct buffer line = {0};
    buffer_append_text(&line, prefix);
    buffer_append_text(&line, text == NULL ? "" : text);
    json_array_append(tags, json_text(buffer_text(&line)));
    buffer_fini(&line);
}

static struct json *all_tags(const struct consul_options *options)
{
    struct json *tags = json_array();
    tag(tags, "onex", "");
    tag(tags, "bridge", "");
    tag(tags, "", options->node_type);
    tag(tags, "version:", VERSION);
    tag(tags, "omninode_bridge", "");
    tag(tags, "node_type:", options->node_type);
    tag(tags, "namespace:", options->namespace);
    tag(tags, "kafka_enabled:", "true");
    for (const char *const *more = options->tags; more != NULL && *more != NULL; more++)
        tag(tags, "", *more);
    return tags;
}

static struct json *meta(const struct consul_options *options)
{
    struct json *meta = json_object();
    char port[16];
    json_object_set(meta, "node_id", json_text(options->node_id));
    json_object_set(meta, "node_type", json_text(options->node_type));
    json_object_set(meta, "version", json_text(VERSION));
    json_object_set(meta, "environment",
                    json_text(options->environment == NULL ? "" : options->environment));
    if (options->metrics_port > 0) {
        snprintf(port, sizeof port, "%d", options->metrics_port);
        json_object_set(meta, "metrics_port", json_text(port));
    }
    return meta;
}

/* An IPv6 address needs brackets within a URL. */
static void append_host(struct buffer *out, const char *host)
{
    buffer_append_format(out, strchr(host, ':') != NULL && host[0] != '[' ? "[%s]" : "%s", host);
}

static struct json *check(const struct consul_options *options)
{
    struct json *check = json_object();
    struct buffer text = {0};
    buffer_append_text(&text, "http://");
    append_host(&text, options->host);
    buffer_append_format(&text, ":%d/health", options->port);
    json_object_set(check, "HTTP", json_text(buffer_text(&text)));
    json_object_set(check, "Method", json_text("GET"));
    buffer_clear(&text);
    buffer_append_format(&text, "%ds", CONSUL_CHECK_INTERVAL_S);
    json_object_set(check, "Interval", json_text(buffer_text(&text)));
    json_object_set(check, "Timeout", json_text("5s"));
    json_object_set(check, "DeregisterCriticalServiceAfter", json_text("90s"));
    buffer_fini(&text);
    return check;
}

static char *registration_of(const struct consul_options *options, const char *name,
                             const char *service_id)
{
    struct json *document = json_object();
    json_object_set(document, "ID", json_text(service_id));
    json_object_set(document, "Name", json_text(name));
    json_object_set(document, "Address", json_text(options->host));
    json_object_set(document, "Port", json_int(options->port));
    json_object_set(document, "Tags", all_tags(options));
    json_object_set(document, "Meta", meta(options));
    json_object_set(document, "Check", check(options));
    char *text = json_to_text(document);
    json_release(document);
    return text;
}

/* -- calls -- */

/* The status, or 0 when the agent could not be reached. */
static int call_agent(struct consul *consul, const char *method, const char *path, const char *id,
                      const char *body, struct error *error)
{
    struct buffer url = {0};
    buffer_append_text(&url, consul->agent_url);
    buffer_append_text(&url, path);
    http_url_encode(&url, id);
    struct http_call call = {.method = method,
                             .url = buffer_text(&url),
                             .body = body,
                             .body_bytes = body == NULL ? 0 : strlen(body),
                             .timeout_ms = CALL_MS,
                             .response_bytes_max = 65536};
    enum error_code code = http_client_call(consul->client, &call, &consul->reply, error);
    buffer_fini(&url);
    return code == ERR_OK ? consul->reply.status : 0;
}

static void complain(struct consul *consul, int status, const struct error *error)
{
    if (!consul->complained)
        log_warning(
            "Consul registration failed, will try again", LOG_TEXT("agent", consul->agent_url),
            LOG_INT("status", status),
            LOG_TEXT("error", status == 0 ? error->text : buffer_text(&consul->reply.body)));
    consul->complained = true;
}

static void set_registered(struct consul *consul, bool registered)
{
    pthread_mutex_lock(&consul->lock);
    consul->registered = registered;
    pthread_mutex_unlock(&consul->lock);
}

static bool register_once(struct consul *consul)
{
    struct error error = {0};
    int status =
        call_agent(consul, "PUT", "/v1/agent/service/register", "", consul->registration, &error);
    if (status / 100 != 2) {
        complain(consul, status, &error);
        return false;
    }
    consul->complained = false;
    set_registered(consul, true);
    log_info("registered with Consul", LOG_TEXT("agent", consul->agent_url),
             LOG_TEXT("service_id", consul->service_id));
    return true;
}

/* False when the agent says that it does not know us. An agent that is away is asked again later. */
static bool still_known(struct consul *consul)
{
    struct error error = {0};
    int status = call_agent(consul, "GET", "/v1/agent/service/", consul->service_id, NULL, &error);
    if (status != 404)
        return true;
    log_warning("Consul has forgotten this node, registering again",
                LOG_TEXT("service_id", consul->service_id));
    set_registered(consul, false);
    return false;
}

static void deregister(struct consul *consul)
{
    struct error error = {0};
    int status = call_agent(consul, "PUT", "/v1/agent/service/deregister/", consul->service_id,
                            NULL, &error);
    if (status / 100 == 2)
        log_info("deregistered from Consul", LOG_TEXT("service_id", consul->service_id));
    else
        log_warning("Consul deregistration failed", LOG_TEXT("service_id", consul->service_id),
                    LOG_INT("status", status));
    set_registered(consul, false);
}

/* -- the thread -- */

/* Waits; true when it is time to stop. */
static bool wait_ms(struct consul *consul, int64_t ms)
{
    int64_t until_us = clock_monotonic_us() + ms * 1000;
    pthread_mutex_lock(&consul->lock);
    while (!consul->stopping && clock_wait(&consul->changed, &consul->lock, until_us))
        continue;
    bool stopping = consul->stopping;
    pthread_mutex_unlock(&consul->lock);
    return stopping;
}

static void *run(void *context)
{
    struct consul *consul = context;
    bool registered = false, ever = false;
    int64_t retry_ms = consul->retry_interval_ms;
    for (bool stopping = false; !stopping;) {
        if (registered)
            registered = still_known(consul);
        if (!registered)
            registered = register_once(consul);
        ever |= registered;
        retry_ms = registered ? consul->retry_interval_ms : retry_ms;
        stopping = wait_ms(consul, registered ? consul->watch_interval_ms : retry_ms);
        retry_ms = retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : retry_ms * 2;
    }
    if (ever)
        deregister(consul);
    return NULL;
}

struct consul *consul_start(const struct consul_options *options)
{
    struct consul *consul = must_calloc(1, sizeof *consul);
    struct buffer text = {0};
    buffer_append_text(&text, "http://");
    append_host(&text, options->agent_host);
    buffer_append_format(&text, ":%d", options->agent_port);
    consul->agent_url = buffer_take(&text);
    buffer_append_format(&text, "omninode-bridge-%s", options->node_type);
    char *name = buffer_take(&text);
    buffer_append_format(&text, "%s-%s", name, options->node_id);
    consul->service_id = buffer_take(&text);
    consul->registration = registration_of(options, name, consul->service_id);
    free(name);
    consul->watch_interval_ms =
        options->watch_interval_ms > 0 ? options->watch_interval_ms : CONSUL_WATCH_INTERVAL_MS;
    consul->retry_interval_ms =
        options->retry_interval_ms > 0 ? options->retry_interval_ms : CONSUL_RETRY_INTERVAL_MS;
    consul->client = http_client_new();
    pthread_mutex_init(&consul->lock, NULL);
    clock_condition_init(&consul->changed);
    BUG_IF(pthread_create(&consul->thread, NULL, run, consul) != 0);
    return consul;
}

bool consul_registered(const struct consul *consul)
{
    if (consul == NULL)
        return false;
    struct consul *locked = (struct consul *)(uintptr_t)consul;
    pthread_mutex_lock(&locked->lock);
    bool registered = locked->registered;
    pthread_mutex_unlock(&locked->lock);
    return registered;
}

void consul_stop(struct consul *consul)
{
    if (consul == NULL)
        return;
    pthread_mutex_lock(&consul->lock);
    consul->stopping = true;
    pthread_cond_signal(&consul->changed);
    pthread_mutex_unlock(&consul->lock);
    pthread_join(consul->thread, NULL);
    http_reply_fini(&consul->reply);
    http_client_free(consul->client);
    pthread_cond_destroy(&consul->changed);
    pthread_mutex_destroy(&consul->lock);
    free(consul->registration);
    free(consul->service_id);
    free(consul->agent_url);
    free(consul);
}

/* -- from the configuration -- */

/* The own address on the way to a peer; no packet is sent. NULL when there is no way. */
static char *address_towards(const char *peer_host, int peer_port)
{
    char service[16], host[NI_MAXHOST];
    snprintf(service, sizeof service, "%d", peer_port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    if (getaddrinfo(peer_host, service, &hints, &found) != 0)
        return NULL;
    char *address = NULL;
    for (struct addrinfo *peer = found; peer != NULL && address == NULL; peer = peer->ai_next) {
        struct sockaddr_storage own;
        socklen_t own_bytes = sizeof own;
        int s = socket(peer->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (s >= 0 && connect(s, peer->ai_addr, peer->ai_addrlen) == 0 &&
            getsockname(s, (struct sockaddr *)&own, &own_bytes) == 0 &&
            getnameinfo((struct sockaddr *)&own, own_bytes, host, sizeof host, NULL, 0,
                        NI_NUMERICHOST) == 0)
            address = must_strdup(host);
        if (s >= 0)
            close(s);
    }
    freeaddrinfo(found);
    return address;
}

char *advertised_host(const struct config *config, const char *peer_host, int peer_port)
{
    if (config->advertised_host[0] != '\0')
        return must_strdup(config->advertised_host);
    const char *bound = config->bind_address;
    if (bound[0] != '\0' && strcmp(bound, "0.0.0.0") != 0 && strcmp(bound, "::") != 0)
        return must_strdup(bound); /* nothing else would be answered */
    char *address = peer_host == NULL ? NULL : address_towards(peer_host, peer_port);
    if (address != NULL)
        return address;
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
        return must_strdup("localhost");
    return must_strdup(name);
}

struct consul *consul_start_from_config(const struct config *config, const char *node_type,
                                        const char *node_id, int port, int metrics_port)
{
    if (config->consul_host[0] == '\0' || !config->consul_enable_registration)
        return NULL;
    char batch_size[48], window_seconds[48];
    bool reducer = strcmp(node_type, "reducer") == 0;
    snprintf(batch_size, sizeof batch_size, "batch_size:%lld",
             (long long)config->aggregation_batch_size);
    snprintf(window_seconds, sizeof window_seconds, "window_seconds:%g",
             (double)config->aggregation_window_size_ms / 1000);
    const char *const tags[] = {batch_size, window_seconds, NULL};
    char *host = advertised_host(config, config->consul_host, (int)config->consul_port);
    struct consul *consul = consul_start(&(struct consul_options){
        .agent_host = config->consul_host,
        .agent_port = (int)config->consul_port,
        .node_type = node_type,
        .node_id = node_id,
        .host = host,
        .port = port,
        .metrics_port = metrics_port,
        .namespace = config->default_namespace,
        .environment = config->environment,
        .tags = reducer ? tags : NULL,
    });
    free(host);
    return consul;
}
