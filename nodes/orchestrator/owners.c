/* SPDX-License-Identifier: MIT */
#include "orchestrator/owners.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "orchestrator/orchestrator.h"

struct owners {
    pthread_mutex_t lock;
    struct owner shards[SHARDS_MAX];
    int wake_fd; /* -1: nobody listens */
};

struct owners *owners_new(void)
{
    struct owners *owners = must_calloc(1, sizeof *owners);
    pthread_mutex_init(&owners->lock, NULL);
    owners->wake_fd = -1;
    return owners;
}

void owners_free(struct owners *owners)
{
    if (owners == NULL)
        return;
    pthread_mutex_destroy(&owners->lock);
    free(owners);
}

void owners_of(const struct orchestrator *orchestrator, int shard, struct owner *owner)
{
    struct owners *owners = orchestrator->owners;
    pthread_mutex_lock(&owners->lock);
    *owner = owners->shards[shard];
    pthread_mutex_unlock(&owners->lock);
    owner->ours = orchestrator_owns(orchestrator, shard);
}

void owners_doubt(const struct orchestrator *orchestrator)
{
    struct owners *owners = orchestrator->owners;
    pthread_mutex_lock(&owners->lock); /* so that it is not closed meanwhile */
    if (owners->wake_fd >= 0)
        eventfd_write(owners->wake_fd, 1);
    pthread_mutex_unlock(&owners->lock);
}

bool owners_others_live(const struct orchestrator *orchestrator)
{
    struct owners *owners = orchestrator->owners;
    bool found = false;
    pthread_mutex_lock(&owners->lock);
    for (int shard = 0; shard < orchestrator->shards && !found; shard++)
        found = owners->shards[shard].known &&
                !uuid_equal(&owners->shards[shard].instance, &orchestrator->instance_id);
    pthread_mutex_unlock(&owners->lock);
    return found;
}

void owners_set(struct owners *owners, const struct owner *read, int count)
{
    pthread_mutex_lock(&owners->lock);
    memcpy(owners->shards, read, (size_t)count * sizeof *read);
    pthread_mutex_unlock(&owners->lock);
}

void owners_wake_by(struct owners *owners, int wake_fd)
{
    pthread_mutex_lock(&owners->lock);
    owners->wake_fd = wake_fd;
    pthread_mutex_unlock(&owners->lock);
}
