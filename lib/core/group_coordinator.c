/* SPDX-License-Identifier: MIT */
#include "core/group_coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MEMBER_ID_BYTES 160

struct protocol {
    char *name;
    char *metadata;
    size_t metadata_bytes;
};

struct group_member {
    char *id;
    char *instance; /* NULL: not static */
    struct protocol protocols[GROUP_PROTOCOLS_MAX];
    int protocols_count;
    char *assignment;
    size_t assignment_bytes;
    int64_t session_us, rebalance_us;
    int64_t heard_us;
    uint64_t join_ticket, sync_ticket; /* requests that wait for their answer; 0: none */
};

static const struct group_octets no_octets;

static bool same(const char *text, struct group_octets octets)
{
    return text && octets.data && strlen(text) == octets.bytes &&
           memcmp(text, octets.data, octets.bytes) == 0;
}

static char *copy(struct group_octets octets)
{
    return must_strndup(octets.data ? octets.data : "", octets.bytes);
}

/* -- members -- */

static void set_assignment(struct group_member *member, struct group_octets octets)
{
    free(member->assignment);
    member->assignment = must_alloc(octets.bytes + 1);
    member->assignment_bytes = octets.bytes;
    if (octets.bytes > 0)
        memcpy(member->assignment, octets.data, octets.bytes);
}

static void drop_protocols(struct group_member *member)
{
    for (int i = 0; i < member->protocols_count; i++) {
        free(member->protocols[i].name);
        free(member->protocols[i].metadata);
    }
    member->protocols_count = 0;
}

static void take_join(struct group_member *member, const struct group_request *request)
{
    drop_protocols(member);
    for (int i = 0; i < request->protocols_count; i++) {
        struct group_octets metadata = request->protocols[i].metadata;
        struct protocol *protocol = &member->protocols[member->protocols_count++];
        protocol->name = copy(request->protocols[i].name);
        protocol->metadata = must_alloc(metadata.bytes + 1);
        protocol->metadata_bytes = metadata.bytes;
        if (metadata.bytes > 0)
            memcpy(protocol->metadata, metadata.data, metadata.bytes);
    }
    member->session_us = (int64_t)request->session_ms * 1000;
    member->rebalance_us = (int64_t)request->rebalance_ms * 1000;
}

static bool has_protocols(const struct group_member *member, const struct group_request *request)
{
    if (member->protocols_count != request->protocols_count)
        return false;
    for (int i = 0; i < request->protocols_count; i++) {
        const struct protocol *own = &member->protocols[i];
        const struct group_protocol *told = &request->protocols[i];
        if (!same(own->name, told->name) || own->metadata_bytes != told->metadata.bytes ||
            (own->metadata_bytes > 0 &&
             memcmp(own->metadata, told->metadata.data, own->metadata_bytes) != 0))
            return false;
    }
    return true;
}

static void free_member(struct group_member *member)
{
    drop_protocols(member);
    free(member->assignment);
    free(member->id);
    free(member->instance);
    free(member);
}

static char *new_id(struct group_coordinator *coordinator, const struct group_request *request)
{
    char id[MEMBER_ID_BYTES];
    struct group_octets stem =
        request->instance_id.data ? request->instance_id : request->client_id;
    snprintf(id, sizeof(id), "%.*s-%016llx-%llu", (int)(stem.bytes < 100 ? stem.bytes : 100),
             stem.data ? stem.data : "", (unsigned long long)coordinator->incarnation,
             (unsigned long long)++coordinator->members_made);
    return must_strdup(id);
}

static struct group_member *find_member(const struct group *group, struct group_octets id)
{
    for (int i = 0; group && i < group->members_count; i++) {
        if (same(group->members[i]->id, id))
            return group->members[i];
    }
    return NULL;
}

static struct group_member *find_instance(const struct group *group, struct group_octets instance)
{
    for (int i = 0; group && i < group->members_count; i++) {
        if (same(group->members[i]->instance, instance))
            return group->members[i];
    }
    return NULL;
}

/* -- groups -- */

static struct group *find_group(const struct group_coordinator *coordinator,
                                struct group_octets name)
{
    for (int i = 0; i < coordinator->groups_count; i++) {
        if (same(coordinator->groups[i]->name, name))
            return coordinator->groups[i];
    }
    return NULL;
}

static void free_group(struct group *group)
{
    for (int i = 0; i < group->members_count; i++)
        free_member(group->members[i]);
    free(group->members);
    free(group->name);
    free(group->protocol_type);
    free(group->protocol);
    free(group);
}

static struct group *add_group(struct group_coordinator *coordinator,
                               const struct group_request *request)
{
    struct group *group = must_calloc(1, sizeof(*group));
    group->name = copy(request->group);
    group->protocol_type = copy(request->protocol_type);
    group->state = GROUP_STABLE; /* the first join begins the first gathering */
    coordinator->groups[coordinator->groups_count++] = group;
    return group;
}

static void drop_group(struct group_coordinator *coordinator, struct group *group)
{
    for (int i = 0; i < coordinator->groups_count; i++) {
        if (coordinator->groups[i] == group)
            coordinator->groups[i] = coordinator->groups[--coordinator->groups_count];
    }
    free_group(group);
}

static bool supports(const struct group_member *member, const char *protocol)
{
    for (int i = 0; i < member->protocols_count; i++) {
        if (strcmp(member->protocols[i].name, protocol) == 0)
            return true;
    }
    return false;
}

/* The first member's most wanted protocol that all have; NULL: none. */
static const char *common_protocol(const struct group *group)
{
    const struct group_member *first = group->members[0];
    for (int i = 0; i < first->protocols_count; i++) {
        bool all = true;
        for (int m = 1; m < group->members_count && all; m++)
            all = supports(group->members[m], first->protocols[i].name);
        if (all)
            return first->protocols[i].name;
    }
    return NULL;
}

/* Could a member with these protocols be in the group beside the others? */
static bool fits(const struct group *group, const struct group_member *self,
                 const struct group_request *request)
{
    if (!same(group->protocol_type, request->protocol_type))
        return false;
    for (int i = 0; i < request->protocols_count; i++) {
        bool all = true;
        for (int m = 0; m < group->members_count && all; m++) {
            const struct group_member *other = group->members[m];
            all = other == self;
            for (int p = 0; p < other->protocols_count && !all; p++)
                all = same(other->protocols[p].name, request->protocols[i].name);
        }
        if (all)
            return true;
    }
    return false;
}

/* -- answers -- */

static void answer(struct group_coordinator *coordinator, enum group_request_kind kind,
                   uint64_t ticket, enum group_code code)
{
    coordinator->answered(coordinator->context, &(struct group_answer){
                                                    .kind = kind,
                                                    .ticket = ticket,
                                                    .code = code,
                                                    .generation = GROUP_NO_GENERATION,
                                                });
}

static void answer_join(struct group_coordinator *coordinator, const struct group *group,
                        struct group_member *member, const char *leader_id, uint64_t ticket)
{
    coordinator->answered(coordinator->context, &(struct group_answer){
                                                    .kind = GROUP_JOIN,
                                                    .ticket = ticket,
                                                    .generation = group->generation,
                                                    .group = group,
                                                    .member_id = member->id,
                                                    .leader_id = leader_id,
                                                    .leads = strcmp(leader_id, member->id) == 0,
                                                });
}

static void answer_sync(struct group_coordinator *coordinator, struct group_member *member,
                        uint64_t ticket)
{
    coordinator->answered(coordinator->context,
                          &(struct group_answer){
                              .kind = GROUP_SYNC,
                              .ticket = ticket,
                              .assignment = {.data = member->assignment ? member->assignment : "",
                                             .bytes = member->assignment_bytes},
                          });
}

/* What the member still waits for ends with this code. */
static void end_waits(struct group_coordinator *coordinator, struct group_member *member,
                      enum group_code code)
{
    uint64_t join_ticket = member->join_ticket, sync_ticket = member->sync_ticket;
    member->join_ticket = member->sync_ticket = 0;
    if (join_ticket)
        answer(coordinator, GROUP_JOIN, join_ticket, code);
    if (sync_ticket)
        answer(coordinator, GROUP_SYNC, sync_ticket, code);
}

/* -- generations -- */

static void remove_member(struct group_coordinator *coordinator, struct group *group,
                          struct group_member *member)
{
    end_waits(coordinator, member, GROUP_UNKNOWN_MEMBER);
    int n = 0;
    while (group->members[n] != member)
        n++;
    memmove(&group->members[n], &group->members[n + 1],
            sizeof(struct group_member *) * (size_t)(group->members_count - n - 1));
    group->members_count--;
    if (group->leader == member)
        group->leader = NULL;
    free_member(member);
}

static void choose_leader(struct group *group)
{
    for (int i = 0; i < group->members_count; i++) {
        struct group_member *member = group->members[i];
        if (member->join_ticket && (!group->leader || !group->leader->join_ticket))
            group->leader = member;
    }
}

/* A new generation of those who joined, and of static members who still have time to. */
static void complete_join(struct group_coordinator *coordinator, struct group *group,
                          int64_t now_us)
{
    choose_leader(group);
    const char *protocol = common_protocol(group);
    BUG_IF(!protocol || !group->leader); /* joins that do not fit are refused */
    free(group->protocol);
    group->protocol = must_strdup(protocol);
    group->generation++;
    group->state = GROUP_SYNCING;
    for (int i = 0; i < group->members_count; i++) {
        struct group_member *member = group->members[i];
        uint64_t ticket = member->join_ticket;
        set_assignment(member, no_octets);
        if (!ticket)
            continue;
        member->join_ticket = 0;
        member->heard_us = now_us;
        answer_join(coordinator, group, member, group->leader->id, ticket);
    }
}

/* Goes on when all have joined or the time for it is over; drops a group without members. */
static void look_at_joins(struct group_coordinator *coordinator, struct group *group,
                          int64_t now_us)
{
    if (group->members_count == 0) {
        drop_group(coordinator, group);
        return;
    }
    if (group->state != GROUP_JOINING)
        return;
    int joined = 0;
    for (int i = group->members_count - 1; i >= 0; i--) {
        struct group_member *member = group->members[i];
        if (member->join_ticket)
            joined++;
        else if (now_us >= group->gather_until_us && !member->instance)
            remove_member(coordinator, group, member);
    }
    if (joined > 0 && (joined == group->members_count || now_us >= group->gather_until_us))
        complete_join(coordinator, group, now_us);
    else if (group->members_count == 0)
        drop_group(coordinator, group);
}

static void gather(struct group_coordinator *coordinator, struct group *group, int64_t now_us)
{
    int64_t longest_us = 0;
    if (group->state == GROUP_JOINING)
        return;
    group->state = GROUP_JOINING;
    for (int i = 0; i < group->members_count; i++) {
        struct group_member *member = group->members[i];
        longest_us = member->rebalance_us > longest_us ? member->rebalance_us : longest_us;
        if (member->sync_ticket)
            member->heard_us = now_us;
        end_waits(coordinator, member, GROUP_REBALANCE_IN_PROGRESS);
    }
    group->gather_until_us = now_us + longest_us;
}

/* -- requests -- */

/* The member that sends the request; NULL, with the reason in *code: it is none. */
static struct group_member *sender(const struct group *group, const struct group_request *request,
                                   enum group_code *code)
{
    struct group_member *member = find_member(group, request->member_id);
    const struct group_member *holder =
        request->instance_id.data ? find_instance(group, request->instance_id) : NULL;
    *code = GROUP_OK;
    if (holder && holder != member)
        *code = GROUP_FENCED_INSTANCE;
    else if (!member || (request->instance_id.data && !holder))
        *code = GROUP_UNKNOWN_MEMBER;
    return *code ? NULL : member;
}

static void wait_for_join(struct group_coordinator *coordinator, struct group *group,
                          struct group_member *member, const struct group_request *request,
                          int64_t now_us)
{
    take_join(member, request);
    gather(coordinator, group, now_us);
    end_waits(coordinator, member, GROUP_REBALANCE_IN_PROGRESS); /* an older join of its own */
    member->join_ticket = request->ticket;
    look_at_joins(coordinator, group, now_us);
}

static void join_new(struct group_coordinator *coordinator, struct group *group,
                     const struct group_request *request, int64_t now_us)
{
    struct group_member *member = must_calloc(1, sizeof(*member));
    member->id = new_id(coordinator, request);
    member->instance = request->instance_id.data ? copy(request->instance_id) : NULL;
    member->heard_us = now_us;
    group->members = must_realloc(group->members, sizeof(struct group_member *) *
                                                      (size_t)(group->members_count + 1));
    group->members[group->members_count++] = member;
    wait_for_join(coordinator, group, member, request, now_us);
}

/* A static member is back, as a process that remembers nothing. In a stable group it gets what it had:
 * told the leader's old id it never takes itself for the leader, who would assign anew. */
static void join_again(struct group_coordinator *coordinator, struct group *group,
                       struct group_member *member, const struct group_request *request,
                       int64_t now_us)
{
    char *old_id = member->id;
    end_waits(coordinator, member, GROUP_FENCED_INSTANCE);
    member->id = new_id(coordinator, request);
    member->heard_us = now_us;
    if (group->state == GROUP_STABLE) {
        take_join(member, request);
        if (strcmp(common_protocol(group), group->protocol) == 0) {
            const char *leader_id =
                group->leader && group->leader != member ? group->leader->id : old_id;
            answer_join(coordinator, group, member, leader_id, request->ticket);
            free(old_id);
            return;
        }
    }
    free(old_id);
    wait_for_join(coordinator, group, member, request, now_us);
}

static void join_known(struct group_coordinator *coordinator, struct group *group,
                       struct group_member *member, const struct group_request *request,
                       int64_t now_us)
{
    bool repeated = group->state != GROUP_JOINING && has_protocols(member, request);
    member->heard_us = now_us;
    if (repeated && (group->state == GROUP_SYNCING || group->leader != member))
        answer_join(coordinator, group, member, group->leader ? group->leader->id : "",
                    request->ticket);
    else
        wait_for_join(coordinator, group, member, request, now_us);
}

static enum group_code check_join(const struct group_coordinator *coordinator,
                                  const struct group *group, const struct group_member *self,
                                  const struct group_request *request)
{
    if (request->session_ms < GROUP_SESSION_MS_MIN || request->session_ms > GROUP_SESSION_MS_MAX)
        return GROUP_INVALID_SESSION_TIMEOUT;
    if (request->protocols_count == 0 || (group && !fits(group, self, request)))
        return GROUP_INCONSISTENT_PROTOCOL;
    if (!group && coordinator->groups_count == GROUPS_MAX)
        return GROUP_COORDINATOR_NOT_AVAILABLE;
    if (!self && group && group->members_count == GROUP_MEMBERS_MAX)
        return GROUP_MAX_SIZE_REACHED;
    return GROUP_OK;
}

static void join(struct group_coordinator *coordinator, const struct group_request *request,
                 int64_t now_us)
{
    struct group *group = find_group(coordinator, request->group);
    struct group_member *member = NULL;
    enum group_code code = GROUP_OK;
    bool known = request->member_id.bytes > 0;
    if (known)
        member = sender(group, request, &code);
    else if (request->instance_id.data)
        member = find_instance(group, request->instance_id);
    if (!code)
        code = check_join(coordinator, group, member, request);
    if (code) {
        answer(coordinator, GROUP_JOIN, request->ticket, code);
        return;
    }
    if (!group)
        group = add_group(coordinator, request);
    if (!member)
        join_new(coordinator, group, request, now_us);
    else if (known)
        join_known(coordinator, group, member, request, now_us);
    else
        join_again(coordinator, group, member, request, now_us);
}

static void take_assignments(struct group_coordinator *coordinator, struct group *group,
                             const struct group_request *request, int64_t now_us)
{
    for (int i = 0; i < request->assignments_count; i++) {
        struct group_member *member = find_member(group, request->assignments[i].member_id);
        if (member)
            set_assignment(member, request->assignments[i].assignment);
    }
    group->state = GROUP_STABLE;
    for (int i = 0; i < group->members_count; i++) {
        struct group_member *member = group->members[i];
        uint64_t ticket = member->sync_ticket;
        member->sync_ticket = 0;
        if (!ticket)
            continue;
        member->heard_us = now_us;
        answer_sync(coordinator, member, ticket);
    }
}

static void synchronize(struct group_coordinator *coordinator, struct group *group,
                        struct group_member *member, const struct group_request *request,
                        int64_t now_us)
{
    if (group->state == GROUP_STABLE) {
        answer_sync(coordinator, member, request->ticket);
        return;
    }
    end_waits(coordinator, member, GROUP_REBALANCE_IN_PROGRESS);
    member->sync_ticket = request->ticket;
    if (member == group->leader)
        take_assignments(coordinator, group, request, now_us);
}

static void leave(struct group_coordinator *coordinator, struct group *group,
                  struct group_member *member, int64_t now_us)
{
    remove_member(coordinator, group, member);
    gather(coordinator, group, now_us);
    look_at_joins(coordinator, group, now_us);
}

void group_coordinator_request(struct group_coordinator *coordinator, int64_t now_us,
                               const struct group_request *request)
{
    if (request->group.bytes == 0) {
        answer(coordinator, request->kind, request->ticket, GROUP_INVALID_ID);
        return;
    }
    if (request->kind == GROUP_JOIN) {
        join(coordinator, request, now_us);
        return;
    }
    struct group *group = find_group(coordinator, request->group);
    enum group_code code;
    struct group_member *member = sender(group, request, &code);
    if (member && request->kind != GROUP_LEAVE && request->generation != group->generation)
        code = GROUP_ILLEGAL_GENERATION;
    if (member && !code)
        member->heard_us = now_us;
    if (!code && request->kind != GROUP_LEAVE && group->state == GROUP_JOINING)
        code = GROUP_REBALANCE_IN_PROGRESS;
    if (!code && request->kind == GROUP_SYNC) {
        synchronize(coordinator, group, member, request, now_us);
        return;
    }
    if (!code && request->kind == GROUP_LEAVE)
        leave(coordinator, group, member, now_us);
    answer(coordinator, request->kind, request->ticket, code);
}

/* -- time -- */

void group_coordinator_forget(struct group_coordinator *coordinator, int64_t now_us,
                              uint64_t ticket)
{
    for (int i = 0; i < coordinator->groups_count; i++) {
        struct group *group = coordinator->groups[i];
        for (int m = 0; m < group->members_count; m++) {
            struct group_member *member = group->members[m];
            if (member->join_ticket != ticket && member->sync_ticket != ticket)
                continue;
            member->join_ticket = member->join_ticket == ticket ? 0 : member->join_ticket;
            member->sync_ticket = member->sync_ticket == ticket ? 0 : member->sync_ticket;
            member->heard_us = now_us;
        }
    }
}

static int64_t session_end(const struct group_member *member)
{
    return member->join_ticket || member->sync_ticket ? INT64_MAX
                                                      : member->heard_us + member->session_us;
}

/* Who waits for an answer has a connection, and is alive by that. */
static void end_sessions(struct group_coordinator *coordinator, struct group *group, int64_t now_us)
{
    bool ended = false;
    for (int i = group->members_count - 1; i >= 0; i--) {
        if (now_us < session_end(group->members[i]))
            continue;
        remove_member(coordinator, group, group->members[i]);
        ended = true;
    }
    if (ended)
        gather(coordinator, group, now_us);
    look_at_joins(coordinator, group, now_us);
}

int64_t group_coordinator_tick(struct group_coordinator *coordinator, int64_t now_us)
{
    for (int i = coordinator->groups_count - 1; i >= 0; i--)
        end_sessions(coordinator, coordinator->groups[i], now_us);
    int64_t next_us = INT64_MAX;
    for (int i = 0; i < coordinator->groups_count; i++) {
        const struct group *group = coordinator->groups[i];
        if (group->state == GROUP_JOINING && group->gather_until_us > now_us &&
            group->gather_until_us < next_us)
            next_us = group->gather_until_us;
        for (int m = 0; m < group->members_count; m++) {
            int64_t end_us = session_end(group->members[m]);
            next_us = end_us < next_us ? end_us : next_us;
        }
    }
    return next_us;
}

/* -- looking -- */

const struct group *group_coordinator_find(const struct group_coordinator *coordinator,
                                           struct group_octets name)
{
    return find_group(coordinator, name);
}

const char *group_member_id(const struct group *group, int n, const char **instance_id,
                            struct group_octets *metadata)
{
    const struct group_member *member = group->members[n];
    *metadata = no_octets;
    for (int i = 0; i < member->protocols_count && group->protocol; i++) {
        if (strcmp(member->protocols[i].name, group->protocol) == 0)
            *metadata = (struct group_octets){.data = member->protocols[i].metadata,
                                              .bytes = member->protocols[i].metadata_bytes};
    }
    *instance_id = member->instance;
    return member->id;
}

void group_coordinator_init(struct group_coordinator *coordinator, uint64_t incarnation,
                            group_answered *answered, void *context)
{
    *coordinator = (struct group_coordinator){
        .answered = answered, .context = context, .incarnation = incarnation};
}

void group_coordinator_fini(struct group_coordinator *coordinator)
{
    for (int i = 0; i < coordinator->groups_count; i++)
        free_group(coordinator->groups[i]);
    coordinator->groups_count = 0;
}
