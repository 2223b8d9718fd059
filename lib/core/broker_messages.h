/* SPDX-License-Identifier: MIT */
/* broker_messages.h - the few messages of the Kafka protocol that the development broker reads and writes
 * itself: those of consumer groups, and the addresses in the answers that say where a broker is.
 *
 * Versions  JoinGroup 0 to 5, SyncGroup 0 to 3, Heartbeat 0 to 3, LeaveGroup 0 to 2, Metadata 0 to 8,
 *           FindCoordinator 0 to 2: those without tagged fields.
 * Owns      Nothing; what is read points into the message.
 * Threads   No globals.
 * Errors    false: the message is cut short or of a version that is not understood.
 */
#ifndef CORE_BROKER_MESSAGES_H
#define CORE_BROKER_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "core/group_coordinator.h"

#define BROKER_LENGTH_BYTES 4             /* of the length in front of each message */
#define BROKER_HEAD_BYTES (4 + 2 + 2 + 4) /* what every request begins with, its length included */
#define BROKER_HEARTBEAT_VERSION_MAX 3

enum broker_request_key {
    BROKER_METADATA = 3,
    BROKER_FIND_COORDINATOR = 10,
    BROKER_JOIN_GROUP = 11,
    BROKER_HEARTBEAT = 12,
    BROKER_LEAVE_GROUP = 13,
    BROKER_SYNC_GROUP = 14,
};

struct broker_request {
    int32_t bytes; /* of what follows the length */
    int16_t key, version;
    int32_t correlation;
};

struct broker_port {
    int own, shown;
};

/* From BROKER_HEAD_BYTES octets. */
struct broker_request broker_request_head(const void *octets);
int32_t broker_number(const void *octets); /* the four octets of a length or a correlation id */
bool broker_request_is_of_group(const struct broker_request *head);

/* The whole message, its length included. *assignments is the caller's to free. */
bool broker_group_request(const void *message, size_t bytes, struct group_request *request,
                          struct group_assignment **assignments)
    __attribute__((warn_unused_result));
void broker_group_answer(struct buffer *buffer, const struct broker_request *head,
                         const struct group_answer *answer);

/* In an answer to a Metadata or FindCoordinator request of this version (the whole message), each of the
 * brokers' own ports becomes the one that clients are shown. */
bool broker_show_ports(void *message, size_t bytes, const struct broker_request *head,
                       const struct broker_port *ports, int count)
    __attribute__((warn_unused_result));

#endif
