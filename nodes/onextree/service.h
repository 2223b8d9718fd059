/* SPDX-License-Identifier: MIT */
/* service.h - OnexTree: the files of a project, and what a context is about, over HTTP. In memory.
 *
 * Threads   Handlers read the tree under a shared lock. A new tree is built beside the old one, which
 *           goes on answering, and takes its place in one step; one tree is built at a time.
 */
#ifndef ONEXTREE_SERVICE_H
#define ONEXTREE_SERVICE_H

#include <pthread.h>

#include "io/http_server.h"
#include "onextree/core/tree.h"

struct service {
    pthread_mutex_t building;
    pthread_rwlock_t lock; /* guards the two below */
    struct tree *tree;     /* NULL: none loaded */
    int64_t updated_us;
};

extern const struct http_route service_routes[];

void service_init(struct service *service);
void service_fini(struct service *service);
/* Reads the tree of `root` and puts it in place. ERR_INVALID, ERR_LIMIT: the old tree stays. */
enum error_code service_load(struct service *service, const char *root,
                             struct error *error) MUST_USE;

#endif
