/* SPDX-License-Identifier: MIT */
/* retention.h - deletes the rows of windows whose aggregation does not keep them any longer, with their values
 * and finals; and gaps that were filled long ago.
 *
 * A group of a window goes in one piece, retention_days after the window's end and as long after it was made
 * final; what is open, and rows for all time, stay. One reducer does it at a time (advisory lock, nobody
 * waits), in small transactions with pauses between them.
 *
 * Pruned windows must not be counted anew. So aggregation_definitions.pruned_until is raised first; every
 * transaction that writes rows compares with it (reducer_check_pruned), and the deletes begin when all
 * transactions that may have compared with the figure before have ended.
 *
 * Owns      Its thread and connection.
 */
#ifndef REDUCER_RETENTION_H
#define REDUCER_RETENTION_H

#include "base/config.h"
#include "base/error.h"

struct retention;

/* *retention stays NULL when the interval says never. */
enum error_code retention_start(struct retention **retention, const struct config *config,
                                const char *database_url, struct error *error) MUST_USE;
void retention_stop(struct retention *retention); /* NULL is fine */

#endif
