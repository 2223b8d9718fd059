/* SPDX-License-Identifier: MIT */
/* murmur2.c - Austin Appleby's MurmurHash2 with Kafka's seed, octets read as little-endian. */
#include "core/murmur2.h"

#define SEED 0x9747b28cu
#define MULTIPLIER 0x5bd1e995u
#define SHIFT 24

uint32_t murmur2(const void *data, size_t bytes)
{
    const uint8_t *octets = data;
    uint32_t hash = SEED ^ (uint32_t)bytes;
    size_t whole = bytes & ~(size_t)3;
    for (size_t i = 0; i < whole; i += 4) {
        uint32_t k = (uint32_t)octets[i] | (uint32_t)octets[i + 1] << 8 | (uint32_t)octets[i + 2] << 16 |
                     (uint32_t)octets[i + 3] << 24;
        k *= MULTIPLIER;
        k ^= k >> SHIFT;
        k *= MULTIPLIER;
        hash *= MULTIPLIER;
        hash ^= k;
    }
    size_t rest = bytes - whole;
    if (rest > 0) {
        for (size_t i = rest; i > 0; i--)
            hash ^= (uint32_t)octets[whole + i - 1] << (8 * (i - 1));
        hash *= MULTIPLIER;
    }
    hash ^= hash >> 13;
    hash *= MULTIPLIER;
    hash ^= hash >> 15;
    return hash;
}

int32_t kafka_partition_of_key(const void *key, size_t bytes, int32_t partitions)
{
    return (int32_t)(murmur2(key, bytes) & 0x7fffffffu) % partitions;
}
