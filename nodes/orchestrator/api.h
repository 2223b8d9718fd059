/* SPDX-License-Identifier: MIT */
/* api.h - the HTTP API of the orchestrator: one table of routes, handlers in files by subject.
 *
 *     api_submit.c     submissions, new and older form
 *     api_batch.c      many at once
 *     api_workflows.c  reading workflows
 *     api_explain.c    why a workflow is where it is
 *     api_commands.c   cancel, pause, resume, retry
 *     api_tasks.c      task tokens and signals
 *     api_contracts.c  contracts and their versions
 *     api_shards.c     who owns which shard
 *     api_forward.c    asking the owner of another instance's shard (api_forward.h)
 *     api_services.c   services and their breakers
 *     api_node.c       health, pages
 *     workflow_view.c  workflows as JSON
 *
 * Threads   Handlers run on HTTP threads; `context` is the struct orchestrator.
 */
#ifndef ORCHESTRATOR_API_H
#define ORCHESTRATOR_API_H

#include "io/http_server.h"
#include "orchestrator/orchestrator.h"
#include "orchestrator/ticket.h"

extern const struct http_route api_routes[];

#define API_RETRY_AFTER_S 1

/* api_submit.c */
void api_submit(struct http_request *request, struct http_response *response, void *context);
void api_submit_older(struct http_request *request, struct http_response *response, void *context);

/* api_batch.c */
void api_submit_batch(struct http_request *request, struct http_response *response, void *context);

/* api_workflows.c */
void api_get(struct http_request *request, struct http_response *response, void *context);
void api_list(struct http_request *request, struct http_response *response, void *context);
void api_history(struct http_request *request, struct http_response *response, void *context);
void api_status_older(struct http_request *request, struct http_response *response, void *context);

/* api_explain.c */
void api_explain(struct http_request *request, struct http_response *response, void *context);

/* api_commands.c */
void api_cancel(struct http_request *request, struct http_response *response, void *context);
void api_pause(struct http_request *request, struct http_response *response, void *context);
void api_resume(struct http_request *request, struct http_response *response, void *context);
void api_retry(struct http_request *request, struct http_response *response, void *context);

/* api_tasks.c */
void api_task_success(struct http_request *request, struct http_response *response, void *context);
void api_task_failure(struct http_request *request, struct http_response *response, void *context);
void api_task_heartbeat(struct http_request *request, struct http_response *response,
                        void *context);
void api_signal(struct http_request *request, struct http_response *response, void *context);

/* api_shards.c */
void api_shards(struct http_request *request, struct http_response *response, void *context);

/* api_contracts.c */
/* Is the media type, without its parameters, one of the names? They are ended by NULL. */
bool api_type_is(const char *content_type, const char *const *names);
void api_contracts(struct http_request *request, struct http_response *response, void *context);
void api_contract(struct http_request *request, struct http_response *response, void *context);
void api_contract_version(struct http_request *request, struct http_response *response,
                          void *context);
void api_contract_publish(struct http_request *request, struct http_response *response,
                          void *context);
void api_contract_delete(struct http_request *request, struct http_response *response,
                         void *context);

/* api_services.c */
void api_services(struct http_request *request, struct http_response *response, void *context);
void api_service(struct http_request *request, struct http_response *response, void *context);
void api_service_hold(struct http_request *request, struct http_response *response, void *context);
void api_service_release(struct http_request *request, struct http_response *response,
                         void *context);

/* api_node.c */
void api_health(struct http_request *request, struct http_response *response, void *context);
void api_health_live(struct http_request *request, struct http_response *response, void *context);
void api_health_ready(struct http_request *request, struct http_response *response, void *context);
void api_openapi(struct http_request *request, struct http_response *response, void *context);
void api_docs(struct http_request *request, struct http_response *response, void *context);
void api_index(struct http_request *request, struct http_response *response, void *context);

/* A problem document; what is worth another try gets Retry-After. */
void api_fail(struct http_response *response, const struct error *error);
void api_refuse_ended(struct http_response *response, enum workflow_state state); /* 409 */
bool api_path_id(struct http_request *request, struct http_response *response, struct uuid *id);

struct json *api_instant(int64_t instant_us) MUST_USE; /* RFC 3339; null for 0 */
/* The older API's lower-case form of a state. */
struct json *api_older_state(const char *state) MUST_USE;

/* workflow_view.c */
struct workflow_view {
    struct json *object; /* the answer of GET /api/v1/workflows/{id} */
    enum workflow_state state;
    int16_t shard;
};
/* Reads one workflow from the database. ERR_NOT_FOUND when there is none. */
enum error_code workflow_view_read(struct orchestrator *orchestrator, const struct uuid *id,
                                   bool with_steps, struct workflow_view *view,
                                   struct error *error) MUST_USE;
/* The answer to a submission, from the ticket: no look at the database. */
struct json *workflow_view_of_ticket(const struct orchestrator *orchestrator,
                                     const struct ticket *ticket, const char *workflow,
                                     const char *version, const char *namespace,
                                     const char *correlation_id) MUST_USE;
/* Members of a row of the list: the columns of WORKFLOW_VIEW_COLUMNS. */
#define WORKFLOW_VIEW_COLUMNS                                                                      \
    "w.id, w.shard, w.run, w.correlation_id, w.workflow_type, w.contract_version, w.namespace, "   \
    "w.current_state, "                                                                            \
    "w.error_code, w.error_message, w.created_at, w.started_at, w.completed_at"
#define WORKFLOW_VIEW_COUNT 13 /* of them */
/* An instant; null stays null. */
void view_set_instant_column(struct json *object, const char *name,
                             const struct postgres_rows *rows, int row, int column);
void view_set_column(struct json *object, const char *name, const struct postgres_rows *rows,
                     int row, int column); /* a text column; null stays null */
struct json *workflow_view_row(const struct postgres_rows *rows, int row) MUST_USE;

#endif
