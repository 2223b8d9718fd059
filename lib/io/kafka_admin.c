/* SPDX-License-Identifier: MIT */
/* kafka_admin.c - creating and listing topics. */
#include "io/kafka_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/kafka_internal.h"

static enum error_code open_client(rd_kafka_t **handle, const struct config *config, struct error *error)
{
    rd_kafka_conf_t *conf;
    enum error_code code = kafka_conf_new(&conf, config, "omninode-bridge-admin", error);
    return code ? code : kafka_handle_new(handle, RD_KAFKA_PRODUCER, conf, error);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kafka_topic *)a)->name, ((const struct kafka_topic *)b)->name);
}

static enum error_code list(rd_kafka_t *handle, int timeout_ms, struct kafka_topic **topics, int *count,
                            struct error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t answer = rd_kafka_metadata(handle, 1, NULL, &metadata, timeout_ms);
    if (answer)
        return error_set(error, ERR_BROKER, "the Kafka broker did not list its topics: %s", rd_kafka_err2str(answer));
    struct kafka_topic *found = must_calloc((unsigned long)metadata->topic_cnt + 1, sizeof(*found));
    int n = 0;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (strncmp(topic->topic, "__", 2) == 0 || topic->err)
            continue;
        found[n++] = (struct kafka_topic){
            .name = must_strdup(topic->topic),
            .partitions = topic->partition_cnt,
            .replicas = topic->partition_cnt > 0 ? topic->partitions[0].replica_cnt : 0,
        };
    }
    rd_kafka_metadata_destroy(metadata);
    qsort(found, (size_t)n, sizeof(*found), by_name);
    *topics = found;
    *count = n;
    return ERR_OK;
}

enum error_code kafka_topics_list(const struct config *config, int timeout_ms, struct kafka_topic **topics, int *count,
                                  struct error *error)
{
    rd_kafka_t *handle;
    enum error_code code = open_client(&handle, config, error);
    if (code)
        return code;
    code = list(handle, timeout_ms, topics, count, error);
    rd_kafka_destroy(handle);
    return code;
}

void kafka_topics_free(struct kafka_topic *topics, int count)
{
    for (int i = 0; topics && i < count; i++)
        free(topics[i].name);
    free(topics);
}

enum error_code kafka_topic_ends(const struct config *config, const char *topic, const int32_t *partitions,
                                 int64_t *ends, int count, int timeout_ms, struct error *error)
{
    rd_kafka_t *handle;
    for (int i = 0; i < count; i++)
        ends[i] = -1;
    enum error_code code = open_client(&handle, config, error);
    if (code)
        return code;
    for (int i = 0; i < count && !code; i++) {
        int64_t first, end;
        rd_kafka_resp_err_t answer =
            rd_kafka_query_watermark_offsets(handle, topic, partitions[i], &first, &end, timeout_ms);
        if (answer)
            code = error_set(error, ERR_BROKER, "the end of %s partition %d cannot be had: %s", topic,
                             (int)partitions[i], rd_kafka_err2str(answer));
        else
            ends[i] = end;
    }
    rd_kafka_destroy(handle);
    return code;
}

static struct kafka_topic *find(struct kafka_topic *topics, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(topics[i].name, name) == 0)
            return &topics[i];
    }
    return NULL;
}

static void take_results(const rd_kafka_CreateTopics_result_t *result, struct kafka_topic *topics, int count)
{
    size_t answers;
    const rd_kafka_topic_result_t **list_of = rd_kafka_CreateTopics_result_topics(result, &answers);
    for (size_t i = 0; i < answers; i++) {
        struct kafka_topic *topic = find(topics, count, rd_kafka_topic_result_name(list_of[i]));
        rd_kafka_resp_err_t answer = rd_kafka_topic_result_error(list_of[i]);
        if (!topic || answer == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            continue;
        topic->created = !answer;
        topic->code = kafka_error_code(answer);
        const char *words = rd_kafka_topic_result_error_string(list_of[i]);
        snprintf(topic->text, sizeof(topic->text), "%s", answer ? (words ? words : rd_kafka_err2str(answer)) : "");
    }
}

static enum error_code create_missing(rd_kafka_t *handle, struct kafka_topic *topics, int count,
                                      rd_kafka_NewTopic_t **wanted, size_t wanted_count, int timeout_ms,
                                      struct error *error)
{
    char reason[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, reason, sizeof(reason));
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof(reason));
    rd_kafka_CreateTopics(handle, wanted, wanted_count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    enum error_code code = ERR_OK;
    if (!event)
        code = error_set(error, ERR_BROKER, "the Kafka broker did not answer within %d ms", timeout_ms);
    else if (rd_kafka_event_error(event))
        code = error_set(error, ERR_BROKER, "the Kafka broker did not create topics: %s",
                         rd_kafka_event_error_string(event));
    else
        take_results(rd_kafka_event_CreateTopics_result(event), topics, count);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return code;
}

static enum error_code create(rd_kafka_t *handle, struct kafka_topic *topics, int count, int timeout_ms,
                              struct error *error)
{
    struct kafka_topic *present = NULL;
    int present_count = 0;
    enum error_code code = list(handle, timeout_ms, &present, &present_count, error);
    if (code)
        return code;
    rd_kafka_NewTopic_t **wanted = must_calloc((unsigned long)count + 1, sizeof(struct rd_kafka_NewTopic_s *));
    size_t wanted_count = 0;
    for (int i = 0; i < count; i++) {
        char reason[128];
        const struct kafka_topic *there = find(present, present_count, topics[i].name);
        topics[i].created = false;
        topics[i].code = ERR_OK;
        topics[i].text[0] = 0;
        if (there) {
            topics[i].partitions = there->partitions;
            topics[i].replicas = there->replicas;
            continue;
        }
        wanted[wanted_count] = rd_kafka_NewTopic_new(topics[i].name, topics[i].partitions, topics[i].replicas, reason,
                                                     sizeof(reason));
        if (wanted[wanted_count]) {
            wanted_count++;
        } else {
            topics[i].code = ERR_INVALID;
            snprintf(topics[i].text, sizeof(topics[i].text), "%s", reason);
        }
    }
    if (wanted_count > 0)
        code = create_missing(handle, topics, count, wanted, wanted_count, timeout_ms, error);
    rd_kafka_NewTopic_destroy_array(wanted, wanted_count);
    free(wanted);
    kafka_topics_free(present, present_count);
    return code;
}

enum error_code kafka_topics_create(const struct config *config, struct kafka_topic *topics, int count, int timeout_ms,
                                    struct error *error)
{
    rd_kafka_t *handle;
    enum error_code code = open_client(&handle, config, error);
    if (code)
        return code;
    code = create(handle, topics, count, timeout_ms, error);
    rd_kafka_destroy(handle);
    return code;
}
