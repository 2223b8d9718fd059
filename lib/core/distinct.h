/* SPDX-License-Identifier: MIT */
/* distinct.h - how many different values were seen: exact up to DISTINCT_EXACT_MAX, then a HyperLogLog
 * estimate with a standard error of 1.6 %. Values come as 64-bit hashes. Pure.
 *
 * A store need not rewrite a set: it keeps the exact values, or the estimate's registers as they once were
 * (the base), and appends what distinct_fresh lists: new values, or those that changed a register since.
 *
 * Owns      Its memory; zeroed is a valid empty set; distinct_fini releases.
 * Threads   One at a time.
 * Source    Flajolet et al., HyperLogLog (2007), with linear counting for small numbers. Two different
 *           values share a 64-bit hash once in 3.7e11 pairs of full exact sets.
 */
#ifndef CORE_DISTINCT_H
#define CORE_DISTINCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISTINCT_EXACT_MAX 10000
#define DISTINCT_REGISTERS 4096

struct distinct {
    uint64_t *slots; /* open addressing, 0 is free; NULL while there are few values */
    uint32_t capacity;
    uint32_t count;
    uint64_t *values; /* in the order they came; of an estimate those that changed a register since the base */
    uint32_t values_capacity;
    uint32_t stored;    /* values before this index are in the store */
    uint8_t *registers; /* not NULL: the estimate has taken over */
    bool converted;     /* the estimate has no base in the store yet */
};

uint64_t distinct_hash(const void *data, size_t bytes); /* never 0 */
void distinct_add(struct distinct *set, uint64_t hash);
/* Begins to fetch what distinct_add of this hash will look at. */
static inline void distinct_prefetch(const struct distinct *set, uint64_t hash)
{
    if (set->capacity > 0)
        __builtin_prefetch(&set->slots[(uint32_t)hash & (set->capacity - 1)]);
    __builtin_prefetch(set->values + set->count);
}
void distinct_merge(struct distinct *into, const struct distinct *from);
bool distinct_is_exact(const struct distinct *set);
int64_t distinct_count(const struct distinct *set);
/* What to append to the store: what came since the last distinct_mark_stored. */
const uint64_t *distinct_fresh(const struct distinct *set, size_t *count);
void distinct_mark_stored(struct distinct *set);
/* The registers are written as the base: nothing need be appended to them. */
void distinct_new_base(struct distinct *set);
/* Takes over the base of an estimate that was stored; the values appended to it are added after. */
void distinct_load_registers(struct distinct *set, const uint8_t registers[DISTINCT_REGISTERS]);
void distinct_fini(struct distinct *set);

#endif
