/* SPDX-License-Identifier: MIT */
/* owners.h - what this instance knows of who owns which shard: whom to ask what belongs to another's shard.
 *
 * Owns      A copy of what ownership.c read last; it may be out of date by the length of a change of owner.
 * Lifetime  From the start of the engine to its end; before the first reading nothing is known.
 * Threads   Any thread asks; ownership.c alone writes.
 * Errors    None: an unknown owner is an answer.
 */
#ifndef ORCHESTRATOR_OWNERS_H
#define ORCHESTRATOR_OWNERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/uuid.h"

#define OWNER_URL_BYTES 512 /* of an advertised URL, the NUL included */

struct orchestrator;
struct owners;

struct owner {
    bool known; /* somebody alive owned the shard at the last reading; else the rest is empty */
    bool ours;  /* our worker holds it now, whatever was read */
    struct uuid instance;
    int64_t epoch;
    char url[OWNER_URL_BYTES]; /* the owner's advertised URL */
};

struct owners *owners_new(void) MUST_USE;
void owners_free(struct owners *owners);

void owners_of(const struct orchestrator *orchestrator, int shard, struct owner *owner);
/* The owner did not answer, or says that it is none: the database is asked again at once, on the
 * ownership thread; the caller asks owners_of again a little later. */
void owners_doubt(const struct orchestrator *orchestrator);

/* Does another instance own a shard? */
bool owners_others_live(const struct orchestrator *orchestrator);

/* ownership.c: what was read, of all shards at once; and where it hears of doubts (an eventfd). */
void owners_set(struct owners *owners, const struct owner *read, int count);
void owners_wake_by(struct owners *owners, int wake_fd);

#endif
