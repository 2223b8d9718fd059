/* SPDX-License-Identifier: MIT */
/* record.h - a record of the broker as the core takes it.
 *
 * Owns      Nothing: texts are lent by the broker's record.
 * Threads   Any.
 */
#ifndef REDUCER_RECORD_H
#define REDUCER_RECORD_H

#include "io/kafka_consumer.h"
#include "reducer/core/reducer.h"

struct reducer_record record_read(const struct kafka_record *from);

#endif
