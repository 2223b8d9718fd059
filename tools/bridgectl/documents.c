/* SPDX-License-Identifier: MIT */
/* documents.c - finds and reads the files to submit: directories in the order of names, text only. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "bridgectl.h"

#define NAMES_BYTES_MAX (64u << 20) /* a list of file names */
#define READ_BYTES 65536

const char *content_type_of(const char *path)
{
    static const struct {
        const char *ending;
        const char *type;
    } types[] = {
        {"md", "text/markdown"},     {"json", "application/json"}, {"yaml", "application/yaml"},
        {"yml", "application/yaml"}, {"html", "text/html"},        {"htm", "text/html"},
        {"css", "text/css"},         {"csv", "text/csv"},          {"xml", "application/xml"},
        {"svg", "image/svg+xml"},    {"js", "text/javascript"},    {"mjs", "text/javascript"},
        {"ts", "text/x-typescript"}, {"py", "text/x-python"},      {"sh", "application/x-sh"},
        {"sql", "application/sql"},  {"toml", "application/toml"}, {"c", "text/x-c"},
        {"h", "text/x-c"},           {"def", "text/x-c"},          {"rs", "text/x-rust"},
        {"go", "text/x-go"},         {"java", "text/x-java"},      {NULL, NULL},
    };
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash != NULL ? slash : path, '.');
    for (size_t i = 0; dot != NULL && types[i].ending != NULL; i++)
        if (strcmp(dot + 1, types[i].ending) == 0)
            return types[i].type;
    return "text/plain";
}

static void add_one(struct documents *documents, const char *path)
{
    if (documents->count == documents->capacity) {
        documents->capacity = documents->capacity == 0 ? 64 : documents->capacity * 2;
        documents->items =
            must_realloc(documents->items, documents->capacity * sizeof *documents->items);
    }
    documents->items[documents->count++] =
        (struct document){.path = must_strdup(path), .content_type = content_type_of(path)};
}

static void add_missing(struct documents *documents, const char *path)
{
    fprintf(stderr, "bridgectl: cannot read %s: %s\n", path, strerror(errno));
    documents->missing++;
}

static int wanted_name(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
           strcmp(entry->d_name, ".git") != 0;
}

static void add_directory(struct documents *documents, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, wanted_name, alphasort);
    if (count < 0) {
        add_missing(documents, path);
        return;
    }
    for (int i = 0; i < count; i++) {
        struct buffer child = {0};
        if (strcmp(path, ".") != 0)
            buffer_append_format(&child, "%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/");
        buffer_append_text(&child, entries[i]->d_name);
        struct stat status;
        /* Links below a directory are not followed: they may lead round in a circle. */
        if (lstat(buffer_text(&child), &status) != 0)
            add_missing(documents, buffer_text(&child));
        else if (S_ISDIR(status.st_mode))
            add_directory(documents, buffer_text(&child));
        else if (S_ISREG(status.st_mode))
            add_one(documents, buffer_text(&child));
        buffer_fini(&child);
        free(entries[i]);
    }
    free(entries);
}

void documents_add(struct documents *documents, const char *path)
{
    struct stat status;
    while (path[0] == '.' && path[1] == '/' && path[2] != '\0')
        path += 2;
    if (strcmp(path, "-") == 0)
        add_one(documents, path);
    else if (stat(path, &status) != 0)
        add_missing(documents, path);
    else if (S_ISDIR(status.st_mode))
        add_directory(documents, path);
    else
        add_one(documents, path);
}

enum error_code read_whole(const char *path, size_t bytes_max, struct buffer *content,
                           struct error *error)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (file == NULL)
        return error_set(error, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    enum error_code code = ERR_OK;
    buffer_clear(content);
    for (;;) {
        buffer_reserve(content, READ_BYTES);
        errno = 0;
        size_t bytes = fread(content->data + content->bytes, 1, READ_BYTES, file);
        content->bytes += bytes;
        content->data[content->bytes] = '\0';
        if (content->bytes > bytes_max)
            code = error_set(error, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, bytes_max);
        else if (bytes == 0 && ferror(file))
            code = error_set(error, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (code != ERR_OK || bytes == 0)
            break;
    }
    if (!standard)
        fclose(file);
    return code;
}

enum error_code documents_add_list(struct documents *documents, const char *file,
                                   struct error *error)
{
    struct buffer names = {0};
    enum error_code code = read_whole(file, NAMES_BYTES_MAX, &names, error);
    char separator = names.bytes > 0 && memchr(names.data, '\0', names.bytes) != NULL ? '\0' : '\n';
    for (size_t at = 0; code == ERR_OK && at < names.bytes;) {
        char *name = names.data + at;
        char *end = memchr(name, separator, names.bytes - at);
        size_t bytes = end != NULL ? (size_t)(end - name) : names.bytes - at;
        name[bytes] = '\0'; /* the buffer has room for one more */
        if (bytes > 0)
            documents_add(documents, name);
        at += bytes + 1;
    }
    buffer_fini(&names);
    return code;
}

void documents_fini(struct documents *documents)
{
    for (size_t i = 0; i < documents->count; i++)
        free(documents->items[i].path);
    free(documents->items);
    *documents = (struct documents){0};
}

enum document_kind document_read(const char *path, struct buffer *content)
{
    struct error error = {0};
    enum error_code code = read_whole(path, CONTENT_BYTES_MAX, content, &error);
    if (code == ERR_OK && content->bytes == 0)
        return DOCUMENT_EMPTY;
    if (code == ERR_OK && memchr(content->data, '\0', content->bytes) == NULL &&
        utf8_is_valid(content->data, content->bytes))
        return DOCUMENT_TEXT;
    buffer_clear(content);
    if (code == ERR_OK)
        return DOCUMENT_BINARY;
    if (code == ERR_TOO_LARGE)
        return DOCUMENT_TOO_LARGE;
    fprintf(stderr, "bridgectl: %s\n", error.text);
    return DOCUMENT_UNREADABLE;
}
