/* SPDX-License-Identifier: MIT */
/* stamp_writer.h - writes stamps in groups: whoever comes while a write is under way waits, and the
 * next write takes all who wait. One statement and one commit for each group, however many stamps.
 *
 * Owns      One connection and the queue of those who wait.
 * Threads   Any; the thread that finds nobody writing writes for all.
 * Errors    As stamp_store_put. A value that PostgreSQL cannot hold fails its own stamp only.
 */
#ifndef METADATA_STAMPING_STAMP_WRITER_H
#define METADATA_STAMPING_STAMP_WRITER_H

#include "metadata-stamping/stamp_store.h"

#define STAMP_GROUP_MAX 256               /* stamps in one statement */
#define STAMP_GROUP_BYTES_MAX (32u << 20) /* of their data, one larger stamp goes alone */

struct stamp_writer;

struct stamp_writer *stamp_writer_new(const char *url, int query_timeout_s) MUST_USE;
void stamp_writer_free(struct stamp_writer *writer);
enum error_code stamp_writer_put(struct stamp_writer *writer, const struct stamp_request *request,
                                 const char *hash, const char *stamp_data, struct stamp_row *row,
                                 struct error *error) MUST_USE;

#endif
