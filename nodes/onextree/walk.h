/* SPDX-License-Identifier: MIT */
/* walk.h - reads a project's directories from the disk into a tree.
 *
 * Symbolic links are listed as they are and never followed; entries that cannot be read are counted
 * and skipped; excluded names (tree.h) are left out.
 * Errors    ERR_INVALID: the root is missing, no directory, not absolute, or may not be read.
 *           ERR_LIMIT: TREE_ENTRIES_MAX or TREE_DEPTH_MAX.
 */
#ifndef ONEXTREE_WALK_H
#define ONEXTREE_WALK_H

#include "onextree/core/tree.h"

/* A sealed tree, or NULL. */
struct tree *walk_read(const char *root, struct error *error) MUST_USE;

#endif
