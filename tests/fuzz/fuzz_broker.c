/* SPDX-License-Identifier: MIT */
/* What clients send to the development broker: octets as messages of the Kafka protocol, and drawn requests to the
 * coordinator of groups, which answers each exactly once, whatever the order and the time between them. */
#include "chance.h"
#include "core/broker_messages.h"
#include "fuzz.h"

#define REQUESTS_MAX 200

struct asked {
    struct group_coordinator coordinator;
    int answers[REQUESTS_MAX + 1]; /* by ticket */
    enum group_request_kind kinds[REQUESTS_MAX + 1];
    bool forgotten[REQUESTS_MAX + 1];
    uint64_t tickets;
    char *members[4]; /* ids that were given last */
    int32_t generation;
};

static void write_answer(const struct group_answer *answer)
{
    static const int16_t keys[] = {BROKER_JOIN_GROUP, BROKER_SYNC_GROUP, BROKER_HEARTBEAT,
                                   BROKER_LEAVE_GROUP};
    struct buffer out = {0};
    buffer_append_text(&out, "before");
    for (int16_t version = 0; version <= 5; version++) {
        size_t start = out.bytes;
        const struct broker_request head = {
            .key = keys[answer->kind], .version = version, .correlation = 0x01020304};
        broker_group_answer(&out, &head, answer);
        FUZZ_CHECK((size_t)broker_number(out.data + start) ==
                   out.bytes - start - BROKER_LENGTH_BYTES);
        FUZZ_CHECK(broker_number(out.data + start + BROKER_LENGTH_BYTES) == head.correlation);
    }
    buffer_fini(&out);
}

static void answered(void *context, const struct group_answer *answer)
{
    struct asked *asked = context;
    FUZZ_CHECK(answer->ticket > 0 && answer->ticket <= asked->tickets);
    FUZZ_CHECK(!asked->forgotten[answer->ticket] && asked->answers[answer->ticket]++ == 0);
    FUZZ_CHECK(asked->kinds[answer->ticket] == answer->kind);
    if (answer->code == GROUP_OK && answer->kind == GROUP_JOIN) {
        FUZZ_CHECK(answer->group && answer->member_id && answer->leader_id);
        FUZZ_CHECK(answer->leads == (strcmp(answer->member_id, answer->leader_id) == 0));
        FUZZ_CHECK(answer->generation == answer->group->generation);
        char **place = &asked->members[answer->ticket % 4];
        free(*place);
        *place = must_strdup(answer->member_id);
        asked->generation = answer->generation;
    }
    write_answer(answer);
}

static struct group_octets octets_of(const char *text)
{
    return (struct group_octets){.data = text, .bytes = text ? strlen(text) : 0};
}

static void draw_request(struct asked *asked, struct chance *chance, int64_t now_us)
{
    static const char *const groups[] = {"g", "h", ""};
    static const char *const protocols[] = {"range", "sticky", "other"};
    static const int32_t sessions[] = {6000, 10, 1800000, 0, -1, INT32_MAX};
    struct group_request request = {
        .kind = (enum group_request_kind)chance_of(chance, 4),
        .ticket = ++asked->tickets,
        .group = octets_of(groups[chance_of(chance, 16) % 3 * chance_of(chance, 2)]),
        .generation = asked->generation - (int32_t)chance_once_in(chance, 6),
        .session_ms = sessions[chance_of(chance, 24) % 6 * chance_once_in(chance, 6)],
        .client_id = octets_of("client"),
        .protocol_type = octets_of(chance_once_in(chance, 9) ? "" : "consumer")};
    const char *member = asked->members[chance_of(chance, 4)];
    request.member_id = octets_of(chance_once_in(chance, 4) || !member ? "" : member);
    request.instance_id = octets_of(chance_once_in(chance, 3) ? "instance" : NULL);
    request.rebalance_ms = request.session_ms;
    request.protocols_count = (int)chance_of(chance, 3);
    for (int i = 0; i < request.protocols_count; i++)
        request.protocols[i] = (struct group_protocol){octets_of(protocols[i]), octets_of("m")};
    const struct group_assignment assignment = {request.member_id, octets_of("assigned")};
    if (chance_once_in(chance, 2)) {
        request.assignments = &assignment;
        request.assignments_count = 1;
    }
    asked->kinds[request.ticket] = request.kind;
    group_coordinator_request(&asked->coordinator, now_us, &request);
}

static void check_groups(const struct asked *asked)
{
    const struct group *group = group_coordinator_find(&asked->coordinator, octets_of("g"));
    if (!group)
        return;
    FUZZ_CHECK(group->members_count >= 0 && group->members_count <= GROUP_MEMBERS_MAX);
    for (int i = 0; i < group->members_count; i++) {
        const char *instance_id;
        struct group_octets metadata;
        const char *id = group_member_id(group, i, &instance_id, &metadata);
        for (int k = 0; k < i; k++)
            FUZZ_CHECK(strcmp(id, group_member_id(group, k, &instance_id, &metadata)) != 0);
    }
}

static void run_groups(struct chance *chance)
{
    struct asked asked = {.generation = GROUP_NO_GENERATION};
    int64_t now_us = 1;
    group_coordinator_init(&asked.coordinator, 7, answered, &asked);
    while (chance_is_left(chance) && asked.tickets < REQUESTS_MAX) {
        unsigned what = chance_of(chance, 8);
        now_us += (int64_t)chance_of(chance, 256) * 10000;
        if (what == 0 && asked.tickets > 0) {
            uint64_t ticket = 1 + chance_of(chance, (unsigned)asked.tickets);
            asked.forgotten[ticket] = asked.answers[ticket] == 0;
            group_coordinator_forget(&asked.coordinator, now_us, ticket);
        } else if (what == 1) {
            FUZZ_CHECK(group_coordinator_tick(&asked.coordinator, now_us) > now_us);
        } else {
            draw_request(&asked, chance, now_us);
        }
        check_groups(&asked);
    }
    for (int64_t next_us = now_us; next_us != INT64_MAX;) { /* all time passes */
        now_us = next_us > now_us ? next_us : now_us;
        next_us = group_coordinator_tick(&asked.coordinator, now_us);
        FUZZ_CHECK(next_us > now_us);
    }
    for (uint64_t ticket = 1; ticket <= asked.tickets; ticket++)
        FUZZ_CHECK(asked.answers[ticket] + asked.forgotten[ticket] == 1);
    group_coordinator_fini(&asked.coordinator);
    for (int i = 0; i < 4; i++)
        free(asked.members[i]);
}

static bool is_within(struct group_octets octets, const uint8_t *bytes, size_t count)
{
    const uint8_t *data = (const uint8_t *)octets.data;
    return data == NULL || (data >= bytes && data + octets.bytes <= bytes + count);
}

static void read_message(const uint8_t *bytes, size_t count)
{
    static const struct broker_port ports[] = {{9092, 19092}, {9093, 19093}};
    struct group_request request;
    struct group_assignment *assignments;
    if (broker_group_request(bytes, count, &request, &assignments)) {
        FUZZ_CHECK(is_within(request.group, bytes, count) &&
                   is_within(request.member_id, bytes, count) &&
                   is_within(request.instance_id, bytes, count));
        for (int i = 0; i < request.protocols_count; i++)
            FUZZ_CHECK(is_within(request.protocols[i].name, bytes, count) &&
                       is_within(request.protocols[i].metadata, bytes, count));
        for (int i = 0; i < request.assignments_count; i++)
            FUZZ_CHECK(is_within(assignments[i].member_id, bytes, count) &&
                       is_within(assignments[i].assignment, bytes, count));
        struct asked asked = {.tickets = 1, .kinds = {[1] = request.kind}};
        request.ticket = 1;
        group_coordinator_init(&asked.coordinator, 7, answered, &asked);
        group_coordinator_request(&asked.coordinator, 1, &request);
        (void)group_coordinator_tick(&asked.coordinator, INT64_MAX / 2);
        (void)group_coordinator_tick(&asked.coordinator, INT64_MAX / 2 + 1);
        FUZZ_CHECK(asked.answers[1] == 1);
        group_coordinator_fini(&asked.coordinator);
        for (int i = 0; i < 4; i++)
            free(asked.members[i]);
    }
    free(assignments);
    if (count < BROKER_HEAD_BYTES)
        return;
    uint8_t *copy = must_alloc(count);
    for (int16_t version = -1; version <= 9; version++)
        for (int16_t key = BROKER_METADATA; key <= BROKER_FIND_COORDINATOR; key += 7) {
            const struct broker_request head = {.key = key, .version = version};
            memcpy(copy, bytes, count);
            bool shown = broker_show_ports(copy, count, &head, ports, 2);
            FUZZ_CHECK(memcmp(copy, bytes, BROKER_HEAD_BYTES - 4) == 0); /* length, correlation */
            FUZZ_CHECK(!shown || version <= 8);
        }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct chance chance = {bytes, count, 0};
    read_message(bytes, count);
    run_groups(&chance);
    return 0;
}
