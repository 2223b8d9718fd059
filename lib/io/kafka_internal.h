/* SPDX-License-Identifier: MIT */
/* kafka_internal.h - what kafka.c, kafka_consumer.c and kafka_admin.c share. Not for others: librdkafka's
 * types appear here.
 */
#ifndef IO_KAFKA_INTERNAL_H
#define IO_KAFKA_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "base/error.h"

/* Brokers, security and log settings that every client needs. On success *conf is the caller's. */
enum error_code kafka_conf_new(rd_kafka_conf_t **conf, const struct config *config, const char *client_id,
                               struct error *error) MUST_USE;
enum error_code kafka_conf_put(rd_kafka_conf_t *conf, const char *name, const char *value,
                               struct error *error) MUST_USE;
enum error_code kafka_conf_put_int(rd_kafka_conf_t *conf, const char *name, int64_t value,
                                   struct error *error) MUST_USE;
/* Takes conf over in any case. */
enum error_code kafka_handle_new(rd_kafka_t **handle, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                 struct error *error) MUST_USE;
enum error_code kafka_handle_cluster_id(rd_kafka_t *handle, int timeout_ms, char **id,
                                        struct error *error) MUST_USE;
enum error_code kafka_handle_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms,
                                        int32_t *partitions, struct error *error) MUST_USE;
/* Our code for one of librdkafka's. */
enum error_code kafka_error_code(rd_kafka_resp_err_t code);

#endif
