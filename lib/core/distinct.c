/* SPDX-License-Identifier: MIT */
/* distinct.c - an exact set of hashes that turns into HyperLogLog registers when it is full. */
#include "core/distinct.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text_hash.h"

#define PRECISION 12 /* 2^12 registers */
#define VALUES_FIRST 4
#define SEARCHED_MAX 8  /* so few values are looked through; more have slots */
#define SLOTS_FIRST 32 /* at least twice as many, and a power of two */
#define ALPHA (0.7213 / (1.0 + 1.079 / DISTINCT_REGISTERS))

_Static_assert(DISTINCT_REGISTERS == 1 << PRECISION, "the precision gives the number of registers");

uint64_t distinct_hash(const void *data, size_t bytes)
{
    return text_hash(data, bytes);
}

static bool observe(uint8_t *registers, uint64_t hash)
{
    size_t place = (size_t)(hash >> (64 - PRECISION));
    uint64_t rest = hash << PRECISION | 1ull << (PRECISION - 1); /* a bit that ends the run of zeros */
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    if (rank <= registers[place])
        return false;
    registers[place] = rank;
    return true;
}

static void append(struct distinct *set, uint64_t hash)
{
    if (set->count == set->values_capacity) {
        set->values_capacity = set->values_capacity ? set->values_capacity * 2 : VALUES_FIRST;
        set->values = must_realloc(set->values, set->values_capacity * sizeof(*set->values));
    }
    set->values[set->count++] = hash;
}

static void grow(struct distinct *set)
{
    uint32_t capacity = set->capacity ? set->capacity * 2 : SLOTS_FIRST;
    uint64_t *slots = must_calloc(capacity, sizeof(*slots));
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t slot = (uint32_t)set->values[i] & (capacity - 1);
        while (slots[slot])
            slot = (slot + 1) & (capacity - 1);
        slots[slot] = set->values[i];
    }
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
}

static void drop_values(struct distinct *set)
{
    free(set->slots);
    free(set->values);
    set->slots = NULL;
    set->values = NULL;
    set->capacity = set->count = set->values_capacity = set->stored = 0;
}

static void convert(struct distinct *set)
{
    set->registers = must_calloc(DISTINCT_REGISTERS, 1);
    for (uint32_t i = 0; i < set->count; i++)
        (void)observe(set->registers, set->values[i]);
    drop_values(set);
    set->converted = true;
}

void distinct_add(struct distinct *set, uint64_t hash)
{
    if (set->registers) {
        if (observe(set->registers, hash))
            append(set, hash);
        return;
    }
    for (uint32_t i = 0; set->capacity == 0 && i < set->count; i++) {
        if (set->values[i] == hash)
            return;
    }
    if (set->count < SEARCHED_MAX) {
        append(set, hash);
        return;
    }
    if (set->count * 2 >= set->capacity)
        grow(set);
    uint32_t slot = (uint32_t)hash & (set->capacity - 1);
    while (set->slots[slot]) {
        if (set->slots[slot] == hash)
            return;
        slot = (slot + 1) & (set->capacity - 1);
    }
    if (set->count == DISTINCT_EXACT_MAX) {
        convert(set);
        (void)observe(set->registers, hash);
        return;
    }
    set->slots[slot] = hash;
    append(set, hash);
}

void distinct_merge(struct distinct *into, const struct distinct *from)
{
    if (!from->registers) {
        for (uint32_t i = 0; i < from->count; i++)
            distinct_add(into, from->values[i]);
        return;
    }
    if (!into->registers)
        convert(into);
    into->converted = true;
    for (size_t i = 0; i < DISTINCT_REGISTERS; i++) {
        if (from->registers[i] > into->registers[i])
            into->registers[i] = from->registers[i];
    }
}

bool distinct_is_exact(const struct distinct *set) { return set->registers == NULL; }

int64_t distinct_count(const struct distinct *set)
{
    if (!set->registers)
        return set->count;
    double sum = 0;
    int zeros = 0;
    for (size_t i = 0; i < DISTINCT_REGISTERS; i++) {
        sum += ldexp(1.0, -set->registers[i]);
        zeros += set->registers[i] == 0;
    }
    double estimate = ALPHA * DISTINCT_REGISTERS * (double)DISTINCT_REGISTERS / sum;
    if (estimate <= 2.5 * DISTINCT_REGISTERS && zeros > 0)
        estimate = DISTINCT_REGISTERS * log((double)DISTINCT_REGISTERS / zeros);
    return llround(estimate);
}

const uint64_t *distinct_fresh(const struct distinct *set, size_t *count)
{
    *count = set->count - set->stored;
    return set->values ? set->values + set->stored : NULL;
}

void distinct_mark_stored(struct distinct *set)
{
    set->stored = set->count;
    set->converted = false;
}

void distinct_new_base(struct distinct *set)
{
    drop_values(set);
    set->converted = false;
}

void distinct_load_registers(struct distinct *set, const uint8_t registers[DISTINCT_REGISTERS])
{
    drop_values(set);
    if (!set->registers)
        set->registers = must_alloc(DISTINCT_REGISTERS);
    memcpy(set->registers, registers, DISTINCT_REGISTERS);
    set->converted = false;
}

void distinct_fini(struct distinct *set)
{
    drop_values(set);
    free(set->registers);
    *set = (struct distinct){0};
}
