/* SPDX-License-Identifier: MIT */
/* kafka_admin.h - topics: create with partitions and replicas, list, tell what is missing.
 *
 * Owns      Each call opens and closes its own client.
 * Threads   Any.
 * Errors    ERR_BROKER: nobody answered in time, or the broker has no such request (the embedded
 *           development broker makes topics at its own start). ERR_INVALID: the broker refuses the
 *           name, partitions or replicas; the text says which.
 */
#ifndef IO_KAFKA_ADMIN_H
#define IO_KAFKA_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"

struct kafka_topic {
    char *name;
    int32_t partitions;
    int32_t replicas;
    bool created;       /* by kafka_topics_create; false when it was there before */
    enum error_code code; /* of this topic alone; ERR_OK when it now exists */
    char text[160];     /* the broker's words when code is set */
};

/* Creates those that are not there. The call fails only when the broker cannot be asked; what became of
 * each topic stands in it. An existing topic keeps its partitions; the real number is filled in. */
enum error_code kafka_topics_create(const struct config *config, struct kafka_topic *topics, int count, int timeout_ms,
                                    struct error *error) MUST_USE;
/* All topics of the cluster but the internal ones, by name. kafka_topics_free releases. */
enum error_code kafka_topics_list(const struct config *config, int timeout_ms, struct kafka_topic **topics, int *count,
                                  struct error *error) MUST_USE;
void kafka_topics_free(struct kafka_topic *topics, int count);
/* The offset after the last record of each partition; ends[] from the first that was not answered on is -1. */
enum error_code kafka_topic_ends(const struct config *config, const char *topic, const int32_t *partitions,
                                 int64_t *ends, int count, int timeout_ms, struct error *error) MUST_USE;

#endif
