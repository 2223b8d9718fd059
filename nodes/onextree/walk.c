/* SPDX-License-Identifier: MIT */
#include "onextree/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"

struct found {
    char *name;
    bool is_directory;
    int64_t size_bytes;
    int64_t modified_us;
};

struct listing {
    struct found *items;
    size_t count;
    size_t capacity;
};

struct walk {
    struct tree *tree;
    struct buffer path;
    struct error *error;
};

/* Directories first, then files, each by name. */
static int compare(const void *a, const void *b)
{
    const struct found *left = a;
    const struct found *right = b;
    if (left->is_directory != right->is_directory)
        return left->is_directory ? -1 : 1;
    return strcmp(left->name, right->name);
}

static void listing_add(struct listing *listing, const char *name, const struct stat *status)
{
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity == 0 ? 16 : listing->capacity * 2;
        listing->items = must_realloc(listing->items, listing->capacity * sizeof *listing->items);
    }
    listing->items[listing->count++] = (struct found){
        .name = must_strdup(name),
        .is_directory = S_ISDIR(status->st_mode),
        .size_bytes = (int64_t)status->st_size,
        .modified_us = (int64_t)status->st_mtim.tv_sec * 1000000 + status->st_mtim.tv_nsec / 1000,
    };
}

static void listing_fini(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        free(listing->items[i].name);
    free(listing->items);
}

/* Reads one directory; never more entries than a tree can have. */
static void list(struct walk *walk, DIR *directory, struct listing *listing)
{
    struct stat status;
    for (struct dirent *entry;
         listing->count <= TREE_ENTRIES_MAX && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            tree_is_excluded(entry->d_name))
            continue;
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            listing_add(listing, entry->d_name, &status);
        else
            tree_count_unreadable(walk->tree);
    }
    if (listing->count > 0)
        qsort(listing->items, listing->count, sizeof *listing->items, compare);
}

static enum error_code walk_directory(struct walk *walk, int fd, int depth);

static enum error_code enter(struct walk *walk, DIR *parent, const struct found *found, int depth)
{
    if (depth == TREE_DEPTH_MAX)
        return error_set(walk->error, ERR_LIMIT,
                         "the tree has more than %d directories in one another, at %.200s",
                         TREE_DEPTH_MAX, buffer_text(&walk->path));
    int fd = openat(dirfd(parent), found->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return walk_directory(walk, fd, depth + 1);
    tree_count_unreadable(walk->tree);
    return ERR_OK;
}

/* Takes fd over. walk->path is the directory's path, "" for the root. */
static enum error_code walk_directory(struct walk *walk, int fd, int depth)
{
    struct listing listing = {0};
    size_t path_bytes = walk->path.bytes;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        close(fd);
        tree_count_unreadable(walk->tree);
        return ERR_OK;
    }
    list(walk, directory, &listing);
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < listing.count && code == ERR_OK; i++) {
        const struct found *found = &listing.items[i];
        if (path_bytes > 0)
            buffer_append_char(&walk->path, '/');
        buffer_append_text(&walk->path, found->name);
        code = tree_add(walk->tree, buffer_text(&walk->path), found->is_directory,
                        found->size_bytes, found->modified_us, walk->error);
        if (code == ERR_OK && found->is_directory)
            code = enter(walk, directory, found, depth);
        walk->path.bytes = path_bytes;
    }
    listing_fini(&listing);
    closedir(directory);
    return code;
}

struct tree *walk_read(const char *root, struct error *error)
{
    if (root[0] != '/') {
        error_set_field(error, ERR_INVALID, "project_root", "Invalid path: %.300s is not absolute",
                        root);
        return NULL;
    }
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        error_set_field(error, ERR_INVALID, "project_root", "Invalid path: %.300s: %s", root,
                        strerror(errno));
        return NULL;
    }
    struct walk walk = {.tree = tree_new(), .error = error};
    enum error_code code = walk_directory(&walk, fd, 0);
    buffer_fini(&walk.path);
    if (code != ERR_OK) {
        tree_free(walk.tree);
        return NULL;
    }
    tree_seal(walk.tree);
    return walk.tree;
}
