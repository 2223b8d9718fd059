/* SPDX-License-Identifier: MIT */
/* fill_topic - fills a topic with events as the orchestrator publishes them: envelopes of about 460 octets,
 * lanes with seq and prev_seq, keys that are workflow ids.
 *
 *     fill_topic --bootstrap HOST:PORT --topic NAME [--events N] [--namespaces N] [--lanes N]
 *                [--events-per-second N] [--shuffle-ms N] [--repeat-percent N] [--start UNIX_MS] [--seed N]
 *                [--first-seq N]
 *
 * Every event is a stamp. Event times rise by 1/events-per-second from --start, shuffled within
 * --shuffle-ms. The same seed gives the same events. Prints one line of JSON with the counts and the rate.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "core/murmur2.h"
#include "io/clock.h"
#include "io/kafka.h"
#include "io/log.h"

struct plan {
    const char *bootstrap, *topic;
    int64_t events, namespaces, lanes, events_per_second, shuffle_ms, repeat_percent, start_ms, seed, first_seq;
};

struct event {
    char key[40];
    char value[700];
    int value_bytes;
    char lane[24], seq[24], prev_seq[24];
};

static atomic_long delivered, refused;

static void on_delivery(void *context, uint64_t tag_a, uint64_t tag_b, enum error_code code, const char *text)
{
    (void)context;
    (void)tag_a;
    (void)tag_b;
    (void)text;
    atomic_fetch_add(code ? &refused : &delivered, 1);
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void make_event(struct event *event, const struct plan *plan, int64_t n, uint64_t *random)
{
    char time[INSTANT_TEXT_BYTES];
    uint64_t a = draw(random), b = draw(random);
    int64_t time_us = plan->start_ms * 1000 + n * 1000000 / plan->events_per_second;
    if (plan->shuffle_ms > 0)
        time_us -= (int64_t)(draw(random) % (uint64_t)(plan->shuffle_ms * 1000));
    instant_format_us(time_us, time);
    snprintf(event->key, sizeof(event->key), "%08x-%04x-7%03x-%04x-%012" PRIx64, (unsigned)(a >> 32),
             (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(0x8000 | (b >> 50 & 0x3fff)),
             (uint64_t)(b & 0xffffffffffff));
    int ns = (int)(draw(random) % (uint64_t)plan->namespaces);
    event->value_bytes = snprintf(
        event->value, sizeof(event->value),
        "{\"envelope_version\":\"1.0\",\"event_id\":\"%08x-0000-8000-8000-%012" PRIx64
        "\",\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"%s\",\"source_node_id\":\"bench\","
        "\"payload\":{\"workflow_id\":\"%s\",\"stamp_id\":\"s-%" PRId64 "\",\"file_hash\":\"%016" PRIx64
        "%016" PRIx64 "\",\"file_path\":\"/data/file-%" PRId64 ".txt\",\"file_size\":%u,\"namespace\":\"bench.ns%d\","
        "\"content_type\":\"text/plain\",\"workflow_state\":\"completed\",\"processing_time_ms\":%u.%u}}",
        (unsigned)n, (uint64_t)(b & 0xffffffffffff), time, event->key, n, a, b, n, (unsigned)(a % 100000), ns,
        (unsigned)(b % 200), (unsigned)(b % 10));
}

static enum error_code send(struct kafka_producer *producer, const struct plan *plan, const struct event *event,
                            struct error *error)
{
    const struct kafka_header headers[] = {
        {"lane", event->lane, strlen(event->lane)},
        {"seq", event->seq, strlen(event->seq)},
        {"prev_seq", event->prev_seq, strlen(event->prev_seq)},
    };
    const struct kafka_message message = {
        .topic = plan->topic, .partition = -1, .key = event->key, .key_bytes = strlen(event->key),
        .value = event->value, .value_bytes = (size_t)event->value_bytes, .headers = headers, .headers_count = 3,
    };
    enum error_code code;
    while ((code = kafka_produce(producer, &message, error)) == ERR_LIMIT)
        kafka_producer_flush(producer, 10);
    return code;
}

static enum error_code fill(struct kafka_producer *producer, const struct plan *plan, struct error *error)
{
    int32_t partitions;
    enum error_code code = kafka_topic_partitions(producer, plan->topic, 5000, &partitions, error);
    if (code)
        return code;
    uint64_t random = (uint64_t)plan->seed;
    int64_t *last = must_calloc((unsigned long)(plan->lanes * partitions), sizeof(*last));
    struct event event;
    for (int64_t n = 0; n < plan->events && !code; n++) {
        make_event(&event, plan, n, &random);
        int64_t lane = n % plan->lanes, seq = plan->first_seq + n / plan->lanes;
        int32_t partition = kafka_partition_of_key(event.key, strlen(event.key), partitions);
        int64_t *before = &last[lane * partitions + partition];
        snprintf(event.lane, sizeof(event.lane), "1.%" PRId64, lane);
        snprintf(event.seq, sizeof(event.seq), "%" PRId64, seq);
        snprintf(event.prev_seq, sizeof(event.prev_seq), "%" PRId64, *before);
        *before = seq;
        code = send(producer, plan, &event, error);
        if (!code && plan->repeat_percent > 0 && draw(&random) % 100 < (uint64_t)plan->repeat_percent)
            code = send(producer, plan, &event, error);
    }
    free(last);
    return code;
}

static int64_t number(const char *text) { return strtoll(text, NULL, 10); }

static bool read_plan(struct plan *plan, int argc, char **argv)
{
    static const struct option options[] = {
        {"bootstrap", 1, NULL, 'b'}, {"topic", 1, NULL, 't'},      {"events", 1, NULL, 'n'},
        {"namespaces", 1, NULL, 'g'}, {"lanes", 1, NULL, 'l'},      {"events-per-second", 1, NULL, 'r'},
        {"shuffle-ms", 1, NULL, 's'}, {"repeat-percent", 1, NULL, 'd'}, {"start", 1, NULL, 'o'},
        {"seed", 1, NULL, 'e'},      {"first-seq", 1, NULL, 'f'},  {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'b': plan->bootstrap = optarg; break;
        case 't': plan->topic = optarg; break;
        case 'n': plan->events = number(optarg); break;
        case 'g': plan->namespaces = number(optarg); break;
        case 'l': plan->lanes = number(optarg); break;
        case 'r': plan->events_per_second = number(optarg); break;
        case 's': plan->shuffle_ms = number(optarg); break;
        case 'd': plan->repeat_percent = number(optarg); break;
        case 'o': plan->start_ms = number(optarg); break;
        case 'e': plan->seed = number(optarg); break;
        case 'f': plan->first_seq = number(optarg); break;
        default: return false;
        }
    }
    return plan->bootstrap && plan->topic && plan->namespaces > 0 && plan->lanes > 0 && plan->events_per_second > 0;
}

int main(int argc, char **argv)
{
    struct plan plan = {.events = 100000, .namespaces = 4, .lanes = 16, .events_per_second = 10000,
                        .start_ms = clock_now_us() / 1000, .seed = 1, .first_seq = 1};
    struct error error = {0};
    struct kafka_producer *producer;
    if (!read_plan(&plan, argc, argv)) {
        fputs("usage: fill_topic --bootstrap HOST:PORT --topic NAME [--events N] [...]; see fill_topic.c\n", stderr);
        return 2;
    }
    log_init("fill_topic", "error");
    struct config config = {.kafka_bootstrap_servers = (char *)(uintptr_t)plan.bootstrap,
                            .kafka_security_protocol = "PLAINTEXT", .kafka_linger_ms = 5,
                            .kafka_queue_events_max = 200000};
    int64_t start_us = clock_monotonic_us();
    enum error_code code = kafka_producer_new(&producer, &config, "fill_topic", on_delivery, NULL, &error);
    if (!code)
        code = fill(producer, &plan, &error);
    if (code) {
        fprintf(stderr, "fill_topic: %s\n", error.text);
        return 1;
    }
    while (kafka_producer_flush(producer, 1000) > 0)
        continue;
    double seconds = (double)(clock_monotonic_us() - start_us) / 1e6;
    kafka_producer_free(producer);
    printf("{\"events\":%" PRId64 ",\"delivered\":%ld,\"refused\":%ld,\"seconds\":%.3f,\"per_second\":%.0f}\n", plan.events,
           atomic_load(&delivered), atomic_load(&refused), seconds, (double)atomic_load(&delivered) / seconds);
    return atomic_load(&refused) ? 1 : 0;
}
