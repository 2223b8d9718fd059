/* SPDX-License-Identifier: MIT */
/* The paths that read stored stamps. */
#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "io/unified.h"
#include "metadata-stamping/service.h"

static bool needs_store(const struct service *service, struct http_response *response)
{
    if (service->store == NULL)
        unified_error(response, 503, "DATABASE_NOT_CONFIGURED", NULL,
                      "no database is configured, so no stamps are kept");
    return service->store != NULL;
}

static bool query_is_known(struct http_request *request, struct http_response *response,
                           const char *const *names)
{
    struct error error = {0};
    if (http_query_known(request, names, &error) == ERR_OK)
        return true;
    unified_fail(response, &error);
    return false;
}

void handle_get_stamp(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"namespace", NULL};
    struct service *service = context;
    struct error error = {0};
    char hash[CONTENT_HASH_TEXT_BYTES] = "";
    const char *given = http_path_parameter(request, "file_hash");
    if (!content_hash_is_text(given, strlen(given))) {
        unified_error(response, 400, "INVALID_HASH_FORMAT", "file_hash",
                      "file_hash must be 64 hexadecimal digits");
        return;
    }
    for (int i = 0; i < CONTENT_HASH_DIGITS; i++)
        hash[i] = (char)tolower((unsigned char)given[i]);
    if (!query_is_known(request, response, known) || !needs_store(service, response))
        return;
    const char *namespace = http_query(request, "namespace");
    enum error_code code = stamp_store_get(service->store, hash, namespace,
                                           unified_begin(response, "success"), &error);
    if (code == ERR_OK)
        unified_end(response, "Stamp found", NULL);
    else if (code == ERR_NOT_FOUND)
        unified_error(response, 404,
                      namespace != NULL ? "STAMP_NOT_FOUND_IN_NAMESPACE" : "STAMP_NOT_FOUND",
                      "file_hash",
                      namespace != NULL ? "no stamp of this namespace has this hash"
                                        : "no stamp has this hash");
    else
        unified_fail(response, &error);
}

static void append_page(struct buffer *body, int64_t limit, int64_t offset, int64_t shown,
                        int64_t total)
{
    unified_name(body, "pagination");
    buffer_append_char(body, '{');
    unified_int(body, "limit", limit);
    unified_int(body, "offset", offset);
    unified_int(body, "total", total);
    unified_bool(body, "has_more", offset + shown < total && shown > 0);
    buffer_append_char(body, '}');
}

void handle_namespace(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"limit", "offset", NULL};
    struct service *service = context;
    struct error error = {0};
    struct buffer stamps = {0};
    int64_t limit = 0;
    int64_t offset = 0;
    int64_t shown;
    int64_t total;
    const char *namespace = http_path_parameter(request, "namespace");
    if (!query_is_known(request, response, known))
        return;
    if (http_query_int(request, "limit", 1, LIST_ITEMS_MAX, NAMESPACE_LIST_DEFAULT, &limit,
                       &error) != ERR_OK ||
        http_query_int(request, "offset", 0, INT32_MAX, 0, &offset, &error) != ERR_OK) {
        unified_fail(response, &error);
        return;
    }
    if (!needs_store(service, response))
        return;
    if (stamp_store_list(service->store, namespace, limit, offset, &stamps, &shown, &total,
                         &error) == ERR_OK) {
        struct buffer *body = unified_begin(response, "success");
        buffer_append_char(body, '{');
        unified_text(body, "namespace", namespace);
        unified_int(body, "total_stamps", total);
        unified_json(body, "stamps", buffer_text(&stamps));
        append_page(body, limit, offset, shown, total);
        buffer_append_char(body, '}');
        unified_end(response, "Namespace listed", NULL);
    } else {
        unified_fail(response, &error);
    }
    buffer_fini(&stamps);
}
