/* SPDX-License-Identifier: MIT */
/* mock_broker.h - a Kafka-protocol broker inside this process: librdkafka's mock cluster behind our own
 * front (broker_front.h), which coordinates consumer groups.
 *
 * For development and tests only: it keeps everything in memory (about 5 MB per partition, older
 * records go), has a new cluster id at each start and creates a topic with 4 partitions when it is
 * first asked for one it does not know. It has no CreateTopics request, so mock_broker_create_topic
 * is the only way to another number of partitions.
 *
 * Owns      The cluster, its threads and all records.
 * Threads   One thread calls these functions; the cluster serves its clients on a thread of its own.
 * Errors    ERR_BROKER when the cluster cannot be made, ERR_INVALID for a number out of range.
 */
#ifndef IO_MOCK_BROKER_H
#define IO_MOCK_BROKER_H

#include "base/error.h"

struct mock_broker;

#define MOCK_BROKER_BROKERS_MAX 9
#define MOCK_BROKER_PARTITIONS_MAX 1000

/* Starts `brokers` brokers on free ports of 127.0.0.1. */
enum error_code mock_broker_new(struct mock_broker **broker, int brokers,
                                struct error *error) MUST_USE;
/* host:port of each broker, separated by commas; valid as long as the broker. */
const char *mock_broker_bootstrap(const struct mock_broker *broker);
/* ERR_CONFLICT when the topic exists already. */
enum error_code mock_broker_create_topic(struct mock_broker *broker, const char *topic,
                                         int partitions, struct error *error) MUST_USE;
void mock_broker_free(struct mock_broker *broker); /* NULL is fine */

#endif
