/* SPDX-License-Identifier: MIT */
/* kafka.c - the idempotent producer and its poll thread. */
#include "io/kafka.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "io/kafka_internal.h"
#include "io/log.h"

#define POLL_MS 500  /* longest sleep of the poll thread; an event ends it at once */
#define PROBE_MS 500 /* how long an unreachable cluster is asked for metadata */
#define QUEUE_KBYTES_MAX 262144
#define MESSAGE_BYTES_MAX 1000000

_Static_assert(EVENT_BYTES_MAX < MESSAGE_BYTES_MAX, "an event with its headers must fit a message");

struct kafka_producer {
    rd_kafka_t *handle;
    rd_kafka_queue_t *events;
    kafka_delivered *delivered;
    void *context;
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool reachable;
    atomic_bool was_down; /* it was said in the log that no broker can be reached */
    atomic_bool fatal;
};

static void tag_pack(uint64_t tags[2], const struct kafka_message *message)
{
    tags[0] = message->tag_a;
    tags[1] = message->tag_b;
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle;
    struct kafka_producer *producer = opaque;
    uint64_t *tags = message->_private;
    bool given_up = message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                    message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    enum error_code code = given_up ? ERR_STOPPING : kafka_error_code(message->err);
    if (code && !given_up) {
        log_error("Failed to publish Kafka event",
                  LOG_TEXT("topic", rd_kafka_topic_name(message->rkt)),
                  LOG_TEXT("reason", rd_kafka_err2str(message->err)));
    } else if (!code) {
        atomic_store(&producer->reachable, true);
        atomic_store_explicit(&producer->was_down, false, memory_order_relaxed);
    }
    if (producer->delivered)
        producer->delivered(producer->context, tags[0], tags[1], code,
                            code ? rd_kafka_err2str(message->err) : "");
    free(tags);
}

static void on_error(rd_kafka_t *handle, int number, const char *reason, void *opaque)
{
    struct kafka_producer *producer = opaque;
    if (number == RD_KAFKA_RESP_ERR__FATAL) {
        char text[256];
        const char *fatal_reason = text;
        rd_kafka_fatal_error(handle, text, sizeof(text));
        atomic_store(&producer->fatal, true);
        log_error("Failed to publish Kafka event", LOG_TEXT("reason", fatal_reason),
                  LOG_INT("fatal", 1));
    } else if (number == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        atomic_store(&producer->reachable, false);
        if (!atomic_exchange(&producer->was_down, true))
            log_error("Failed to publish Kafka event", LOG_TEXT("reason", reason));
    } else {
        log_warning("kafka producer", LOG_TEXT("reason", reason));
    }
}

/* librdkafka says when all brokers are gone, but not when one is back. */
static void probe(struct kafka_producer *producer)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(producer->handle, 0, NULL, &metadata, PROBE_MS))
        return;
    rd_kafka_metadata_destroy(metadata);
    atomic_store(&producer->reachable, true);
    if (atomic_exchange(&producer->was_down, false))
        log_info("kafka broker is reachable again");
}

static void *poll_loop(void *argument)
{
    struct kafka_producer *producer = argument;
    while (!atomic_load(&producer->stopping)) {
        int served = rd_kafka_queue_poll_callback(producer->events, POLL_MS);
        if (!served && !atomic_load(&producer->reachable) && !atomic_load(&producer->stopping))
            probe(producer);
    }
    return NULL;
}

static enum error_code producer_conf(rd_kafka_conf_t *conf, const struct config *config,
                                     struct error *error)
{
    static const char *const fixed[][2] = {
        {"enable.idempotence", "true"}, {"enable.gapless.guarantee", "true"}, {"acks", "all"},
        {"message.timeout.ms", "0"},    {"partitioner", "murmur2_random"},
    };
    enum error_code code = ERR_OK;
    for (size_t i = 0; !code && i < sizeof(fixed) / sizeof(fixed[0]); i++)
        code = kafka_conf_put(conf, fixed[i][0], fixed[i][1], error);
    if (!code)
        code = kafka_conf_put(
            conf, "compression.type",
            config->kafka_compression_type ? config->kafka_compression_type : "none", error);
    if (!code)
        code = kafka_conf_put_int(conf, "linger.ms", config->kafka_linger_ms, error);
    if (!code)
        code = kafka_conf_put_int(
            conf, "queue.buffering.max.messages",
            config->kafka_queue_events_max > 0 ? config->kafka_queue_events_max : 100000, error);
    if (!code)
        code = kafka_conf_put_int(conf, "queue.buffering.max.kbytes", QUEUE_KBYTES_MAX, error);
    if (!code)
        code = kafka_conf_put_int(conf, "message.max.bytes", MESSAGE_BYTES_MAX, error);
    return code;
}

enum error_code kafka_producer_new(struct kafka_producer **producer, const struct config *config,
                                   const char *client_id, kafka_delivered *delivered, void *context,
                                   struct error *error)
{
    rd_kafka_conf_t *conf;
    enum error_code code = kafka_conf_new(&conf, config, client_id, error);
    if (code)
        return code;
    struct kafka_producer *made = must_calloc(1, sizeof(*made));
    made->delivered = delivered;
    made->context = context;
    code = producer_conf(conf, config, error);
    if (code) {
        rd_kafka_conf_destroy(conf);
        goto out;
    }
    rd_kafka_conf_set_opaque(conf, made);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    code = kafka_handle_new(&made->handle, RD_KAFKA_PRODUCER, conf, error);
    if (code)
        goto out;
    made->events = rd_kafka_queue_get_main(made->handle);
    if (pthread_create(&made->thread, NULL, poll_loop, made) != 0) {
        rd_kafka_queue_destroy(made->events);
        rd_kafka_destroy(made->handle);
        code = error_set(error, ERR_INTERNAL, "no thread could be started for the Kafka producer");
        goto out;
    }
    *producer = made;
    return ERR_OK;
out:
    free(made);
    return code;
}

enum error_code kafka_produce(struct kafka_producer *producer, const struct kafka_message *message,
                              struct error *error)
{
    rd_kafka_headers_t *headers = NULL;
    if (message->headers_count > 0) {
        headers = rd_kafka_headers_new((size_t)message->headers_count);
        for (int i = 0; i < message->headers_count; i++)
            rd_kafka_header_add(headers, message->headers[i].name, -1, message->headers[i].value,
                                (ssize_t)message->headers[i].bytes);
    }
    uint64_t *tags = must_alloc(2 * sizeof(*tags));
    tag_pack(tags, message);
    rd_kafka_vu_t fields[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = message->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = message->partition},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {(void *)(uintptr_t)message->key, message->key_bytes}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)message->value, message->value_bytes}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = message->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = tags},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    size_t count = sizeof(fields) / sizeof(fields[0]) - (headers ? 0 : 1);
    rd_kafka_error_t *refused = rd_kafka_produceva(producer->handle, fields, count);
    if (!refused)
        return ERR_OK;
    enum error_code code = kafka_error_code(rd_kafka_error_code(refused));
    error_set(error, code, "topic %s: %s", message->topic, rd_kafka_error_string(refused));
    rd_kafka_error_destroy(refused);
    if (headers)
        rd_kafka_headers_destroy(headers);
    free(tags);
    return code;
}

bool kafka_producer_fatal(const struct kafka_producer *producer)
{
    return atomic_load(&producer->fatal);
}

int64_t kafka_producer_queue(const struct kafka_producer *producer)
{
    return rd_kafka_outq_len(producer->handle);
}

int64_t kafka_producer_flush(struct kafka_producer *producer, int timeout_ms)
{
    /* rd_kafka_flush also ends the linger wait; reports are served here and by the poll thread. */
    rd_kafka_flush(producer->handle, timeout_ms);
    return rd_kafka_outq_len(producer->handle);
}

void kafka_producer_free(struct kafka_producer *producer)
{
    if (!producer)
        return;
    atomic_store(&producer->stopping, true);
    rd_kafka_queue_yield(producer->events);
    pthread_join(producer->thread, NULL);
    /* What is still queued ends with an error report, so that its tags are freed. */
    rd_kafka_purge(producer->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(producer->handle, POLL_MS);
    rd_kafka_queue_destroy(producer->events);
    rd_kafka_destroy(producer->handle);
    free(producer);
}

enum error_code kafka_cluster_id(struct kafka_producer *producer, int timeout_ms, char **id,
                                 struct error *error)
{
    enum error_code code = kafka_handle_cluster_id(producer->handle, timeout_ms, id, error);
    if (!code)
        atomic_store(&producer->reachable, true);
    return code;
}

enum error_code kafka_topic_partitions(struct kafka_producer *producer, const char *topic,
                                       int timeout_ms, int32_t *partitions, struct error *error)
{
    return kafka_handle_partitions(producer->handle, topic, timeout_ms, partitions, error);
}

enum error_code kafka_topics_missing(struct kafka_producer *producer, const char *const *topics,
                                     int count, int timeout_ms, bool *missing, struct error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t answer =
        rd_kafka_metadata(producer->handle, 1, NULL, &metadata, timeout_ms);
    if (answer)
        return error_set(error, ERR_BROKER, "the Kafka broker did not list its topics: %s",
                         rd_kafka_err2str(answer));
    for (int i = 0; i < count; i++) {
        missing[i] = true;
        for (int k = 0; k < metadata->topic_cnt && missing[i]; k++)
            missing[i] = metadata->topics[k].err || metadata->topics[k].partition_cnt == 0 ||
                         strcmp(metadata->topics[k].topic, topics[i]) != 0;
    }
    rd_kafka_metadata_destroy(metadata);
    return ERR_OK;
}

bool kafka_producer_reachable(const struct kafka_producer *producer)
{
    return atomic_load(&producer->reachable) && !atomic_load(&producer->fatal);
}
