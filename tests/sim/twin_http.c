/* SPDX-License-Identifier: MIT */
/* twin_http.c - io/http_multi.h with services behind it, and io/http_server.h as far as the handlers of the
 * API ask: a request runs its handler on a thread of the node it was sent to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "core/murmur2.h"
#include "io/http_multi.h"
#include "io/http_server.h"
#include "orchestrator/api.h"
#include "orchestrator/breakers.h"
#include "orchestrator/registry.h"
#include "world.h"

#define EXCHANGES_MAX 256

/* -- requests to a node -- */

struct exchange {
    struct http_request request;
    struct http_response response;
    char *headers; /* "Name: value\n" lines */
    char *id;      /* path parameter, or NULL */
    http_handler *handler;
    struct process *process;
    struct orchestrator *orchestrator;
    bool answered, broken, gone;             /* gone: nobody waits any more */
    void (*tell)(struct exchange *exchange); /* NULL: whoever waits on it is woken */
    void *context;
};

static char *header_of(const char *headers, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *line = headers; line != NULL && *line != '\0';) {
        if (strncasecmp(line, name, bytes) == 0 && line[bytes] == ':') {
            const char *value = line + bytes + 1 + strspn(line + bytes + 1, " ");
            return must_strndup(value, strcspn(value, "\r\n"));
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return NULL;
}

const char *http_header(const struct http_request *request, const char *name)
{
    const struct exchange *exchange = request->internal;
    return header_of(exchange->headers, name); /* leaks with the node */
}

bool http_trusted(const struct http_request *request)
{
    const struct exchange *exchange = request->internal;
    char *shown = header_of(exchange->headers, "X-Bridge-Instance");
    bool same = shown != NULL && strcmp(shown, exchange->orchestrator->credential) == 0;
    free(shown);
    return same;
}

bool http_wait_begin(const struct http_request *request)
{
    (void)request;
    return true;
}
void http_wait_end(const struct http_request *request) { (void)request; }

const char *http_path_parameter(const struct http_request *request, const char *name)
{
    (void)name;
    return ((const struct exchange *)request->internal)->id;
}

const char *http_query(struct http_request *request, const char *name)
{
    (void)request, (void)name;
    return NULL;
}

enum error_code http_query_int(struct http_request *request, const char *name, int64_t min,
                               int64_t max, int64_t fallback, int64_t *value, struct error *error)
{
    const char *query = request->query_string;
    size_t bytes = strlen(name);
    (void)min, (void)max, (void)error;
    bool there = query != NULL && strncmp(query, name, bytes) == 0 && query[bytes] == '=';
    *value = there ? atoll(query + bytes + 1) : fallback;
    return ERR_OK;
}

enum error_code http_query_known(struct http_request *request, const char *const *names,
                                 struct error *error)
{
    (void)request, (void)names, (void)error;
    return ERR_OK;
}

void http_response_header(struct http_response *response, const char *name, const char *value)
{
    buffer_append_format(&response->headers, "%s: %s\r\n", name, value);
}

void http_retry_after(struct http_response *response, int seconds)
{
    char text[16];
    snprintf(text, sizeof text, "%d", seconds);
    http_response_header(response, "Retry-After", text);
}

void http_json(struct http_response *response, int status, const struct json *value)
{
    response->status = status;
    buffer_clear(&response->body);
    json_write(value, &response->body);
}

void http_problem_with(struct http_response *response, const struct error *error, int status,
                       const char *code, struct json *extra)
{
    struct json *problem = json_object();
    json_object_set(problem, "code", json_text(code));
    json_object_set(problem, "detail", json_text(error->text));
    http_json(response, status, problem);
    json_release(problem);
    json_release(extra);
}

void http_problem(struct http_response *response, const struct error *error)
{
    http_problem_with(response, error, error_code_status(error->code), error_code_name(error->code),
                      NULL);
}

static void tell_exchange(struct exchange *exchange)
{
    if (exchange->gone)
        return;
    if (exchange->tell != NULL)
        exchange->tell(exchange);
    else
        fiber_wake(exchange);
}

static void *handle(void *context)
{
    struct exchange *exchange = context;
    fiber_effect();
    exchange->handler(&exchange->request, &exchange->response, exchange->orchestrator);
    fiber_effect();
    exchange->answered = true;
    tell_exchange(exchange);
    return NULL;
}

static http_handler *handler_of(const char *method, const char *path, char **id)
{
    static const struct {
        const char *end;
        http_handler *handler;
    } commands[] = {
        {"cancel", api_cancel}, {"pause", api_pause}, {"resume", api_resume}, {"retry", api_retry}};
    const char *rest = path + strlen("/api/v1/workflows");
    *id = NULL;
    if (strcmp(method, "POST") == 0 && (*rest == '\0' || *rest == '?'))
        return api_submit;
    const char *slash = strchr(rest + 1, '/');
    *id = must_strndup(rest + 1, slash == NULL ? strlen(rest + 1) : (size_t)(slash - rest - 1));
    for (size_t i = 0; slash != NULL && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(slash + 1, commands[i].end) == 0)
            return commands[i].handler;
    return api_get;
}

static struct exchange *exchanges[EXCHANGES_MAX]; /* under way */
static int exchanges_count;

static struct exchange *exchange_new(int place, const char *method, const char *path,
                                     const char *headers, const char *body)
{
    struct exchange *exchange = must_calloc(1, sizeof *exchange);
    const char *query = strchr(path, '?');
    exchange->handler = handler_of(method, path, &exchange->id);
    exchange->headers = must_strdup(headers);
    exchange->request =
        (struct http_request){.method = method,
                              .path = must_strndup(path, strcspn(path, "?")),
                              .query_string = query == NULL ? NULL : must_strdup(query + 1),
                              .body = must_strdup(body),
                              .body_bytes = strlen(body),
                              .content_type = "application/json",
                              .remote_address = "client",
                              .internal = exchange};
    exchange->response.status = 200;
    exchange->process = nodes[place].process;
    exchange->orchestrator = nodes[place].orchestrator;
    return exchange;
}

/* Hands it to the node; false when nobody listens there. */
static bool exchange_start(struct exchange *exchange, int place)
{
    if (!nodes[place].up || !nodes[place].process->alive)
        return false;
    exchange->process = nodes[place].process;
    exchange->orchestrator = nodes[place].orchestrator;
    int kept = 0;
    for (int i = 0; i < exchanges_count; i++)
        if (!exchanges[i]->answered && !exchanges[i]->gone)
            exchanges[kept++] = exchanges[i];
    BUG_IF(kept == EXCHANGES_MAX);
    exchanges[kept] = exchange;
    exchanges_count = kept + 1;
    process_start(exchange->process, handle, exchange);
    return true;
}

void services_break(struct process *process)
{
    int kept = 0;
    for (int i = 0; i < exchanges_count; i++) {
        struct exchange *exchange = exchanges[i];
        if (exchange->process == process && !exchange->answered) {
            exchange->broken = true;
            tell_exchange(exchange);
        } else if (!exchange->answered && !exchange->gone) {
            exchanges[kept++] = exchange;
        }
    }
    exchanges_count = kept;
}

static struct chance chance;
static int64_t sick_until_us;

void service_sick(int64_t us) { sick_until_us = fiber_now_us() + us; }

void http_ask(int place, const char *method, const char *path, const char *key, const char *body,
              int64_t timeout_us, struct http_reply *reply)
{
    struct buffer headers = {0};
    int64_t until_us = fiber_now_us() + timeout_us;
    reply->status = 0;
    if (key != NULL)
        buffer_append_format(&headers, "Idempotency-Key: %s\n", key);
    struct exchange *exchange = exchange_new(place, method, path, buffer_text(&headers), body);
    buffer_fini(&headers);
    fiber_sleep_us(chance_between(&chance, 50, 1000));
    if (world_faulty(FAULT_NETWORK) && chance_one_in(&chance, 25)) {
        fiber_sleep_us(until_us - fiber_now_us());
        return; /* the request got lost */
    }
    if (!exchange_start(exchange, place))
        return;
    while (!exchange->answered && !exchange->broken && fiber_now_us() < until_us)
        (void)fiber_wait(exchange, until_us);
    exchange->gone = true;
    if (!exchange->answered)
        return;
    fiber_sleep_us(chance_between(&chance, 50, 1000));
    if (world_faulty(FAULT_NETWORK) && chance_one_in(&chance, 25)) {
        fiber_sleep_us(timeout_us);
        return; /* the answer got lost */
    }
    reply->status = exchange->response.status;
    buffer_clear(&reply->body);
    buffer_append(&reply->body, buffer_text(&exchange->response.body),
                  exchange->response.body.bytes);
}

/* -- calls of workers -- */

struct http_multi_call {
    struct http_multi *multi;
    struct http_multi_call *next;
    char *method, *url, *headers, *body, *key;
    void *user;
    int64_t timeout_us;
    struct exchange *exchange; /* of a call of the own API */
    bool due, cancelled;
    bool reached; /* it left for the service */
    int guarded;  /* the service whose breaker holds, or -1 */
    enum error_code code;
    int status;
    char *reply_headers;
    char *reply;
};

struct http_multi {
    struct process *process;
    int socket;
    http_multi_done *done;
    void *context;
    struct http_multi_call *first, *last; /* answered, to be told */
};

void services_start(void)
{
    chance = chance_of(sim.options.seed, 0x5e2);
    exchanges_count = 0;
    sick_until_us = 0;
}
void services_end(void) {}

struct http_multi *http_multi_new(int epoll_fd, int connections_max, http_multi_done *done,
                                  void *context)
{
    struct http_multi *multi = must_calloc(1, sizeof *multi);
    (void)connections_max;
    multi->process = fiber_process();
    multi->socket = fiber_socket();
    multi->done = done;
    multi->context = context;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, multi->socket,
              &(struct epoll_event){.events = EPOLLIN, .data.u64 = (uint64_t)multi->socket});
    return multi;
}

void http_multi_free(struct http_multi *multi) { fiber_socket_close(multi->socket); }

static void come_due(struct http_multi_call *call)
{
    struct http_multi *multi = call->multi;
    if (call->due || call->cancelled || !multi->process->alive)
        return;
    call->due = true;
    call->next = NULL;
    if (multi->first == NULL)
        multi->first = call;
    else
        multi->last->next = call;
    multi->last = call;
    fiber_socket_set(multi->socket, true);
}

static void answered(void *context)
{
    struct http_multi_call *call = context;
    if (call->code == ERR_OK && call->status == 0)
        call->code = ERR_TIMEOUT;
    come_due(call);
}

static void own_api_answered(struct exchange *exchange)
{
    struct http_multi_call *call = exchange->context;
    if (world_faulty(FAULT_NETWORK) && chance_one_in(&chance, 40))
        return; /* the answer got lost */
    call->code = exchange->broken ? ERR_UNAVAILABLE : ERR_OK;
    call->status = exchange->response.status;
    call->reply = must_strdup(buffer_text(&exchange->response.body));
    call->reply_headers = must_strdup(buffer_text(&exchange->response.headers));
    come_due(call);
}

/* The same key gets the same answer: services deduplicate. */
static char *answer_of(const struct http_multi_call *call)
{
    struct buffer out = {0};
    uint32_t hash = murmur2(call->key, strlen(call->key));
    buffer_append_format(
        &out,
        "{\"success\":true,\"data\":{\"file_hash\":\"%08x%08x%08x%08x%08x%08x%08x%08x\","
        "\"file_size_bytes\":%u,\"execution_time_ms\":%u,\"stamp_id\":\"s-%08x\","
        "\"stamp\":\"x\",\"stamp_type\":\"lightweight\",\"created_at\":\"2026-01-01T00:00:00Z\","
        "\"performance_metrics\":{\"execution_time_ms\":1},\"intelligence\":{\"n\":%u},"
        "\"patterns\":[]}}",
        hash, hash, hash, hash, hash, hash, hash, hash, hash % 5000, hash % 97, hash, hash % 7);
    return buffer_take(&out);
}

static void draw_answer(struct http_multi_call *call)
{
    int64_t after_us = chance_between(&chance, 200, 20000);
    call->status = 200;
    call->reply_headers = must_strdup("Content-Type: application/json\r\n");
    if (world_faulty(FAULT_SERVICE)) {
        switch (chance_between(&chance, 0, 30)) {
        case 0:
            call->status = 500;
            break;
        case 1:
            call->status = 503;
            break;
        case 2:
            call->code = ERR_UNAVAILABLE;
            break;
        case 3:
            call->status = 0; /* no answer in time */
            after_us = call->timeout_us;
            break;
        case 4:
        case 5:
            after_us = chance_between(&chance, 1, call->timeout_us + SECOND_US);
            break;
        default:
            break;
        }
    }
    if (fiber_now_us() < sick_until_us && call->guarded >= 0 && !sim.healing)
        call->status = 503;
    if (after_us >= call->timeout_us) {
        call->status = 0;
        after_us = call->timeout_us;
    }
    call->reply = call->status == 200 ? answer_of(call) : must_strdup("{}");
    fiber_at(fiber_now_us() + after_us, answered, call);
}

static int guard_of(const char *url)
{
    const struct services *services = registry_services(sim.registry);
    int service = services_index_of_url(services, url);
    return service >= 0 && services->items[service].hold_when_open ? service : -1;
}

/* What fails while the breaker is not closed is to be parked. */
static void note_spared(const struct http_multi_call *call)
{
    struct breakers_status status;
    if (call->guarded < 0 || (call->code == ERR_OK && call->status < 500))
        return;
    const struct node *node = node_of(call->multi->process);
    breakers_status(node->orchestrator->breakers, call->guarded, &status);
    if (status.state == BREAKER_CLOSED)
        return;
    sim.count.spared++;
    check_spared(call->multi->process, call->key);
}

struct http_multi_call *http_multi_start(struct http_multi *multi,
                                         const struct http_multi_request *request)
{
    static const char own[] = "http://node-";
    struct http_multi_call *call = must_calloc(1, sizeof *call);
    call->multi = multi;
    call->guarded = -1;
    call->user = request->user;
    call->timeout_us = request->timeout_ms * 1000;
    call->key = header_of(request->headers, "Idempotency-Key");
    sim.count.calls++;
    fiber_effect();
    world_tell(TOLD_CALL, "%s: %s %s %s", multi->process->name, request->method, request->url,
               call->key == NULL ? "" : call->key);
    call->reached = true;
    if (strncmp(request->url, own, sizeof own - 1) != 0) {
        check_call(multi->process, call->key);
        call->guarded = guard_of(request->url);
        draw_answer(call);
        return call;
    }
    int place = atoi(request->url + sizeof own - 1);
    const char *path = strchr(request->url + sizeof own - 1, '/');
    call->exchange = exchange_new(place, request->method, path, request->headers,
                                  request->body == NULL ? "" : request->body);
    call->exchange->tell = own_api_answered;
    call->exchange->context = call;
    fiber_at(fiber_now_us() + call->timeout_us, answered, call);
    if (world_faulty(FAULT_NETWORK) && chance_one_in(&chance, 40))
        return call; /* the request got lost */
    if (!exchange_start(call->exchange, place)) {
        call->code = ERR_UNAVAILABLE;
        call->reached = false;
        fiber_at(fiber_now_us() + 100, answered, call);
    }
    return call;
}

void http_multi_cancel(struct http_multi *multi, struct http_multi_call *call)
{
    (void)multi;
    call->cancelled = true;
}

void http_multi_event(struct http_multi *multi, int socket, uint32_t epoll_events)
{
    (void)socket, (void)epoll_events;
    struct http_multi_call *call = multi->first;
    multi->first = multi->last = NULL;
    fiber_socket_set(multi->socket, false);
    for (struct http_multi_call *next; call != NULL; call = next) {
        next = call->next;
        if (call->cancelled)
            continue;
        call->cancelled = true;
        const char *reply = call->reply == NULL ? "" : call->reply;
        struct http_multi_answer answer = {
            .user = call->user,
            .code = call->code,
            .text = call->code == ERR_OK ? "" : "no connection",
            .status = call->status,
            .headers = call->reply_headers == NULL ? "" : call->reply_headers,
            .body = reply,
            .body_bytes = strlen(reply)};
        answer.headers_bytes = strlen(answer.headers);
        fiber_effect();
        note_spared(call);
        multi->done(multi->context, &answer);
    }
}

int64_t http_multi_due_us(const struct http_multi *multi)
{
    (void)multi;
    return INT64_MAX;
}
void http_multi_tick(struct http_multi *multi) { (void)multi; }
