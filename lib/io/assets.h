/* SPDX-License-Identifier: MIT */
/* assets.h - files of the tree that are part of the programs: pages and descriptions of the HTTP APIs.
 * The Makefile turns nodes/<path> into build/<mode>/assets/<path>.c; one name here for each file.
 *
 * Owns      Nothing: the octets are constants of the program, followed by a NUL that bytes does not
 *           count.
 * Threads   Any.
 */
#ifndef IO_ASSETS_H
#define IO_ASSETS_H

#include <stddef.h>

#include "io/http_server.h"

struct asset {
    const char *data;
    size_t bytes;
};

extern const struct asset asset_docs_html; /* /docs: shows /openapi.json of its own origin */
extern const struct asset asset_orchestrator_openapi_json; /* /openapi.json of the orchestrator */
extern const struct asset asset_orchestrator_index_html;   /* / of the orchestrator */
extern const struct asset asset_reducer_openapi_json;      /* /openapi.json of the reducer */
extern const struct asset asset_reducer_index_html;        /* / of the reducer */

/* Answers with an asset; content_type is a literal. A page gets the Content-Security-Policy that lets
 * its own scripts and styles run and lets it call its own origin, nothing else. */
void http_asset(struct http_response *response, const struct asset *asset,
                const char *content_type);
#define ASSET_PAGE "text/html; charset=utf-8"
#define ASSET_JSON "application/json"

#endif
