/* SPDX-License-Identifier: MIT */
/* murmur2.h - the hash by which Kafka's Java clients (and librdkafka's murmur2_random) choose a key's
 * partition. Pure.
 *
 * Source    org.apache.kafka.common.utils.Utils.murmur2, whose test vectors the unit test repeats.
 */
#ifndef CORE_MURMUR2_H
#define CORE_MURMUR2_H

#include <stddef.h>
#include <stdint.h>

uint32_t murmur2(const void *data, size_t bytes);
/* Partition of a key on a topic with so many partitions (at least 1). */
int32_t kafka_partition_of_key(const void *key, size_t bytes, int32_t partitions);

#endif
