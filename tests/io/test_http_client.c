/* SPDX-License-Identifier: MIT */
/* lib/io/http_client against a socket that answers what each test wants. */
#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/http_client.h"

/* One connection is accepted; `answers` go out, one after each request that came in whole. */
struct peer {
    int listener;
    int port;
    const char *answers[4];
    char request[4096]; /* all that came in */
    size_t request_bytes;
    bool silent; /* takes the request and never answers until the client is gone */
    pthread_t thread;
};

static struct peer peer;
static struct http_client *client;
static struct http_reply reply;
static struct error error;
static char url[64];

static bool whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strcasestr(request, "content-length:");
    return end != NULL && strlen(end + 4) >= (length == NULL ? 0 : strtoul(length + 15, NULL, 10));
}

static void *serve(void *context)
{
    struct peer *p = context;
    int connection = accept(p->listener, NULL, NULL);
    size_t start = 0;
    for (int i = 0; p->silent || (i < 4 && p->answers[i] != NULL);) {
        ssize_t got = recv(connection, p->request + p->request_bytes,
                           sizeof p->request - 1 - p->request_bytes, 0);
        if (got <= 0)
            break;
        p->request_bytes += (size_t)got;
        p->request[p->request_bytes] = '\0';
        if (p->silent || !whole(p->request + start))
            continue;
        start = p->request_bytes;
        if (send(connection, p->answers[i], strlen(p->answers[i]), MSG_NOSIGNAL) < 0)
            break;
        i++;
    }
    close(connection);
    return NULL;
}

static void answer(const char *first, const char *second)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    memset(&peer, 0, sizeof peer);
    peer.silent = first == NULL;
    peer.answers[0] = first;
    peer.answers[1] = second;
    peer.listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(peer.listener, (struct sockaddr *)&address, bytes), 0);
    ck_assert_int_eq(listen(peer.listener, 1), 0);
    ck_assert_int_eq(getsockname(peer.listener, (struct sockaddr *)&address, &bytes), 0);
    peer.port = ntohs(address.sin_port);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/a?b=c", peer.port);
    ck_assert_int_eq(pthread_create(&peer.thread, NULL, serve, &peer), 0);
}

static void gone(void)
{
    http_client_free(client); /* closes the connection, so the peer ends */
    client = NULL;
    pthread_join(peer.thread, NULL);
    close(peer.listener);
}

static void setup(void)
{
    client = http_client_new();
    memset(&reply, 0, sizeof reply);
}

static void teardown(void)
{
    http_client_free(client);
    http_reply_fini(&reply);
}

static enum error_code call(struct http_call request)
{
    request.url = url;
    if (request.timeout_ms == 0)
        request.timeout_ms = 5000;
    return http_client_call(client, &request, &reply, &error);
}

START_TEST(get_and_post_on_one_connection)
{
    answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Word:  one two \r\nX-Empty:\r\n\r\nhello",
           "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    ck_assert_int_eq(call((struct http_call){0}), ERR_OK);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(buffer_text(&reply.body), "hello");
    ck_assert_str_eq(http_reply_header(&reply, "x-word"), "one two ");
    ck_assert_str_eq(http_reply_header(&reply, "X-Empty"), "");
    ck_assert_ptr_null(http_reply_header(&reply, "X-Wor"));
    const char *headers[] = {"X-API-Key: secret", NULL};
    ck_assert_int_eq(call((struct http_call){
                         .method = "POST", .body = "{}", .body_bytes = 2, .headers = headers}),
                     ERR_OK);
    ck_assert_int_eq(reply.status, 404);
    ck_assert_uint_eq(reply.body.bytes, 0);
    ck_assert_ptr_null(http_reply_header(&reply, "x-word"));
    gone();
    ck_assert_int_eq(strncmp(peer.request, "GET /a?b=c HTTP/1.1\r\n", 21), 0);
    ck_assert_ptr_nonnull(strstr(peer.request, "POST /a?b=c HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(peer.request, "X-API-Key: secret\r\n"));
    ck_assert_ptr_nonnull(strstr(peer.request, "Content-Type: application/json\r\n"));
    ck_assert_ptr_nonnull(strstr(peer.request, "\r\n\r\n{}"));
}
END_TEST

START_TEST(put_without_a_body)
{
    answer("HTTP/1.1 204 No Content\r\n\r\n", NULL);
    ck_assert_int_eq(call((struct http_call){.method = "PUT"}), ERR_OK);
    ck_assert_int_eq(reply.status, 204);
    gone();
    ck_assert_ptr_nonnull(strstr(peer.request, "PUT /a"));
    ck_assert_ptr_nonnull(strstr(peer.request, "Content-Length: 0\r\n"));
    ck_assert_ptr_null(strstr(peer.request, "Content-Type"));
}
END_TEST

START_TEST(nobody_listens)
{
    answer("x", NULL);
    int port = peer.port;
    ck_assert_int_eq(call((struct http_call){.timeout_ms = 1000}) == ERR_OK, 0); /* ends the peer */
    gone();
    client = http_client_new();
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    ck_assert_int_eq(call((struct http_call){.method = "POST", .body = "", .body_bytes = 0}),
                     ERR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, url));
}
END_TEST

START_TEST(a_lost_answer)
{
    answer("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf", NULL);
    ck_assert_int_eq(call((struct http_call){0}), ERR_UNAVAILABLE);
    gone();
    client = http_client_new();
    answer("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf", NULL);
    ck_assert_int_eq(call((struct http_call){.method = "POST", .body = "x", .body_bytes = 1}),
                     ERR_OUTCOME_UNKNOWN);
    ck_assert_int_eq(reply.status, 0);
    gone();
}
END_TEST

START_TEST(silence)
{
    answer(NULL, NULL);
    ck_assert_int_eq(call((struct http_call){.timeout_ms = 100}), ERR_TIMEOUT);
    gone();
}
END_TEST

START_TEST(too_long)
{
    answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", NULL);
    ck_assert_int_eq(call((struct http_call){.response_bytes_max = 10}), ERR_TOO_LARGE);
    gone();
}
END_TEST

START_TEST(not_a_url)
{
    strcpy(url, "file:///etc/passwd");
    ck_assert_int_eq(call((struct http_call){0}), ERR_INVALID);
    strcpy(url, "http://");
    ck_assert_int_eq(call((struct http_call){0}), ERR_INVALID);
}
END_TEST

static bool first_line(void *context, const char *data, size_t bytes)
{
    buffer_append(context, data, bytes);
    return strchr(buffer_text(context), '\n') == NULL;
}

START_TEST(pieces_until_enough)
{
    struct buffer got = {0};
    answer(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\nid: 1\n",
        NULL);
    ck_assert_int_eq(call((struct http_call){.piece = first_line, .context = &got}), ERR_OK);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(buffer_text(&got), "id: 1\n");
    ck_assert_uint_eq(reply.body.bytes, 0);
    buffer_fini(&got);
    gone();
}
END_TEST

START_TEST(an_error_is_no_piece)
{
    struct buffer got = {0};
    answer("HTTP/1.1 503 Unavailable\r\nContent-Length: 4\r\n\r\nwhy\n", NULL);
    ck_assert_int_eq(call((struct http_call){.piece = first_line, .context = &got}), ERR_OK);
    ck_assert_int_eq(reply.status, 503);
    ck_assert_str_eq(buffer_text(&reply.body), "why\n");
    ck_assert_uint_eq(got.bytes, 0);
    gone();
}
END_TEST

START_TEST(encoding)
{
    struct buffer out = {0};
    http_url_encode(&out, "a b/\xc3\xa4~");
    ck_assert_str_eq(buffer_text(&out), "a%20b%2F%C3%A4~");
    buffer_fini(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_client");
    TCase *tests = tcase_create("http_client");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, get_and_post_on_one_connection);
    tcase_add_test(tests, put_without_a_body);
    tcase_add_test(tests, nobody_listens);
    tcase_add_test(tests, a_lost_answer);
    tcase_add_test(tests, silence);
    tcase_add_test(tests, too_long);
    tcase_add_test(tests, not_a_url);
    tcase_add_test(tests, pieces_until_enough);
    tcase_add_test(tests, an_error_is_no_piece);
    tcase_add_test(tests, encoding);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
