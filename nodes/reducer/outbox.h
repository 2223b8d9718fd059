/* SPDX-License-Identifier: MIT */
/* outbox.h - publishes what commits have put into reducer_outbox, and deletes it when the broker has it.
 *
 * A message that was published and not yet deleted when the process died is published again under the
 * same id. One instance publishes at a time (advisory lock).
 *
 * Owns      Its thread, connection and producer.
 * Threads   outbox_wake from any.
 */
#ifndef REDUCER_OUTBOX_H
#define REDUCER_OUTBOX_H

#include "base/config.h"
#include "base/error.h"
#include "io/kafka.h"

struct outbox;

enum error_code outbox_start(struct outbox **outbox, const struct config *config,
                             const char *database_url, struct error *error) MUST_USE;
void outbox_wake(struct outbox *outbox);
/* Sends a message that need not survive (heartbeats) through the same producer; its tag_a must be larger
 * than any row of a page. ERR_BROKER: not now. */
enum error_code outbox_publish(struct outbox *outbox, const struct kafka_message *message,
                               struct error *error) MUST_USE;
void outbox_stop(struct outbox *outbox); /* NULL is fine */

#endif
