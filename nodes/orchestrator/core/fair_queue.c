/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/fair_queue.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct fair_lane {
    char *name;
    int64_t weight, left; /* calls in its turn, and those still to come */
    struct place *places; /* a ring; capacity is a power of two */
    size_t head, count, capacity;
    size_t fresh; /* the last ones, not seen by a sweep */
    struct fair_lane *next, *previous;
    UT_hash_handle hh;
};

static struct place *at(const struct fair_lane *lane, size_t i)
{
    return &lane->places[(lane->head + i) & (lane->capacity - 1)];
}

static struct fair_lane *open_lane(struct fair_queue *queue, const char *namespace, int64_t weight)
{
    struct fair_lane *lane = must_calloc(1, sizeof *lane);
    lane->name = must_strdup(namespace);
    lane->weight = lane->left = weight;
    HASH_ADD_KEYPTR(hh, queue->lanes, lane->name, strlen(lane->name), lane);
    if (queue->turn == NULL) {
        queue->turn = lane->next = lane->previous = lane;
        return lane;
    }
    lane->next = queue->turn; /* its turn comes after all others have had theirs */
    lane->previous = queue->turn->previous;
    lane->previous->next = lane->next->previous = lane;
    return lane;
}

static void close_lane(struct fair_queue *queue, struct fair_lane *lane)
{
    HASH_DEL(queue->lanes, lane);
    if (queue->turn == lane)
        queue->turn = lane->next == lane ? NULL : lane->next;
    lane->previous->next = lane->next;
    lane->next->previous = lane->previous;
    free(lane->places);
    free(lane->name);
    free(lane);
}

void fair_queue_fini(struct fair_queue *queue)
{
    while (queue->turn != NULL)
        close_lane(queue, queue->turn);
    *queue = (struct fair_queue){0};
}

static void make_room(struct fair_lane *lane)
{
    if (lane->count < lane->capacity)
        return;
    size_t capacity = lane->capacity == 0 ? 16 : lane->capacity * 2;
    struct place *places = must_alloc(capacity * sizeof *places);
    for (size_t i = 0; i < lane->count; i++)
        places[i] = *at(lane, i);
    free(lane->places);
    lane->places = places;
    lane->head = 0;
    lane->capacity = capacity;
}

void fair_queue_push(struct fair_queue *queue, const char *namespace, int64_t weight,
                     const struct place *place)
{
    struct fair_lane *lane;
    HASH_FIND(hh, queue->lanes, namespace, strlen(namespace), lane);
    if (lane == NULL)
        lane = open_lane(queue, namespace, weight);
    make_room(lane);
    *at(lane, lane->count++) = *place;
    lane->fresh++;
    queue->count++;
    queue->fresh++;
}

static void drop_first(struct fair_queue *queue, struct fair_lane *lane)
{
    if (lane->fresh == lane->count) {
        lane->fresh--;
        queue->fresh--;
    }
    lane->head = (lane->head + 1) & (lane->capacity - 1);
    lane->count--;
    queue->count--;
    if (lane->count == 0)
        close_lane(queue, lane);
}

bool fair_queue_peek(struct fair_queue *queue, fair_queue_wanted *wanted, void *context,
                     struct place *place)
{
    while (queue->turn != NULL) {
        *place = *at(queue->turn, 0);
        if (wanted(context, place))
            return true;
        drop_first(queue, queue->turn);
    }
    return false;
}

void fair_queue_pop(struct fair_queue *queue)
{
    struct fair_lane *lane = queue->turn;
    if (--lane->left == 0) {
        lane->left = lane->weight;
        queue->turn = lane->next;
    }
    drop_first(queue, lane);
}

int64_t fair_queue_ahead(const struct fair_queue *queue, const char *namespace,
                         const struct place *place)
{
    struct fair_lane *own, *lane, *next;
    HASH_FIND(hh, queue->lanes, namespace, strlen(namespace), own);
    size_t i = 0;
    while (own != NULL && i < own->count &&
           !(uuid_equal(&at(own, i)->id, &place->id) && at(own, i)->wait == place->wait))
        i++;
    if (own == NULL || i == own->count)
        return -1;
    int64_t ahead = (int64_t)i;
    HASH_ITER(hh, queue->lanes, lane, next)
    {
        int64_t turns = (int64_t)i / own->weight * lane->weight;
        if (lane != own)
            ahead += turns < (int64_t)lane->count ? turns : (int64_t)lane->count;
    }
    return ahead;
}

/* The fresh ones of a lane; those kept close up. */
static void sweep_lane(struct fair_queue *queue, struct fair_lane *lane, fair_queue_wanted *keep,
                       void *context)
{
    size_t kept = lane->count - lane->fresh;
    for (size_t i = kept; i < lane->count; i++) {
        struct place place = *at(lane, i);
        if (keep(context, &place))
            *at(lane, kept++) = place;
    }
    queue->count -= lane->count - kept;
    queue->fresh -= lane->fresh;
    lane->count = kept;
    lane->fresh = 0;
}

void fair_queue_sweep(struct fair_queue *queue, fair_queue_wanted *keep, void *context)
{
    struct fair_lane *lane, *next;
    if (queue->fresh == 0)
        return;
    HASH_ITER(hh, queue->lanes, lane, next)
    {
        if (lane->fresh > 0)
            sweep_lane(queue, lane, keep, context);
        if (lane->count == 0)
            close_lane(queue, lane);
    }
}
