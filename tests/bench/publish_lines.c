/* SPDX-License-Identifier: MIT */
/* publish_lines - publishes the records that come on standard input, one a line, in their order.
 *
 *     tests/reference/generate.py --feed - | publish_lines --bootstrap HOST:PORT --topic NAME
 *
 * A line is fields with the octet 31 between them: partition, timestamp in ms (0: now), "k" and the key or "n"
 * when there is none, any number of "h" name "=" value, and at last "v" and the value or "n" when there is
 * none. Values may hold any octet but the newline. The producer is idempotent and waits for a broker that is
 * away. Prints one line of JSON with the counts; exit status 1 when a record was refused.
 */
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/kafka.h"
#include "io/log.h"

#define SEPARATOR 31
#define HEADERS_MAX 16

static atomic_long delivered, refused;

static void on_delivery(void *context, uint64_t tag_a, uint64_t tag_b, enum error_code code,
                        const char *text)
{
    (void)context;
    (void)tag_a;
    (void)tag_b;
    (void)text;
    atomic_fetch_add(code ? &refused : &delivered, 1);
}

/* Cuts the next field off; NULL at the end of the line. */
static char *next_field(char **rest, char *end)
{
    char *field = *rest;
    if (field > end)
        return NULL;
    char *stop = memchr(field, SEPARATOR, (size_t)(end - field));
    *rest = stop ? stop + 1 : end + 1;
    if (stop)
        *stop = 0;
    return field;
}

static bool add_header(struct kafka_message *message, struct kafka_header *headers, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || message->headers_count == HEADERS_MAX)
        return false;
    *equals = 0;
    headers[message->headers_count++] = (struct kafka_header){text, equals + 1, strlen(equals + 1)};
    return true;
}

/* The value is the rest of the line, so it may hold the separator. */
static bool parse(char *line, size_t bytes, struct kafka_message *message,
                  struct kafka_header *headers)
{
    char *end = line + bytes, *rest = line;
    const char *partition = next_field(&rest, end);
    const char *timestamp = next_field(&rest, end);
    const char *key = next_field(&rest, end);
    if (!partition || !timestamp || !key)
        return false;
    message->partition = (int32_t)strtol(partition, NULL, 10);
    message->timestamp_ms = strtoll(timestamp, NULL, 10);
    message->key = *key == 'k' ? key + 1 : NULL;
    message->key_bytes = *key == 'k' ? strlen(key + 1) : 0;
    message->headers = headers;
    while (rest < end && *rest == 'h') {
        if (!add_header(message, headers, next_field(&rest, end) + 1))
            return false;
    }
    if (rest >= end)
        return false;
    message->value = *rest == 'v' ? rest + 1 : NULL;
    message->value_bytes = *rest == 'v' ? (size_t)(end - rest - 1) : 0;
    return *rest == 'v' || *rest == 'n';
}

static enum error_code publish(struct kafka_producer *producer, const struct kafka_message *message,
                               struct error *error)
{
    enum error_code code;
    while ((code = kafka_produce(producer, message, error)) == ERR_LIMIT)
        kafka_producer_flush(producer, 10);
    return code;
}

static enum error_code publish_all(struct kafka_producer *producer, const char *topic, long *lines,
                                   struct error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    enum error_code code = ERR_OK;
    for (ssize_t bytes; !code && (bytes = getline(&line, &capacity, stdin)) > 0; ++*lines) {
        struct kafka_header headers[HEADERS_MAX];
        struct kafka_message message = {.topic = topic};
        size_t length = line[bytes - 1] == '\n' ? (size_t)bytes - 1 : (size_t)bytes;
        line[length] = 0;
        code = parse(line, length, &message, headers)
                   ? publish(producer, &message, error)
                   : error_set(error, ERR_INVALID, "line %ld is not understood", *lines + 1);
    }
    free(line);
    return code;
}

static bool read_options(int argc, char **argv, const char **bootstrap, const char **topic)
{
    static const struct option options[] = {
        {"bootstrap", 1, NULL, 'b'}, {"topic", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c != 'b' && c != 't')
            return false;
        *(c == 'b' ? bootstrap : topic) = optarg;
    }
    return *bootstrap && *topic;
}

int main(int argc, char **argv)
{
    const char *bootstrap = NULL, *topic = NULL;
    struct error error = {0};
    struct kafka_producer *producer;
    long lines = 0;
    if (!read_options(argc, argv, &bootstrap, &topic)) {
        fputs("usage: publish_lines --bootstrap HOST:PORT --topic NAME < LINES\n", stderr);
        return 2;
    }
    log_init("publish_lines", "error");
    struct config config = {.kafka_bootstrap_servers = (char *)(uintptr_t)bootstrap,
                            .kafka_security_protocol = "PLAINTEXT",
                            .kafka_linger_ms = 5,
                            .kafka_queue_events_max = 100000};
    int64_t start_us = clock_monotonic_us();
    enum error_code code =
        kafka_producer_new(&producer, &config, "publish_lines", on_delivery, NULL, &error);
    if (!code)
        code = publish_all(producer, topic, &lines, &error);
    if (code) {
        fprintf(stderr, "publish_lines: %s\n", error.text);
        return 1;
    }
    while (kafka_producer_flush(producer, 1000) > 0 && !kafka_producer_fatal(producer))
        continue;
    double seconds = (double)(clock_monotonic_us() - start_us) / 1e6;
    kafka_producer_free(producer);
    long done = atomic_load(&delivered);
    printf("{\"lines\":%ld,\"delivered\":%ld,\"refused\":%ld,\"seconds\":%.3f}\n", lines, done,
           atomic_load(&refused), seconds);
    return done == lines ? 0 : 1;
}
