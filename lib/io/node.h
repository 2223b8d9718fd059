/* SPDX-License-Identifier: MIT */
/* node.h - what every server's main does the same way: command line, configuration, signals, log.
 *
 *     struct node node;
 *     int status = node_begin(&node, FOR_REDUCER, "bridge-reducer", "usage text", argc, argv);
 *     if (status != NODE_GO)
 *         return status;
 *     ... start parts, http_server_start ...
 *     node_ready(&node, http_server_port(server));
 *     node_wait(&node, reload, context);      // until SIGTERM or SIGINT
 *     ... stop parts ...
 *     return node_end(&node);
 *
 * Owns      struct node owns its configuration. Nodes are never two in one process.
 * Threads   All calls from the main thread; node_begin before any other thread is started, because
 *           it blocks the signals for all of them.
 * Errors    A bad configuration is told on standard error, all faults at once, one line each; the
 *           program then ends with NODE_EXIT_CONFIG.
 */
#ifndef IO_NODE_H
#define IO_NODE_H

#include "base/config.h"
#include "base/error.h"

#define NODE_GO (-1)
#define NODE_EXIT_OK 0
#define NODE_EXIT_FAILED 1
#define NODE_EXIT_CONFIG 2

struct node {
    const char *name;
    unsigned program; /* one FOR_... bit */
    struct config config;
};

/* Handles --help and --version, reads the configuration, starts log and metrics. NODE_GO, or the
 * program's exit status. */
int node_begin(struct node *node, unsigned program, const char *name, const char *usage, int argc,
               char **argv) MUST_USE;
/* Says one sentence on standard error and in the log and gives the exit status that fits the error:
 * NODE_EXIT_CONFIG for ERR_CONFIG, ERR_SCHEMA and ERR_NOT_FOUND, else NODE_EXIT_FAILED. Frees the
 * configuration. */
int node_fail(struct node *node, const struct error *error) MUST_USE;
/* Logs "ready" and tells systemd (NOTIFY_SOCKET) if it asks. */
void node_ready(struct node *node, int port);

/* SIGHUP: the configuration was read again; take from it what may change (API keys). The log level is
 * already set. May be NULL. */
typedef void node_reload(const struct config *fresh, void *context);
/* Returns after SIGTERM or SIGINT. From then on the process ends by itself, with NODE_EXIT_FAILED,
 * when the stop takes longer than SHUTDOWN_TIMEOUT_MS. */
void node_wait(struct node *node, node_reload *reload, void *context);
/* Logs "stopped", frees the configuration, gives NODE_EXIT_OK. */
int node_end(struct node *node) MUST_USE;

#endif
