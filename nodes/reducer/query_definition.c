/* SPDX-License-Identifier: MIT */
/* query_definition.c - definitions that are no longer loaded, from what was written down of them. */
#include <string.h>

#include "reducer/query.h"

static const char sql_definition[] =
    "SELECT d.version, coalesce(d.content_hash, ''), d.document::text"
    " FROM aggregation_definitions d WHERE d.name = $1 AND ($2::text IS NULL OR d.version = $2)"
    " ORDER BY d.id DESC LIMIT 1";

/* Read again it must count what was counted: its hash tells. */
static enum error_code read_definition(const struct postgres_rows *rows, const char *name,
                                       const struct aggregation_defaults *defaults,
                                       struct aggregation_set **set, struct error *error)
{
    size_t version_bytes, hash_bytes, bytes = 0;
    struct findings findings = {0};
    const struct aggregation *made = NULL;
    const char *version = postgres_rows_text(rows, 0, 0, &version_bytes);
    const char *hash = postgres_rows_text(rows, 0, 1, &hash_bytes);
    const char *document = postgres_rows_text(rows, 0, 2, &bytes);
    if (document) {
        *set = aggregation_set_new(defaults);
        made = aggregation_set_parse(*set, name, document, bytes, &findings);
        findings_fini(&findings);
    }
    if (made && strlen(made->content_hash) == hash_bytes &&
        memcmp(made->content_hash, hash, hash_bytes) == 0)
        return ERR_OK;
    aggregation_set_free(*set);
    *set = NULL;
    return error_set_field(error, ERR_CONFLICT, "type",
                           "the file of %s %.*s is gone, and %s: give the reducer the file back to "
                           "read its rows",
                           name, (int)version_bytes, version,
                           document ? "this release reads it otherwise than it was counted"
                                    : "it was gone before definitions were kept");
}

enum error_code query_definition(struct postgres *postgres, const char *name, const char *version,
                                 const struct aggregation_defaults *defaults,
                                 struct aggregation_set **set, struct error *error)
{
    struct postgres_value values[2] = {0};
    struct postgres_rows *rows = NULL;
    *set = NULL;
    postgres_set_string(&values[0], name);
    postgres_set_string(&values[1], version);
    enum error_code code = postgres_query(postgres, sql_definition, values, 2, &rows, error);
    for (int i = 0; i < 2; i++)
        postgres_value_fini(&values[i]);
    if (code)
        return code;
    if (postgres_rows_count(rows) == 0)
        code = error_set(error, ERR_NOT_FOUND, "there is no aggregation %.60s%s%.60s", name,
                         version ? " " : "", version ? version : "");
    else
        code = read_definition(rows, name, defaults, set, error);
    postgres_rows_free(rows);
    return code;
}
