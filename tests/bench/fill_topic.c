/* SPDX-License-Identifier: MIT */
/* fill_topic - fills a topic with the events of stamps.h.
 *
 *     fill_topic --bootstrap HOST:PORT --topic NAME [--events N] [--namespaces N] [--lanes N]
 *                [--events-per-second N] [--events-per-workflow N] [--shuffle-ms N] [--shuffle-percent N]
 *                [--repeat-percent N] [--start UNIX_MS] [--seed N] [--first-seq N]
 *
 * Times begin now unless --start says otherwise. Prints one line of JSON with the counts and the rate.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/kafka.h"
#include "io/log.h"
#include "stamps.h"

struct fill {
    const char *bootstrap, *topic;
    int64_t repeat_percent;
    struct stamp_plan stamps;
};

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

static enum error_code send(struct kafka_producer *producer, const struct fill *fill,
                            const struct stamp *stamp, struct error *error)
{
    const struct kafka_header headers[] = {
        {"lane", stamp->lane, strlen(stamp->lane)},
        {"seq", stamp->seq, strlen(stamp->seq)},
        {"prev_seq", stamp->prev_seq, strlen(stamp->prev_seq)},
    };
    const struct kafka_message message = {
        .topic = fill->topic,
        .partition = -1,
        .key = stamp->key,
        .key_bytes = strlen(stamp->key),
        .value = stamp->value,
        .value_bytes = (size_t)stamp->value_bytes,
        .headers = headers,
        .headers_count = 3,
    };
    enum error_code code;
    while ((code = kafka_produce(producer, &message, error)) == ERR_LIMIT)
        kafka_producer_flush(producer, 10);
    return code;
}

static enum error_code send_all(struct kafka_producer *producer, struct fill *fill,
                                struct error *error)
{
    enum error_code code =
        kafka_topic_partitions(producer, fill->topic, 5000, &fill->stamps.partitions, error);
    if (code)
        return code;
    uint64_t random = (uint64_t)fill->stamps.seed;
    struct stamps stamps;
    struct stamp stamp;
    stamps_init(&stamps, &fill->stamps);
    while (stamps.made < fill->stamps.events && !code) {
        stamps_next(&stamps, &stamp);
        code = send(producer, fill, &stamp, error);
        if (!code && fill->repeat_percent > 0 &&
            stamps_draw(&random) % 100 < (uint64_t)fill->repeat_percent)
            code = send(producer, fill, &stamp, error);
    }
    stamps_fini(&stamps);
    return code;
}

static bool read_arguments(struct fill *fill, int argc, char **argv)
{
    struct stamp_plan *stamps = &fill->stamps;
    struct {
        const char *name;
        int64_t *number;
    } numbers[] = {
        {"events", &stamps->events},
        {"namespaces", &stamps->namespaces},
        {"lanes", &stamps->lanes},
        {"events-per-second", &stamps->events_per_second},
        {"events-per-workflow", &stamps->events_per_workflow},
        {"shuffle-ms", &stamps->shuffle_ms},
        {"shuffle-percent", &stamps->shuffle_percent},
        {"repeat-percent", &fill->repeat_percent},
        {"start", &stamps->start_ms},
        {"seed", &stamps->seed},
        {"first-seq", &stamps->first_seq},
    };
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
        size_t n = 0;
        while (n < sizeof numbers / sizeof numbers[0] && strcmp(numbers[n].name, name) != 0)
            n++;
        if (n < sizeof numbers / sizeof numbers[0])
            *numbers[n].number = strtoll(argv[i + 1], NULL, 10);
        else if (strcmp(name, "bootstrap") == 0)
            fill->bootstrap = argv[i + 1];
        else if (strcmp(name, "topic") == 0)
            fill->topic = argv[i + 1];
        else
            return false;
    }
    return argc % 2 == 1 && fill->bootstrap && fill->topic && stamps->namespaces > 0 &&
           stamps->lanes > 0 && stamps->events_per_second > 0 && stamps->events_per_workflow > 0;
}

int main(int argc, char **argv)
{
    struct fill fill = {.stamps = stamp_defaults};
    struct error error = {0};
    struct kafka_producer *producer;
    fill.stamps.start_ms = clock_now_us() / 1000;
    if (!read_arguments(&fill, argc, argv)) {
        fputs("usage: fill_topic --bootstrap HOST:PORT --topic NAME [--events N] [...]; see "
              "fill_topic.c\n",
              stderr);
        return 2;
    }
    log_init("fill_topic", "error");
    struct config config = {.kafka_bootstrap_servers = (char *)(uintptr_t)fill.bootstrap,
                            .kafka_security_protocol = "PLAINTEXT",
                            .kafka_linger_ms = 5,
                            .kafka_queue_events_max = 200000};
    int64_t start_us = clock_monotonic_us();
    enum error_code code =
        kafka_producer_new(&producer, &config, "fill_topic", on_delivery, NULL, &error);
    if (!code)
        code = send_all(producer, &fill, &error);
    if (code) {
        fprintf(stderr, "fill_topic: %s\n", error.text);
        return 1;
    }
    while (kafka_producer_flush(producer, 1000) > 0)
        continue;
    double seconds = (double)(clock_monotonic_us() - start_us) / 1e6;
    kafka_producer_free(producer);
    printf("{\"events\":%" PRId64
           ",\"delivered\":%ld,\"refused\":%ld,\"seconds\":%.3f,\"per_second\":%.0f}\n",
           fill.stamps.events, atomic_load(&delivered), atomic_load(&refused), seconds,
           (double)atomic_load(&delivered) / seconds);
    return atomic_load(&refused) ? 1 : 0;
}
