/* SPDX-License-Identifier: MIT */
/* http_internal.h - shared by the http_*.c files of this directory only. */
#ifndef IO_HTTP_INTERNAL_H
#define IO_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/route.h"
#include "io/http_server.h"

struct mg_connection;

#define HTTP_FORM_PARTS_MAX 8
#define HTTP_KEYS_MAX 64
#define HTTP_ORIGINS_MAX 64
#define HTTP_PROXIES_MAX 64
#define HTTP_KEPT_BYTES_MAX 65536 /* buffers of an HTTP thread larger than this are given back */

/* A list of texts cut from "a, b, c". */
struct http_list {
    char *text;
    const char *items[HTTP_KEYS_MAX];
    int count;
};

/* Who may come in; from the configuration. */
struct http_access {
    pthread_rwlock_t keys_lock; /* keys change on SIGHUP */
    struct http_list keys;
    bool key_required;
    struct http_list origins;
    struct http_list proxies;
    bool require_https;
    const char *credential_header; /* or NULL */
    const char *credential;
};

void http_access_init(struct http_access *access, const struct config *config);
void http_access_reload(struct http_access *access, const struct config *config);
void http_access_fini(struct http_access *access);
bool http_access_key_known(struct http_access *access, const struct http_request *request);
bool http_access_trusts(const struct http_access *access, const struct http_request *request);
bool http_access_origin_listed(const struct http_access *access, const char *origin);
bool http_access_https_ok(const struct http_access *access, const struct http_request *request);

/* Everything of one request; kept by the HTTP thread and used again for the next one. */
struct http_exchange {
    struct http_request request;
    struct http_response response;
    struct http_server *server;
    atomic_size_t *bodies_bytes; /* the server's, of all requests being read or handled */
    struct mg_connection *connection;
    int route; /* -1 until known */
    struct route_path path;
    struct buffer path_text;  /* decoded, cut at slashes */
    struct buffer path_whole; /* decoded, for messages */
    struct buffer query_text;
    struct query_parameter query[QUERY_PARAMETERS_MAX];
    int query_count;
    bool close;
    bool is_head;
    struct buffer body;
    atomic_int_least64_t body_started_us; /* monotonic; 0: no body is being read */
    atomic_size_t body_bytes_read;
    atomic_int remote_port;
    struct http_exchange *next_watched;
    size_t body_bytes_reserved; /* of the server's HTTP_BODIES_BYTES_MAX */
    struct buffer out;
    char *form_filenames[HTTP_FORM_PARTS_MAX];
    int form_filenames_count;
    int64_t date_second;
    char date[40];
};

/* The exchange that this thread works on, or NULL. */
extern _Thread_local struct http_exchange *http_exchange_current;

/* Fills the response with a problem. */
void http_exchange_refuse(struct http_exchange *exchange, enum error_code code, int status,
                          const char *name, const char *text);
/* Reads the body as far as the route allows; false: the response is filled with the reason. */
bool http_exchange_take_body(struct http_exchange *exchange,
                             const struct http_route *route) MUST_USE;
void http_exchange_release_body(struct http_exchange *exchange);

/* ERR_INVALID: broken escapes or too many parameters. */
enum error_code http_exchange_parse_query(struct http_exchange *exchange,
                                          struct error *error) MUST_USE;

const struct route_table *http_server_routes(const struct http_server *server);

/* Fills text with who listens on the port: "process 123 (name)", or "another process". */
void http_port_holder(int port, char *text, size_t bytes);
/* ERR_CONFIG when the address cannot be listened on; the text names the port and its holder. */
enum error_code http_port_check(const char *address, int port, struct error *error) MUST_USE;
/* Ends the reading side of all connections on the port, or of the one from remote_port (not 0) alone:
 * idle ones close at once, answers under way are still written. */
void http_port_hang_up(int port, int remote_port);
/* After an answer to a request that was not read to its end: ends the writing side of the connection,
 * then reads and drops what still comes, 16 MiB and 2 s at most. Octets that are unread when a socket
 * is closed make TCP reset the connection, and the client then loses the answer. */
void http_port_linger(int port, const char *remote_address, int remote_port);
/* The library's listening thread looks at its stop flag every two seconds; this wakes it. It then
 * spins until the flag is set, so the stop must follow at once. */
void http_port_stop_listening(int port);

/* Ends requests whose body comes too slowly; knows the exchanges of all HTTP threads. */
struct http_watch;
struct http_watch *http_watch_new(int64_t timeout_ms) MUST_USE;
enum error_code http_watch_start(struct http_watch *watch, int port, struct error *error) MUST_USE;
void http_watch_add(struct http_watch *watch, struct http_exchange *exchange);
void http_watch_remove(struct http_watch *watch, struct http_exchange *exchange);
void http_watch_free(struct http_watch *watch); /* after the HTTP threads have ended */

#endif
