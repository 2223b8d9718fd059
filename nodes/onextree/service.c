/* SPDX-License-Identifier: MIT */
#include "onextree/service.h"

#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "core/fields.h"
#include "io/clock.h"
#include "io/log.h"
#include "io/unified.h"
#include "onextree/core/intelligence.h"
#include "onextree/walk.h"

#define CONTEXT_BYTES_MAX CONTENT_BYTES_MAX
#define RELATIONSHIPS_MAX 50 /* kinds of files in one answer */
#define TYPES_MAX 1000       /* likewise in /stats */

void service_init(struct service *service)
{
    *service = (struct service){0};
    pthread_mutex_init(&service->building, NULL);
    pthread_rwlock_init(&service->lock, NULL);
}

void service_fini(struct service *service)
{
    tree_free(service->tree);
    pthread_rwlock_destroy(&service->lock);
    pthread_mutex_destroy(&service->building);
}

static enum error_code load(struct service *service, const char *root, struct tree_totals *totals,
                            struct error *error)
{
    pthread_mutex_lock(&service->building);
    struct tree *fresh = walk_read(root, error);
    struct tree *old = NULL;
    if (fresh != NULL) {
        *totals = *tree_get_totals(fresh);
        pthread_rwlock_wrlock(&service->lock);
        old = service->tree;
        service->tree = fresh;
        service->updated_us = clock_now_us();
        pthread_rwlock_unlock(&service->lock);
        metrics_gauge_set(METRIC_TREE_FILES, 0, 0, (double)totals->files);
        log_info("tree loaded", LOG_INT("files", totals->files),
                 LOG_INT("directories", totals->directories),
                 LOG_INT("unreadable", totals->unreadable));
    }
    pthread_mutex_unlock(&service->building);
    tree_free(old);
    return fresh != NULL ? ERR_OK : error->code;
}

enum error_code service_load(struct service *service, const char *root, struct error *error)
{
    struct tree_totals totals;
    return load(service, root, &totals, error);
}

static double elapsed_ms(int64_t start_us)
{
    return (double)(clock_monotonic_us() - start_us) / 1000.0;
}

static void refuse(struct http_response *response, int status, const char *code,
                   const struct error *error)
{
    http_problem_with(response, error, status, code, NULL);
}

/* A body that fits the table, or NULL after the response was filled. */
static struct json *checked_body(const struct http_request *request, struct http_response *response,
                                 const struct field *fields)
{
    struct error error = {0};
    struct json *body = json_parse(request->body, request->body_bytes, &error, NULL);
    if (body != NULL && fields_check(fields, body, "", &error) == ERR_OK)
        return body;
    http_problem(response, &error);
    json_release(body);
    return NULL;
}

/* -- what it is, how it is -- */

static void handle_about(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    struct service *service = context;
    pthread_rwlock_rdlock(&service->lock);
    bool loaded = service->tree != NULL;
    pthread_rwlock_unlock(&service->lock);
    struct buffer *body = unified_begin(response, "success");
    buffer_append_char(body, '{');
    unified_text(body, "service", "OnexTree");
    unified_text(body, "version", VERSION);
    unified_text(body, "status", loaded ? "ready" : "no_tree_loaded");
    unified_name(body, "endpoints");
    buffer_append_char(body, '[');
    for (const struct http_route *route = service_routes; route->path != NULL; route++)
        buffer_append_format(body, "%s\"%s %s\"", route != service_routes ? "," : "", route->method,
                             route->path);
    buffer_append_text(body, "]}");
    unified_end(response, "OnexTree", NULL);
}

static void handle_health(struct http_request *request, struct http_response *response,
                          void *context)
{
    (void)request;
    struct service *service = context;
    pthread_rwlock_rdlock(&service->lock);
    bool loaded = service->tree != NULL;
    int64_t files = loaded ? (int64_t)tree_get_totals(service->tree)->files : 0;
    pthread_rwlock_unlock(&service->lock);
    struct buffer *body = &response->body;
    buffer_append_char(body, '{');
    unified_text(body, "status", "healthy");
    unified_bool(body, "tree_loaded", loaded);
    unified_int(body, "total_files", files);
    buffer_append_char(body, '}');
}

static void append_types(struct buffer *body, const struct tree *tree)
{
    size_t count;
    const struct tree_type *types = tree_types(tree, &count);
    unified_name(body, "file_type_distribution");
    buffer_append_char(body, '{');
    for (size_t i = 0; i < count && i < TYPES_MAX; i++) {
        if (i > 0)
            buffer_append_char(body, ',');
        buffer_append_json_text(body, types[i].extension);
        buffer_append_char(body, ':');
        buffer_append_int(body, (int64_t)types[i].count);
    }
    buffer_append_char(body, '}');
}

static void append_statistics(struct buffer *body, const struct service *service)
{
    static const char *const index_names[TREE_INDEXES] = {"exact_path", "extension", "name",
                                                          "directory"};
    char time[INSTANT_TEXT_BYTES];
    const struct tree_totals *totals = tree_get_totals(service->tree);
    unified_name(body, "statistics");
    buffer_append_char(body, '{');
    unified_int(body, "total_files", (int64_t)totals->files);
    unified_int(body, "total_directories", (int64_t)totals->directories);
    append_types(body, service->tree);
    unified_int(body, "total_size_bytes", totals->size_bytes);
    unified_int(body, "unreadable_entries", (int64_t)totals->unreadable);
    unified_text(body, "last_updated", instant_format(service->updated_us, time));
    unified_name(body, "index_sizes");
    buffer_append_char(body, '{');
    for (int i = 0; i < TREE_INDEXES; i++)
        unified_int(body, index_names[i], (int64_t)totals->index_sizes[i]);
    buffer_append_text(body, "}}");
}

static void handle_stats(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    struct service *service = context;
    struct buffer *body = unified_begin(response, "success");
    buffer_append_char(body, '{');
    pthread_rwlock_rdlock(&service->lock);
    bool loaded = service->tree != NULL;
    unified_bool(body, "tree_loaded", loaded);
    if (loaded)
        append_statistics(body, service);
    pthread_rwlock_unlock(&service->lock);
    buffer_append_char(body, '}');
    unified_end(response, loaded ? "Statistics of the tree" : "No tree loaded", NULL);
}

/* -- intelligence -- */

static void append_relationships(struct buffer *body, const struct tree *tree)
{
    size_t count;
    const struct tree_type *types = tree_types(tree, &count);
    buffer_append_char(body, '{');
    unified_text(body, "type", "project_structure");
    unified_text(body, "from", "root");
    unified_text(body, "to", "components");
    unified_int(body, "count", (int64_t)tree_get_totals(tree)->files);
    buffer_append_char(body, '}');
    for (size_t i = 0; i < count && i < RELATIONSHIPS_MAX; i++) {
        buffer_append_text(body, ",{");
        unified_text(body, "type", "file_type_distribution");
        unified_text(body, "from", "root");
        unified_text(body, "to", types[i].extension);
        unified_int(body, "count", (int64_t)types[i].count);
        buffer_append_char(body, '}');
    }
}

static void append_intelligence(struct buffer *body, const struct intelligence *found,
                                bool with_patterns)
{
    unified_name(body, "intelligence");
    buffer_append_char(body, '{');
    unified_text(body, "analysis_type", found->analysis_type);
    unified_text(body, "confidence_score", found->confidence);
    unified_text(body, "recommendations", found->recommendations);
    buffer_append_char(body, '}');
    unified_name(body, "patterns");
    buffer_append_char(body, '[');
    for (int i = 0; i < found->patterns_count && with_patterns; i++) {
        if (i > 0)
            buffer_append_char(body, ',');
        buffer_append_json_text(body, found->patterns[i]);
    }
    buffer_append_char(body, ']');
}

static void analyse(struct service *service, const struct json *wanted,
                    struct http_response *response)
{
    int64_t start_us = clock_monotonic_us();
    struct intelligence found;
    size_t bytes;
    const char *text = json_string_value(json_get(wanted, "context"), &bytes);
    struct buffer *body = unified_begin(response, "success");
    pthread_rwlock_rdlock(&service->lock);
    bool loaded = service->tree != NULL;
    intelligence_analyse(text, bytes, loaded, &found);
    buffer_append_char(body, '{');
    append_intelligence(body, &found, fields_bool(wanted, "include_patterns", true));
    unified_name(body, "relationships");
    buffer_append_char(body, '[');
    if (loaded && fields_bool(wanted, "include_relationships", true))
        append_relationships(body, service->tree);
    pthread_rwlock_unlock(&service->lock);
    buffer_append_char(body, ']');
    unified_name(body, "metadata");
    buffer_append_char(body, '{');
    unified_decimal(body, "analysis_time_ms", elapsed_ms(start_us));
    unified_bool(body, "tree_loaded", loaded);
    unified_bool(body, "context_analyzed", loaded);
    buffer_append_text(body, "}}");
    unified_end(response, "Context analysed", NULL);
}

static void handle_intelligence(struct http_request *request, struct http_response *response,
                                void *context)
{
    static const struct field fields[] = {
        {"context", FIELD_TEXT, true, 0, CONTEXT_BYTES_MAX, NULL, NULL},
        {"include_patterns", FIELD_BOOL, false, 0, 0, NULL, NULL},
        {"include_relationships", FIELD_BOOL, false, 0, 0, NULL, NULL},
        {0},
    };
    struct json *body = checked_body(request, response, fields);
    if (body == NULL)
        return;
    analyse(context, body, response);
    json_release(body);
}

/* -- generate -- */

static void handle_generate(struct http_request *request, struct http_response *response,
                            void *context)
{
    static const struct field fields[] = {
        {"project_root", FIELD_LINE, true, 1, FILE_PATH_BYTES_MAX, NULL, NULL},
        {0},
    };
    int64_t start_us = clock_monotonic_us();
    struct tree_totals totals;
    struct error error = {0};
    struct json *body = checked_body(request, response, fields);
    if (body == NULL)
        return;
    enum error_code code = load(context, fields_text(body, "project_root", ""), &totals, &error);
    if (code == ERR_INVALID) {
        refuse(response, 400, "invalid_path", &error);
    } else if (code == ERR_LIMIT) {
        refuse(response, 422, "tree_too_large", &error);
    } else {
        struct buffer *out = unified_begin(response, "success");
        buffer_append_text(out, "{\"success\":true");
        unified_int(out, "total_files", (int64_t)totals.files);
        unified_int(out, "total_directories", (int64_t)totals.directories);
        unified_decimal(out, "total_size_mb", (double)totals.size_bytes / (1024.0 * 1024.0));
        unified_decimal(out, "generation_time_ms", elapsed_ms(start_us));
        buffer_append_char(out, '}');
        unified_end(response, "Tree generated", NULL);
    }
    json_release(body);
}

/* -- query -- */

static const char *const query_names[] = {"extension", "name", "path", "directory", "auto"};

static void append_entry(struct buffer *body, const struct tree_entry *entry)
{
    buffer_append_char(body, '{');
    unified_text(body, "path", entry->path);
    unified_text(body, "name", entry->name);
    unified_text(body, "type", entry->is_directory ? "directory" : "file");
    if (!entry->is_directory) {
        unified_int(body, "size", entry->size_bytes);
        unified_text(body, "extension", entry->extension);
    }
    buffer_append_char(body, '}');
}

static void append_found(struct buffer *body, const struct tree *tree, const char *text,
                         enum tree_query *query, size_t limit)
{
    enum tree_index index;
    size_t first;
    size_t count = tree_query(tree, text, query, &index, &first);
    size_t shown = count < limit ? count : limit;
    unified_text(body, "query_type", query_names[*query]);
    unified_name(body, "results");
    buffer_append_char(body, '[');
    for (size_t i = 0; i < shown; i++) {
        if (i > 0)
            buffer_append_char(body, ',');
        append_entry(body, tree_at(tree, index, first + i));
    }
    buffer_append_char(body, ']');
    unified_int(body, "count", (int64_t)shown);
    unified_int(body, "total", (int64_t)count);
}

static void answer_query(struct service *service, const struct json *wanted, enum tree_query query,
                         struct http_response *response)
{
    int64_t start_us = clock_monotonic_us();
    const char *text = fields_text(wanted, "query", "");
    struct buffer *body = unified_begin(response, "success");
    buffer_append_text(body, "{\"success\":true");
    unified_text(body, "query", text);
    pthread_rwlock_rdlock(&service->lock);
    bool loaded = service->tree != NULL;
    if (loaded)
        append_found(body, service->tree, text, &query,
                     (size_t)fields_int(wanted, "limit", LIST_ITEMS_DEFAULT));
    pthread_rwlock_unlock(&service->lock);
    if (!loaded) {
        struct error error = {0};
        error_set(&error, ERR_CONFLICT, "No tree loaded. Generate first.");
        refuse(response, 400, "no_tree_loaded", &error);
        return;
    }
    unified_decimal(body, "execution_time_ms", elapsed_ms(start_us));
    buffer_append_char(body, '}');
    unified_end(response, "Tree searched", NULL);
}

static bool query_type(const char *name, enum tree_query *query)
{
    for (size_t i = 0; i < sizeof query_names / sizeof *query_names; i++) {
        if (strcmp(query_names[i], name) == 0) {
            *query = (enum tree_query)i;
            return true;
        }
    }
    return false;
}

static void handle_query(struct http_request *request, struct http_response *response,
                         void *context)
{
    static const struct field fields[] = {
        {"query", FIELD_TEXT, true, 1, FILE_PATH_BYTES_MAX, NULL, NULL},
        {"query_type", FIELD_LINE, false, 0, 64, NULL, NULL},
        {"limit", FIELD_INT, false, 1, LIST_ITEMS_MAX, NULL, NULL},
        {0},
    };
    enum tree_query query = TREE_QUERY_AUTO;
    struct json *body = checked_body(request, response, fields);
    if (body == NULL)
        return;
    const char *type = fields_text(body, "query_type", "auto");
    if (query_type(type, &query)) {
        answer_query(context, body, query, response);
    } else {
        struct error error = {0};
        error_set_field(
            &error, ERR_INVALID, "query_type",
            "Unknown query type: %s; allowed are extension, name, path, directory and auto", type);
        refuse(response, 400, "unknown_query_type", &error);
    }
    json_release(body);
}

const struct http_route service_routes[] = {
    {"GET", "/", handle_about, HTTP_OPEN, 0},
    {"GET", "/health", handle_health, HTTP_OPEN, 0},
    {"GET", "/health/live", handle_health, HTTP_OPEN, 0},
    {"GET", "/health/ready", handle_health, HTTP_OPEN, 0},
    {"GET", "/metrics", http_handle_metrics, HTTP_OPEN, 0},
    {"POST", "/intelligence", handle_intelligence, 0, HTTP_BODY_BYTES_MAX},
    {"POST", "/generate", handle_generate, 0, 64u << 10},
    {"POST", "/query", handle_query, 0, 64u << 10},
    {"GET", "/stats", handle_stats, 0, 0},
    {0},
};
