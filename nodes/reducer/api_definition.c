/* SPDX-License-Identifier: MIT */
/* api_definition.c - the definition that a request names, loaded or written down, and the group that its
 * parameters name. */
#include <string.h>

#include "reducer/api_page.h"

#define KNOWN_MAX 24

bool service_has_windows(const struct service_definition *definition)
{
    return definition->set->windows[definition->type->window].windowed;
}

static enum error_code bad_type(const struct aggregation_set *set, const char *type,
                                struct error *error)
{
    struct buffer names = {0};
    for (int i = 0; i < set->count; i++)
        buffer_append_format(&names, "%s%s", i > 0 ? ", " : "", set->items[i]->name);
    enum error_code code = error_set_field(error, ERR_INVALID, "type",
                                           "type is \"%.60s\"; there never was such an aggregation."
                                           " These are loaded: %s",
                                           type, buffer_text(&names));
    buffer_fini(&names);
    return code;
}

/* One whose file is gone, or has another version now. */
static enum error_code find_stored(struct service *service, const char *type, const char *version,
                                   struct service_definition *definition, struct error *error)
{
    struct postgres *postgres;
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    code = query_definition(postgres, type, version, &service->aggregations->defaults,
                            &definition->stored, error);
    postgres_pool_put(service->pool, postgres);
    if (code)
        return code;
    definition->set = definition->stored;
    definition->type = definition->stored->items[0];
    return ERR_OK;
}

enum error_code service_find_definition(struct service *service, struct http_request *request,
                                        const char *fallback, struct service_definition *definition,
                                        struct error *error)
{
    const struct aggregation_set *loaded = service->aggregations;
    const char *type = http_query(request, "type");
    const char *version = http_query(request, "version");
    *definition = (struct service_definition){.set = loaded};
    if (version && !type)
        return error_set_field(error, ERR_INVALID, "version",
                               "version goes with type: it is that of an aggregation");
    type = type ? type : fallback;
    if (!type)
        return ERR_OK;
    definition->type = aggregation_set_find(loaded, type, strlen(type));
    if (definition->type && (!version || strcmp(definition->type->version, version) == 0))
        return ERR_OK;
    bool other_version = definition->type != NULL;
    enum error_code code = find_stored(service, type, version, definition, error);
    if (code != ERR_NOT_FOUND)
        return code;
    if (other_version)
        return error_set_field(error, ERR_INVALID, "version",
                               "version is \"%.60s\"; %s never had it. %s is loaded", version, type,
                               definition->type->version);
    return bad_type(loaded, type, error);
}

/* The array that event_find_group makes of the values of all keys. */
static void make_group(const char *const values[], int count, struct group_question *group)
{
    for (int i = 0; i < count; i++) {
        buffer_append_char(&group->made, i == 0 ? '[' : ',');
        buffer_append_json_string(&group->made, values[i], strlen(values[i]));
    }
    buffer_append_char(&group->made, ']');
    group->text = buffer_text(&group->made);
}

static bool is_among(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static const struct aggregation_group *keys_of(const struct service_definition *definition)
{
    static const struct aggregation_group none = {.count = 0};
    return definition->type ? &definition->set->groups[definition->type->group] : &none;
}

static enum error_code check_known(struct http_request *request,
                                   const struct aggregation_group *keys, const char *const *names,
                                   struct error *error)
{
    const char *known[KNOWN_MAX + AGGREGATION_KEYS_MAX + 1] = {NULL};
    int count = 0;
    for (; names[count] && count < KNOWN_MAX; count++)
        known[count] = names[count];
    for (int i = 0; i < keys->count; i++)
        known[count++] = keys->keys[i].name;
    if (!is_among(known, "namespace") && http_query(request, "namespace"))
        return error_set_field(error, ERR_INVALID, "namespace",
                               "namespace goes with a type that groups by namespace");
    return http_query_known(request, known, error);
}

enum error_code service_read_group(struct http_request *request,
                                   const struct service_definition *definition,
                                   const char *const *names, struct group_question *group,
                                   struct error *error)
{
    const struct aggregation_group *keys = keys_of(definition);
    const char *values[AGGREGATION_KEYS_MAX];
    const char *whole = http_query(request, "group");
    *group = (struct group_question){.text = whole};
    enum error_code code = check_known(request, keys, names, error);
    for (int i = 0; i < keys->count && !code; i++) {
        const char *name = keys->keys[i].name;
        values[i] = is_among(names, name) ? NULL : http_query(request, name);
        if (!values[i])
            continue;
        if (whole && (keys->count > 1 || strcmp(whole, values[i]) != 0))
            return error_set_field(error, ERR_INVALID, name,
                                   "group and %s both name a group; give one of them", name);
        group->keys[group->keys_count++] = (struct query_key){i, values[i]};
    }
    if (code || group->keys_count == 0 || group->keys_count < keys->count)
        return code;
    group->keys_count = 0;
    if (keys->count == 1)
        group->text = values[0];
    else
        make_group(values, keys->count, group);
    return ERR_OK;
}
