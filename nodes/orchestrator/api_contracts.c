/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/metrics.h"
#include "core/asl_picture.h"
#include "io/log.h"
#include "orchestrator/api.h"

/* -- as JSON -- */

/* Name, version, what it is for, and what it may call. */
static struct json *head_json(const struct contract *contract)
{
    struct json *object = json_object();
    json_object_set(object, "name", json_text(contract->name));
    json_object_set(object, "version", json_text(contract->version));
    json_object_set(object, "description", json_text(contract->description));
    if (contract->services != NULL)
        json_object_set(object, "services", json_hold(contract->services));
    return object;
}

/* All of its document, so that it can be published again; of a state machine alone, the contract
 * that does the same. */
static struct json *whole_json(const struct contract *contract)
{
    const struct json *document = contract->document;
    bool is_plain = json_get(document, "state_machine") == NULL;
    struct json *object = is_plain ? head_json(contract) : json_object();
    for (size_t i = 0; !is_plain && i < json_size(document); i++)
        json_object_set(object, json_name_at(document, i, NULL),
                        json_hold(json_member_at(document, i)));
    if (is_plain)
        json_object_set(object, "state_machine",
                        json_hold(asl_machine_definition(contract->machine)));
    return object;
}

static struct json *versions_json(const struct registry_version *versions, size_t count)
{
    struct json *list = json_array();
    for (size_t i = 0; i < count; i++) {
        struct json *item = json_object();
        json_object_set(item, "version", json_text(versions[i].contract->version));
        json_object_set(item, "source", json_text(registry_source_name(versions[i].source)));
        json_object_set(item, "created_at", api_instant(versions[i].created_us));
        json_array_append(list, item);
    }
    return list;
}

/* The version of one name's list that a submission gets which names none; NULL: all are
 * pre-releases. */
static const struct contract *newest_of(const struct registry_version *versions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!contract_version_is_prerelease(versions[i].contract->version))
            return versions[i].contract;
    return NULL;
}

static struct json *name_json(const struct registry_version *versions, size_t count)
{
    const struct contract *newest = newest_of(versions, count);
    struct json *object = head_json(newest == NULL ? versions[0].contract : newest);
    if (newest == NULL)
        json_object_set(object, "version", json_null());
    json_object_set(object, "versions", versions_json(versions, count));
    return object;
}

static struct json *described_json(const struct registry_version *described)
{
    struct json *object = whole_json(described->contract);
    json_object_set(object, "source", json_text(registry_source_name(described->source)));
    json_object_set(object, "created_at", api_instant(described->created_us));
    json_object_set(object, "deleted_at", api_instant(described->deleted_us));
    json_object_set(object, "offered", json_bool(described->offered));
    json_object_set(object, "live_workflows", json_int(described->live));
    return object;
}

/* -- pictures -- */

/* ?format=mermaid|dot|svg|text asks for a picture instead of the document. */
static enum error_code picture_wanted(struct http_request *request, bool *wanted,
                                      enum asl_picture_format *format, struct error *error)
{
    const char *name = http_query(request, "format");
    *wanted = name != NULL && strcmp(name, "json") != 0;
    if (*wanted && !asl_picture_format_parse(name, format))
        return error_set_field(error, ERR_INVALID, "format",
                               "format must be json, mermaid, dot, svg or text, not %.32s", name);
    return ERR_OK;
}

static void picture_answer(struct http_response *response, const struct contract *contract,
                           enum asl_picture_format format)
{
    struct error error = {0};
    enum error_code code = asl_picture_write(asl_machine_definition(contract->machine),
                                             contract->name, format, &response->body, &error);
    if (code != ERR_OK) { /* too many states for an SVG: another form will do */
        struct error told = {0};
        (void)error_set_field(&told, ERR_INVALID, "format", "%s", error.text);
        api_fail(response, &told);
        return;
    }
    response->content_type = asl_picture_media_type(format);
}

/* -- reading -- */

void api_contracts(struct http_request *request, struct http_response *response, void *context)
{
    struct orchestrator *orchestrator = context;
    size_t count;
    struct registry_version *list = registry_list(orchestrator->registry, NULL, &count);
    struct json *answer = json_object(), *items = json_array();
    (void)request;
    for (size_t first = 0, next; first < count; first = next) {
        const char *name = list[first].contract->name;
        for (next = first; next < count && strcmp(list[next].contract->name, name) == 0; next++)
            continue;
        json_array_append(items, name_json(list + first, next - first));
    }
    json_object_set(answer, "items", items);
    json_object_set(answer, "next_cursor", json_null());
    http_json(response, 200, answer);
    json_release(answer);
    free(list);
}

/* The offered versions of a name; what is not known here may have been published a moment ago. */
static enum error_code list_name(struct registry *registry, struct postgres *postgres,
                                 const char *name, struct registry_version **list, size_t *count,
                                 struct error *error)
{
    enum error_code code = ERR_OK;
    *list = registry_list(registry, name, count);
    if (*count == 0)
        code = registry_refresh(registry, postgres, name, error);
    if (*count == 0 && code == ERR_OK) {
        free(*list);
        *list = registry_list(registry, name, count);
    }
    if (*count == 0 && code == ERR_OK)
        code = error_set_field(error, ERR_NOT_FOUND, "name", "there is no contract %.128s", name);
    return code;
}

void api_contract(struct http_request *request, struct http_response *response, void *context)
{
    struct orchestrator *orchestrator = context;
    const char *name = http_path_parameter(request, "name");
    struct registry_version *list = NULL, described;
    struct postgres *postgres;
    struct error error = {0};
    size_t count = 0;
    bool drawn;
    enum asl_picture_format format;
    enum error_code code = picture_wanted(request, &drawn, &format, &error);
    if (code == ERR_OK)
        code = postgres_pool_get(orchestrator->pool, &postgres, &error);
    if (code == ERR_OK) {
        code = list_name(orchestrator->registry, postgres, name, &list, &count, &error);
        if (code == ERR_OK) {
            const struct contract *newest = newest_of(list, count);
            code = registry_describe(orchestrator->registry, postgres, name,
                                     (newest == NULL ? list[0].contract : newest)->version,
                                     &described, &error);
        }
        postgres_pool_put(orchestrator->pool, postgres);
    }
    if (code == ERR_OK && drawn) {
        picture_answer(response, described.contract, format);
    } else if (code == ERR_OK) {
        struct json *answer = described_json(&described);
        json_object_set(answer, "versions", versions_json(list, count));
        http_json(response, 200, answer);
        json_release(answer);
    } else {
        api_fail(response, &error);
    }
    free(list);
}

void api_contract_version(struct http_request *request, struct http_response *response,
                          void *context)
{
    struct orchestrator *orchestrator = context;
    struct registry_version described;
    struct postgres *postgres;
    struct error error = {0};
    bool drawn;
    enum asl_picture_format format;
    enum error_code code = picture_wanted(request, &drawn, &format, &error);
    if (code == ERR_OK)
        code = postgres_pool_get(orchestrator->pool, &postgres, &error);
    if (code == ERR_OK) {
        code = registry_describe(orchestrator->registry, postgres,
                                 http_path_parameter(request, "name"),
                                 http_path_parameter(request, "version"), &described, &error);
        postgres_pool_put(orchestrator->pool, postgres);
    }
    if (code != ERR_OK) {
        api_fail(response, &error);
        return;
    }
    if (drawn) {
        picture_answer(response, described.contract, format);
        return;
    }
    struct json *answer = described_json(&described);
    http_json(response, 200, answer);
    json_release(answer);
}

/* -- publishing -- */

struct publishing {
    const char *file; /* names it in findings, and by its ending tells how to read it */
    bool dry_run;
    struct findings findings;
    struct contract *contract;
};

static bool ends_with(const char *text, const char *ending)
{
    size_t bytes = strlen(text), ending_bytes = strlen(ending);
    return bytes > ending_bytes && strcmp(text + bytes - ending_bytes, ending) == 0;
}

bool api_type_is(const char *content_type, const char *const *names)
{
    size_t bytes = strcspn(content_type, "; \t");
    for (; *names != NULL; names++)
        if (strlen(*names) == bytes && strncasecmp(content_type, *names, bytes) == 0)
            return true;
    return false;
}

static enum error_code choose_file(struct http_request *request, bool is_json,
                                   struct publishing *publishing, struct error *error)
{
    const char *file = http_query(request, "file");
    publishing->file = file != NULL ? file : is_json ? "contract.json" : "contract.yaml";
    if (file == NULL)
        return ERR_OK;
    bool fits =
        is_json ? ends_with(file, ".json") : ends_with(file, ".yaml") || ends_with(file, ".yml");
    if (!fits || strlen(file) > FILE_PATH_BYTES_MAX)
        return error_set_field(error, ERR_INVALID, "file",
                               "file is %.128s; of a body of type %s it must end in %s", file,
                               is_json ? "application/json" : "application/yaml",
                               is_json ? ".json" : ".yaml or .yml");
    return ERR_OK;
}

static enum error_code read_options(struct http_request *request, bool is_json,
                                    struct publishing *publishing, struct error *error)
{
    static const char *const known[] = {"file", "dry_run", NULL};
    enum error_code code = http_query_known(request, known, error);
    const char *dry_run = http_query(request, "dry_run");
    publishing->dry_run = dry_run != NULL && strcmp(dry_run, "true") == 0;
    if (code == ERR_OK && dry_run != NULL && !publishing->dry_run && strcmp(dry_run, "false") != 0)
        code = error_set_field(error, ERR_INVALID, "dry_run",
                               "dry_run is %.64s; it must be true or false", dry_run);
    return code == ERR_OK ? choose_file(request, is_json, publishing, error) : code;
}

static void refuse_findings(struct http_response *response, const struct publishing *publishing)
{
    struct error error = {0};
    struct json *members = json_object();
    error_set(&error, ERR_INVALID, "the contract is not valid: %zu errors, %zu warnings",
              publishing->findings.errors,
              publishing->findings.count - publishing->findings.errors);
    json_object_set(members, "findings", findings_json(&publishing->findings));
    http_problem_with(response, &error, error_code_status(ERR_INVALID), "invalid_contract",
                      members);
}

static void answer_published(struct http_response *response, const struct publishing *publishing,
                             const char *name, const char *version, enum registry_outcome outcome)
{
    struct json *answer = json_object();
    struct buffer location = {0};
    json_object_set(answer, "name", json_text(name));
    json_object_set(answer, "version", json_text(version));
    json_object_set(answer, "outcome",
                    json_text(outcome == REGISTRY_CREATED ? "created" : "unchanged"));
    json_object_set(answer, "dry_run", json_bool(publishing->dry_run));
    json_object_set(answer, "warnings", findings_json(&publishing->findings));
    buffer_append_format(&location, "/api/v1/contracts/%s/versions/%s", name, version);
    if (!publishing->dry_run)
        http_response_header(response, "Location", buffer_text(&location));
    http_json(response, outcome == REGISTRY_CREATED && !publishing->dry_run ? 201 : 200, answer);
    buffer_fini(&location);
    json_release(answer);
}

/* Index of the label of contract_publish_total. */
enum { PUBLISH_CREATED, PUBLISH_UNCHANGED, PUBLISH_CONFLICT, PUBLISH_INVALID, PUBLISH_ERROR };

static int publish(struct orchestrator *orchestrator, struct publishing *publishing,
                   struct http_response *response)
{
    enum registry_outcome outcome = REGISTRY_DIFFERS;
    struct postgres *postgres;
    struct error error = {0};
    char *name = must_strdup(publishing->contract->name);
    char *version = must_strdup(publishing->contract->version);
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, &error);
    if (code == ERR_OK) {
        code = registry_publish(orchestrator->registry, postgres, publishing->contract,
                                publishing->dry_run, &outcome, &error);
        publishing->contract = NULL;
        postgres_pool_put(orchestrator->pool, postgres);
    }
    int result = PUBLISH_ERROR;
    if (code != ERR_OK) {
        api_fail(response, &error);
    } else if (outcome == REGISTRY_DIFFERS) {
        error_set_field(&error, ERR_CONFLICT, "version",
                        "contract %s version %s is there with other content; give it a higher "
                        "version",
                        name, version);
        http_problem_with(response, &error, 409, "version_differs", NULL);
        result = PUBLISH_CONFLICT;
    } else {
        answer_published(response, publishing, name, version, outcome);
        result = outcome == REGISTRY_CREATED ? PUBLISH_CREATED : PUBLISH_UNCHANGED;
    }
    if (result == PUBLISH_CREATED && !publishing->dry_run)
        log_info("contract published", LOG_TEXT("contract", name), LOG_TEXT("version", version));
    free(name);
    free(version);
    return result;
}

void api_contract_publish(struct http_request *request, struct http_response *response,
                          void *context)
{
    static const char *const yaml_types[] = {"application/yaml", "application/x-yaml", "text/yaml",
                                             "text/x-yaml", NULL};
    static const char *const json_types[] = {"application/json", NULL};
    struct orchestrator *orchestrator = context;
    struct publishing publishing = {0};
    struct error error = {0};
    bool is_json = api_type_is(request->content_type, json_types);
    int result = PUBLISH_INVALID;
    if (!is_json && !api_type_is(request->content_type, yaml_types)) {
        error_set_field(&error, ERR_INVALID, "Content-Type",
                        "Content-Type is \"%.64s\"; it must be application/yaml or "
                        "application/json",
                        request->content_type);
        http_problem_with(response, &error, 415, "unsupported_media_type", NULL);
    } else if (read_options(request, is_json, &publishing, &error) != ERR_OK) {
        api_fail(response, &error);
    } else {
        publishing.contract = registry_check(orchestrator->registry, publishing.file, request->body,
                                             request->body_bytes, &publishing.findings);
        if (publishing.contract == NULL)
            refuse_findings(response, &publishing);
        else
            result = publish(orchestrator, &publishing, response);
    }
    if (!publishing.dry_run)
        metrics_add(METRIC_CONTRACTS_PUBLISHED, result, 0, 1);
    contract_free(publishing.contract);
    findings_fini(&publishing.findings);
}

/* -- deleting -- */

void api_contract_delete(struct http_request *request, struct http_response *response,
                         void *context)
{
    struct orchestrator *orchestrator = context;
    const char *name = http_path_parameter(request, "name");
    const char *version = http_path_parameter(request, "version");
    struct registry_version described = {0};
    struct postgres *postgres;
    struct error error = {0};
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, &error);
    if (code == ERR_OK) {
        code = registry_delete(orchestrator->registry, postgres, name, version, &described, &error);
        postgres_pool_put(orchestrator->pool, postgres);
    }
    if (code == ERR_OK) {
        struct json *answer = json_object();
        json_object_set(answer, "name", json_text(name));
        json_object_set(answer, "version", json_text(version));
        json_object_set(answer, "deleted_at", api_instant(described.deleted_us));
        http_json(response, 200, answer);
        json_release(answer);
        log_info("contract deleted", LOG_TEXT("contract", name), LOG_TEXT("version", version));
    } else if (code == ERR_CONFLICT) {
        struct json *members = json_object();
        json_object_set(members, "live_workflows", json_int(described.live));
        http_problem_with(response, &error, 409, "contract_in_use", members);
    } else {
        api_fail(response, &error);
    }
}
