/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/http_internal.h"

static void list_fill(struct http_list *list, const char *text)
{
    list->text = must_strdup(text != NULL ? text : "");
    list->count = 0;
    char *rest = NULL;
    for (char *item = strtok_r(list->text, ", \t\r\n", &rest);
         item != NULL && list->count < HTTP_KEYS_MAX; item = strtok_r(NULL, ", \t\r\n", &rest))
        list->items[list->count++] = item;
}

static void list_fini(struct http_list *list)
{
    free(list->text);
    *list = (struct http_list){0};
}

void http_access_init(struct http_access *access, const struct config *config)
{
    pthread_rwlock_init(&access->keys_lock, NULL);
    list_fill(&access->keys, config->api_key);
    list_fill(&access->origins, config->cors_allowed_origins);
    list_fill(&access->proxies, config->trusted_proxies);
    access->key_required = config->api_key_required;
    access->require_https = config->require_https;
}

void http_access_reload(struct http_access *access, const struct config *config)
{
    struct http_list fresh;
    list_fill(&fresh, config->api_key);
    pthread_rwlock_wrlock(&access->keys_lock);
    struct http_list old = access->keys;
    access->keys = fresh;
    pthread_rwlock_unlock(&access->keys_lock);
    list_fini(&old);
}

void http_access_fini(struct http_access *access)
{
    list_fini(&access->keys);
    list_fini(&access->origins);
    list_fini(&access->proxies);
    pthread_rwlock_destroy(&access->keys_lock);
}

/* The time depends on the length of what was given only, never on where it differs. */
static bool equal_constant_time(const char *given, size_t given_bytes, const char *key)
{
    size_t key_bytes = strlen(key);
    volatile size_t difference = given_bytes ^ key_bytes;
    for (size_t i = 0; i < given_bytes; i++)
        difference |= (size_t)(unsigned char)(given[i] ^ key[key_bytes > 0 ? i % key_bytes : 0]);
    return difference == 0;
}

bool http_access_key_known(struct http_access *access, const struct http_request *request)
{
    const char *given = http_header(request, "X-API-Key");
    const char *authorization = http_header(request, "Authorization");
    if (given == NULL && authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0)
        given = authorization + 7;
    if (given == NULL)
        return false;
    size_t bytes = strlen(given);
    bool known = false;
    pthread_rwlock_rdlock(&access->keys_lock);
    for (int i = 0; i < access->keys.count; i++)
        known |= equal_constant_time(given, bytes, access->keys.items[i]);
    pthread_rwlock_unlock(&access->keys_lock);
    return known;
}

bool http_access_trusts(const struct http_access *access, const struct http_request *request)
{
    const char *given =
        access->credential_header == NULL ? NULL : http_header(request, access->credential_header);
    return given != NULL && equal_constant_time(given, strlen(given), access->credential);
}

bool http_access_origin_listed(const struct http_access *access, const char *origin)
{
    for (int i = 0; i < access->origins.count; i++) {
        if (strcmp(access->origins.items[i], origin) == 0)
            return true;
    }
    return false;
}

bool http_access_https_ok(const struct http_access *access, const struct http_request *request)
{
    if (!access->require_https)
        return true;
    const char *scheme = http_header(request, "X-Forwarded-Proto");
    for (int i = 0; i < access->proxies.count; i++) {
        if (strcmp(access->proxies.items[i], request->remote_address) == 0)
            return scheme != NULL && strcasecmp(scheme, "https") == 0;
    }
    return false; /* nobody who may be believed said https */
}
