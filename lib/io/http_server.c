/* SPDX-License-Identifier: MIT */
#include "io/http_server.h"

#include <civetweb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/limits.h"
#include "base/metrics.h"
#include "io/clock.h"
#include "io/http_internal.h"
#include "io/log.h"

#define FIRST_BYTE_MS "5000"
#define IDLE_MS "5000"
#define DRAIN_US 200000 /* of a stop: for requests that are there already */
#define DRAIN_QUIET_US 20000
#define DRAIN_LOOK_US 1000
#define LISTEN_BACKLOG "1024"
#define ID_HEADER_BYTES_MAX 128
#define ONE_WRITE_BYTES_MAX 16384 /* bodies up to this go out with their head in one write */

struct http_server {
    struct mg_context *civetweb;
    struct http_access access;
    struct http_watch *watch;
    struct route_table *table;
    struct http_route *routes; /* same numbers as in the table */
    int *labels;               /* of metrics, per route */
    int label_other;
    bool counted; /* the metrics listener is not */
    void *context;
    int port;
    atomic_bool refusing;
    atomic_bool draining;
    atomic_bool stopping;
    atomic_int handling; /* requests that the stop waits for */
    pthread_mutex_t idle_lock;
    pthread_cond_t idle; /* stopping, and handling has become 0 */
    int waiting_max;
    atomic_int waiting;         /* requests between http_wait_begin and http_wait_end */
    atomic_size_t bodies_bytes; /* of all requests being read or handled */
};

/* Status classes of METRIC_HTTP_REQUESTS are "2xx|3xx|4xx|5xx"; this is the index of the last. */
#define STATUS_LABEL_MAX 3

const struct route_table *http_server_routes(const struct http_server *server)
{
    return server->table;
}
int http_server_port(const struct http_server *server) { return server->port; }
void http_server_refuse(struct http_server *server) { atomic_store(&server->refusing, true); }

void http_server_reload_keys(struct http_server *server, const struct config *config)
{
    http_access_reload(&server->access, config);
}

const char *http_header(const struct http_request *request, const char *name)
{
    const struct http_exchange *exchange = request->internal;
    return mg_get_header(exchange->connection, name);
}

/* -- the exchange: memory of one HTTP thread, used again for each request -- */

static void *thread_start(const struct mg_context *civetweb, int kind)
{
    if (kind != 1)
        return NULL; /* not a thread that serves requests */
    struct http_server *server = mg_get_user_data(civetweb);
    struct http_exchange *exchange = must_calloc(1, sizeof *exchange);
    http_watch_add(server->watch, exchange);
    return exchange;
}

static void thread_stop(const struct mg_context *civetweb, int kind, void *pointer)
{
    (void)kind;
    struct http_server *server = mg_get_user_data(civetweb);
    struct http_exchange *exchange = pointer;
    if (exchange == NULL)
        return;
    http_watch_remove(server->watch, exchange);
    buffer_fini(&exchange->response.body);
    buffer_fini(&exchange->response.headers);
    buffer_fini(&exchange->path_text);
    buffer_fini(&exchange->path_whole);
    buffer_fini(&exchange->query_text);
    buffer_fini(&exchange->body);
    buffer_fini(&exchange->out);
    free(exchange);
}

static void buffer_reuse(struct buffer *buffer)
{
    if (buffer->capacity > HTTP_KEPT_BYTES_MAX)
        buffer_fini(buffer);
    else
        buffer_clear(buffer);
}

static void exchange_begin(struct http_exchange *exchange, struct http_server *server,
                           struct mg_connection *connection, const struct mg_request_info *info)
{
    const char *type = mg_get_header(connection, "Content-Type");
    exchange->server = server;
    exchange->bodies_bytes = &server->bodies_bytes;
    exchange->connection = connection;
    exchange->route = -1;
    exchange->query_count = 0;
    exchange->close = false;
    exchange->is_head = strcmp(info->request_method, "HEAD") == 0;
    exchange->request = (struct http_request){
        .method = info->request_method,
        .query_string = info->query_string,
        .body = "",
        .content_type = type != NULL ? type : "",
        .remote_address = info->remote_addr,
        .internal = exchange,
    };
    exchange->response.status = 200;
    exchange->response.content_type = "application/json";
    exchange->response.close = false;
}

static void exchange_end(struct http_exchange *exchange)
{
    for (int i = 0; i < exchange->form_filenames_count; i++)
        free(exchange->form_filenames[i]);
    exchange->form_filenames_count = 0;
    http_exchange_release_body(exchange);
    buffer_reuse(&exchange->response.body);
    buffer_reuse(&exchange->response.headers);
    buffer_reuse(&exchange->body);
    buffer_reuse(&exchange->out);
}

/* -- answering -- */

static void append_default_header(struct buffer *out, const struct buffer *own, const char *name,
                                  const char *line)
{
    for (const char *at = buffer_text(own); *at != '\0'; at = strstr(at, "\r\n") + 2) {
        if (strncasecmp(at, name, strlen(name)) == 0)
            return;
    }
    buffer_append_text(out, line);
}

static void append_date(struct http_exchange *exchange, struct buffer *out)
{
    int64_t second = clock_now_us() / 1000000;
    if (second != exchange->date_second) {
        time_t time = (time_t)second;
        struct tm parts;
        gmtime_r(&time, &parts);
        strftime(exchange->date, sizeof exchange->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
                 &parts);
        exchange->date_second = second;
    }
    buffer_append_text(out, exchange->date);
}

static void append_echo(struct http_exchange *exchange, struct buffer *out, const char *name)
{
    const char *value = mg_get_header(exchange->connection, name);
    if (value == NULL || strlen(value) > ID_HEADER_BYTES_MAX)
        return;
    buffer_append_text(out, name);
    buffer_append(out, ": ", 2);
    buffer_append_text(out, value);
    buffer_append(out, "\r\n", 2);
}

static void append_cors(struct http_exchange *exchange, struct buffer *out)
{
    const struct http_access *access = &exchange->server->access;
    if (access->origins.count == 0)
        return;
    buffer_append_text(out, "Vary: Origin\r\n");
    const char *origin = mg_get_header(exchange->connection, "Origin");
    if (origin == NULL || !http_access_origin_listed(access, origin))
        return;
    buffer_append_format(out, "Access-Control-Allow-Origin: %s\r\n", origin);
    buffer_append_text(
        out,
        "Access-Control-Expose-Headers: Location, Retry-After, X-Request-ID, X-Correlation-ID\r\n");
}

/* What civetweb does after the request must be what our Connection header says. */
static bool keeps_alive(struct http_exchange *exchange, const struct mg_request_info *info)
{
    if (exchange->close || exchange->response.close || exchange->response.status == 401 ||
        atomic_load_explicit(&exchange->server->draining, memory_order_relaxed))
        return false; /* civetweb closes after a 401 */
    const char *wish = mg_get_header(exchange->connection, "Connection");
    bool is_11 = info->http_version != NULL && strcmp(info->http_version, "1.1") == 0;
    if (wish == NULL)
        return is_11;
    return strcasestr(wish, "close") == NULL && (is_11 || strcasestr(wish, "keep-alive") != NULL);
}

static void append_head(struct http_exchange *exchange, struct buffer *out, bool keep)
{
    struct http_response *response = &exchange->response;
    bool has_body = response->status != 204 && response->status != 304;
    buffer_append_text(out, "HTTP/1.1 ");
    buffer_append_int(out, response->status);
    buffer_append_char(out, ' ');
    buffer_append_text(out, mg_get_response_code_text(exchange->connection, response->status));
    buffer_append(out, "\r\n", 2);
    append_date(exchange, out);
    if (has_body) {
        buffer_append_text(out, "Content-Type: ");
        buffer_append_text(out, response->content_type);
        buffer_append_text(out, "\r\nContent-Length: ");
        buffer_append_int(out, (int64_t)response->body.bytes);
        buffer_append(out, "\r\n", 2);
    }
    buffer_append_text(out, keep ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
    buffer_append_text(out, "X-Content-Type-Options: nosniff\r\nX-Frame-Options: "
                            "DENY\r\nReferrer-Policy: no-referrer\r\n");
    append_default_header(
        out, &response->headers, "Content-Security-Policy:",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
    append_default_header(out, &response->headers, "Cache-Control:", "Cache-Control: no-store\r\n");
    append_echo(exchange, out, "X-Request-ID");
    append_echo(exchange, out, "X-Correlation-ID");
    append_cors(exchange, out);
    buffer_append(out, buffer_text(&response->headers), response->headers.bytes);
    buffer_append(out, "\r\n", 2);
}

static void send_response(struct http_exchange *exchange, const struct mg_request_info *info)
{
    struct http_response *response = &exchange->response;
    bool keep = keeps_alive(exchange, info);
    if (!keep)
        mg_disable_connection_keep_alive(exchange->connection);
    buffer_clear(&exchange->out);
    append_head(exchange, &exchange->out, keep);
    bool body = !exchange->is_head && response->body.bytes > 0 && response->status != 204 &&
                response->status != 304;
    if (body && response->body.bytes <= ONE_WRITE_BYTES_MAX) {
        buffer_append(&exchange->out, response->body.data, response->body.bytes);
        body = false;
    }
    if (mg_write(exchange->connection, exchange->out.data, exchange->out.bytes) > 0 && body)
        mg_write(exchange->connection, response->body.data, response->body.bytes);
}

void http_exchange_refuse(struct http_exchange *exchange, enum error_code code, int status,
                          const char *name, const char *text)
{
    struct error error = {0};
    error_set(&error, code, "%s", text);
    http_problem_with(&exchange->response, &error, status, name, NULL);
}

/* -- the way of a request -- */

static bool take_path(struct http_exchange *exchange, const struct mg_request_info *info)
{
    const char *raw = info->local_uri_raw != NULL ? info->local_uri_raw : "/";
    size_t bytes;
    buffer_clear(&exchange->path_text);
    buffer_clear(&exchange->path_whole);
    buffer_append_text(&exchange->path_text, raw);
    buffer_append_text(&exchange->path_whole, raw);
    if (!percent_decode(exchange->path_whole.data, exchange->path_whole.bytes, false, &bytes)) {
        http_exchange_refuse(exchange, ERR_INVALID, 400, "malformed_path",
                             "the path is not valid percent-encoded UTF-8");
        return false;
    }
    exchange->request.path = buffer_text(&exchange->path_whole);
    if (!route_path_parse(exchange->path_text.data, &exchange->path)) {
        http_exchange_refuse(exchange, ERR_NOT_FOUND, 404, error_code_name(ERR_NOT_FOUND),
                             "there is nothing at this path");
        return false;
    }
    return true;
}

static void answer_options(struct http_exchange *exchange, const char *allowed)
{
    struct http_response *response = &exchange->response;
    const char *origin = http_header(&exchange->request, "Origin");
    response->status = 204;
    http_response_header(response, "Allow", allowed);
    if (origin == NULL || !http_access_origin_listed(&exchange->server->access, origin))
        return;
    http_response_header(response, "Access-Control-Allow-Methods", allowed);
    http_response_header(response, "Access-Control-Allow-Headers",
                         "Authorization, X-API-Key, Content-Type, Idempotency-Key, X-Request-ID, "
                         "X-Correlation-ID, Last-Event-ID");
    http_response_header(response, "Access-Control-Max-Age", "600");
}

/* False: the response is filled with 404, 405 or the answer to OPTIONS. */
static bool find_route(struct http_exchange *exchange)
{
    const struct route_table *table = exchange->server->table;
    enum route_result result =
        route_find(table, exchange->request.method, &exchange->path, &exchange->route);
    if (result == ROUTE_FOUND)
        return true;
    if (result == ROUTE_NO_PATH) {
        http_exchange_refuse(exchange, ERR_NOT_FOUND, 404, error_code_name(ERR_NOT_FOUND),
                             "there is nothing at this path");
        return false;
    }
    char allowed[128];
    char text[256];
    route_allowed(table, &exchange->path, allowed, sizeof allowed);
    if (strcmp(exchange->request.method, "OPTIONS") == 0) {
        answer_options(exchange, allowed);
        return false;
    }
    snprintf(text, sizeof text, "%.16s is not allowed here, allowed are %s",
             exchange->request.method, allowed);
    http_exchange_refuse(exchange, ERR_METHOD, 405, error_code_name(ERR_METHOD), text);
    http_response_header(&exchange->response, "Allow", allowed);
    return false;
}

static void refuse_stopping(struct http_exchange *exchange)
{
    struct error error = {0};
    error_set(&error, ERR_STOPPING, "this instance is stopping");
    http_problem(&exchange->response, &error);
}

/* False: the response is filled with the reason. */
static bool may_enter(struct http_exchange *exchange, const struct http_route *route)
{
    struct http_server *server = exchange->server;
    bool trusted = (route->flags & HTTP_TRUSTED) != 0 &&
                   http_access_trusts(&server->access, &exchange->request);
    if ((route->flags & HTTP_OPEN) == 0 && !trusted) {
        if (!http_access_https_ok(&server->access, &exchange->request)) {
            http_exchange_refuse(exchange, ERR_FORBIDDEN, 403, "https_required",
                                 "only requests that came over HTTPS are taken");
            return false;
        }
        if (server->access.key_required &&
            !http_access_key_known(&server->access, &exchange->request)) {
            http_exchange_refuse(
                exchange, ERR_UNAUTHORIZED, 401, error_code_name(ERR_UNAUTHORIZED),
                "a valid API key is required, as Authorization: Bearer or X-API-Key");
            http_response_header(&exchange->response, "WWW-Authenticate", "Bearer");
            return false;
        }
    }
    if (atomic_load_explicit(&server->refusing, memory_order_relaxed) &&
        strcmp(route->method, "GET") != 0) {
        refuse_stopping(exchange);
        return false;
    }
    return true;
}

bool http_wait_begin(const struct http_request *request)
{
    struct http_server *server = ((const struct http_exchange *)request->internal)->server;
    if (atomic_fetch_add(&server->waiting, 1) < server->waiting_max)
        return true;
    atomic_fetch_sub(&server->waiting, 1);
    return false;
}

void http_wait_end(const struct http_request *request)
{
    atomic_fetch_sub(&((const struct http_exchange *)request->internal)->server->waiting, 1);
}

bool http_trusted(const struct http_request *request)
{
    const struct http_exchange *exchange = request->internal;
    return http_access_trusts(&exchange->server->access, request);
}

static bool has_body(const struct http_exchange *exchange, const struct mg_request_info *info)
{
    return info->content_length > 0 ||
           mg_get_header(exchange->connection, "Transfer-Encoding") != NULL;
}

static void serve(struct http_exchange *exchange, const struct mg_request_info *info)
{
    exchange->close = has_body(exchange, info);
    if (!take_path(exchange, info) || !find_route(exchange))
        return;
    const struct http_route *route = &exchange->server->routes[exchange->route];
    struct error error = {0};
    if (info->query_string != NULL && http_exchange_parse_query(exchange, &error) != ERR_OK) {
        http_problem_with(&exchange->response, &error, 400, "malformed_query", NULL);
        return;
    }
    if (!may_enter(exchange, route) || !http_exchange_take_body(exchange, route))
        return;
    route->handler(&exchange->request, &exchange->response, exchange->server->context);
}

static void count_request(const struct http_exchange *exchange, int64_t start_us)
{
    const struct http_server *server = exchange->server;
    if (!server->counted)
        return;
    int label = exchange->route >= 0 ? server->labels[exchange->route] : server->label_other;
    int status = exchange->response.status / 100 - 2;
    status = status < 0 ? 0 : status > STATUS_LABEL_MAX ? STATUS_LABEL_MAX : status;
    metrics_add(METRIC_HTTP_REQUESTS, label, status, 1);
    metrics_observe(METRIC_HTTP_DURATION, label, 0,
                    (double)(clock_monotonic_us() - start_us) / 1e6);
}

static void leave(struct http_server *server)
{
    if (atomic_fetch_sub(&server->handling, 1) != 1 || !atomic_load(&server->stopping))
        return;
    pthread_mutex_lock(&server->idle_lock);
    pthread_cond_signal(&server->idle);
    pthread_mutex_unlock(&server->idle_lock);
}

/* False when the server stops: nothing new is begun. */
static bool enter(struct http_server *server)
{
    atomic_fetch_add(&server->handling, 1);
    if (!atomic_load(&server->stopping))
        return true;
    leave(server);
    return false;
}

static int on_request(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct http_exchange *exchange = mg_get_thread_pointer(connection);
    int64_t start_us = clock_monotonic_us();
    exchange_begin(exchange, info->user_data, connection, info);
    http_exchange_current = exchange;
    bool entered = enter(exchange->server);
    if (entered) {
        serve(exchange, info);
    } else {
        exchange->close = true;
        refuse_stopping(exchange);
    }
    count_request(exchange, start_us); /* before the answer: who has it also finds it counted */
    send_response(exchange, info);
    if (entered)
        leave(exchange->server);
    if (exchange->close && has_body(exchange, info))
        http_port_linger(exchange->server->port, info->remote_addr, info->remote_port);
    http_exchange_current = NULL;
    int status = exchange->response.status;
    exchange_end(exchange);
    return status;
}

/* What civetweb itself refuses: broken request lines, headers too large, slow clients. */
static int on_error(struct mg_connection *connection, int status, const char *message)
{
    char body[512];
    struct buffer detail = {0};
    buffer_append_json_text(&detail, message != NULL ? message : "the request could not be read");
    int bytes = snprintf(body, sizeof body,
                         "{\"type\":\"urn:omninode-bridge:problem:malformed_request\",\"title\":"
                         "\"the request could not be read\","
                         "\"status\":%d,\"detail\":%.300s,\"code\":\"malformed_request\"}",
                         status, buffer_text(&detail));
    buffer_fini(&detail);
    mg_disable_connection_keep_alive(connection);
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: "
              "%d\r\nConnection: close\r\n"
              "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\r\n%s",
              status, mg_get_response_code_text(connection, status), bytes, body);
    return 0;
}

static int on_log(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    log_debug("http library", LOG_TEXT("message", message));
    return 1;
}

/* -- start and stop -- */

static void name_labels(struct http_server *server, int count)
{
    const char *names[METRIC_LABEL_VALUES_MAX];
    char *texts[METRIC_LABEL_VALUES_MAX];
    int used = 0;
    for (int i = 0; i < count; i++) {
        const struct http_route *route = &server->routes[i];
        server->labels[i] = -1;
        if ((route->flags & HTTP_HIDDEN) != 0 || used == METRIC_LABEL_VALUES_MAX - 1)
            continue;
        struct buffer text = {0};
        buffer_append_format(&text, "%s %s", route->method, route->path);
        texts[used] = buffer_take(&text);
        names[used] = texts[used];
        server->labels[i] = used++;
    }
    server->label_other = used;
    names[used] = "other";
    for (int i = 0; i < count; i++)
        server->labels[i] = server->labels[i] < 0 ? used : server->labels[i];
    metrics_label_values(METRIC_HTTP_REQUESTS, 0, names, used + 1);
    metrics_label_values(METRIC_HTTP_DURATION, 0, names, used + 1);
    for (int i = 0; i < used; i++)
        free(texts[i]);
}

static enum error_code take_routes(struct http_server *server, const struct http_route *routes,
                                   struct error *error)
{
    int count = 0;
    while (routes[count].path != NULL)
        count++;
    server->routes = must_calloc((unsigned long)count + 1, sizeof *routes);
    server->labels = must_calloc((unsigned long)count + 1, sizeof(int));
    memcpy(server->routes, routes, (size_t)count * sizeof *routes);
    server->table = route_table_new();
    for (int i = 0; i < count; i++) {
        enum error_code code = route_add(server->table, routes[i].method, routes[i].path, error);
        if (code != ERR_OK)
            return code;
    }
    if (server->counted)
        name_labels(server, count);
    return ERR_OK;
}

static void server_free(struct http_server *server)
{
    http_watch_free(server->watch);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->idle_lock);
    http_access_fini(&server->access);
    route_table_free(server->table);
    free(server->routes);
    free(server->labels);
    free(server);
}

static enum error_code listen_on(struct http_server *server, const char *address, int port,
                                 int threads, struct error *error)
{
    char where[128];
    char threads_text[16];
    char header_bytes[16];
    char text[256] = "";
    unsigned code = 0;
    snprintf(where, sizeof where, strchr(address, ':') != NULL ? "[%s]:%d" : "%s:%d", address,
             port);
    snprintf(threads_text, sizeof threads_text, "%d", threads);
    snprintf(header_bytes, sizeof header_bytes, "%d", HTTP_HEADER_BYTES_MAX);
    const char *options[] = {"listening_ports",
                             where,
                             "num_threads",
                             threads_text,
                             "request_timeout_ms",
                             FIRST_BYTE_MS,
                             "keep_alive_timeout_ms",
                             IDLE_MS,
                             "enable_keep_alive",
                             "yes",
                             "tcp_nodelay",
                             "1",
                             "listen_backlog",
                             LISTEN_BACKLOG,
                             "max_request_size",
                             header_bytes,
                             "decode_url",
                             "no",
                             "decode_query_string",
                             "no",
                             NULL};
    const struct mg_callbacks callbacks = {.begin_request = on_request,
                                           .http_error = on_error,
                                           .log_message = on_log,
                                           .init_thread = thread_start,
                                           .exit_thread = thread_stop};
    struct mg_init_data init = {&callbacks, server, options};
    struct mg_error_data failure = {&code, text, sizeof text};
    server->civetweb = mg_start2(&init, &failure);
    if (server->civetweb == NULL)
        return error_set(error, ERR_CONFIG, "cannot listen on %s port %d with %d threads: %s",
                         address, port, threads, text);
    struct mg_server_port bound = {0};
    if (mg_get_server_ports(server->civetweb, 1, &bound) == 1)
        server->port = bound.port;
    return ERR_OK;
}

static enum error_code start(struct http_server **result, const struct http_server_options *options,
                             bool counted, struct error *error)
{
    *result = NULL;
    enum error_code code =
        options->port != 0 ? http_port_check(options->address, options->port, error) : ERR_OK;
    if (code != ERR_OK)
        return code;
    struct http_server *server = must_calloc(1, sizeof *server);
    server->context = options->context;
    server->counted = counted;
    server->waiting_max =
        options->threads - (options->threads < 2 * HTTP_THREADS_RESERVED ? options->threads / 2
                                                                         : HTTP_THREADS_RESERVED);
    http_access_init(&server->access, options->config);
    server->access.credential_header = options->credential_header;
    server->access.credential = options->credential;
    pthread_mutex_init(&server->idle_lock, NULL);
    pthread_cond_init(&server->idle, NULL);
    server->watch = http_watch_new(options->config->http_body_timeout_ms);
    code = take_routes(server, options->routes, error);
    if (code == ERR_OK)
        code = listen_on(server, options->address, options->port, options->threads, error);
    if (code == ERR_OK)
        code = http_watch_start(server->watch, server->port, error);
    if (code != ERR_OK) {
        if (server->civetweb != NULL)
            mg_stop(server->civetweb);
        server_free(server);
        return code;
    }
    *result = server;
    return ERR_OK;
}

enum error_code http_server_start(struct http_server **server,
                                  const struct http_server_options *options, struct error *error)
{
    return start(server, options, true, error);
}

void http_server_drain(struct http_server *server)
{
    int64_t now_us = clock_monotonic_us(), until_us = now_us + DRAIN_US, quiet_us = now_us;
    atomic_store(&server->draining, true);
    http_port_stop_listening(server->port);
    while (now_us < until_us && now_us - quiet_us < DRAIN_QUIET_US) {
        clock_sleep_us(DRAIN_LOOK_US);
        now_us = clock_monotonic_us();
        if (atomic_load(&server->handling) > 0)
            quiet_us = now_us;
    }
}

void http_server_stop(struct http_server *server)
{
    if (server == NULL)
        return;
    /* The library drops answers once its own stop has begun, so running handlers end before it. */
    pthread_mutex_lock(&server->idle_lock);
    atomic_store(&server->stopping, true);
    http_port_hang_up(server->port, 0);
    while (atomic_load(&server->handling) > 0)
        pthread_cond_wait(&server->idle, &server->idle_lock);
    pthread_mutex_unlock(&server->idle_lock);
    http_port_stop_listening(server->port);
    http_port_hang_up(server->port, 0); /* those that came meanwhile */
    mg_stop(server->civetweb);
    server_free(server);
}

static void handle_live(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    buffer_append_text(&response->body, "{\"status\":\"alive\"}");
}

enum error_code http_metrics_start(struct http_server **server, const char *address, int port,
                                   const struct config *config, struct error *error)
{
    static const struct http_route routes[] = {
        {"GET", "/metrics", http_handle_metrics, HTTP_OPEN, 0},
        {"GET", "/health/live", handle_live, HTTP_OPEN, 0},
        {0},
    };
    const struct http_server_options options = {
        .address = address, .port = port, .threads = 4, .routes = routes, .config = config};
    return start(server, &options, false, error);
}
