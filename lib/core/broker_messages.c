/* SPDX-License-Identifier: MIT */
#include "core/broker_messages.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define JOIN_VERSION_MAX 5
#define SYNC_VERSION_MAX 3
#define LEAVE_VERSION_MAX 2
#define METADATA_VERSION_MAX 8
#define FIND_COORDINATOR_VERSION_MAX 2

/* -- reading -- */

struct reader {
    const unsigned char *at, *end;
    bool bad; /* past the end, or a length that cannot be */
};

static uint32_t read_number(struct reader *reader, int octets)
{
    uint32_t value = 0;
    if (reader->bad || reader->end - reader->at < octets) {
        reader->bad = true;
        return 0;
    }
    for (int i = 0; i < octets; i++)
        value = value << 8 | *reader->at++;
    return value;
}

static int16_t read_int16(struct reader *reader) { return (int16_t)read_number(reader, 2); }
static int32_t read_int32(struct reader *reader) { return (int32_t)read_number(reader, 4); }

static struct group_octets read_octets(struct reader *reader, int32_t bytes)
{
    struct group_octets octets = {0};
    if (reader->bad || bytes == -1)
        return octets;
    if (bytes < -1 || reader->end - reader->at < bytes) {
        reader->bad = true;
        return octets;
    }
    octets = (struct group_octets){.data = (const char *)reader->at, .bytes = (size_t)bytes};
    reader->at += bytes;
    return octets;
}

static struct group_octets read_text(struct reader *reader)
{
    return read_octets(reader, read_int16(reader));
}

static struct group_octets read_bytes(struct reader *reader)
{
    return read_octets(reader, read_int32(reader));
}

/* Each item takes more than an octet, which bounds what a message can announce. */
static int32_t read_count(struct reader *reader)
{
    int32_t count = read_int32(reader);
    if (count > reader->end - reader->at)
        reader->bad = true;
    return reader->bad || count < 0 ? 0 : count;
}

struct broker_request broker_request_head(const void *octets)
{
    struct reader reader = {.at = octets, .end = (const unsigned char *)octets + BROKER_HEAD_BYTES};
    struct broker_request head = {.bytes = read_int32(&reader)};
    head.key = read_int16(&reader);
    head.version = read_int16(&reader);
    head.correlation = read_int32(&reader);
    return head;
}

int32_t broker_number(const void *octets)
{
    struct reader reader = {.at = octets, .end = (const unsigned char *)octets + 4};
    return read_int32(&reader);
}

bool broker_request_is_of_group(const struct broker_request *head)
{
    return head->key >= BROKER_JOIN_GROUP && head->key <= BROKER_SYNC_GROUP;
}

/* -- requests of groups -- */

static void read_join(struct reader *reader, int16_t version, struct group_request *request)
{
    request->kind = GROUP_JOIN;
    request->group = read_text(reader);
    request->session_ms = read_int32(reader);
    request->rebalance_ms = version >= 1 ? read_int32(reader) : request->session_ms;
    request->member_id = read_text(reader);
    if (version >= 5)
        request->instance_id = read_text(reader);
    request->protocol_type = read_text(reader);
    int32_t count = read_count(reader);
    for (int32_t i = 0; i < count && !reader->bad; i++) {
        struct group_protocol protocol = {.name = read_text(reader)};
        protocol.metadata = read_bytes(reader);
        if (request->protocols_count < GROUP_PROTOCOLS_MAX)
            request->protocols[request->protocols_count++] = protocol;
    }
}

static void read_member(struct reader *reader, bool has_instance, struct group_request *request)
{
    request->group = read_text(reader);
    request->generation = read_int32(reader);
    request->member_id = read_text(reader);
    if (has_instance)
        request->instance_id = read_text(reader);
}

static void read_sync(struct reader *reader, int16_t version, struct group_request *request,
                      struct group_assignment **assignments)
{
    request->kind = GROUP_SYNC;
    read_member(reader, version >= 3, request);
    int32_t count = read_count(reader);
    *assignments = must_calloc((unsigned long)count + 1, sizeof(**assignments));
    for (int32_t i = 0; i < count && !reader->bad; i++) {
        (*assignments)[i].member_id = read_text(reader);
        (*assignments)[i].assignment = read_bytes(reader);
    }
    request->assignments = *assignments;
    request->assignments_count = count;
}

bool broker_group_request(const void *message, size_t bytes, struct group_request *request,
                          struct group_assignment **assignments)
{
    *request = (struct group_request){.generation = GROUP_NO_GENERATION};
    *assignments = NULL;
    if (bytes < BROKER_HEAD_BYTES)
        return false;
    struct broker_request head = broker_request_head(message);
    struct reader reader = {.at = (const unsigned char *)message + BROKER_HEAD_BYTES,
                            .end = (const unsigned char *)message + bytes};
    request->client_id = read_text(&reader);
    if (head.key == BROKER_JOIN_GROUP && head.version <= JOIN_VERSION_MAX) {
        read_join(&reader, head.version, request);
    } else if (head.key == BROKER_SYNC_GROUP && head.version <= SYNC_VERSION_MAX) {
        read_sync(&reader, head.version, request, assignments);
    } else if (head.key == BROKER_HEARTBEAT && head.version <= BROKER_HEARTBEAT_VERSION_MAX) {
        request->kind = GROUP_HEARTBEAT;
        read_member(&reader, head.version >= 3, request);
    } else if (head.key == BROKER_LEAVE_GROUP && head.version <= LEAVE_VERSION_MAX) {
        request->kind = GROUP_LEAVE;
        request->group = read_text(&reader);
        request->member_id = read_text(&reader);
    } else {
        return false;
    }
    return !reader.bad;
}

/* -- answers -- */

static void put_number(struct buffer *buffer, uint32_t value, int octets)
{
    for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8)
        buffer_append_char(buffer, (char)(value >> shift & 0xff));
}

static void put_int16(struct buffer *buffer, int value) { put_number(buffer, (uint32_t)value, 2); }
static void put_int32(struct buffer *buffer, int32_t value)
{
    put_number(buffer, (uint32_t)value, 4);
}

static void put_text(struct buffer *buffer, const char *text)
{
    size_t bytes = text ? strlen(text) : 0;
    put_int16(buffer, text ? (int)bytes : -1);
    buffer_append(buffer, text ? text : "", bytes);
}

static void put_bytes(struct buffer *buffer, struct group_octets octets)
{
    put_int32(buffer, (int32_t)octets.bytes);
    buffer_append(buffer, octets.data ? octets.data : "", octets.bytes);
}

static void put_joined(struct buffer *buffer, int16_t version, const struct group_answer *answer)
{
    const struct group *group = answer->group;
    put_int32(buffer, answer->generation);
    put_text(buffer, group ? group->protocol : "");
    put_text(buffer, group ? answer->leader_id : "");
    put_text(buffer, group ? answer->member_id : "");
    int count = group && answer->leads ? group->members_count : 0;
    put_int32(buffer, count);
    for (int i = 0; i < count; i++) {
        const char *instance_id;
        struct group_octets metadata;
        put_text(buffer, group_member_id(group, i, &instance_id, &metadata));
        if (version >= 5)
            put_text(buffer, instance_id);
        put_bytes(buffer, metadata);
    }
}

void broker_group_answer(struct buffer *buffer, const struct broker_request *head,
                         const struct group_answer *answer)
{
    int16_t throttled_since = head->key == BROKER_JOIN_GROUP ? 2 : 1;
    size_t start = buffer->bytes;
    put_int32(buffer, 0);
    put_int32(buffer, head->correlation);
    if (head->version >= throttled_since)
        put_int32(buffer, 0);
    put_int16(buffer, (int)answer->code);
    if (answer->kind == GROUP_JOIN)
        put_joined(buffer, head->version, answer);
    else if (answer->kind == GROUP_SYNC)
        put_bytes(buffer, answer->assignment);
    uint32_t bytes = (uint32_t)(buffer->bytes - start - BROKER_LENGTH_BYTES);
    for (int i = 0; i < BROKER_LENGTH_BYTES; i++)
        buffer->data[start + (size_t)i] = (char)(bytes >> (24 - 8 * i) & 0xff);
}

/* -- addresses -- */

/* The port that the reader is at. */
static void show_port(struct reader *reader, const struct broker_port *ports, int count)
{
    unsigned char *place = (unsigned char *)(uintptr_t)reader->at;
    int32_t port = read_int32(reader);
    for (int i = 0; i < count && !reader->bad; i++) {
        if (ports[i].own != port)
            continue;
        for (int octet = 0; octet < 4; octet++)
            place[octet] = (unsigned char)(ports[i].shown >> (24 - 8 * octet) & 0xff);
        return;
    }
}

bool broker_show_ports(void *message, size_t bytes, const struct broker_request *head,
                       const struct broker_port *ports, int count)
{
    struct reader reader = {.at = message, .end = (unsigned char *)message + bytes};
    read_int32(&reader); /* length */
    read_int32(&reader); /* correlation id */
    if (head->key == BROKER_FIND_COORDINATOR && head->version <= FIND_COORDINATOR_VERSION_MAX) {
        if (head->version >= 1)
            read_int32(&reader); /* throttle time */
        read_int16(&reader);     /* error code */
        if (head->version >= 1)
            read_text(&reader); /* error message */
        read_int32(&reader);    /* broker */
        read_text(&reader);     /* host */
        show_port(&reader, ports, count);
        return !reader.bad;
    }
    if (head->key != BROKER_METADATA || head->version > METADATA_VERSION_MAX)
        return false;
    if (head->version >= 3)
        read_int32(&reader); /* throttle time */
    int32_t brokers = read_count(&reader);
    for (int32_t i = 0; i < brokers && !reader.bad; i++) {
        read_int32(&reader); /* broker */
        read_text(&reader);  /* host */
        show_port(&reader, ports, count);
        if (head->version >= 1)
            read_text(&reader); /* rack */
    }
    return !reader.bad;
}
