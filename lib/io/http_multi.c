/* SPDX-License-Identifier: MIT */
#include "io/http_multi.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "io/clock.h"

#define CONNECT_TIMEOUT_MS 5000L
#define HANDLES_KEPT_MAX 256
#define BUFFER_BYTES_KEPT 65536u

struct http_multi_call {
    CURL *handle;
    struct curl_slist *headers;
    struct buffer request_body;
    struct buffer answer_headers;
    struct buffer answer_body;
    bool too_large;
    void *user;
    char error[CURL_ERROR_SIZE];
    struct http_multi_call *next; /* among the free ones */
    struct http_multi_call *live_next, *live_previous;
};

struct http_multi {
    CURLM *curl;
    int epoll_fd;
    int64_t due_us;
    http_multi_done *done;
    void *context;
    struct http_multi_call *unused;
    int unused_count;
    struct http_multi_call *live;
};

static int on_socket(CURL *handle, curl_socket_t socket, int what, void *context, void *known)
{
    struct http_multi *multi = context;
    (void)handle;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(multi->epoll_fd, EPOLL_CTL_DEL, socket, NULL);
        curl_multi_assign(multi->curl, socket, NULL);
        return 0;
    }
    struct epoll_event event = {.data.u64 = (uint64_t)socket};
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (known == NULL || epoll_ctl(multi->epoll_fd, EPOLL_CTL_MOD, socket, &event) != 0)
        epoll_ctl(multi->epoll_fd, EPOLL_CTL_ADD, socket, &event);
    curl_multi_assign(multi->curl, socket, multi);
    return 0;
}

static int on_timer(CURLM *curl, long timeout_ms, void *context)
{
    struct http_multi *multi = context;
    (void)curl;
    multi->due_us = timeout_ms < 0 ? INT64_MAX : clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    return 0;
}

static size_t on_body(char *data, size_t one, size_t bytes, void *context)
{
    struct http_multi_call *call = context;
    (void)one;
    if (call->answer_body.bytes + bytes > HTTP_RESPONSE_BYTES_MAX) {
        call->too_large = true;
        return 0;
    }
    buffer_append(&call->answer_body, data, bytes);
    return bytes;
}

static size_t on_header(char *data, size_t one, size_t bytes, void *context)
{
    struct http_multi_call *call = context;
    (void)one;
    if (bytes > 5 && memcmp(data, "HTTP/", 5) == 0)
        buffer_clear(&call->answer_headers); /* a new status line: 100 Continue came before */
    else if (call->answer_headers.bytes + bytes <= HTTP_HEADER_BYTES_MAX)
        buffer_append(&call->answer_headers, data, bytes);
    return bytes;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

struct http_multi *http_multi_new(int epoll_fd, int connections_max, http_multi_done *done,
                                  void *context)
{
    struct http_multi *multi = must_calloc(1, sizeof *multi);
    pthread_once(&curl_once, init_curl);
    multi->curl = curl_multi_init();
    BUG_IF(multi->curl == NULL);
    multi->epoll_fd = epoll_fd;
    multi->due_us = INT64_MAX;
    multi->done = done;
    multi->context = context;
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, (long)connections_max);
    return multi;
}

static void free_call(struct http_multi_call *call)
{
    curl_easy_cleanup(call->handle);
    curl_slist_free_all(call->headers);
    buffer_fini(&call->request_body);
    buffer_fini(&call->answer_headers);
    buffer_fini(&call->answer_body);
    free(call);
}

static void trim(struct buffer *buffer)
{
    if (buffer->capacity > BUFFER_BYTES_KEPT)
        buffer_fini(buffer);
    else
        buffer_clear(buffer);
}

/* Takes the call out of the multi handle and keeps it for the next one. */
static void retire(struct http_multi *multi, struct http_multi_call *call)
{
    curl_multi_remove_handle(multi->curl, call->handle);
    if (call->live_previous != NULL)
        call->live_previous->live_next = call->live_next;
    else
        multi->live = call->live_next;
    if (call->live_next != NULL)
        call->live_next->live_previous = call->live_previous;
    if (multi->unused_count >= HANDLES_KEPT_MAX) {
        free_call(call);
        return;
    }
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    trim(&call->request_body);
    trim(&call->answer_headers);
    trim(&call->answer_body);
    curl_easy_reset(call->handle);
    call->next = multi->unused;
    multi->unused = call;
    multi->unused_count++;
}

void http_multi_free(struct http_multi *multi)
{
    if (multi == NULL)
        return;
    while (multi->live != NULL)
        retire(multi, multi->live);
    while (multi->unused != NULL) {
        struct http_multi_call *call = multi->unused;
        multi->unused = call->next;
        free_call(call);
    }
    curl_multi_cleanup(multi->curl);
    free(multi);
}

static struct http_multi_call *take_call(struct http_multi *multi)
{
    struct http_multi_call *call = multi->unused;
    if (call != NULL) {
        multi->unused = call->next;
        multi->unused_count--;
    } else {
        call = must_calloc(1, sizeof *call);
        call->handle = curl_easy_init();
        BUG_IF(call->handle == NULL);
    }
    call->too_large = false;
    call->error[0] = '\0';
    call->live_previous = NULL;
    call->live_next = multi->live;
    if (multi->live != NULL)
        multi->live->live_previous = call;
    multi->live = call;
    return call;
}

static void set_headers(struct http_multi_call *call, const char *lines)
{
    char line[4096];
    for (const char *p = lines; p != NULL && *p != '\0';) {
        size_t bytes = strcspn(p, "\n");
        if (bytes < sizeof line) {
            memcpy(line, p, bytes);
            line[bytes] = '\0';
            call->headers = curl_slist_append(call->headers, line);
        }
        p += bytes + (p[bytes] == '\n');
    }
    call->headers = curl_slist_append(call->headers, "Expect:");
}

struct http_multi_call *http_multi_start(struct http_multi *multi,
                                         const struct http_multi_request *request)
{
    struct http_multi_call *call = take_call(multi);
    CURL *handle = call->handle;
    call->user = request->user;
    set_headers(call, request->headers);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, call);
    curl_easy_setopt(handle, CURLOPT_URL, request->url);
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_QUICK_EXIT,
                     1L); /* never wait for a name that is being looked up */
    curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "omninode-bridge/" VERSION);
    if (request->body != NULL) {
        buffer_append(&call->request_body, request->body, request->body_bytes);
        curl_easy_setopt(handle, CURLOPT_POST, 1L);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, buffer_text(&call->request_body));
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
    curl_multi_add_handle(multi->curl, handle);
    return call;
}

void http_multi_cancel(struct http_multi *multi, struct http_multi_call *call)
{
    retire(multi, call);
}

static enum error_code error_of(const struct http_multi_call *call, CURLcode result)
{
    if (call->too_large)
        return ERR_TOO_LARGE;
    if (result == CURLE_OK)
        return ERR_OK;
    return result == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
}

static void take_answers(struct http_multi *multi)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi->curl, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct http_multi_call *call;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        long status = 0;
        long written = 0; /* of all tries: libcurl repeats one on a connection that was closed meanwhile */
        curl_easy_getinfo(call->handle, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(call->handle, CURLINFO_REQUEST_SIZE, &written);
        struct http_multi_answer answer = {
            .user = call->user,
            .code = error_of(call, result),
            .text = call->error[0] != '\0' ? call->error : curl_easy_strerror(result),
            .reached = written > 0,
            .status = (int)status,
            .headers = buffer_text(&call->answer_headers),
            .headers_bytes = call->answer_headers.bytes,
            .body = buffer_text(&call->answer_body),
            .body_bytes = call->answer_body.bytes,
        };
        multi->done(multi->context, &answer);
        retire(multi, call);
    }
}

void http_multi_event(struct http_multi *multi, int socket, uint32_t epoll_events)
{
    int running, events = 0;
    if (epoll_events & EPOLLIN)
        events |= CURL_CSELECT_IN;
    if (epoll_events & EPOLLOUT)
        events |= CURL_CSELECT_OUT;
    if (epoll_events & (EPOLLERR | EPOLLHUP))
        events |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi->curl, socket, events, &running);
    take_answers(multi);
}

int64_t http_multi_due_us(const struct http_multi *multi) { return multi->due_us; }

void http_multi_tick(struct http_multi *multi)
{
    int running;
    multi->due_us = INT64_MAX;
    curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    take_answers(multi);
}
