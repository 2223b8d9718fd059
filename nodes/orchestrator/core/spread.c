/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/spread.h"

#include <string.h>

bool spread_is_gone(const struct spread_instance *instance, int64_t watched_us, int64_t settle_us)
{
    bool settled = watched_us >= settle_us;
    if (instance->lapsed && settled)
        return true;
    if (!instance->lock_free)
        return false;
    return instance->link == SPREAD_ENDED || (instance->link == SPREAD_UNKNOWN && settled);
}

struct party {
    struct uuid id;
    int held, quota;
};

static int party_of(const struct party *parties, int count, const struct uuid *id)
{
    for (int i = 0; i < count; i++)
        if (uuid_equal(&parties[i].id, id))
            return i;
    return -1;
}

static int compare_ids(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->octets, b->octets, sizeof a->octets);
}

static void insert_by_id(struct party *parties, int *count, const struct uuid *id)
{
    int place = *count;
    for (; place > 0 && compare_ids(&parties[place - 1].id, id) > 0; place--)
        parties[place] = parties[place - 1];
    parties[place] = (struct party){.id = *id};
    (*count)++;
}

/* Those that stay, by id, with what they hold. */
static int find_parties(const struct spread *spread, struct spread_plan *plan,
                        struct party *parties)
{
    int count = 0;
    for (int i = 0; i < spread->instances_count; i++) {
        const struct spread_instance *instance = &spread->instances[i];
        bool self = uuid_equal(&instance->id, &spread->self);
        plan->gone[i] = !self && spread_is_gone(instance, spread->watched_us, spread->settle_us);
        if (!plan->gone[i] && !(self && spread->leaving))
            insert_by_id(parties, &count, &instance->id);
    }
    for (int s = 0; s < spread->shards_count; s++) {
        int place =
            spread->shards[s].owned ? party_of(parties, count, &spread->shards[s].owner) : -1;
        if (place >= 0)
            parties[place].held++;
    }
    return count;
}

/* Equal parts; what is left over stays with those that hold most. */
static void set_quotas(struct party *parties, int count, int shards)
{
    int base = count == 0 ? 0 : shards / count, over = count == 0 ? 0 : shards % count;
    for (int i = 0; i < count; i++) {
        int before = 0; /* parties that come first when it is about one more */
        for (int k = 0; k < count; k++)
            before +=
                parties[k].held > parties[i].held || (parties[k].held == parties[i].held && k < i);
        parties[i].quota = base + (before < over);
    }
}

/* Shards without a living owner go to the parties in turn of their ids, lowest shards first. */
static void take_share(const struct spread *spread, const struct party *parties, int count,
                       int self, struct spread_plan *plan)
{
    int party = 0, room = count > 0 ? parties[0].quota - parties[0].held : 0;
    for (int s = 0; s < spread->shards_count; s++) {
        const struct spread_shard *shard = &spread->shards[s];
        if (shard->owned && party_of(parties, count, &shard->owner) >= 0)
            continue;
        while (party < count && room <= 0)
            if (++party < count)
                room = parties[party].quota - parties[party].held;
        room--;
        if (party == self && party < count && !shard->here)
            plan->take[plan->take_count++] = (int16_t)s;
    }
}

void spread_plan(const struct spread *spread, struct spread_plan *plan)
{
    struct party parties[INSTANCES_MAX];
    memset(plan, 0, sizeof *plan);
    int count = find_parties(spread, plan, parties);
    set_quotas(parties, count, spread->shards_count);
    int self = spread->leaving ? -1 : party_of(parties, count, &spread->self);
    int extra = spread->leaving ? spread->shards_count
                : self < 0      ? 0
                                : parties[self].held - parties[self].quota;
    for (int s = spread->shards_count - 1; s >= 0; s--) {
        const struct spread_shard *shard = &spread->shards[s];
        bool ours = shard->owned && uuid_equal(&shard->owner, &spread->self);
        if (shard->here && !ours)
            plan->lost[plan->lost_count++] = (int16_t)s;
        else if (ours && extra-- > 0)
            plan->give[plan->give_count++] = (int16_t)s;
        else if (ours && !shard->here && self >= 0)
            plan->take[plan->take_count++] = (int16_t)s;
    }
    if (self >= 0)
        take_share(spread, parties, count, self, plan);
}
