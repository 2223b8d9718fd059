/* SPDX-License-Identifier: MIT */
/* real.c - the conformance suite on PostgreSQL: DATABASE_URL names a throw-away one (tools/with-postgres.sh). */
#include <stdio.h>
#include <stdlib.h>

#include "io/migrate.h"
#include "tests/conform/conform.h"

static struct postgres *postgres;

static int64_t rows(const char *table)
{
    char sql[128];
    struct postgres_rows *answer = NULL;
    struct error error = {0};
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    if (postgres_query(postgres, sql, NULL, 0, &answer, &error) != ERR_OK)
        return -1;
    int64_t count = postgres_rows_int(answer, 0, 0);
    postgres_rows_free(answer);
    return count;
}

int main(void)
{
    struct buffer faults = {0};
    struct error error = {0};
    struct registry *registry = NULL;
    const char *url = getenv("DATABASE_URL"), *fault;
    if (url == NULL || registry_open(&registry, "tests/sim/contracts", &faults) != ERR_OK) {
        fprintf(stderr, "%s\n",
                url == NULL ? "run it by tools/with-postgres.sh" : buffer_text(&faults));
        return 2;
    }
    postgres = postgres_new(url, "conform", NULL);
    if (migrate_up(postgres, "migrations", 0, false, NULL, NULL, &error) != ERR_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    fault = conform_run(postgres, registry, rows);
    printf("conformance of PostgreSQL: %s%s\n",
           fault == NULL ? "" : "FAILED: ", fault == NULL ? "100%" : fault);
    postgres_free(postgres);
    registry_free(registry);
    return fault == NULL ? 0 : 1;
}
