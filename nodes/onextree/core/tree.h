/* SPDX-License-Identifier: MIT */
/* tree.h - the files and directories of a project, with indexes by path, extension, name and
 * directory. Pure: the caller reads the disk and adds what it finds.
 *
 * Owns      A tree owns copies of all paths. Filled by tree_add, sealed once, then read-only.
 * Threads   A sealed tree may be read by many threads.
 * Units     *_bytes octets, *_us microseconds.
 * Errors    ERR_LIMIT when TREE_ENTRIES_MAX is reached.
 */
#ifndef ONEXTREE_CORE_TREE_H
#define ONEXTREE_CORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TREE_ENTRIES_MAX 1000000 /* files and directories */
#define TREE_DEPTH_MAX 64        /* directories in one another */

struct tree;

struct tree_entry {
    const char *path; /* relative to the root, with '/' between names */
    const char *name;
    const char *extension; /* without its dot, "" when there is none; of files only */
    bool is_directory;
    int64_t size_bytes;
    int64_t modified_us;
};

enum tree_index { TREE_BY_PATH, TREE_BY_EXTENSION, TREE_BY_NAME, TREE_BY_DIRECTORY, TREE_INDEXES };

struct tree_type {
    const char *extension;
    size_t count;
};

struct tree_totals {
    size_t files;
    size_t directories;
    int64_t size_bytes;
    size_t unreadable;                /* entries that were skipped because they could not be read */
    size_t index_sizes[TREE_INDEXES]; /* different keys */
};

struct tree *tree_new(void) MUST_USE;
void tree_free(struct tree *tree);
/* Entries of one directory come one after another, directories first, in the order of names. */
enum error_code tree_add(struct tree *tree, const char *path, bool is_directory, int64_t size_bytes,
                         int64_t modified_us, struct error *error) MUST_USE;
void tree_count_unreadable(struct tree *tree);
void tree_seal(struct tree *tree);

/* The run of entries whose key is `key`: *first is the place of the first one in the index; returns
 * how many there are. The key of TREE_BY_DIRECTORY is the path of the parent, "" for the root. */
size_t tree_find(const struct tree *tree, enum tree_index index, const char *key, size_t *first);
const struct tree_entry *tree_at(const struct tree *tree, enum tree_index index, size_t place);
const struct tree_totals *tree_get_totals(const struct tree *tree);
/* Extensions by falling count; *count of them. Files without one are not in the list. */
const struct tree_type *tree_types(const struct tree *tree, size_t *count);

/* Version control, caches, build output: names that no tree holds. */
bool tree_is_excluded(const char *name);

enum tree_query {
    TREE_QUERY_EXTENSION,
    TREE_QUERY_NAME,
    TREE_QUERY_PATH,
    TREE_QUERY_DIRECTORY,
    TREE_QUERY_AUTO
};
/* TREE_QUERY_AUTO: a leading "." means an extension, a "/" a path, anything else a name. When no file
 * has the extension, it is a name (".gitignore"). Gives the kind that was used in *query. */
size_t tree_query(const struct tree *tree, const char *text, enum tree_query *query,
                  enum tree_index *index, size_t *first);

#endif
