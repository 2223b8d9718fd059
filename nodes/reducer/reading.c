/* SPDX-License-Identifier: MIT */
/* reading.c - the threads that read ahead, and the ring of their batches. */
#include "reducer/reading.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/plain.h"
#include "io/log.h"
#include "reducer/record.h"

#define THREADS_MAX 16
#define SLOTS_MAX                                                                                  \
    (2 * THREADS_MAX + 3) /* two for each thread, one that is filled, waits, is counted */
#define ALONE_RECORDS 64  /* so few are read faster than another thread wakes up */

enum stage { EMPTY, GIVEN, TAKEN, READY, LENT, COUNTED };

struct slot {
    struct reading_batch batch;
    struct event_value *values; /* of each record, so many as there are paths */
    enum stage stage;
};

struct reader {
    struct reading *reading;
    pthread_t thread;
    struct event_hints hints;
};

struct reading {
    const struct event_paths *paths;
    struct slot *slots[SLOTS_MAX]; /* made when they are needed */
    int slots_count;
    struct reader own; /* of the thread that counts */
    struct reader *readers[THREADS_MAX];
    int readers_count;
    uint64_t given, next; /* numbers: the last one given, the next one lent */
    int64_t records;      /* given and not lent */
    pthread_mutex_t lock; /* around stages */
    pthread_cond_t work, ready;
    bool stopping;
};

/* -- what is done with a batch -- */

static void read_batch(struct reader *reader, struct slot *slot)
{
    const struct event_paths *paths = reader->reading->paths;
    size_t paths_count = (size_t)event_paths_count(paths);
    for (int i = 0; i < slot->batch.count; i++) {
        if (slot->batch.records[i].code)
            continue;
        struct event_value *values = slot->values + (size_t)i * paths_count;
        struct reducer_record *read = &slot->batch.read[i];
        *read = record_read(&slot->batch.records[i]);
        if (!read->value)
            continue;
        read->fault = event_scan(paths, &reader->hints, read->value, read->value_bytes, values);
        read->values = values;
    }
}

static void empty_batch(struct slot *slot)
{
    kafka_records_free(slot->batch.records, slot->batch.count);
    slot->batch.count = 0;
}

/* -- threads -- */

/* The oldest batch of this stage; NULL when there is none. */
static struct slot *oldest(const struct reading *reading, enum stage stage)
{
    struct slot *found = NULL;
    for (int i = 0; i < reading->slots_count; i++) {
        struct slot *slot = reading->slots[i];
        if (slot->stage == stage && (!found || slot->batch.number < found->batch.number))
            found = slot;
    }
    return found;
}

/* With the lock held, which is let go meanwhile. False: there is nothing to do. */
static bool work_once(struct reader *reader)
{
    struct reading *reading = reader->reading;
    struct slot *slot = oldest(reading, GIVEN);
    bool given = slot != NULL;
    if (!given)
        slot = oldest(reading, COUNTED);
    if (!slot)
        return false;
    slot->stage = TAKEN;
    pthread_mutex_unlock(&reading->lock);
    if (given)
        read_batch(reader, slot);
    else
        empty_batch(slot);
    pthread_mutex_lock(&reading->lock);
    slot->stage = given ? READY : EMPTY;
    pthread_cond_signal(&reading->ready);
    return true;
}

static void *run(void *argument)
{
    struct reader *reader = argument;
    struct reading *reading = reader->reading;
    pthread_mutex_lock(&reading->lock);
    while (!reading->stopping) {
        if (!work_once(reader))
            pthread_cond_wait(&reading->work, &reading->lock);
    }
    pthread_mutex_unlock(&reading->lock);
    return NULL;
}

struct reading *reading_new(const struct event_paths *paths, int threads)
{
    struct reading *reading = must_calloc(1, sizeof(*reading));
    reading->paths = paths;
    reading->own.reading = reading;
    reading->next = 1;
    pthread_mutex_init(&reading->lock, NULL);
    pthread_cond_init(&reading->work, NULL);
    pthread_cond_init(&reading->ready, NULL);
    for (int i = 0; i < threads && i < THREADS_MAX; i++) {
        struct reader *reader = must_calloc(1, sizeof(*reader));
        reader->reading = reading;
        if (pthread_create(&reader->thread, NULL, run, reader) != 0) {
            log_warning("a thread that reads records ahead could not be started");
            free(reader);
            break;
        }
        reading->readers[reading->readers_count++] = reader;
    }
    return reading;
}

void reading_free(struct reading *reading)
{
    if (!reading)
        return;
    pthread_mutex_lock(&reading->lock);
    reading->stopping = true;
    pthread_cond_broadcast(&reading->work);
    pthread_mutex_unlock(&reading->lock);
    for (int i = 0; i < reading->readers_count; i++) {
        pthread_join(reading->readers[i]->thread, NULL);
        free(reading->readers[i]);
    }
    for (int i = 0; i < reading->slots_count; i++) {
        empty_batch(reading->slots[i]);
        free(reading->slots[i]->values);
        free(reading->slots[i]);
    }
    pthread_mutex_destroy(&reading->lock);
    pthread_cond_destroy(&reading->work);
    pthread_cond_destroy(&reading->ready);
    free(reading);
}

/* -- the thread that counts -- */

static struct slot *slot_of(struct reading_batch *batch)
{
    return (struct slot *)(void *)((char *)batch - offsetof(struct slot, batch));
}

static struct slot *new_slot(struct reading *reading)
{
    struct slot *slot = must_calloc(1, sizeof(*slot));
    BUG_IF(reading->slots_count == SLOTS_MAX);
    slot->stage = LENT;
    slot->values =
        must_calloc(READING_RECORDS_MAX * ((size_t)event_paths_count(reading->paths) + 1),
                    sizeof(*slot->values));
    pthread_mutex_lock(&reading->lock);
    reading->slots[reading->slots_count++] = slot;
    pthread_mutex_unlock(&reading->lock);
    return slot;
}

struct reading_batch *reading_empty(struct reading *reading)
{
    pthread_mutex_lock(&reading->lock);
    struct slot *slot = oldest(reading, EMPTY);
    if (!slot)
        slot = oldest(reading, COUNTED);
    if (slot)
        slot->stage = LENT;
    pthread_mutex_unlock(&reading->lock);
    if (slot)
        empty_batch(slot);
    else
        slot = new_slot(reading);
    return &slot->batch;
}

void reading_give(struct reading *reading, struct reading_batch *batch)
{
    pthread_mutex_lock(&reading->lock);
    batch->number = ++reading->given;
    reading->records += batch->count;
    slot_of(batch)->stage = GIVEN;
    pthread_mutex_unlock(&reading->lock);
    if (batch->count >= ALONE_RECORDS)
        pthread_cond_signal(&reading->work);
}

struct reading_batch *reading_next(struct reading *reading)
{
    struct slot *slot = NULL;
    if (reading->next > reading->given)
        return NULL;
    pthread_mutex_lock(&reading->lock);
    for (int i = 0; i < reading->slots_count; i++)
        if (reading->slots[i]->batch.number == reading->next)
            slot = reading->slots[i];
    BUG_IF(!slot);
    while (slot->stage == TAKEN)
        pthread_cond_wait(&reading->ready, &reading->lock);
    bool unread = slot->stage == GIVEN;
    slot->stage = LENT;
    pthread_mutex_unlock(&reading->lock);
    if (unread)
        read_batch(&reading->own, slot);
    reading->next++;
    reading->records -= slot->batch.count;
    return &slot->batch;
}

void reading_done(struct reading *reading, struct reading_batch *batch)
{
    struct slot *slot = slot_of(batch);
    bool alone = reading->readers_count == 0 || batch->count < ALONE_RECORDS;
    if (alone)
        empty_batch(slot);
    pthread_mutex_lock(&reading->lock);
    slot->stage = alone ? EMPTY : COUNTED;
    pthread_mutex_unlock(&reading->lock);
    if (!alone)
        pthread_cond_signal(&reading->work);
}

int64_t reading_records(const struct reading *reading) { return reading->records; }
uint64_t reading_given(const struct reading *reading) { return reading->given; }

bool reading_is_full(const struct reading *reading)
{
    return reading->given + 1 - reading->next > (uint64_t)reading->readers_count;
}

void reading_drop(struct reading *reading)
{
    struct reading_batch *batch;
    while ((batch = reading_next(reading)) != NULL)
        reading_done(reading, batch);
    pthread_mutex_lock(&reading->lock);
    for (int i = 0; i < reading->slots_count; i++) {
        while (reading->slots[i]->stage == TAKEN) /* its records are being freed */
            pthread_cond_wait(&reading->ready, &reading->lock);
        if (reading->slots[i]->stage == COUNTED)
            empty_batch(reading->slots[i]);
        reading->slots[i]->stage = EMPTY;
    }
    pthread_mutex_unlock(&reading->lock);
}
