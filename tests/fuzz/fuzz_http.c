/* SPDX-License-Identifier: MIT */
/* What HTTP brings as text: the request's target (first line), the content type of a form (second), its body (the
 * rest). What is decoded is UTF-8 without NUL, parts lie inside the body, and a route gives its parameters. */
#include "core/multipart.h"
#include "core/route.h"
#include "fuzz.h"
#include "orchestrator/core/forward_rule.h"

static struct route_table *routes;

static void add_routes(void)
{
    static const char *const patterns[] = {"/",
                                           "/api/v1/workflows",
                                           "/api/v1/workflows/{id}",
                                           "/api/v1/workflows/{id}/explain",
                                           "/api/v1/{kind}/active",
                                           "/stamp/{hash}"};
    struct error error;
    routes = route_table_new();
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        FUZZ_CHECK(route_add(routes, i % 2 ? "POST" : "GET", patterns[i], &error) == ERR_OK);
}

static void find_route(char *text)
{
    struct route_path path;
    char allowed[128];
    int route = -1;
    if (text[0] != '/' || !route_path_parse(text, &path))
        return;
    FUZZ_CHECK(path.count >= 0 && path.count <= ROUTE_SEGMENTS_MAX);
    for (int i = 0; i < path.count; i++)
        FUZZ_CHECK(utf8_is_valid(path.segments[i], strlen(path.segments[i])));
    enum route_result result = route_find(routes, "GET", &path, &route);
    FUZZ_CHECK((result == ROUTE_FOUND) == (route >= 0));
    FUZZ_CHECK(result != ROUTE_FOUND || path.count < 3 ||
               route_parameter(routes, route, &path, "id") ||
               route_parameter(routes, route, &path, "kind") ||
               strcmp(path.segments[2], "workflows") == 0);
    route_allowed(routes, &path, allowed, sizeof allowed);
    FUZZ_CHECK((result == ROUTE_NO_PATH) == (allowed[0] == 0));
}

static void read_query(char *text)
{
    struct query_parameter parameters[QUERY_PARAMETERS_MAX];
    int count = 0;
    if (!query_parse(text, parameters, QUERY_PARAMETERS_MAX, &count))
        return;
    FUZZ_CHECK(count >= 0 && count <= QUERY_PARAMETERS_MAX);
    for (int i = 0; i < count; i++)
        FUZZ_CHECK(utf8_is_valid(parameters[i].name, strlen(parameters[i].name)) &&
                   utf8_is_valid(parameters[i].value, strlen(parameters[i].value)));
}

static void read_target(char *target)
{
    char *query = strchr(target, '?');
    if (query)
        *query++ = 0;
    find_route(target);
    if (query)
        read_query(query);
}

/* A form made of the octets has exactly them in its part. */
static void make_form(const char *content, size_t bytes)
{
    struct buffer form = {0};
    struct multipart_part part;
    static const char boundary[] = "--b0undary";
    if (bytes && memmem(content, bytes, boundary, sizeof boundary - 1))
        return;
    buffer_append_text(&form, "----b0undary\r\nContent-Disposition: form-data; name=\"other\"\r\n"
                              "\r\nx\r\n----b0undary\r\nContent-Disposition: form-data; "
                              "name=\"file\"; filename=\"a \\\"b\\\"\"\r\nContent-Type: text/plain"
                              "\r\n\r\n");
    buffer_append(&form, content, bytes);
    buffer_append_text(&form, "\r\n----b0undary--\r\n");
    FUZZ_CHECK(multipart_find("multipart/form-data; boundary=--b0undary", form.data, form.bytes,
                              "file", &part));
    FUZZ_CHECK(part.bytes == bytes && (bytes == 0 || memcmp(part.data, content, bytes) == 0));
    FUZZ_CHECK(part.has_filename && strcmp(part.filename, "a \"b\"") == 0 &&
               strcmp(part.content_type, "text/plain") == 0);
    buffer_fini(&form);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct fuzz_rest rest = {(const char *)bytes, count};
    struct multipart_part part;
    if (!routes)
        add_routes();
    char *target = fuzz_take_line(&rest), *content_type = fuzz_take_line(&rest);
    (void)forward_passes_header(target, strlen(target));
    read_target(target);
    if (multipart_find(content_type, rest.text, rest.bytes, "file", &part)) {
        FUZZ_CHECK(multipart_is_form(content_type));
        FUZZ_CHECK(part.data >= rest.text && part.data + part.bytes <= rest.text + rest.bytes);
        FUZZ_CHECK(strlen(part.filename) < MULTIPART_NAME_BYTES &&
                   strlen(part.content_type) < MULTIPART_NAME_BYTES);
    }
    make_form(rest.text, rest.bytes);
    free(content_type);
    free(target);
    return 0;
}
