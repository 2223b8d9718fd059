/* SPDX-License-Identifier: MIT */
#include "onextree/core/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tree {
    struct tree_entry *entries;
    char **paths;   /* owned */
    char **parents; /* owned, path of the directory */
    size_t count;
    size_t capacity;
    size_t *index[TREE_INDEXES];
    size_t index_count[TREE_INDEXES];
    struct tree_type *types;
    size_t types_count;
    struct tree_totals totals;
};

struct tree *tree_new(void) { return must_calloc(1, sizeof(struct tree)); }

void tree_free(struct tree *tree)
{
    if (tree == NULL)
        return;
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->paths[i]);
        free(tree->parents[i]);
    }
    for (int i = 0; i < TREE_INDEXES; i++)
        free(tree->index[i]);
    free(tree->paths);
    free(tree->parents);
    free(tree->entries);
    free(tree->types);
    free(tree);
}

static void grow(struct tree *tree)
{
    if (tree->count < tree->capacity)
        return;
    tree->capacity = tree->capacity == 0 ? 256 : tree->capacity * 2;
    tree->entries = must_realloc(tree->entries, tree->capacity * sizeof *tree->entries);
    tree->paths = must_realloc(tree->paths, tree->capacity * sizeof *tree->paths);
    tree->parents = must_realloc(tree->parents, tree->capacity * sizeof *tree->parents);
}

/* As Python's Path.suffix: the last dot counts, but not one that begins or ends the name. */
static const char *extension_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL || dot == name || dot[1] == '\0' ? "" : dot + 1;
}

enum error_code tree_add(struct tree *tree, const char *path, bool is_directory, int64_t size_bytes,
                         int64_t modified_us, struct error *error)
{
    if (tree->count == TREE_ENTRIES_MAX)
        return error_set(error, ERR_LIMIT, "the tree has more than %d files and directories",
                         TREE_ENTRIES_MAX);
    grow(tree);
    char *copy = must_strdup(path);
    const char *slash = strrchr(copy, '/');
    const char *name = slash != NULL ? slash + 1 : copy;
    tree->paths[tree->count] = copy;
    tree->parents[tree->count] = must_strndup(copy, slash != NULL ? (size_t)(slash - copy) : 0);
    tree->entries[tree->count++] =
        (struct tree_entry){.path = copy,
                            .name = name,
                            .extension = is_directory ? "" : extension_of(name),
                            .is_directory = is_directory,
                            .size_bytes = size_bytes,
                            .modified_us = modified_us};
    tree->totals.files += !is_directory;
    tree->totals.directories += is_directory;
    tree->totals.size_bytes += is_directory ? 0 : size_bytes;
    return ERR_OK;
}

void tree_count_unreadable(struct tree *tree) { tree->totals.unreadable++; }

static const char *key_of(const struct tree *tree, enum tree_index index, size_t entry)
{
    switch (index) {
    case TREE_BY_PATH:
        return tree->entries[entry].path;
    case TREE_BY_EXTENSION:
        return tree->entries[entry].extension;
    case TREE_BY_NAME:
        return tree->entries[entry].name;
    case TREE_BY_DIRECTORY:
    case TREE_INDEXES:
        break;
    }
    return tree->parents[entry];
}

struct order {
    const struct tree *tree;
    enum tree_index index;
};

/* By key; equal keys keep the order in which they were added. */
static int compare(const void *a, const void *b, void *context)
{
    const struct order *order = context;
    size_t left = *(const size_t *)a;
    size_t right = *(const size_t *)b;
    int difference =
        strcmp(key_of(order->tree, order->index, left), key_of(order->tree, order->index, right));
    return difference != 0 ? difference : left < right ? -1 : left > right;
}

static bool is_indexed(const struct tree *tree, enum tree_index index, size_t entry)
{
    return index != TREE_BY_EXTENSION || tree->entries[entry].extension[0] != '\0';
}

static void build_index(struct tree *tree, enum tree_index index)
{
    struct order order = {tree, index};
    size_t *places = must_calloc(tree->count + 1, sizeof *places);
    size_t count = 0;
    for (size_t i = 0; i < tree->count; i++) {
        if (is_indexed(tree, index, i))
            places[count++] = i;
    }
    qsort_r(places, count, sizeof *places, compare, &order);
    size_t keys = 0;
    for (size_t i = 0; i < count; i++)
        keys += i == 0 ||
                strcmp(key_of(tree, index, places[i - 1]), key_of(tree, index, places[i])) != 0;
    tree->index[index] = places;
    tree->index_count[index] = count;
    tree->totals.index_sizes[index] = keys;
}

static int compare_types(const void *a, const void *b)
{
    const struct tree_type *left = a;
    const struct tree_type *right = b;
    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return strcmp(left->extension, right->extension);
}

static void count_types(struct tree *tree)
{
    size_t keys = tree->totals.index_sizes[TREE_BY_EXTENSION];
    const size_t *places = tree->index[TREE_BY_EXTENSION];
    tree->types = must_calloc(keys + 1, sizeof *tree->types);
    for (size_t i = 0; i < tree->index_count[TREE_BY_EXTENSION]; i++) {
        const char *extension = tree->entries[places[i]].extension;
        size_t used = tree->types_count;
        if (used == 0 || strcmp(tree->types[used - 1].extension, extension) != 0)
            tree->types[tree->types_count++].extension = extension;
        tree->types[tree->types_count - 1].count++;
    }
    qsort(tree->types, tree->types_count, sizeof *tree->types, compare_types);
}

void tree_seal(struct tree *tree)
{
    BUG_IF(tree->types != NULL);
    for (int i = 0; i < TREE_INDEXES; i++)
        build_index(tree, (enum tree_index)i);
    count_types(tree);
}

/* The first place whose key is not less than (or, with `after`, greater than) the key. */
static size_t bound(const struct tree *tree, enum tree_index index, const char *key, bool after)
{
    size_t low = 0;
    size_t high = tree->index_count[index];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int difference = strcmp(key_of(tree, index, tree->index[index][middle]), key);
        if (difference < 0 || (after && difference == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t tree_find(const struct tree *tree, enum tree_index index, const char *key, size_t *first)
{
    *first = bound(tree, index, key, false);
    return bound(tree, index, key, true) - *first;
}

const struct tree_entry *tree_at(const struct tree *tree, enum tree_index index, size_t place)
{
    BUG_IF(place >= tree->index_count[index]);
    return &tree->entries[tree->index[index][place]];
}

const struct tree_totals *tree_get_totals(const struct tree *tree) { return &tree->totals; }

const struct tree_type *tree_types(const struct tree *tree, size_t *count)
{
    *count = tree->types_count;
    return tree->types;
}

bool tree_is_excluded(const char *name)
{
    static const char *const patterns[] = {
        ".git",        "__pycache__", "node_modules",  ".venv", "venv",
        "*.pyc",       ".DS_Store",   ".pytest_cache", "dist",  ".mypy_cache",
        ".ruff_cache", "*.egg-info",  "build",         ".tox",  "coverage",
        ".coverage",   "htmlcov",     "*.swp",         "*.swo", "*~",
        ".tmp",
    };
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const char *pattern = patterns[i];
        size_t suffix = strlen(pattern) - 1;
        if (pattern[0] != '*'
                ? strcmp(pattern, name) == 0
                : length >= suffix && strcmp(name + length - suffix, pattern + 1) == 0)
            return true;
    }
    return false;
}

/* "/src/a.c", "./src/a.c" and "src/a.c/" all mean "src/a.c". */
static size_t find_path(const struct tree *tree, enum tree_index index, const char *text,
                        size_t *first)
{
    while (text[0] == '/' || (text[0] == '.' && text[1] == '/'))
        text++;
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '/')
        length--;
    char *key = must_strndup(text, length);
    size_t count = tree_find(tree, index, key, first);
    free(key);
    return count;
}

static size_t run(const struct tree *tree, const char *text, enum tree_query query,
                  enum tree_index *index, size_t *first)
{
    switch (query) {
    case TREE_QUERY_EXTENSION:
        *index = TREE_BY_EXTENSION;
        return tree_find(tree, *index, text + (*text == '.'), first);
    case TREE_QUERY_PATH:
        *index = TREE_BY_PATH;
        return find_path(tree, *index, text, first);
    case TREE_QUERY_DIRECTORY:
        *index = TREE_BY_DIRECTORY;
        return find_path(tree, *index, text, first);
    case TREE_QUERY_NAME:
    case TREE_QUERY_AUTO:
        break;
    }
    *index = TREE_BY_NAME;
    return tree_find(tree, *index, text, first);
}

size_t tree_query(const struct tree *tree, const char *text, enum tree_query *query,
                  enum tree_index *index, size_t *first)
{
    bool automatic = *query == TREE_QUERY_AUTO;
    if (automatic)
        *query = text[0] == '.' && strchr(text, '/') == NULL ? TREE_QUERY_EXTENSION
                 : strchr(text, '/') != NULL                 ? TREE_QUERY_PATH
                                                             : TREE_QUERY_NAME;
    size_t count = run(tree, text, *query, index, first);
    if (count > 0 || !automatic || *query != TREE_QUERY_EXTENSION)
        return count;
    *query = TREE_QUERY_NAME;
    return run(tree, text, *query, index, first);
}
