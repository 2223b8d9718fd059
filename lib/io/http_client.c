/* SPDX-License-Identifier: MIT */
#include "io/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"

struct http_client {
    CURL *curl;
    char text[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void) { BUG_IF(curl_global_init(CURL_GLOBAL_ALL) != 0); }

struct http_client *http_client_new(void)
{
    pthread_once(&curl_once, start_curl);
    struct http_client *client = must_calloc(1, sizeof *client);
    client->curl = curl_easy_init();
    BUG_IF(client->curl == NULL);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    free(client);
}

void http_reply_fini(struct http_reply *reply)
{
    buffer_fini(&reply->body);
    buffer_fini(&reply->headers);
    buffer_fini(&reply->scratch);
    reply->status = 0;
}

/* What the callbacks need of one call. */
struct exchange {
    CURL *curl;
    const struct http_call *call;
    struct http_reply *reply;
    size_t bytes_max;
    bool too_large;
    bool ended; /* by the piece callback */
};

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    size_t bytes = size * count;
    if (bytes >= 5 && memcmp(data, "HTTP/", 5) == 0) /* a new answer: an interim one came before */
        buffer_clear(&exchange->reply->headers);
    else if (exchange->reply->headers.bytes + bytes <= HTTP_HEADER_BYTES_MAX)
        buffer_append(&exchange->reply->headers, data, bytes);
    return bytes;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    size_t bytes = size * count;
    if (exchange->call->piece != NULL) {
        long status = 0;
        curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status / 100 == 2) {
            exchange->ended = !exchange->call->piece(exchange->call->context, data, bytes);
            return exchange->ended ? 0 : bytes;
        }
    }
    exchange->too_large = exchange->reply->body.bytes + bytes > exchange->bytes_max;
    if (exchange->too_large)
        return 0;
    buffer_append(&exchange->reply->body, data, bytes);
    return bytes;
}

static enum error_code failure(struct http_client *client, const struct exchange *exchange,
                               CURLcode result, struct error *error)
{
    const struct http_call *call = exchange->call;
    const char *why = client->text[0] != '\0' ? client->text : curl_easy_strerror(result);
    const char *method = call->method == NULL ? "GET" : call->method;
    bool only_reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (exchange->too_large)
        return error_set(error, ERR_TOO_LARGE, "%s: the answer is longer than %zu bytes.",
                         call->url, exchange->bytes_max);
    switch ((int)result) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return error_set(error, ERR_INVALID, "%s is not an http or https URL.", call->url);
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(error, ERR_TIMEOUT, "%s %s: %s", method, call->url, why);
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
        return error_set(error, only_reads ? ERR_UNAVAILABLE : ERR_OUTCOME_UNKNOWN, "%s %s: %s",
                         method, call->url, why);
    default:
        return error_set(error, ERR_UNAVAILABLE, "%s %s: %s", method, call->url, why);
    }
}

static bool takes_body(const char *method)
{
    return method != NULL && (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                              strcmp(method, "PATCH") == 0);
}

static struct curl_slist *header_list(const struct http_call *call)
{
    struct curl_slist *list = NULL;
    if (call->body != NULL) {
        struct buffer line = {0};
        buffer_append_format(&line, "Content-Type: %s",
                             call->content_type == NULL ? "application/json" : call->content_type);
        list = curl_slist_append(list, buffer_text(&line));
        list =
            curl_slist_append(list, "Expect:"); /* no wait for 100 Continue before a large body */
        buffer_fini(&line);
    } else if (takes_body(call->method)) {
        list = curl_slist_append(list, "Content-Type:"); /* an empty body has no type */
    }
    for (const char *const *header = call->headers; header != NULL && *header != NULL; header++)
        list = curl_slist_append(list, *header);
    return list;
}

static void prepare(struct http_client *client, struct exchange *exchange,
                    const struct curl_slist *headers)
{
    const struct http_call *call = exchange->call;
    CURL *curl = client->curl;
    curl_easy_reset(curl); /* options only: open connections stay */
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->text);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "omninode-bridge/" VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CLIENT_CONNECT_TIMEOUT_MS);
    if (call->timeout_ms >= 0)
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                         (long)(call->timeout_ms == 0 ? HTTP_CLIENT_TIMEOUT_MS : call->timeout_ms));
    if (headers != NULL)
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (call->body != NULL || takes_body(call->method)) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body == NULL ? "" : call->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
    }
    if (call->method != NULL && strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (call->method != NULL)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
}

enum error_code http_client_call(struct http_client *client, const struct http_call *call,
                                 struct http_reply *reply, struct error *error)
{
    struct exchange exchange = {
        .curl = client->curl,
        .call = call,
        .reply = reply,
        .bytes_max =
            call->response_bytes_max == 0 ? HTTP_RESPONSE_BYTES_MAX : call->response_bytes_max,
    };
    reply->status = 0;
    buffer_clear(&reply->body);
    buffer_clear(&reply->headers);
    client->text[0] = '\0';
    struct curl_slist *headers = header_list(call);
    prepare(client, &exchange, headers);
    CURLcode result = curl_easy_perform(client->curl);
    long status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (result != CURLE_OK && !exchange.ended)
        return failure(client, &exchange, result, error);
    reply->status = (int)status;
    return ERR_OK;
}

const char *http_reply_header(struct http_reply *reply, const char *name)
{
    size_t name_bytes = strlen(name);
    const char *line = buffer_text(&reply->headers);
    for (const char *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
        if ((size_t)(end - line) <= name_bytes || strncasecmp(line, name, name_bytes) != 0 ||
            line[name_bytes] != ':')
            continue;
        const char *value = line + name_bytes + 1;
        value += strspn(value, " \t");
        buffer_clear(&reply->scratch);
        if (end > value)
            buffer_append(&reply->scratch, value, (size_t)(end - value));
        return buffer_text(&reply->scratch);
    }
    return NULL;
}

void http_url_encode(struct buffer *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            buffer_append_char(out, *text);
        else
            buffer_append_format(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}
