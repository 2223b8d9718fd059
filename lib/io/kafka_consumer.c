/* SPDX-License-Identifier: MIT */
/* kafka_consumer.c - the consumer group member; see the header for how moves of the group are answered. */
#include "io/kafka_consumer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/kafka_internal.h"
#include "io/log.h"

#define SESSION_TIMEOUT_MS "6000"
#define HEARTBEAT_MS "500" /* how soon a member learns that partitions are to be shared anew */
#define REBALANCES_MAX 16
#define PROBE_MS 200
#define SEEK_TIMEOUT_MS 3000
#define FETCH_WAIT_MS "500" /* for records, at the end of the topic */
/* Of one that is no member: it asks for offsets between records, and goes from partition to partition; both wait
 * for the answer to a fetch that is under way on the same connection. */
#define READER_FETCH_WAIT_MS "20"
#define QUEUED_MESSAGES_TEXT "100000" /* librdkafka fetches no more while so many wait for us */
#define QUEUED_MESSAGES 100000
#define QUEUED_KBYTES "131072"
#define NUDGE_TIMEOUT_MS 20
#define CLOSE_WAIT_SECONDS 1
#define LEAVE_ASKS 50 /* how often a leaving member asks whether it is out */
#define LEAVE_ASK_MS 20
#define ASSIGNOR_MENDED 0x02030000 /* librdkafka's version, see may_be_destroyed */
#define ASSIGNMENT_WAIT_MS 10000
#define ASSIGNMENT_POLL_MS 50

struct move {
    bool assign;
    bool lost;
    rd_kafka_topic_partition_list_t *list;
    int32_t *partitions;
};

struct kafka_consumer {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    char *topic;
    bool subscribed;
    bool was_assigned; /* at least once, even if nothing */
    bool closing;
    atomic_bool unreachable;
    atomic_bool fatal;
    atomic_bool fenced; /* another process took this member's place */
    bool nudges;        /* this librdkafka has to be told when its queue has room again */
    bool was_full;      /* its queue, since the last nudge */
    struct move moves[REBALANCES_MAX]; /* oldest first */
    int moves_count;
};

static bool is_cooperative(rd_kafka_t *handle)
{
    const char *protocol = rd_kafka_rebalance_protocol(handle);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

static enum error_code take_error(rd_kafka_error_t *refused, const char *what, struct error *error)
{
    if (!refused)
        return ERR_OK;
    enum error_code code =
        error_set(error, ERR_BROKER, "%s failed: %s", what, rd_kafka_error_string(refused));
    rd_kafka_error_destroy(refused);
    return code;
}

static enum error_code carry_out(struct kafka_consumer *consumer, const struct move *move,
                                 struct error *error)
{
    rd_kafka_t *handle = consumer->handle;
    if (is_cooperative(handle))
        return move->assign ? take_error(rd_kafka_incremental_assign(handle, move->list),
                                         "assigning partitions", error)
                            : take_error(rd_kafka_incremental_unassign(handle, move->list),
                                         "giving up partitions", error);
    rd_kafka_resp_err_t answer = rd_kafka_assign(handle, move->assign ? move->list : NULL);
    return answer ? error_set(error, ERR_BROKER, "assigning partitions failed: %s",
                              rd_kafka_err2str(answer))
                  : ERR_OK;
}

static void on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t kind,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_consumer *consumer = opaque;
    struct move move = {
        .assign = kind == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
        .lost = kind != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && rd_kafka_assignment_lost(handle),
        .list = list,
    };
    consumer->was_assigned = consumer->was_assigned || move.assign;
    if (consumer->closing) {
        /* Nothing is read any more: new partitions are not taken, old ones are given up at once. */
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);
        if (move.assign)
            move.list = none;
        if (carry_out(consumer, &move, NULL))
            log_warning("leaving the consumer group is incomplete");
        rd_kafka_topic_partition_list_destroy(none);
        return;
    }
    BUG_IF(consumer->moves_count >= REBALANCES_MAX);
    move.list = rd_kafka_topic_partition_list_copy(list);
    move.partitions = must_alloc(sizeof(int32_t) * (size_t)(list->cnt + 1));
    for (int i = 0; i < list->cnt; i++)
        move.partitions[i] = list->elems[i].partition;
    consumer->moves[consumer->moves_count++] = move;
}

static void note_fatal(struct kafka_consumer *consumer)
{
    char text[256];
    const char *why = text;
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(consumer->handle, text, sizeof(text));
    atomic_store(&consumer->fenced, code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    if (!atomic_exchange(&consumer->fatal, true))
        log_error("kafka consumer failed for good", LOG_TEXT("reason", why));
}

static void on_error(rd_kafka_t *handle, int number, const char *reason, void *opaque)
{
    (void)handle;
    struct kafka_consumer *consumer = opaque;
    if (number == RD_KAFKA_RESP_ERR__FATAL) {
        note_fatal(consumer);
    } else if (number == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (!atomic_exchange(&consumer->unreachable, true))
            log_error("kafka broker cannot be reached", LOG_TEXT("reason", reason));
    } else {
        log_warning("kafka consumer", LOG_TEXT("reason", reason));
    }
}

static void drop_first_move(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_destroy(consumer->moves[0].list);
    free(consumer->moves[0].partitions);
    consumer->moves_count--;
    memmove(&consumer->moves[0], &consumer->moves[1],
            sizeof(struct move) * (size_t)consumer->moves_count);
}

static enum error_code consumer_conf(rd_kafka_conf_t *conf,
                                     const struct kafka_consumer_options *options,
                                     struct error *error)
{
    const char *const settings[][2] = {
        {"group.id", options->group},
        {"group.instance.id", options->instance_id},
        {"session.timeout.ms", SESSION_TIMEOUT_MS},
        {"heartbeat.interval.ms", HEARTBEAT_MS},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"fetch.wait.max.ms", options->instance_id ? FETCH_WAIT_MS : READER_FETCH_WAIT_MS},
        {"fetch.error.backoff.ms", "50"},
        {"queued.max.messages.kbytes", QUEUED_KBYTES},
        {"queued.min.messages", QUEUED_MESSAGES_TEXT},
        {"check.crcs", "false"},
    };
    enum error_code code = ERR_OK;
    for (size_t i = 0; !code && i < sizeof(settings) / sizeof(settings[0]); i++)
        code = !settings[i][1] || !settings[i][1][0]
                   ? ERR_OK
                   : kafka_conf_put(conf, settings[i][0], settings[i][1], error);
    return code;
}

enum error_code kafka_consumer_join(struct kafka_consumer *consumer, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, consumer->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t answer = rd_kafka_subscribe(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    consumer->subscribed = !answer;
    return answer ? error_set(error, ERR_BROKER, "subscribing to %s failed: %s", consumer->topic,
                              rd_kafka_err2str(answer))
                  : ERR_OK;
}

enum error_code kafka_consumer_new(struct kafka_consumer **consumer, const struct config *config,
                                   const struct kafka_consumer_options *options,
                                   struct error *error)
{
    rd_kafka_conf_t *conf;
    enum error_code code = kafka_conf_new(&conf, config, options->client_id, error);
    if (code)
        return code;
    struct kafka_consumer *made = must_calloc(1, sizeof(*made));
    code = consumer_conf(conf, options, error);
    made->nudges =
        rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "5", NULL, 0) != RD_KAFKA_CONF_OK;
    if (code) {
        rd_kafka_conf_destroy(conf);
        goto fail;
    }
    rd_kafka_conf_set_opaque(conf, made);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    code = kafka_handle_new(&made->handle, RD_KAFKA_CONSUMER, conf, error);
    if (code)
        goto fail;
    made->topic = must_strdup(options->topic);
    rd_kafka_poll_set_consumer(made->handle);
    made->queue = rd_kafka_queue_get_consumer(made->handle);
    if (options->event_fd >= 0) {
        static const uint64_t one = 1;
        rd_kafka_queue_io_event_enable(made->queue, options->event_fd, &one, sizeof(one));
    }
    *consumer = made;
    return ERR_OK;
fail:
    free(made);
    return code;
}

static atomic_int closing; /* consumers whose closing is not waited for any more */

/* librdkafka before 2.3 aborts the process when a member is destroyed between joining its group and its first
 * assignment (its assignor has no state yet). So that is waited for; a member that never gets one is closed and
 * left behind. */
static bool may_be_destroyed(struct kafka_consumer *consumer)
{
    if (!consumer->subscribed || rd_kafka_version() >= ASSIGNOR_MENDED)
        return true;
    for (int ms = 0; !consumer->was_assigned && ms < ASSIGNMENT_WAIT_MS; ms += ASSIGNMENT_POLL_MS) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->handle, ASSIGNMENT_POLL_MS);
        if (message)
            rd_kafka_message_destroy(message);
        if (rd_kafka_fatal_error(consumer->handle, NULL, 0))
            break;
    }
    return consumer->was_assigned;
}

static void *close_handle(void *argument)
{
    struct kafka_consumer *consumer = argument;
    bool destroyed = may_be_destroyed(consumer);
    rd_kafka_consumer_close(consumer->handle);
    if (destroyed) {
        rd_kafka_destroy(consumer->handle);
        free(consumer->topic);
        free(consumer);
    }
    atomic_fetch_sub(&closing, 1);
    return NULL;
}

/* librdkafka keeps what it still has to tell the group for as long as the session may last, so closing beside
 * a broker that is away would take seconds. */
static void close_soon(struct kafka_consumer *consumer)
{
    pthread_t thread;
    struct timespec until;
    atomic_fetch_add(&closing, 1);
    if (pthread_create(&thread, NULL, close_handle, consumer) != 0) {
        close_handle(consumer);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WAIT_SECONDS;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0)
        pthread_detach(thread);
}

bool kafka_consumers_closing(void) { return atomic_load(&closing) > 0; }

/* From here on moves of the group are carried out as they come. */
static void stop_reading(struct kafka_consumer *consumer)
{
    consumer->closing = true;
    while (consumer->moves_count > 0) {
        struct move *move = &consumer->moves[0];
        if (!move->assign && carry_out(consumer, move, NULL))
            log_warning("giving up partitions is incomplete");
        drop_first_move(consumer);
    }
}

static bool is_member(struct kafka_consumer *consumer)
{
    char *id = rd_kafka_memberid(consumer->handle);
    bool member = id && id[0];
    rd_kafka_mem_free(consumer->handle, id);
    return member;
}

/* Closing alone would keep a static member's place; unsubscribing first gives it back. */
void kafka_consumer_leave(struct kafka_consumer *consumer)
{
    stop_reading(consumer);
    if (atomic_load(&consumer->fatal) || atomic_load(&consumer->unreachable) ||
        rd_kafka_unsubscribe(consumer->handle))
        return;
    for (int i = 0; i < LEAVE_ASKS && is_member(consumer); i++) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->queue, LEAVE_ASK_MS);
        while (message) {
            rd_kafka_message_destroy(message);
            message = rd_kafka_consume_queue(consumer->queue, 0);
        }
    }
    consumer->subscribed = is_member(consumer);
}

void kafka_consumer_free(struct kafka_consumer *consumer)
{
    if (!consumer)
        return;
    stop_reading(consumer);
    rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(consumer->queue);
    close_soon(consumer);
}

static void record_from(struct kafka_record *record, rd_kafka_message_t *message)
{
    *record = (struct kafka_record){
        .partition = message->partition,
        .offset = message->offset,
        .internal = message,
    };
    if (!message->err) {
        rd_kafka_timestamp_type_t kind;
        int64_t timestamp_ms = rd_kafka_message_timestamp(message, &kind);
        record->timestamp_ms =
            kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || timestamp_ms < 0 ? 0 : timestamp_ms;
        record->key = message->key;
        record->key_bytes = message->key_len;
        record->value = message->payload;
        record->value_bytes = message->len;
    } else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
               message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        record->code = ERR_CONFLICT;
    } else {
        record->code = kafka_error_code(message->err) == ERR_NOT_FOUND ? ERR_NOT_FOUND : ERR_BROKER;
        log_warning("kafka consumer", LOG_TEXT("reason", rd_kafka_message_errstr(message)));
    }
}

/* When its queue is full, librdkafka looks only after a second whether there is room again, and meanwhile
 * we would wait beside a full topic. Since version 2.2 that time can be set; in older ones a request to the
 * brokers wakes their threads. Its answer does not matter. */
static void nudge_fetching(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    size_t waiting = rd_kafka_queue_length(consumer->queue);
    consumer->was_full |= waiting >= QUEUED_MESSAGES / 10 * 9;
    if (!consumer->was_full || waiting > QUEUED_MESSAGES / 2)
        return;
    consumer->was_full = false;
    if (rd_kafka_assignment(consumer->handle, &list))
        return;
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_END;
    if (list->cnt > 0)
        (void)rd_kafka_offsets_for_times(consumer->handle, list, NUDGE_TIMEOUT_MS);
    rd_kafka_topic_partition_list_destroy(list);
}

int kafka_consume(struct kafka_consumer *consumer, int timeout_ms, struct kafka_record *records,
                  int max)
{
    enum { BATCH = 1024 };
    rd_kafka_message_t *messages[BATCH];
    if (consumer->moves_count > 0)
        return 0; /* answered first, so that the group never waits for a second one */
    ssize_t count = rd_kafka_consume_batch_queue(consumer->queue, timeout_ms, messages,
                                                 max < BATCH ? (size_t)max : (size_t)BATCH);
    for (ssize_t i = 0; i < count; i++) {
        record_from(&records[i], messages[i]);
        if (messages[i]->err == RD_KAFKA_RESP_ERR__FATAL) /* a member is told so, not by on_error */
            note_fatal(consumer);
    }
    if (count > 0)
        atomic_store(&consumer->unreachable, false);
    if (count > 0 && consumer->nudges)
        nudge_fetching(consumer);
    return count > 0 ? (int)count : 0;
}

void kafka_records_free(struct kafka_record *records, int count)
{
    for (int i = 0; i < count; i++)
        rd_kafka_message_destroy(records[i].internal);
}

void kafka_record_headers(const struct kafka_record *record, const char *const *names,
                          struct kafka_text *values, int count)
{
    memset(values, 0, sizeof(*values) * (size_t)count);
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(record->internal, &headers))
        return;
    const char *name;
    const void *value;
    size_t bytes;
    for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &bytes); i++) {
        for (int n = 0; n < count; n++) {
            if (strcmp(name, names[n]) == 0 && value)
                values[n] = (struct kafka_text){.data = value, .bytes = bytes};
        }
    }
}

bool kafka_rebalance_next(struct kafka_consumer *consumer, struct kafka_rebalance *rebalance)
{
    if (consumer->moves_count == 0)
        return false;
    const struct move *move = &consumer->moves[0];
    *rebalance = (struct kafka_rebalance){
        .assign = move->assign,
        .lost = move->lost,
        .partitions = move->partitions,
        .count = move->list->cnt,
    };
    return true;
}

enum error_code kafka_assign(struct kafka_consumer *consumer, const int64_t *offsets,
                             struct error *error)
{
    BUG_IF(consumer->moves_count == 0 || !consumer->moves[0].assign);
    struct move *move = &consumer->moves[0];
    for (int i = 0; i < move->list->cnt; i++)
        move->list->elems[i].offset = offsets[i];
    enum error_code code = carry_out(consumer, move, error);
    drop_first_move(consumer);
    return code;
}

enum error_code kafka_unassign(struct kafka_consumer *consumer, struct error *error)
{
    BUG_IF(consumer->moves_count == 0 || consumer->moves[0].assign);
    enum error_code code = carry_out(consumer, &consumer->moves[0], error);
    drop_first_move(consumer);
    return code;
}

static rd_kafka_topic_partition_list_t *partition_list(const struct kafka_consumer *consumer,
                                                       const int32_t *partitions,
                                                       const int64_t *offsets, int count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count + 1);
    for (int i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *entry =
            rd_kafka_topic_partition_list_add(list, consumer->topic, partitions[i]);
        if (offsets)
            entry->offset = offsets[i];
    }
    return list;
}

enum error_code kafka_pause(struct kafka_consumer *consumer, const int32_t *partitions, int count,
                            bool pause, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = partition_list(consumer, partitions, NULL, count);
    rd_kafka_resp_err_t answer = pause ? rd_kafka_pause_partitions(consumer->handle, list)
                                       : rd_kafka_resume_partitions(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    return answer ? error_set(error, ERR_BROKER, "pausing partitions failed: %s",
                              rd_kafka_err2str(answer))
                  : ERR_OK;
}

enum error_code kafka_read_from(struct kafka_consumer *consumer, const int32_t *partitions,
                                const int64_t *offsets, int count, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = partition_list(consumer, partitions, offsets, count);
    rd_kafka_resp_err_t answer = rd_kafka_assign(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    return answer ? error_set(error, ERR_BROKER, "reading from given offsets failed: %s",
                              rd_kafka_err2str(answer))
                  : ERR_OK;
}

enum error_code kafka_seek(struct kafka_consumer *consumer, int32_t partition, int64_t offset,
                           struct error *error)
{
    rd_kafka_topic_partition_list_t *list = partition_list(consumer, &partition, &offset, 1);
    enum error_code code = take_error(
        rd_kafka_seek_partitions(consumer->handle, list, SEEK_TIMEOUT_MS), "seeking", error);
    if (!code && list->elems[0].err)
        code = error_set(error, ERR_BROKER, "seeking failed: %s",
                         rd_kafka_err2str(list->elems[0].err));
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* A partition whose offset was refused is no longer fetched, and cannot be sought in. */
enum error_code kafka_read_again(struct kafka_consumer *consumer, int32_t partition, int64_t offset,
                                 struct error *error)
{
    rd_kafka_topic_partition_list_t *list = partition_list(consumer, &partition, &offset, 1);
    enum error_code code =
        take_error(rd_kafka_incremental_unassign(consumer->handle, list), "reading again", error);
    if (!code)
        code =
            take_error(rd_kafka_incremental_assign(consumer->handle, list), "reading again", error);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

void kafka_commit_progress(struct kafka_consumer *consumer, const int32_t *partitions,
                           const int64_t *offsets, int count)
{
    if (count == 0 || atomic_load(&consumer->unreachable))
        return;
    rd_kafka_topic_partition_list_t *list = partition_list(consumer, partitions, offsets, count);
    rd_kafka_resp_err_t answer = rd_kafka_commit(consumer->handle, list, 1);
    if (answer)
        log_debug("kafka consumer", LOG_TEXT("reason", rd_kafka_err2str(answer)));
    rd_kafka_topic_partition_list_destroy(list);
}

/* One request to each leader, whatever the number of partitions; where is one of librdkafka's names for an
 * end of the log. */
static enum error_code offsets_at(struct kafka_consumer *consumer, const int32_t *partitions,
                                  int count, int timeout_ms, int64_t where, int64_t *offsets,
                                  struct error *error)
{
    rd_kafka_topic_partition_list_t *list = partition_list(consumer, partitions, NULL, count);
    for (int i = 0; i < count; i++)
        list->elems[i].offset = where;
    rd_kafka_resp_err_t answer = rd_kafka_offsets_for_times(consumer->handle, list, timeout_ms);
    int32_t partition = count > 0 ? partitions[0] : 0;
    for (int i = 0; i < count && !answer; i++) {
        offsets[i] = list->elems[i].offset;
        answer = list->elems[i].err;
        partition = partitions[i];
    }
    rd_kafka_topic_partition_list_destroy(list);
    return answer ? error_set(error, ERR_BROKER, "the offsets of %s partition %d cannot be had: %s",
                              consumer->topic, (int)partition, rd_kafka_err2str(answer))
                  : ERR_OK;
}

enum error_code kafka_ends_of(struct kafka_consumer *consumer, const int32_t *partitions, int count,
                              int timeout_ms, int64_t *ends, struct error *error)
{
    return offsets_at(consumer, partitions, count, timeout_ms, RD_KAFKA_OFFSET_END, ends, error);
}

enum error_code kafka_offsets_of(struct kafka_consumer *consumer, const int32_t *partitions,
                                 int count, int timeout_ms, int64_t *firsts, int64_t *ends,
                                 struct error *error)
{
    enum error_code code = offsets_at(consumer, partitions, count, timeout_ms,
                                      RD_KAFKA_OFFSET_BEGINNING, firsts, error);
    return code ? code : kafka_ends_of(consumer, partitions, count, timeout_ms, ends, error);
}

enum error_code kafka_offsets(struct kafka_consumer *consumer, int32_t partition, int timeout_ms,
                              int64_t *first, int64_t *end, struct error *error)
{
    return kafka_offsets_of(consumer, &partition, 1, timeout_ms, first, end, error);
}

bool kafka_offsets_known(struct kafka_consumer *consumer, int32_t partition, int64_t *first,
                         int64_t *end)
{
    return rd_kafka_get_watermark_offsets(consumer->handle, consumer->topic, partition, first,
                                          end) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           *end >= 0;
}

enum error_code kafka_consumer_cluster_id(struct kafka_consumer *consumer, int timeout_ms,
                                          char **id, struct error *error)
{
    return kafka_handle_cluster_id(consumer->handle, timeout_ms, id, error);
}

enum error_code kafka_consumer_partitions(struct kafka_consumer *consumer, int timeout_ms,
                                          int32_t *partitions, struct error *error)
{
    return kafka_handle_partitions(consumer->handle, consumer->topic, timeout_ms, partitions,
                                   error);
}

bool kafka_consumer_reachable(const struct kafka_consumer *consumer)
{
    if (!atomic_load(&consumer->unreachable))
        return true;
    /* librdkafka says when all brokers are gone, but not when one is back. */
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(consumer->handle, 0, NULL, &metadata, PROBE_MS))
        return false;
    rd_kafka_metadata_destroy(metadata);
    return true;
}

bool kafka_consumer_fatal(const struct kafka_consumer *consumer)
{
    return atomic_load(&consumer->fatal);
}

bool kafka_consumer_fenced(const struct kafka_consumer *consumer)
{
    return atomic_load(&consumer->fenced);
}
