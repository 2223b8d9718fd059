/* SPDX-License-Identifier: MIT */
/* What handlers may rely on: parameters, forms, problems, and a stop that lets them finish. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/http_server.h"

struct gate {
    atomic_bool entered;
    atomic_bool open;
};

static struct http_server *server;
static struct config config;
static struct gate gate;

/* -- handlers -- */

static void handle_show(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"limit", "q", NULL};
    struct error error = {0};
    int64_t limit;
    ck_assert_ptr_eq(context, &gate);
    if (http_query_known(request, known, &error) != ERR_OK ||
        http_query_int(request, "limit", 1, 10, 5, &limit, &error) != ERR_OK) {
        http_problem(response, &error);
        return;
    }
    const char *q = http_query(request, "q");
    buffer_append_format(&response->body, "id=%s limit=%d q=%s path=%s type=%s from=%s",
                         http_path_parameter(request, "id"), (int)limit, q != NULL ? q : "-",
                         request->path, request->content_type, request->remote_address);
}

static void handle_form(struct http_request *request, struct http_response *response, void *context)
{
    const char *data[2];
    const char *filename[2];
    size_t bytes[2];
    (void)context;
    if (http_form_part(request, "a", &data[0], &bytes[0], &filename[0]) &&
        http_form_part(request, "b", &data[1], &bytes[1], &filename[1]))
        buffer_append_format(&response->body, "%s=%.*s %s=%.*s", filename[0], (int)bytes[0],
                             data[0], filename[1], (int)bytes[1], data[1]);
    http_response_header(response, "X-Extra", "one\r\nX-Evil: two");
}

static void handle_problem(struct http_request *request, struct http_response *response,
                           void *context)
{
    struct error error = {0};
    struct json *extra = json_object();
    (void)request;
    (void)context;
    json_object_set(extra, "state", json_text("COMPLETED"));
    error_set_field(&error, ERR_QUEUE_FULL, "content", "it is \"full\"");
    http_problem_with(response, &error, 503, "very_full", extra);
    http_retry_after(response, 1);
    http_retry_after(response, 7);
}

static void handle_page(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    response->content_type = "text/html; charset=utf-8";
    http_response_header(response, "Content-Security-Policy", "default-src 'self'");
    http_response_header(response, "Cache-Control", "max-age=60");
    for (int i = 0; i < 40000; i++)
        buffer_append_char(&response->body, 'x');
}

/* Waits until the test opens the gate. */
static void handle_wait(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    atomic_store(&gate.entered, true);
    while (!atomic_load(&gate.open))
        sched_yield();
    buffer_append_text(&response->body, "finished");
}

static const struct http_route routes[] = {
    {"GET", "/show/{id}", handle_show, 0, 0},
    {"POST", "/form", handle_form, 0, 100000},
    {"POST", "/problem", handle_problem, 0, 0},
    {"GET", "/page", handle_page, HTTP_OPEN, 0},
    {"GET", "/wait", handle_wait, 0, 0},
    {"POST", "/wait", handle_wait, 0, 0},
    {0},
};

/* -- a client -- */

/* -1 when nobody listens. */
static int try_to_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {20, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_to(int port)
{
    int fd = try_to_connect(port);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Everything the server sends until it closes. */
static const char *read_all(int fd, struct buffer *answer)
{
    ssize_t got;
    buffer_clear(answer);
    do {
        buffer_reserve(answer, 65536);
        got = recv(fd, answer->data + answer->bytes, 65535, 0);
        answer->bytes += got > 0 ? (size_t)got : 0;
        answer->data[answer->bytes] = '\0';
    } while (got > 0);
    close(fd);
    return buffer_text(answer);
}

static void send_text(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static struct buffer answer;

static const char *ask(const char *head, const char *body)
{
    struct buffer text = {0};
    int fd = connect_to(http_server_port(server));
    buffer_append_format(&text, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", head);
    if (body != NULL)
        buffer_append_format(
            &text, "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %zu\r\n",
            strlen(body));
    buffer_append_format(&text, "\r\n%s", body != NULL ? body : "");
    send_text(fd, buffer_text(&text));
    buffer_fini(&text);
    return read_all(fd, &answer);
}

static void has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no %s in %s", part, text);
}

/* -- tests -- */

static const char *no_variable(const char *name, void *context)
{
    (void)name;
    (void)context;
    return NULL;
}

static void start_server(void)
{
    struct buffer faults = {0};
    struct error error = {0};
    ck_assert_int_eq(config_load(&config, FOR_ONEXTREE, no_variable, NULL, &faults), 0);
    buffer_fini(&faults);
    atomic_store(&gate.entered, false);
    atomic_store(&gate.open, false);
    const struct http_server_options options = {.address = "127.0.0.1",
                                                .threads = 8,
                                                .routes = routes,
                                                .context = &gate,
                                                .config = &config};
    ck_assert_msg(http_server_start(&server, &options, &error) == ERR_OK, "%s", error.text);
    ck_assert_int_gt(http_server_port(server), 0);
}

static void stop_server(void)
{
    http_server_stop(server);
    server = NULL;
    config_fini(&config);
    buffer_fini(&answer);
}

START_TEST(test_parameters)
{
    has(ask("GET /show/a%2Fb?q=x+y&limit=7", NULL),
        "id=a/b limit=7 q=x y path=/show/a/b type= from=127.0.0.1");
    has(ask("GET /show/a", NULL), "id=a limit=5 q=-");
    static const struct {
        const char *query, *field;
    } bad[] = {
        {"limit=0", "limit"},         {"limit=11", "limit"},    {"limit=", "limit"},
        {"limit=5x", "limit"},        {"limit=%2B5", "limit"},  {"limit=%095", "limit"},
        {"limit=5&limit=5", "limit"}, {"q=a&limit=1&q=b", "q"}, {"other=1", "other"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char head[64], field[32];
        snprintf(head, sizeof head, "GET /show/a?%s", bad[i].query);
        snprintf(field, sizeof field, "\"field\":\"%s\"", bad[i].field);
        has(ask(head, NULL), "HTTP/1.1 422 ");
        has(buffer_text(&answer), field);
    }
}
END_TEST

START_TEST(test_form_parts_and_header_values)
{
    ask("POST /form",
        "--b\r\nContent-Disposition: form-data; name=a; filename=f1\r\n\r\none\r\n--b\r\n"
        "Content-Disposition: form-data; name=b; filename=f2\r\n\r\n\r\n--b--\r\n");
    has(buffer_text(&answer), "f1=one f2=");
    has(buffer_text(&answer), "\r\nX-Extra: oneX-Evil: two\r\n");
}
END_TEST

START_TEST(test_problem_documents)
{
    ask("POST /problem", "");
    has(buffer_text(&answer), "HTTP/1.1 503 ");
    has(buffer_text(&answer), "Content-Type: application/problem+json\r\n");
    has(buffer_text(&answer), "\r\nRetry-After: 7\r\n");
    ck_assert_ptr_null(strstr(buffer_text(&answer), "Retry-After: 1"));
    has(buffer_text(&answer),
        "{\"type\":\"urn:omninode-bridge:problem:very_full\",\"title\":\"the queue is "
        "full\",\"status\":503,"
        "\"detail\":\"it is "
        "\\\"full\\\"\",\"code\":\"very_full\",\"field\":\"content\",\"instance\":\"/problem\","
        "\"state\":\"COMPLETED\"}");
}
END_TEST

START_TEST(test_pages_bring_their_own_policy)
{
    ask("GET /page", NULL);
    has(buffer_text(&answer), "Content-Type: text/html; charset=utf-8\r\n");
    has(buffer_text(&answer), "Content-Security-Policy: default-src 'self'\r\n");
    has(buffer_text(&answer), "Cache-Control: max-age=60\r\n");
    ck_assert_ptr_null(strstr(buffer_text(&answer), "default-src 'none'"));
    ck_assert_ptr_null(strstr(buffer_text(&answer), "no-store"));
    ck_assert_uint_eq(strlen(strstr(buffer_text(&answer), "\r\n\r\n") + 4), 40000);
}
END_TEST

START_TEST(test_refuse_takes_no_new_work)
{
    http_server_refuse(server);
    ask("POST /problem", "");
    has(buffer_text(&answer), "HTTP/1.1 503 ");
    has(buffer_text(&answer), "\"code\":\"stopping\"");
    has(buffer_text(&answer), "\r\nRetry-After: ");
    has(ask("GET /show/a", NULL), "HTTP/1.1 200 ");
}
END_TEST

static void *stop_in_thread(void *argument)
{
    http_server_stop(argument);
    return NULL;
}

static void *drain_in_thread(void *argument)
{
    http_server_drain(argument);
    return NULL;
}

static void wait_entered(void)
{
    int64_t deadline_us = clock_monotonic_us() + 20 * 1000000;
    while (!atomic_load(&gate.entered))
        ck_assert_int_lt(clock_monotonic_us(), deadline_us);
}

/* A handler that runs when the stop begins ends, and its client gets the answer. */
START_TEST(test_stop_waits_for_running_handlers)
{
    pthread_t thread;
    int idle = connect_to(http_server_port(server));
    int fd = connect_to(http_server_port(server));
    send_text(fd, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    wait_entered();
    struct http_server *stopped = server;
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_in_thread, stopped), 0);
    /* The stop has begun when idle connections are hung up. */
    ck_assert_uint_eq(strlen(read_all(idle, &answer)), 0);
    has(ask("GET /show/a", NULL), "\"code\":\"stopping\"");
    atomic_store(&gate.open, true);
    has(read_all(fd, &answer), "finished");
    pthread_join(thread, NULL);
    config_fini(&config);
    start_server(); /* for the fixture to stop */
}
END_TEST

/* Who is connected gets one more answer, and is told that it is the last one here; nobody else comes in. */
START_TEST(test_a_drained_server_refuses_nothing)
{
    int fd = connect_to(http_server_port(server));
    int port = http_server_port(server);
    pthread_t thread;
    send_text(fd, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    wait_entered();
    ck_assert_int_eq(pthread_create(&thread, NULL, drain_in_thread, server), 0);
    int64_t deadline_us = clock_monotonic_us() + 20 * 1000000;
    for (int other; (other = try_to_connect(port)) >= 0; close(other))
        ck_assert_int_lt(clock_monotonic_us(), deadline_us);
    atomic_store(&gate.open, true);
    const char *text = read_all(fd, &answer);
    has(text, "finished");
    has(text, "\r\nConnection: close\r\n");
    pthread_join(thread, NULL);
    http_server_stop(server);
    config_fini(&config);
    start_server(); /* for the fixture to stop */
}
END_TEST

START_TEST(test_metrics_listener)
{
    struct http_server *metrics;
    struct http_server *served = server;
    struct error error = {0};
    ck_assert_int_eq(http_metrics_start(&metrics, "127.0.0.1", 0, &config, &error), ERR_OK);
    double before = metrics_read(METRIC_HTTP_REQUESTS, 0, 0);
    ask("GET /show/a", NULL);
    server = metrics;
    has(ask("GET /metrics", NULL), "http_requests_total{route=\"GET /show/{id}\",status=\"2xx\"}");
    has(ask("GET /health/live", NULL), "alive");
    has(ask("GET /show/a", NULL), "HTTP/1.1 404 ");
    server = served;
    ck_assert_double_eq(metrics_read(METRIC_HTTP_REQUESTS, 0, 0), before + 1);
    http_server_stop(metrics);
}
END_TEST

START_TEST(test_busy_port)
{
    struct http_server *second;
    struct error error = {0};
    char holder[64];
    const struct http_server_options options = {.address = "127.0.0.1",
                                                .port = http_server_port(server),
                                                .threads = 4,
                                                .routes = routes,
                                                .config = &config};
    ck_assert_int_eq(http_server_start(&second, &options, &error), ERR_CONFIG);
    ck_assert_ptr_null(second);
    snprintf(holder, sizeof holder, "process %d (", (int)getpid());
    has(error.text, holder);
}
END_TEST

int main(void)
{
    metrics_init(FOR_ONEXTREE);
    Suite *suite = suite_create("http_server");
    TCase *cases = tcase_create("all");
    tcase_add_checked_fixture(cases, start_server, stop_server);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_parameters);
    tcase_add_test(cases, test_form_parts_and_header_values);
    tcase_add_test(cases, test_problem_documents);
    tcase_add_test(cases, test_pages_bring_their_own_policy);
    tcase_add_test(cases, test_refuse_takes_no_new_work);
    tcase_add_test(cases, test_stop_waits_for_running_handlers);
    tcase_add_test(cases, test_a_drained_server_refuses_nothing);
    tcase_add_test(cases, test_metrics_listener);
    tcase_add_test(cases, test_busy_port);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
