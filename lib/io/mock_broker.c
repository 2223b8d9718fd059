/* SPDX-License-Identifier: MIT */
#include "io/mock_broker.h"

#include <stdlib.h>
#include <string.h>

/* The mock's header wants the main one first. */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>

#include "base/buffer.h"
#include "core/broker_messages.h"
#include "io/broker_front.h"

struct mock_broker {
    rd_kafka_t *handle; /* the cluster lives inside a client handle */
    rd_kafka_mock_cluster_t *cluster;
    struct broker_front *front;
    char *bootstrap;
};

/* Clients talk to the front, which coordinates consumer groups and hands everything else on. */
static enum error_code put_front(struct mock_broker *broker, struct error *error)
{
    int ports[MOCK_BROKER_BROKERS_MAX];
    int count = 0;
    const char *at = rd_kafka_mock_cluster_bootstraps(broker->cluster);
    for (; at && count < MOCK_BROKER_BROKERS_MAX; count++) {
        const char *comma = strchr(at, ',');
        const char *colon = strchr(at, ':');
        ports[count] = colon ? atoi(colon + 1) : 0;
        at = comma ? comma + 1 : NULL;
    }
    if (rd_kafka_mock_set_apiversion(broker->cluster, BROKER_HEARTBEAT, 0,
                                     BROKER_HEARTBEAT_VERSION_MAX))
        return error_set(error, ERR_BROKER, "librdkafka's mock cluster refused a setting");
    enum error_code code = broker_front_start(&broker->front, ports, count, error);
    struct buffer bootstrap = {0};
    for (int i = 0; i < count && !code; i++)
        buffer_append_format(&bootstrap, "%s127.0.0.1:%d", i > 0 ? "," : "",
                             broker_front_port(broker->front, i));
    broker->bootstrap = buffer_take(&bootstrap);
    return code;
}

enum error_code mock_broker_new(struct mock_broker **broker, int brokers, struct error *error)
{
    if (brokers < 1 || brokers > MOCK_BROKER_BROKERS_MAX)
        return error_set(error, ERR_INVALID, "brokers is %d; it must be from 1 to %d", brokers,
                         MOCK_BROKER_BROKERS_MAX);
    char text[ERROR_TEXT_BYTES / 2];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "log_level", "3", text, sizeof text) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return error_set(error, ERR_BROKER, "librdkafka refused its settings: %s", text);
    }
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!handle) {
        rd_kafka_conf_destroy(conf);
        return error_set(error, ERR_BROKER, "librdkafka could not start: %s", text);
    }
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(handle, brokers);
    if (!cluster) {
        rd_kafka_destroy(handle);
        return error_set(error, ERR_BROKER,
                         "librdkafka could not make a mock cluster of %d brokers", brokers);
    }
    struct mock_broker *made = must_alloc(sizeof *made);
    *made = (struct mock_broker){.handle = handle, .cluster = cluster};
    enum error_code code = put_front(made, error);
    if (code)
        mock_broker_free(made);
    else
        *broker = made;
    return code;
}

const char *mock_broker_bootstrap(const struct mock_broker *broker) { return broker->bootstrap; }

enum error_code mock_broker_create_topic(struct mock_broker *broker, const char *topic,
                                         int partitions, struct error *error)
{
    if (partitions < 1 || partitions > MOCK_BROKER_PARTITIONS_MAX)
        return error_set(error, ERR_INVALID, "topic %s: %d partitions; it must be from 1 to %d",
                         topic, partitions, MOCK_BROKER_PARTITIONS_MAX);
    rd_kafka_resp_err_t failed = rd_kafka_mock_topic_create(broker->cluster, topic, partitions, 1);
    if (failed == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return error_set(error, ERR_CONFLICT, "topic %s exists already", topic);
    if (failed)
        return error_set(error, ERR_BROKER, "topic %s: %s", topic, rd_kafka_err2str(failed));
    return ERR_OK;
}

void mock_broker_free(struct mock_broker *broker)
{
    if (!broker)
        return;
    broker_front_stop(broker->front);
    rd_kafka_mock_cluster_destroy(broker->cluster);
    rd_kafka_destroy(broker->handle);
    free(broker->bootstrap);
    free(broker);
}
