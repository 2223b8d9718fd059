/* SPDX-License-Identifier: MIT */
/* api_page.h - what the lists of the API share: which definition and group are asked for, and pages as JSON or
 * CSV.
 *
 * Owns      struct service_definition owns `stored`, struct group_question `made`.
 * Threads   Any; each request has its own.
 * Errors    ERR_INVALID names the parameter, its value and what is allowed.
 */
#ifndef REDUCER_API_PAGE_H
#define REDUCER_API_PAGE_H

#include "core/csv.h"
#include "reducer/service.h"

/* -- pages -- */

/* format=json|csv, else what Accept prefers; JSON when it says nothing. */
enum error_code page_wants_csv(struct http_request *request, bool *csv,
                               struct error *error) MUST_USE;
/* order=asc|desc. */
enum error_code page_order(struct http_request *request, bool *oldest_first,
                           struct error *error) MUST_USE;
enum error_code page_instant(struct http_request *request, const char *name, int64_t *instant_us,
                             struct error *error) MUST_USE; /* WINDOW_NO_TIME: not given */
/* {items, next_cursor, ...} as it is, or its items as lines; the cursor is then a header. Takes page. */
void page_answer(struct http_response *response, struct json *page,
                 const struct csv_columns *columns, bool csv);

/* -- rows -- */

/* A definition that is loaded, or one that was: then *stored holds it. */
struct service_definition {
    const struct aggregation_set *set;
    const struct aggregation *type;
    struct aggregation_set *stored;
};
/* Of the parameters type and version; `fallback` is the type when none is given and may be NULL: then all
 * that are loaded, and `type` stays NULL. */
enum error_code service_find_definition(struct service *service, struct http_request *request,
                                        const char *fallback, struct service_definition *definition,
                                        struct error *error) MUST_USE;
bool service_has_windows(const struct service_definition *definition);

struct group_question {
    const char *text; /* the whole group; NULL: any */
    struct query_key keys[AGGREGATION_KEYS_MAX];
    int keys_count; /* of a group of which only these keys are given */
    struct buffer made;
};
/* Of the parameter group, or of the keys of the type under their names; a key that is called like one of the
 * other parameters, `names`, is reached by group only. Parameters that are neither are refused. */
enum error_code service_read_group(struct http_request *request,
                                   const struct service_definition *definition,
                                   const char *const *names, struct group_question *group,
                                   struct error *error) MUST_USE;

#endif
