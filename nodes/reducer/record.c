/* SPDX-License-Identifier: MIT */
#include "reducer/record.h"

enum { HEADER_LANE, HEADER_SEQ, HEADER_PREV_SEQ, HEADERS };

struct reducer_record record_read(const struct kafka_record *from)
{
    static const char *const names[HEADERS] = {"lane", "seq", "prev_seq"};
    struct kafka_text headers[HEADERS];
    kafka_record_headers(from, names, headers, HEADERS);
    return (struct reducer_record){
        .partition = from->partition,
        .offset = from->offset,
        .timestamp_ms = from->timestamp_ms,
        .key = from->key,
        .key_bytes = from->key_bytes,
        .value = from->value,
        .value_bytes = from->value_bytes,
        .lane = headers[HEADER_LANE].data,
        .lane_bytes = headers[HEADER_LANE].bytes,
        .seq = headers[HEADER_SEQ].data,
        .seq_bytes = headers[HEADER_SEQ].bytes,
        .prev_seq = headers[HEADER_PREV_SEQ].data,
        .prev_seq_bytes = headers[HEADER_PREV_SEQ].bytes,
    };
}
