/* SPDX-License-Identifier: MIT */
/* load - clients that POST one body again and again and wait for each answer.
 *
 *     load --port N --path PATH --body FILE [--clients N] [--seconds N] [--warmup N] [--rate N] [--first N]
 *
 * Closed loop: each client sends the next request when the answer to the last one is there. With --rate
 * it is an open loop: requests are due at that rate whatever the answers do, and latency counts from the
 * moment a request was due, so that a stall is not hidden by the clients that wait in it.
 * @NUMBER@ in the body becomes a number of 12 digits that counts up from --first.
 * An answer counts as completed when its status is 200 and it says "state":"COMPLETED"; what ends in the
 * measured seconds after the warm-up counts. Prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "io/clock.h"

#define NUMBER_MARK "@NUMBER@"
#define NUMBER_DIGITS 12
#define ANSWER_BYTES_MAX 65536
#define DRAIN_US 12000000 /* longest wait for the answers that are under way at the end */
#define EVENTS_MAX 256

struct plan {
    int port, clients;
    const char *path, *body_file;
    double seconds, warmup, rate;
    int64_t first;
};

struct client {
    int fd; /* -1: not connected */
    bool busy;
    int64_t since_us; /* closed loop: sent; open loop: due */
    size_t received;
    char answer[ANSWER_BYTES_MAX];
};

struct load {
    struct plan plan;
    char *request; /* head and body, with NUMBER_DIGITS octets to fill in at number_at */
    size_t request_bytes, number_at;
    bool numbered;
    int64_t number;
    int epoll;
    struct client *clients;
    int busy;
    int64_t start_us, end_us; /* of what is measured */
    int64_t due_us;           /* open loop: the next request */
    int64_t sent, completed, other, lost;
    int64_t *latencies_us;
    size_t latencies_max;
    char example[400]; /* of an answer that was not what we wanted */
};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_body(const char *path, struct buffer *body)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die(path);
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof(piece), file)) > 0;)
        buffer_append(body, piece, n);
    fclose(file);
}

static void prepare_request(struct load *load)
{
    struct buffer body = {0}, request = {0};
    read_body(load->plan.body_file, &body);
    const char *text = buffer_text(&body), *mark = strstr(text, NUMBER_MARK);
    load->numbered = mark != NULL;
    size_t before = mark ? (size_t)(mark - text) : strlen(text);
    const char *after = mark ? mark + strlen(NUMBER_MARK) : "";
    size_t bytes = before + strlen(after) + (mark ? NUMBER_DIGITS : 0);
    buffer_append_format(
        &request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n",
        load->plan.path, load->plan.port, bytes);
    load->number_at = strlen(buffer_text(&request)) + before;
    buffer_append(&request, text, before);
    if (mark)
        buffer_append_format(&request, "%0*d", NUMBER_DIGITS, 0);
    buffer_append_text(&request, after);
    load->request_bytes = strlen(buffer_text(&request));
    load->request = strdup(buffer_text(&request));
    buffer_fini(&body);
    buffer_fini(&request);
}

static void client_connect(struct load *load, struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)load->plan.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        die("epoll_ctl");
}

static void client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

static void client_send(struct load *load, struct client *client, int64_t since_us)
{
    if (client->fd < 0)
        client_connect(load, client);
    if (load->numbered) {
        char digits[24];
        snprintf(digits, sizeof(digits), "%0*" PRId64, NUMBER_DIGITS, load->number++);
        memcpy(load->request + load->number_at, digits, NUMBER_DIGITS);
    }
    client->since_us = since_us;
    client->received = 0;
    client->busy = true;
    load->busy++;
    load->sent++;
    for (size_t done = 0; done < load->request_bytes;) {
        ssize_t n =
            send(client->fd, load->request + done, load->request_bytes - done, MSG_NOSIGNAL);
        if (n < 0)
            return; /* the end of the connection is seen by the next read */
        done += (size_t)n;
    }
}

/* The number of octets of a whole answer, 0 while it is not all there. */
static size_t answer_bytes(const struct client *client)
{
    const char *end = memmem(client->answer, client->received, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - client->answer) + 4;
    const char *length = strcasestr(client->answer, "\r\nContent-Length:");
    size_t whole = head + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    return client->received >= whole ? whole : 0;
}

static void record(struct load *load, int64_t latency_us)
{
    if ((size_t)load->completed == load->latencies_max) {
        load->latencies_max = load->latencies_max ? load->latencies_max * 2 : 65536;
        load->latencies_us =
            realloc(load->latencies_us, load->latencies_max * sizeof(*load->latencies_us));
        if (load->latencies_us == NULL)
            die("memory");
    }
    load->latencies_us[load->completed++] = latency_us;
}

static void client_answered(struct load *load, struct client *client, int64_t now_us)
{
    bool fine = strncmp(client->answer + 8, " 200 ", 5) == 0 &&
                memmem(client->answer, client->received, "\"state\":\"COMPLETED\"", 19) != NULL;
    bool measured = now_us >= load->start_us && now_us < load->end_us;
    client->busy = false;
    load->busy--;
    if (fine && measured)
        record(load, now_us - client->since_us);
    if (!fine) {
        load->other += measured;
        snprintf(load->example, sizeof(load->example), "%.399s", client->answer);
    }
}

/* Reads what is there; true when the client is free for the next request. */
static bool client_read(struct load *load, struct client *client)
{
    ssize_t n = recv(client->fd, client->answer + client->received,
                     sizeof(client->answer) - client->received - 1, 0);
    if (n <= 0) {
        client_close(client);
        load->lost += client->busy;
        load->busy -= client->busy;
        client->busy = false;
        return true;
    }
    client->received += (size_t)n;
    client->answer[client->received] = '\0';
    if (!client->busy || answer_bytes(client) == 0)
        return false;
    client_answered(load, client, clock_monotonic_us());
    return true;
}

/* Open loop: sends what is due as far as clients are free; milliseconds until the next one is due. */
static int send_due(struct load *load)
{
    int64_t now_us = clock_monotonic_us(), step_us = (int64_t)(1e6 / load->plan.rate);
    for (int i = 0; load->due_us <= now_us && i < load->plan.clients; i++) {
        if (load->clients[i].busy)
            continue;
        client_send(load, &load->clients[i], load->due_us);
        load->due_us += step_us;
    }
    int64_t wait_us = load->due_us - clock_monotonic_us();
    return load->busy == load->plan.clients || wait_us > 1000000 ? 1000
           : wait_us < 0                                         ? 0
                                                                 : (int)(wait_us / 1000);
}

static void run(struct load *load)
{
    bool open_loop = load->plan.rate > 0;
    int64_t begin_us = clock_monotonic_us();
    load->start_us = begin_us + (int64_t)(load->plan.warmup * 1e6);
    load->end_us = load->start_us + (int64_t)(load->plan.seconds * 1e6);
    load->due_us = begin_us;
    for (int i = 0; i < load->plan.clients && !open_loop; i++)
        client_send(load, &load->clients[i], clock_monotonic_us());
    for (;;) {
        int64_t now_us = clock_monotonic_us();
        bool sending = now_us < load->end_us;
        if ((!sending && load->busy == 0) || now_us > load->end_us + DRAIN_US)
            break;
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(load->epoll, events, EVENTS_MAX,
                           open_loop && sending ? send_due(load) : 100);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (client_read(load, client) && !open_loop && clock_monotonic_us() < load->end_us)
                client_send(load, client, clock_monotonic_us());
        }
    }
    load->lost += load->busy;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *load, double part)
{
    if (load->completed == 0)
        return 0;
    return (double)load->latencies_us[(size_t)(part * (double)(load->completed - 1))] / 1000;
}

static void print_escaped(const char *text)
{
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar((unsigned char)*text < 0x20 ? ' ' : *text);
}

static void report(struct load *load)
{
    qsort(load->latencies_us, (size_t)load->completed, sizeof(*load->latencies_us), compare);
    printf("{\"clients\":%d,\"rate\":%.0f,\"seconds\":%.3f,\"sent\":%" PRId64
           ",\"completed\":%" PRId64 ",\"other\":%" PRId64 ",\"lost\":%" PRId64
           ",\"per_second\":%.1f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"next\":%" PRId64 ",\"example\":\"",
           load->plan.clients, load->plan.rate, load->plan.seconds, load->sent, load->completed,
           load->other, load->lost, (double)load->completed / load->plan.seconds,
           percentile_ms(load, 0.5), percentile_ms(load, 0.9), percentile_ms(load, 0.99),
           percentile_ms(load, 1), load->number);
    print_escaped(load->example);
    printf("\"}\n");
}

static bool read_plan(struct plan *plan, int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},    {"path", 1, NULL, 'u'},    {"body", 1, NULL, 'b'},
        {"clients", 1, NULL, 'c'}, {"seconds", 1, NULL, 's'}, {"warmup", 1, NULL, 'w'},
        {"rate", 1, NULL, 'r'},    {"first", 1, NULL, 'f'},   {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'p':
            plan->port = atoi(optarg);
            break;
        case 'u':
            plan->path = optarg;
            break;
        case 'b':
            plan->body_file = optarg;
            break;
        case 'c':
            plan->clients = atoi(optarg);
            break;
        case 's':
            plan->seconds = atof(optarg);
            break;
        case 'w':
            plan->warmup = atof(optarg);
            break;
        case 'r':
            plan->rate = atof(optarg);
            break;
        case 'f':
            plan->first = strtoll(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return plan->port > 0 && plan->path && plan->body_file && plan->clients > 0 &&
           plan->seconds > 0;
}

int main(int argc, char **argv)
{
    struct load load = {.plan = {.clients = 1, .seconds = 8, .warmup = 1, .first = 100000000000}};
    if (!read_plan(&load.plan, argc, argv)) {
        fputs("usage: load --port N --path PATH --body FILE [--clients N] [--seconds N] [...]; see "
              "load.c\n",
              stderr);
        return 2;
    }
    load.number = load.plan.first;
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.clients = calloc((size_t)load.plan.clients, sizeof(*load.clients));
    if (load.epoll < 0 || load.clients == NULL)
        die("start");
    prepare_request(&load);
    for (int i = 0; i < load.plan.clients; i++)
        client_connect(&load, &load.clients[i]);
    run(&load);
    report(&load);
    for (int i = 0; i < load.plan.clients; i++)
        if (load.clients[i].fd >= 0)
            client_close(&load.clients[i]);
    free(load.clients);
    free(load.latencies_us);
    free(load.request);
    close(load.epoll);
    return 0;
}
