/* SPDX-License-Identifier: MIT */
/* group_coordinator.h - the rules of Kafka's consumer groups (the classic protocol: join, sync, heartbeat,
 * leave) with static membership. The members compute assignments; this keeps who is a member.
 *
 * A group gathers joins (GROUP_JOINING) until each member has joined, then has a new generation whose leader
 * sends the assignments (GROUP_SYNCING), then works (GROUP_STABLE). A member that is not heard for its session
 * timeout is gone, and the others gather anew. Nothing else ends a membership: a connection that closes does
 * not, because a member may come back on another one.
 *
 * Static    A member that joins with an instance id keeps its place and its assignment when it joins again
 *           without a member id, as a restarted process does: it gets a new member id, and the others are
 *           not disturbed. Whoever still uses the old member id is told GROUP_FENCED_INSTANCE.
 *
 * Rules     As Apache Kafka's protocol guide and KIP-345 describe them.
 * Owns      All it keeps; requests are copied.
 * Threads   One.
 * Units     *_us of any clock that never goes back, given with each call.
 * Errors    Answers with Kafka's error codes; each request is answered exactly once, at once or later,
 *           unless group_coordinator_forget was called for it.
 */
#ifndef CORE_GROUP_COORDINATOR_H
#define CORE_GROUP_COORDINATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GROUPS_MAX 1000
#define GROUP_MEMBERS_MAX 1000
#define GROUP_PROTOCOLS_MAX 16
#define GROUP_SESSION_MS_MIN 10
#define GROUP_SESSION_MS_MAX 1800000
#define GROUP_NO_GENERATION (-1)

/* Numbers of the Kafka protocol. */
enum group_code {
    GROUP_OK = 0,
    GROUP_COORDINATOR_NOT_AVAILABLE = 15,
    GROUP_ILLEGAL_GENERATION = 22,
    GROUP_INCONSISTENT_PROTOCOL = 23,
    GROUP_INVALID_ID = 24,
    GROUP_UNKNOWN_MEMBER = 25,
    GROUP_INVALID_SESSION_TIMEOUT = 26,
    GROUP_REBALANCE_IN_PROGRESS = 27,
    GROUP_INVALID_REQUEST = 42,
    GROUP_MAX_SIZE_REACHED = 81,
    GROUP_FENCED_INSTANCE = 82,
};

enum group_state { GROUP_JOINING, GROUP_SYNCING, GROUP_STABLE };

struct group_octets {
    const char *data; /* NULL: absent */
    size_t bytes;
};

struct group_protocol {
    struct group_octets name, metadata;
};

struct group_assignment {
    struct group_octets member_id, assignment;
};

enum group_request_kind { GROUP_JOIN, GROUP_SYNC, GROUP_HEARTBEAT, GROUP_LEAVE };

struct group_request {
    enum group_request_kind kind;
    uint64_t ticket; /* names the request in its answer; not 0 */
    struct group_octets group, member_id, instance_id;
    int32_t generation;
    /* join */
    int32_t session_ms, rebalance_ms;
    struct group_octets client_id, protocol_type;
    struct group_protocol protocols[GROUP_PROTOCOLS_MAX];
    int protocols_count;
    /* sync, from the leader */
    const struct group_assignment *assignments;
    int assignments_count;
};

struct group_member;

struct group {
    char *name, *protocol_type;
    enum group_state state;
    int32_t generation;
    char *protocol;                /* chosen by the last join; NULL before */
    struct group_member **members; /* the longest-standing first */
    int members_count;
    struct group_member *leader; /* NULL: to be chosen */
    int64_t gather_until_us;     /* of GROUP_JOINING: who has not joined by then is passed over */
};

struct group_answer {
    enum group_request_kind kind;
    uint64_t ticket;
    enum group_code code;
    int32_t generation;
    /* Of a join without fault: */
    const struct group *group;
    const char *member_id;
    const char *leader_id; /* who is not the leader is told no members */
    bool leads;
    struct group_octets assignment; /* of a sync without fault */
};

/* Called from within the functions below; the answer is lent. */
typedef void group_answered(void *context, const struct group_answer *answer);

struct group_coordinator {
    group_answered *answered;
    void *context;
    uint64_t incarnation, members_made;
    struct group *groups[GROUPS_MAX];
    int groups_count;
};

/* incarnation: another one at each start, so that no member id comes twice. */
void group_coordinator_init(struct group_coordinator *coordinator, uint64_t incarnation,
                            group_answered *answered, void *context);
void group_coordinator_fini(struct group_coordinator *coordinator);

void group_coordinator_request(struct group_coordinator *coordinator, int64_t now_us,
                               const struct group_request *request);
/* The request will not be answered: its connection is closed. */
void group_coordinator_forget(struct group_coordinator *coordinator, int64_t now_us,
                              uint64_t ticket);
/* Ends sessions and waits that are over; when to call again, INT64_MAX: not before the next request. */
int64_t group_coordinator_tick(struct group_coordinator *coordinator, int64_t now_us);

const struct group *group_coordinator_find(const struct group_coordinator *coordinator,
                                           struct group_octets name); /* NULL: unknown */
/* Member n of the group: its id, its instance id (NULL: none) and its metadata of the chosen protocol. */
const char *group_member_id(const struct group *group, int n, const char **instance_id,
                            struct group_octets *metadata);

#endif
