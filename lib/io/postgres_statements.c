/* SPDX-License-Identifier: MIT */
/* Prepared statements of one connection, found by the text of the SQL and the types of its values. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/postgres_internal.h"

static bool same(const struct postgres_statement *statement, uint64_t hash, const char *sql,
                 const struct postgres_value *values, int count)
{
    if (statement->hash != hash || statement->count != count || strcmp(statement->sql, sql) != 0)
        return false;
    for (int i = 0; i < count; i++)
        if (statement->types[i] != postgres_value_oid(&values[i]))
            return false;
    return true;
}

static int *slot_for(struct postgres *postgres, uint64_t hash)
{
    int slot = (int)(hash & (uint64_t)(postgres->slots_count - 1));
    while (postgres->slots[slot] >= 0)
        slot = (slot + 1) & (postgres->slots_count - 1);
    return &postgres->slots[slot];
}

static void grow(struct postgres *postgres)
{
    int capacity = postgres->statements_capacity == 0 ? 32 : postgres->statements_capacity * 2;
    postgres->statements_capacity = capacity;
    postgres->statements =
        must_realloc(postgres->statements, (size_t)capacity * sizeof *postgres->statements);
    postgres->slots_count = capacity * 2;
    postgres->slots =
        must_realloc(postgres->slots, (size_t)postgres->slots_count * sizeof *postgres->slots);
    for (int i = 0; i < postgres->slots_count; i++)
        postgres->slots[i] = -1;
    for (int i = 0; i < postgres->statements_count; i++)
        *slot_for(postgres, postgres->statements[i].hash) = i;
}

static int add(struct postgres *postgres, uint64_t hash, const char *sql,
               const struct postgres_value *values, int count)
{
    if (postgres->statements_count == POSTGRES_STATEMENTS_MAX)
        return -1;
    if (postgres->statements_count == postgres->statements_capacity)
        grow(postgres);
    int number = postgres->statements_count++;
    struct postgres_statement *statement = &postgres->statements[number];
    *statement = (struct postgres_statement){.hash = hash, .sql = must_strdup(sql), .count = count};
    statement->types = must_calloc((size_t)count + 1, sizeof *statement->types);
    for (int i = 0; i < count; i++)
        statement->types[i] = postgres_value_oid(&values[i]);
    *slot_for(postgres, hash) = number;
    return number;
}

/* The statement's number, or -1 when the cache is full: then it is sent without preparation. */
int postgres_statement_find(struct postgres *postgres, const char *sql,
                            const struct postgres_value *values, int count)
{
    uint64_t hash = XXH3_64bits(sql, strlen(sql));
    if (postgres->slots_count > 0) {
        int slot = (int)(hash & (uint64_t)(postgres->slots_count - 1));
        for (; postgres->slots[slot] >= 0; slot = (slot + 1) & (postgres->slots_count - 1))
            if (same(&postgres->statements[postgres->slots[slot]], hash, sql, values, count))
                return postgres->slots[slot];
    }
    return add(postgres, hash, sql, values, count);
}

void postgres_statements_forget(struct postgres *postgres)
{
    for (int i = 0; i < postgres->statements_count; i++)
        postgres->statements[i].prepared = postgres->statements[i].pending = false;
}

void postgres_statements_free(struct postgres *postgres)
{
    for (int i = 0; i < postgres->statements_count; i++) {
        free(postgres->statements[i].sql);
        free(postgres->statements[i].types);
    }
    free(postgres->statements);
    free(postgres->slots);
}
