/* SPDX-License-Identifier: MIT */
/* kafka_client.c - what every librdkafka client here has in common: settings, log, metadata. */
#include "io/kafka_internal.h"

#include <stdio.h>
#include <string.h>

#include "io/log.h"

#define RECONNECT_MS "50"
#define RECONNECT_MS_MAX "1000"

enum error_code kafka_error_code(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ERR_OK;
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return ERR_LIMIT;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return ERR_NOT_FOUND;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return ERR_TOO_LARGE;
    if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return ERR_CONFLICT;
    if (code == RD_KAFKA_RESP_ERR__INVALID_ARG || code == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS ||
        code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR || code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
        return ERR_INVALID;
    return ERR_BROKER;
}

enum error_code kafka_conf_put(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *error)
{
    char reason[256];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
        return ERR_OK;
    /* The value may be a secret, and the reason may quote it. */
    return error_set_field(error, ERR_CONFIG, name, "Kafka setting %s is refused by the client library", name);
}

enum error_code kafka_conf_put_int(rd_kafka_conf_t *conf, const char *name, int64_t value, struct error *error)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)value);
    return kafka_conf_put(conf, name, text, error);
}

/* Quiet: CONFWARN (we know that the gapless guarantee is called experimental) and COMMITFAIL (the group's
 * offsets are for lag tools only). */
static void write_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    struct log_field client = LOG_TEXT("client", rd_kafka_name(handle));
    struct log_field place = LOG_TEXT("facility", facility);
    struct log_field detail = LOG_TEXT("detail", text);
    if (level <= 2)
        log_error("kafka client", client, place, detail);
    else if (level <= 4 && strcmp(facility, "CONFWARN") != 0 && strcmp(facility, "COMMITFAIL") != 0)
        log_warning("kafka client", client, place, detail);
    else
        log_debug("kafka client", client, place, detail);
}

static enum error_code put_security(rd_kafka_conf_t *conf, const struct config *config, struct error *error)
{
    enum error_code code = kafka_conf_put(conf, "security.protocol", config->kafka_security_protocol, error);
    if (!code && strstr(config->kafka_security_protocol, "SASL")) {
        code = kafka_conf_put(conf, "sasl.mechanism", config->kafka_sasl_mechanism, error);
        if (!code)
            code = kafka_conf_put(conf, "sasl.username", config->kafka_sasl_username, error);
        if (!code && config->kafka_sasl_password)
            code = kafka_conf_put(conf, "sasl.password", config->kafka_sasl_password, error);
    }
    if (!code && config->kafka_ssl_ca_location && config->kafka_ssl_ca_location[0])
        code = kafka_conf_put(conf, "ssl.ca.location", config->kafka_ssl_ca_location, error);
    return code;
}

enum error_code kafka_conf_new(rd_kafka_conf_t **conf, const struct config *config, const char *client_id,
                               struct error *error)
{
    static const char *const fixed[][2] = {
        {"reconnect.backoff.ms", RECONNECT_MS},
        {"reconnect.backoff.max.ms", RECONNECT_MS_MAX},
        {"socket.keepalive.enable", "true"},
        {"socket.nagle.disable", "true"},
        {"log.connection.close", "false"},
        {"broker.address.family", "any"},
    };
    rd_kafka_conf_t *made = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(made, write_log);
    enum error_code code = kafka_conf_put(made, "bootstrap.servers", config->kafka_bootstrap_servers, error);
    if (!code)
        code = kafka_conf_put(made, "client.id", client_id, error);
    for (size_t i = 0; !code && i < sizeof(fixed) / sizeof(fixed[0]); i++)
        code = kafka_conf_put(made, fixed[i][0], fixed[i][1], error);
    if (!code)
        code = put_security(made, config, error);
    if (code)
        rd_kafka_conf_destroy(made);
    else
        *conf = made;
    return code;
}

enum error_code kafka_handle_new(rd_kafka_t **handle, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                 struct error *error)
{
    char reason[256];
    *handle = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (*handle)
        return ERR_OK;
    rd_kafka_conf_destroy(conf);
    return error_set(error, ERR_CONFIG, "the Kafka client cannot be made: %s", reason);
}

/* The id is known once any question was answered. rd_kafka_clusterid asks none, and often sleeps past the answer
 * to another one, up to its whole time. */
enum error_code kafka_handle_cluster_id(rd_kafka_t *handle, int timeout_ms, char **id, struct error *error)
{
    char *found = rd_kafka_clusterid(handle, 0);
    const struct rd_kafka_metadata *metadata = NULL;
    if (!found && timeout_ms > 0 && !rd_kafka_metadata(handle, 0, NULL, &metadata, timeout_ms)) {
        rd_kafka_metadata_destroy(metadata);
        found = rd_kafka_clusterid(handle, 0);
    }
    if (!found)
        return error_set(error, ERR_BROKER, "no Kafka broker answered within %d ms", timeout_ms);
    *id = must_strdup(found);
    rd_kafka_mem_free(handle, found);
    return ERR_OK;
}

enum error_code kafka_handle_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms, int32_t *partitions,
                                        struct error *error)
{
    rd_kafka_topic_t *asked = rd_kafka_topic_new(handle, topic, NULL);
    if (!asked)
        return error_set(error, ERR_INVALID, "\"%s\" cannot be a topic name", topic);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t answer = rd_kafka_metadata(handle, 0, asked, &metadata, timeout_ms);
    rd_kafka_topic_destroy(asked);
    if (answer)
        return error_set(error, ERR_BROKER, "the Kafka broker did not describe topic %s: %s", topic,
                         rd_kafka_err2str(answer));
    enum error_code code = ERR_OK;
    if (metadata->topic_cnt != 1 || kafka_error_code(metadata->topics[0].err) == ERR_NOT_FOUND ||
        (!metadata->topics[0].err && metadata->topics[0].partition_cnt == 0))
        code = error_set(error, ERR_NOT_FOUND, "topic %s does not exist; `bridgectl topics create` makes it", topic);
    else if (metadata->topics[0].err)
        code = error_set(error, ERR_BROKER, "topic %s is not usable: %s", topic,
                         rd_kafka_err2str(metadata->topics[0].err));
    else
        *partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return code;
}
