/* SPDX-License-Identifier: MIT */
#include "orchestrator/forward.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/http_multi.h"

#define EPOLL_EVENTS 64
#define EPOLL_BELL UINT64_MAX
#define POST_LIMIT_US 5000000

enum call_state { CALL_NEW, CALL_FLYING, CALL_DONE, CALL_GIVEN_UP };

struct forward_call {
    char *url, *headers, *method;
    const char *body;
    size_t body_bytes;
    char *own_body; /* of one that nobody waits for, else NULL */
    int64_t deadline_us;
    bool waits;
    enum call_state state;
    struct http_multi_call *handle; /* while it flies */
    bool came, reached;
    int status;
    struct buffer answer_headers, answer_body;
    pthread_cond_t done;
    struct forward_call *next; /* among the new ones, those given up, or those posted */
};

struct forward {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t place; /* one has become free */
    int calls_max, calls, waits;
    struct forward_call *fresh, *given_up;
    struct forward_call *posted; /* under way, and nobody waits */
    bool stopping;
    int epoll_fd, bell;
    struct http_multi *http; /* the thread's own */
};

static void free_call(struct forward_call *call)
{
    pthread_cond_destroy(&call->done);
    buffer_fini(&call->answer_headers);
    buffer_fini(&call->answer_body);
    free(call->url);
    free(call->headers);
    free(call->method);
    free(call->own_body);
    free(call);
}

/* -- the thread; the lock is held -- */

static void leave_place(struct forward *forward, const struct forward_call *call)
{
    forward->calls--;
    forward->waits -= call->waits;
    metrics_gauge_add(METRIC_FORWARDS, 0, 0, -1);
    pthread_cond_signal(&forward->place);
}

/* Only the thread knows of these. */
static void forget_posted(struct forward *forward, struct forward_call *call)
{
    struct forward_call **place = &forward->posted;
    while (*place != call)
        place = &(*place)->next;
    *place = call->next;
    free_call(call);
}

static void on_answer(void *context, const struct http_multi_answer *answer)
{
    struct forward *forward = context;
    struct forward_call *call = answer->user;
    pthread_mutex_lock(&forward->lock);
    bool posted = call->own_body != NULL;
    leave_place(forward, call);
    call->handle = NULL;
    if (call->state == CALL_FLYING && !posted) {
        call->came = answer->code == ERR_OK;
        call->reached = answer->reached;
        call->status = answer->status;
        buffer_append(&call->answer_headers, answer->headers, answer->headers_bytes);
        buffer_append(&call->answer_body, answer->body, answer->body_bytes);
        call->state = CALL_DONE;
        pthread_cond_signal(&call->done);
    }
    pthread_mutex_unlock(&forward->lock);
    if (posted)
        forget_posted(forward, call);
}

static void start_fresh(struct forward *forward)
{
    while (forward->fresh != NULL) {
        struct forward_call *call = forward->fresh;
        int64_t left_us = call->deadline_us - clock_monotonic_us();
        forward->fresh = call->next;
        call->state = CALL_FLYING;
        call->handle = http_multi_start(
            forward->http,
            &(struct http_multi_request){.method = call->method,
                                         .url = call->url,
                                         .headers = call->headers,
                                         .body = call->body,
                                         .body_bytes = call->body_bytes,
                                         .timeout_ms = left_us < 1000 ? 1 : left_us / 1000,
                                         .user = call});
        if (call->own_body != NULL) {
            call->next = forward->posted;
            forward->posted = call;
        }
    }
}

static void cancel_given_up(struct forward *forward)
{
    while (forward->given_up != NULL) {
        struct forward_call *call = forward->given_up;
        forward->given_up = call->next;
        if (call->handle != NULL) {
            http_multi_cancel(forward->http, call->handle);
            leave_place(forward, call);
        }
        free_call(call);
    }
}

/* False when it is to stop. */
static bool take_orders(struct forward *forward)
{
    pthread_mutex_lock(&forward->lock);
    cancel_given_up(forward);
    start_fresh(forward);
    bool goes_on = !forward->stopping;
    pthread_mutex_unlock(&forward->lock);
    return goes_on;
}

static int timeout_ms(const struct forward *forward)
{
    int64_t due_us = http_multi_due_us(forward->http);
    if (due_us == INT64_MAX)
        return -1;
    int64_t left_us = due_us - clock_monotonic_us();
    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

static void *run(void *context)
{
    struct forward *forward = context;
    struct epoll_event events[EPOLL_EVENTS];
    eventfd_t rings;
    while (take_orders(forward)) {
        int count = epoll_wait(forward->epoll_fd, events, EPOLL_EVENTS, timeout_ms(forward));
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == EPOLL_BELL)
                eventfd_read(forward->bell, &rings);
            else
                http_multi_event(forward->http, (int)events[i].data.u64, events[i].events);
        }
        if (http_multi_due_us(forward->http) <= clock_monotonic_us())
            http_multi_tick(forward->http);
    }
    return NULL;
}

/* -- the callers -- */

/* True when the call may fly; the lock is held. */
static bool take_place(struct forward *forward, const struct forward_request *request)
{
    while (forward->calls >= forward->calls_max) {
        if (request->waits || !clock_wait(&forward->place, &forward->lock, request->deadline_us))
            return false;
    }
    if (request->waits && forward->waits >= forward->calls_max / 2)
        return false;
    forward->calls++;
    forward->waits += request->waits;
    metrics_gauge_add(METRIC_FORWARDS, 0, 0, 1);
    return true;
}

static struct forward_call *new_call(const struct forward_request *request)
{
    struct forward_call *call = must_calloc(1, sizeof *call);
    call->method = must_strdup(request->method);
    call->url = must_strdup(request->url);
    call->headers = must_strdup(request->headers);
    call->body = request->body;
    call->body_bytes = request->body_bytes;
    call->deadline_us = request->deadline_us;
    call->waits = request->waits;
    clock_condition_init(&call->done);
    return call;
}

/* False when there was no place; the call is then the caller's still. */
static bool enlist(struct forward *forward, struct forward_call *call,
                   const struct forward_request *request)
{
    pthread_mutex_lock(&forward->lock);
    bool placed = take_place(forward, request);
    if (placed) {
        struct forward_call **last = &forward->fresh;
        while (*last != NULL)
            last = &(*last)->next;
        *last = call;
    }
    pthread_mutex_unlock(&forward->lock);
    if (placed)
        eventfd_write(forward->bell, 1);
    return placed;
}

struct forward_call *forward_begin(struct forward *forward, const struct forward_request *request)
{
    struct forward_call *call = new_call(request);
    if (enlist(forward, call, request))
        return call;
    free_call(call);
    return NULL;
}

void forward_post(struct forward *forward, const char *url, const char *headers, const char *body)
{
    struct forward_request request = {.method = "POST",
                                      .url = url,
                                      .headers = headers,
                                      .body_bytes = strlen(body),
                                      .deadline_us = clock_monotonic_us() + POST_LIMIT_US,
                                      .waits = true};
    struct forward_call *call = new_call(&request);
    call->body = call->own_body = must_strdup(body);
    if (!enlist(forward, call, &request))
        free_call(call);
}

bool forward_wait(struct forward *forward, struct forward_call *call, int64_t until_us)
{
    pthread_mutex_lock(&forward->lock);
    while (call->state != CALL_DONE && clock_wait(&call->done, &forward->lock, until_us))
        ;
    bool done = call->state == CALL_DONE;
    pthread_mutex_unlock(&forward->lock);
    return done;
}

struct forward_answer forward_answer_of(const struct forward_call *call)
{
    return (struct forward_answer){.came = call->came,
                                   .reached = call->reached,
                                   .status = call->status,
                                   .body = buffer_text(&call->answer_body),
                                   .body_bytes = call->answer_body.bytes};
}

const struct buffer *forward_headers_of(const struct forward_call *call)
{
    return &call->answer_headers;
}

/* What has not begun to fly is taken out of its list: its body is lent no longer. */
static bool take_back(struct forward *forward, struct forward_call *call)
{
    struct forward_call **place = &forward->fresh;
    if (call->state != CALL_NEW)
        return false;
    while (*place != call)
        place = &(*place)->next;
    *place = call->next;
    leave_place(forward, call);
    return true;
}

void forward_end(struct forward *forward, struct forward_call *call)
{
    pthread_mutex_lock(&forward->lock);
    bool ours = call->state == CALL_DONE || take_back(forward, call);
    if (!ours) {
        call->state = CALL_GIVEN_UP;
        call->next = forward->given_up;
        forward->given_up = call;
    }
    pthread_mutex_unlock(&forward->lock);
    if (ours)
        free_call(call);
    else
        eventfd_write(forward->bell, 1);
}

struct forward *forward_new(int calls_max)
{
    struct forward *forward = must_calloc(1, sizeof *forward);
    forward->calls_max = calls_max;
    pthread_mutex_init(&forward->lock, NULL);
    clock_condition_init(&forward->place);
    forward->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    forward->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_IF(forward->epoll_fd < 0 || forward->bell < 0);
    epoll_ctl(forward->epoll_fd, EPOLL_CTL_ADD, forward->bell,
              &(struct epoll_event){.events = EPOLLIN, .data.u64 = EPOLL_BELL});
    forward->http = http_multi_new(forward->epoll_fd, calls_max, on_answer, forward);
    int failed = pthread_create(&forward->thread, NULL, run, forward);
    BUG_IF(failed);
    return forward;
}

void forward_free(struct forward *forward)
{
    if (forward == NULL)
        return;
    pthread_mutex_lock(&forward->lock);
    forward->stopping = true;
    pthread_mutex_unlock(&forward->lock);
    eventfd_write(forward->bell, 1);
    pthread_join(forward->thread, NULL);
    http_multi_free(forward->http);
    while (forward->posted != NULL)
        forget_posted(forward, forward->posted);
    close(forward->epoll_fd);
    close(forward->bell);
    pthread_cond_destroy(&forward->place);
    pthread_mutex_destroy(&forward->lock);
    free(forward);
}
