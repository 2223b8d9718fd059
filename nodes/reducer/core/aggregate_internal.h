/* SPDX-License-Identifier: MIT */
/* aggregate_internal.h - what the files of a row share. */
#ifndef REDUCER_CORE_AGGREGATE_INTERNAL_H
#define REDUCER_CORE_AGGREGATE_INTERNAL_H

#include "reducer/core/aggregate.h"

/* Made when there is none. */
struct histogram *aggregate_histogram_of(struct aggregate_cell *cell);
/* Texts longer than AGGREGATION_TEXT_BYTES_MAX are cut. */
void aggregate_text_set(struct aggregate_text *text, enum json_type type, const char *data,
                        size_t bytes);
const char *aggregate_text_data(const struct aggregate_text *text);

#endif
