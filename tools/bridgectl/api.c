/* SPDX-License-Identifier: MIT */
/* api.c - calls to the nodes: API key, JSON bodies, problem documents. */
#include <stdlib.h>
#include <string.h>

#include "bridgectl.h"
#include "io/http_client.h"

#define ITEMS_TIMEOUT_MS 30000

struct api {
    const char *base_url;
    char *key_header; /* NULL without an API key */
    struct http_client *client;
    struct http_reply reply;
};

struct api *api_new(const struct ctl *ctl, const char *base_url)
{
    struct api *api = must_calloc(1, sizeof *api);
    api->base_url = base_url;
    api->client = http_client_new();
    /* API_KEY may hold several, as the servers read it: the first one is ours. */
    size_t bytes = strcspn(ctl->config->api_key, ",");
    if (bytes > 0) {
        struct buffer header = {0};
        buffer_append_format(&header, "Authorization: Bearer %.*s", (int)bytes,
                             ctl->config->api_key);
        api->key_header = buffer_take(&header);
    }
    return api;
}

void api_free(struct api *api)
{
    http_reply_fini(&api->reply);
    http_client_free(api->client);
    free(api->key_header);
    free(api);
}

void api_answer_fini(struct api_answer *answer)
{
    json_release(answer->body);
    buffer_fini(&answer->text);
    *answer = (struct api_answer){0};
}

static int retry_after_of(struct http_reply *reply)
{
    const char *text = http_reply_header(reply, "Retry-After");
    char *end = NULL;
    long seconds = text != NULL ? strtol(text, &end, 10) : -1;
    return text == NULL || end == text || seconds < 0 || seconds > 3600 ? -1 : (int)seconds;
}

static void take_reply(struct api *api, struct api_answer *answer)
{
    answer->status = api->reply.status;
    answer->retry_after_s = retry_after_of(&api->reply);
    answer->body = json_parse(buffer_text(&api->reply.body), api->reply.body.bytes, NULL, NULL);
    buffer_append(&answer->text, buffer_text(&api->reply.body), api->reply.body.bytes);
}

/* `body` may be NULL. */
static enum error_code send_call(struct api *api, const char *method, const char *path,
                                 const char *key, const char *content_type,
                                 const struct buffer *body, int timeout_ms,
                                 struct api_answer *answer, struct error *error)
{
    struct buffer url = {0}, key_header = {0};
    const char *headers[3] = {NULL};
    int count = 0;
    *answer = (struct api_answer){.retry_after_s = -1};
    buffer_append_format(&url, "%s%s", api->base_url, path);
    if (api->key_header != NULL)
        headers[count++] = api->key_header;
    if (key != NULL) {
        buffer_append_format(&key_header, "Idempotency-Key: %s", key);
        headers[count++] = buffer_text(&key_header);
    }
    struct http_call call = {.method = method,
                             .url = buffer_text(&url),
                             .headers = headers,
                             .content_type = content_type,
                             .body = body != NULL ? buffer_text(body) : NULL,
                             .body_bytes = body != NULL ? body->bytes : 0,
                             .timeout_ms = timeout_ms};
    enum error_code code = http_client_call(api->client, &call, &api->reply, error);
    if (code == ERR_OK)
        take_reply(api, answer);
    buffer_fini(&url);
    buffer_fini(&key_header);
    return code;
}

enum error_code api_call(struct api *api, const char *method, const char *path, const char *key,
                         const struct json *body, int timeout_ms, struct api_answer *answer,
                         struct error *error)
{
    struct buffer text = {0};
    if (body != NULL)
        json_write(body, &text);
    enum error_code code = send_call(api, method, path, key, NULL, body != NULL ? &text : NULL,
                                     timeout_ms, answer, error);
    buffer_fini(&text);
    return code;
}

enum error_code api_send(struct api *api, const char *method, const char *path,
                         const char *content_type, const struct buffer *body, int timeout_ms,
                         struct api_answer *answer, struct error *error)
{
    return send_call(api, method, path, NULL, content_type, body, timeout_ms, answer, error);
}

void api_problem(const struct api_answer *answer, struct error *error)
{
    const char *code = json_string_or(json_get(answer->body, "code"), "");
    const char *title = json_string_or(json_get(answer->body, "title"), NULL);
    const char *detail = json_string_or(json_get(answer->body, "detail"), title);
    enum error_code kind = answer->status == 404 ? ERR_NOT_FOUND : ERR_INTERNAL;
    if (detail == NULL)
        error_set(error, kind, "HTTP status %d without a problem document", answer->status);
    else
        error_set(error, kind, "%s (%d%s%s)", detail, answer->status, code[0] != '\0' ? " " : "",
                  code);
}

enum error_code api_get(struct api *api, const char *method, const char *path, int timeout_ms,
                        struct api_answer *answer, struct error *error)
{
    enum error_code code = api_call(api, method, path, NULL, NULL, timeout_ms, answer, error);
    if (code != ERR_OK)
        return code;
    if (answer->status < 200 || answer->status > 299) {
        api_problem(answer, error);
        return error->code;
    }
    if (answer->body == NULL)
        return error_set(error, ERR_INTERNAL, "%s%s did not answer JSON", api->base_url, path);
    return ERR_OK;
}

void append_encoded(struct buffer *buffer, const char *text) { http_url_encode(buffer, text); }

void append_query(struct buffer *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buffer_append_format(path, "%c%s=", strchr(buffer_text(path), '?') != NULL ? '&' : '?', name);
    append_encoded(path, value);
}

int run_items_list(const struct ctl *ctl, const struct command *command, int argc, char **argv,
                   const char *url, const char *path,
                   void (*print)(const struct ctl *ctl, const struct json *items))
{
    bool as_json = false;
    struct text_list none = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print a JSON array", 0, 0}, {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    text_list_fini(&none);
    if (outcome != EXIT_GO_ON)
        return outcome;
    struct api_answer answer = {0};
    struct error error = {0};
    struct api *api = api_new(ctl, url);
    outcome = EXIT_FINE;
    if (api_get(api, "GET", path, ITEMS_TIMEOUT_MS, &answer, &error) != ERR_OK)
        outcome = fail(&error);
    else if (as_json)
        print_json(json_get(answer.body, "items"));
    else
        print(ctl, json_get(answer.body, "items"));
    api_answer_fini(&answer);
    api_free(api);
    return outcome;
}
