/* SPDX-License-Identifier: MIT */
#include "io/contract_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"

/* A temporary or hidden file is no contract; neither are test files beside one. */
static int is_contract_name(const struct dirent *entry)
{
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    const char *name = entry->d_name;
    size_t bytes = strlen(name);
    if (name[0] == '.' || strstr(name, ".test."))
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (bytes > ending && strcmp(name + bytes - ending, endings[i]) == 0)
            return 1;
    }
    return 0;
}

static void io_finding(struct findings *findings, const char *file, const char *what)
{
    struct source_map *map = source_map_new(file);
    finding_add(findings, FINDING_ERROR, map, "", "CONTRACT_UNREADABLE",
                "the file cannot be read: %s", what);
    source_map_free(map);
}

/* Reads one octet more than is allowed, so that a file too large is seen and not read whole. */
static char *file_read(const char *file, size_t *bytes, struct findings *findings)
{
    FILE *stream = fopen(file, "rbe");
    if (!stream) {
        io_finding(findings, file, strerror(errno));
        return NULL;
    }
    char *text = must_alloc(CONTRACT_BYTES_MAX + 2ul);
    *bytes = fread(text, 1, CONTRACT_BYTES_MAX + 1ul, stream);
    bool broken = ferror(stream) != 0;
    int code = errno;
    fclose(stream);
    if (broken) {
        io_finding(findings, file, strerror(code));
        free(text);
        return NULL;
    }
    text[*bytes] = '\0';
    return text;
}

static struct contract *load(const char *file, contract_service_known *known, void *context,
                             struct findings *findings)
{
    size_t bytes = 0;
    char *text = file_read(file, &bytes, findings);
    struct contract *contract =
        text ? contract_parse_among(file, text, bytes, known, context, findings) : NULL;
    free(text);
    return contract;
}

static void too_large(struct findings *findings, const char *file)
{
    struct source_map *map = source_map_new(file);
    finding_add(findings, FINDING_ERROR, map, "", "CONTRACT_TOO_LARGE",
                "the file is larger than %u bytes", CONTRACT_BYTES_MAX);
    source_map_free(map);
}

struct contract *contract_file_load(const char *file, struct findings *findings)
{
    return load(file, NULL, NULL, findings);
}

char *contract_directory_read(const char *directory, const char *name, struct buffer *path,
                              size_t *bytes, struct findings *findings)
{
    buffer_append_format(path, "%s/%s", directory, name);
    char *text = file_read(buffer_text(path), bytes, findings);
    if (!text || *bytes <= CONTRACT_BYTES_MAX)
        return text;
    too_large(findings, buffer_text(path));
    free(text);
    return NULL;
}

struct event_routes *event_routes_load(const char *directory, const char *environment,
                                       struct findings *findings)
{
    struct buffer path = {0};
    size_t bytes = 0;
    char *text = contract_directory_read(directory, "events.yaml", &path, &bytes, findings);
    struct event_routes *routes =
        text ? event_routes_parse(buffer_text(&path), text, bytes, environment, findings) : NULL;
    free(text);
    buffer_fini(&path);
    return routes;
}

const struct aggregation *aggregation_file_load(struct aggregation_set *set, const char *file,
                                                struct findings *findings)
{
    size_t bytes = 0;
    char *text = file_read(file, &bytes, findings);
    const struct aggregation *made = NULL;
    if (text && bytes > CONTRACT_BYTES_MAX)
        too_large(findings, file);
    else if (text)
        made = aggregation_set_parse(set, file, text, bytes, findings);
    free(text);
    return made;
}

enum error_code aggregation_files_load(const char *directory,
                                       const struct aggregation_defaults *defaults,
                                       struct aggregation_set **set, struct findings *findings,
                                       struct error *error)
{
    struct buffer path = {0};
    struct dirent **entries = NULL;
    struct aggregation_set *made = aggregation_set_new(defaults);
    size_t errors = findings->errors;
    enum error_code code = ERR_OK;
    buffer_append_format(&path, "%s/aggregations", directory);
    int count = scandir(buffer_text(&path), &entries, is_contract_name, alphasort);
    if (count < 0 && errno != ENOENT)
        code = error_set(error, ERR_IO, "the directory %s cannot be read: %s", buffer_text(&path),
                         strerror(errno));
    size_t directory_bytes = path.bytes;
    for (int i = 0; i < count; i++) {
        path.bytes = directory_bytes;
        buffer_append_format(&path, "/%s", entries[i]->d_name);
        size_t before = findings->count;
        if (!aggregation_file_load(made, buffer_text(&path), findings))
            findings_sort(findings, before);
        free(entries[i]);
    }
    free(entries);
    buffer_fini(&path);
    if (!code && findings->errors == errors)
        *set = made;
    else
        aggregation_set_free(made);
    return code;
}

enum error_code contract_files_load(const char *directory, contract_service_known *known,
                                    void *context, struct contract_files *files,
                                    struct findings *findings, struct error *error)
{
    struct buffer path = {0};
    buffer_append_format(&path, "%s/workflows", directory);
    struct dirent **entries = NULL;
    int count = scandir(buffer_text(&path), &entries, is_contract_name, alphasort);
    if (count < 0) {
        error_set(error, ERR_IO, "the contracts directory %s cannot be read: %s",
                  buffer_text(&path), strerror(errno));
        buffer_fini(&path);
        return ERR_IO;
    }
    *files = (struct contract_files){must_calloc((size_t)count + 1, sizeof *files->items), 0};
    size_t directory_bytes = path.bytes;
    for (int i = 0; i < count; i++) {
        path.bytes = directory_bytes;
        buffer_append_format(&path, "/%s", entries[i]->d_name);
        files->items[files->count++] = (struct contract_file){
            must_strdup(buffer_text(&path)), load(buffer_text(&path), known, context, findings)};
        free(entries[i]);
    }
    free(entries);
    buffer_fini(&path);
    return ERR_OK;
}

void contract_files_fini(struct contract_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        contract_free(files->items[i].contract);
    }
    free(files->items);
    *files = (struct contract_files){0};
}
