/* SPDX-License-Identifier: MIT */
/* dead_letter.h - the record that goes to <topic>.dlq in place of one that cannot be counted. */
#ifndef REDUCER_DEAD_LETTER_H
#define REDUCER_DEAD_LETTER_H

#include <stdint.h>

#include "base/buffer.h"
#include "reducer/core/reducer.h"

/* JSON: original_topic, original_partition, original_offset, original_key, original_data (a text; as
 * original_data_base64 when it is not UTF-8), failure_reason, failure_timestamp, retry_attempts. */
void dead_letter_write(struct buffer *out, const char *topic, const struct reducer_record *record,
                       const char *reason, int64_t now_us);

#endif
