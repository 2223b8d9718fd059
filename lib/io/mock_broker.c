/* SPDX-License-Identifier: MIT */
#include "io/mock_broker.h"

#include <stdlib.h>

/* The mock's header wants the main one first. */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>

struct mock_broker {
    rd_kafka_t *handle; /* the cluster lives inside a client handle */
    rd_kafka_mock_cluster_t *cluster;
};

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
        return error_set(error, ERR_BROKER, "librdkafka could not make a mock cluster of %d brokers",
                         brokers);
    }
    *broker = must_alloc(sizeof **broker);
    **broker = (struct mock_broker){.handle = handle, .cluster = cluster};
    return ERR_OK;
}

const char *mock_broker_bootstrap(const struct mock_broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

enum error_code mock_broker_create_topic(struct mock_broker *broker, const char *topic, int partitions,
                                         struct error *error)
{
    if (partitions < 1 || partitions > MOCK_BROKER_PARTITIONS_MAX)
        return error_set(error, ERR_INVALID, "topic %s: %d partitions; it must be from 1 to %d", topic,
                         partitions, MOCK_BROKER_PARTITIONS_MAX);
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
    rd_kafka_mock_cluster_destroy(broker->cluster);
    rd_kafka_destroy(broker->handle);
    free(broker);
}
