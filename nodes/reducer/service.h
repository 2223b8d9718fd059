/* SPDX-License-Identifier: MIT */
/* service.h - what the reducer's HTTP handlers share. */
#ifndef REDUCER_SERVICE_H
#define REDUCER_SERVICE_H

#include "base/config.h"
#include "io/http_server.h"
#include "io/postgres.h"
#include "reducer/core/explain.h"
#include "reducer/query.h"
#include "reducer/runtime.h"

struct service {
    const struct config *config;
    struct postgres_pool *pool;
    struct runtime *runtime;
    const struct aggregation_set *aggregations;
    const char *topic;
    const char *node_id;
    int64_t started_us;
};

extern const struct http_route service_routes[];

/* api_rows.c */
void handle_aggregations(struct http_request *request, struct http_response *response,
                         void *context);
void handle_windows_open(struct http_request *request, struct http_response *response,
                         void *context);
void handle_namespaces(struct http_request *request, struct http_response *response, void *context);
/* What was counted of a namespace; no row when nothing was. */
enum error_code service_total(struct service *service, const char *namespace,
                              struct query_rows *rows, struct error *error) MUST_USE;
/* api.c */
void handle_definitions(struct http_request *request, struct http_response *response,
                        void *context);
void handle_watermark(struct http_request *request, struct http_response *response, void *context);
/* api_gaps.c: members gaps (the newest GAPS_SHOWN_MAX that nobody has filled) and gaps_total of an answer. */
#define GAPS_SHOWN_MAX 100
enum error_code service_add_gaps(struct service *service, struct json *page,
                                 struct error *error) MUST_USE;
/* The same of those that may hold events of a window, and how many records they are. */
enum error_code service_add_window_gaps(struct service *service,
                                        const struct explain_window *window, struct json *page,
                                        int64_t *lost, struct error *error) MUST_USE;
/* api_explain.c */
void handle_window_explain(struct http_request *request, struct http_response *response,
                           void *context);
/* api_older.c */
void handle_snapshot(struct http_request *request, struct http_response *response, void *context);
void handle_aggregation_query(struct http_request *request, struct http_response *response,
                              void *context);
/* api_after.c: waits for the ?after= tokens of a request; on error the response is filled and this is false. */
bool service_wait_after(struct service *service, struct http_request *request,
                        struct http_response *response);
/* health.c */
void handle_health(struct http_request *request, struct http_response *response, void *context);
void handle_health_live(struct http_request *request, struct http_response *response,
                        void *context);
void handle_health_ready(struct http_request *request, struct http_response *response,
                         void *context);

#endif
