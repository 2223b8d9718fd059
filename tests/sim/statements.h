/* SPDX-License-Identifier: MIT */
/* statements.h - what the statements of the orchestrator do to the tables. A statement is known by how its
 * text begins; one that is not known ends the run with its text. Column lists are read from the text.
 *
 * Errors    As the server's: ERR_CONFLICT for a unique key, ERR_FENCED for SQLSTATE OB001.
 */
#ifndef SIM_STATEMENTS_H
#define SIM_STATEMENTS_H

#include "io/postgres_internal.h"
#include "tables.h"

struct query {
    const char *sql;
    const struct postgres_value *values;
    int count;
    bool (*lock)(int64_t key, bool take); /* advisory locks: false when another session has it */
    void (*terminate)(const char *name);  /* ends the sessions of that name */
    void (*listen)(void);
    void (*notify)(void); /* those who listen */
    bool busy;            /* somebody else asks for the lock in this moment */
    int64_t now_us;       /* by the database's clock */
    PGresult *result;     /* or NULL */
    struct error *error;
};
enum error_code statement_run(struct query *query);

#endif
