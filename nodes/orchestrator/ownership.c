/* SPDX-License-Identifier: MIT */
#include "orchestrator/ownership.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/ownership_internal.h"
#include "orchestrator/schema.h"
#include "orchestrator/worker.h"

#define RETRY_US 200000
#define DOUBT_US 20000  /* between two looks that were asked for */
#define OPEN_US 1000000 /* longest time at the start to learn who lives */
#define OPEN_PAUSE_MS 5
#define LEAVE_PAUSE_US 1000

/* -- lock and lease -- */

/* The lock lives and dies with the session, and a lost session is replaced unseen. Somebody who asks whether
 * it is free may hold it for a moment: then it is asked for again soon. */
static enum error_code hold_lock(struct ownership *ownership, struct error *error)
{
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    if (ownership->locked_us != 0 &&
        ownership->locked_us == postgres_connected_us(ownership->postgres))
        return ERR_OK;
    postgres_set_int8(&value, ownership->lock_key);
    enum error_code code = postgres_query(ownership->postgres, "SELECT pg_try_advisory_lock($1)",
                                          &value, 1, &rows, error);
    ownership->locked_us = 0;
    if (code == ERR_OK && postgres_rows_bool(rows, 0, 0))
        ownership->locked_us = postgres_connected_us(ownership->postgres);
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return code;
}

/* *joined: the row was not there. */
static enum error_code renew_lease(struct ownership *ownership, bool *joined, struct error *error)
{
    static const char sql[] =
        "WITH gone AS (DELETE FROM instances WHERE lease_expires_at < clock_timestamp() - interval "
        "'1 day') "
        "INSERT INTO instances (instance_id, advertised_url, lock_key, lease_expires_at, version) "
        "VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5) "
        "ON CONFLICT (instance_id) DO UPDATE SET lease_expires_at = excluded.lease_expires_at "
        "RETURNING xmax = 0";
    struct postgres_value values[5] = {{0}};
    struct postgres_rows *rows = NULL;
    postgres_set_uuid(&values[0], &ownership->orchestrator->instance_id);
    postgres_set_string(&values[1], ownership->advertised_url);
    postgres_set_int8(&values[2], ownership->lock_key);
    postgres_set_double(&values[3], (double)ownership->orchestrator->config->lease_ms / 1000.0);
    postgres_set_string(&values[4], VERSION);
    enum error_code code = postgres_query(ownership->postgres, sql, values, 5, &rows, error);
    *joined = code == ERR_OK && postgres_rows_bool(rows, 0, 0);
    postgres_rows_free(rows);
    postgres_values_fini(values, 5);
    return code;
}

/* Where others reach our listener: the address we were told to listen on, else the one that the way to the
 * database has here. */
static void make_peer_address(struct ownership *ownership)
{
    const char *bound = ownership->orchestrator->config->bind_address;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    } own;
    socklen_t bytes = sizeof own;
    char host[INET6_ADDRSTRLEN] = "127.0.0.1"; /* a database on this machine, by a Unix socket */
    bool any = *bound == '\0' || strcmp(bound, "0.0.0.0") == 0 || strcmp(bound, "::") == 0;
    if (!any)
        snprintf(host, sizeof host, "%s", bound);
    else if (getsockname(postgres_socket(ownership->postgres), &own.any, &bytes) != 0)
        return;
    else if (own.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &own.four.sin_addr, host, sizeof host);
    else if (own.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &own.six.sin6_addr, host, sizeof host);
    snprintf(ownership->peer_address, sizeof ownership->peer_address,
             strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host, peers_port(ownership->peers));
}

/* A new session hears what follows; what came before it is read. */
static enum error_code follow(struct ownership *ownership, bool *heard, struct error *error)
{
    struct postgres *postgres = ownership->postgres;
    *heard = postgres_notified(postgres);
    bool listening = ownership->listening_us == postgres_connected_us(postgres);
    if (listening && !*heard)
        return ERR_OK;
    ownership->listening_us = 0; /* until all has been read */
    enum error_code code =
        postgres_query(postgres, "LISTEN " REGISTRY_CHANNEL, NULL, 0, NULL, error);
    if (code == ERR_OK)
        code = postgres_query(postgres, "LISTEN " OWNERSHIP_CHANNEL, NULL, 0, NULL, error);
    int64_t session_us = postgres_connected_us(postgres);
    if (code == ERR_OK)
        code = registry_refresh(ownership->orchestrator->registry, postgres, NULL, error);
    if (code == ERR_OK)
        ownership->listening_us = session_us;
    return code;
}

static enum error_code beat(struct ownership *ownership, int64_t now_us, struct error *error)
{
    bool joined = false;
    enum error_code code = hold_lock(ownership, error);
    if (code == ERR_OK && now_us >= ownership->lease_us) {
        if (!atomic_load(&ownership->left))
            code = renew_lease(ownership, &joined, error);
        int64_t third_us = ownership->orchestrator->config->lease_ms * 1000 / 3;
        ownership->lease_us =
            now_us + (code != ERR_OK || ownership->locked_us == 0 ? RETRY_US : third_us);
        ownership->look_us = 0;
        if (code == ERR_OK)
            code = schema_look(ownership->orchestrator, ownership->postgres, error);
    }
    if (code == ERR_OK && joined)
        code = ownership_tell(ownership, error);
    return code;
}

/* -- the thread -- */

/* Until something is due, or somebody has something to say. *asked: a worker, or one who doubts the owner. */
static void wait_for_more(struct ownership *ownership, bool *asked, bool *changed)
{
    int64_t now_us = clock_monotonic_us();
    int64_t due_us = ownership->lease_us;
    if (ownership->look_us < due_us)
        due_us = ownership->look_us;
    if (peers_due_us(ownership->peers) < due_us)
        due_us = peers_due_us(ownership->peers);
    struct pollfd places[3] = {{.fd = ownership->wake, .events = POLLIN},
                               {.fd = postgres_socket(ownership->postgres), .events = POLLIN},
                               {.fd = peers_fd(ownership->peers), .events = POLLIN}};
    eventfd_t rings;
    poll(places, 3, due_us <= now_us ? 0 : (int)((due_us - now_us) / 1000 + 1));
    *asked = eventfd_read(ownership->wake, &rings) == 0;
    *changed = peers_poll(ownership->peers, clock_monotonic_us());
}

static enum error_code turn(struct ownership *ownership, bool asked, bool changed,
                            struct error *error)
{
    int64_t now_us = clock_monotonic_us();
    bool heard = false;
    if (postgres_is_dead(ownership->postgres))
        ownership->lease_us = 0; /* a new session, a lock, and a look at what happened meanwhile */
    enum error_code code = beat(ownership, now_us, error);
    if (code == ERR_OK)
        code = follow(ownership, &heard, error);
    if (code == ERR_OK)
        code = ownership_take_back(ownership, error);
    if (heard || changed)
        ownership->look_us = 0;
    if (asked && ownership->looked_us + DOUBT_US < ownership->look_us)
        ownership->look_us = ownership->looked_us + DOUBT_US;
    if (code == ERR_OK && now_us >= ownership->look_us)
        code = ownership_look(ownership, error);
    return code;
}

static void *run(void *context)
{
    struct ownership *ownership = context;
    bool failing = false;
    while (!atomic_load(&ownership->stopping)) {
        struct error error = {0};
        bool asked, changed;
        wait_for_more(ownership, &asked, &changed);
        if (atomic_load(&ownership->stopping))
            break;
        enum error_code code = turn(ownership, asked, changed, &error);
        if (code != ERR_OK) {
            if (!failing)
                log_warning("lease cannot be renewed", LOG_TEXT("error", error.text));
            ownership->lease_us = ownership->look_us = clock_monotonic_us() + RETRY_US;
        }
        failing = code != ERR_OK;
    }
    return NULL;
}

/* -- life -- */

/* Before anything is served: who lives, and what is free? The dead are told from the living in a moment. */
static enum error_code first_look(struct ownership *ownership, struct error *error)
{
    int64_t until_us = clock_monotonic_us() + OPEN_US;
    bool heard, changed;
    enum error_code code = postgres_connect(ownership->postgres, error);
    if (code != ERR_OK)
        return code;
    ownership->first_us = postgres_connected_us(ownership->postgres);
    make_peer_address(ownership);
    code = beat(ownership, clock_monotonic_us(), error);
    if (code == ERR_OK)
        code = follow(ownership, &heard, error);
    if (code == ERR_OK)
        code = ownership_look(ownership, error);
    while (code == ERR_OK && ownership->unsure && clock_monotonic_us() < until_us) {
        poll(&(struct pollfd){.fd = peers_fd(ownership->peers), .events = POLLIN}, 1,
             OPEN_PAUSE_MS);
        changed = peers_poll(ownership->peers, clock_monotonic_us());
        if (changed || clock_monotonic_us() >= ownership->look_us)
            code = ownership_look(ownership, error);
    }
    return code;
}

/* A login takes PostgreSQL a while. What goes wrong is found out when the connection is used. */
static void *connect_ahead(void *context)
{
    struct ownership *ownership = context;
    struct error error = {0};
    (void)!postgres_connect(ownership->postgres, &error);
    return NULL;
}

struct ownership *ownership_new(struct orchestrator *orchestrator)
{
    struct ownership *ownership = must_calloc(1, sizeof *ownership);
    char name[64];
    snprintf(name, sizeof name, "bridge-orchestrator %s", orchestrator->node_id);
    ownership->orchestrator = orchestrator;
    ownership->postgres = postgres_new(orchestrator->database_url, name,
                                       "-c lock_timeout=5s -c statement_timeout=10s");
    postgres_set_reply_timeout(ownership->postgres, (int)orchestrator->config->lease_ms / 3);
    memcpy(&ownership->lock_key, orchestrator->instance_id.octets + 8, sizeof ownership->lock_key);
    ownership->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_IF(ownership->wake < 0);
    owners_wake_by(orchestrator->owners, ownership->wake);
    int failed = pthread_create(&ownership->connector, NULL, connect_ahead, ownership);
    BUG_IF(failed);
    ownership->connecting = true;
    return ownership;
}

static void wait_connected(struct ownership *ownership)
{
    if (ownership->connecting)
        pthread_join(ownership->connector, NULL);
    ownership->connecting = false;
}

enum error_code ownership_open(struct ownership *ownership, const char *advertised_url,
                               struct error *error)
{
    const struct orchestrator *orchestrator = ownership->orchestrator;
    const struct config *config = orchestrator->config;
    ownership->advertised_url = must_strdup(advertised_url);
    wait_connected(ownership);
    enum error_code code =
        peers_open(&ownership->peers, config->bind_address, (int)config->orchestrator_peer_port,
                   &orchestrator->instance_id, error);
    return code == ERR_OK ? first_look(ownership, error) : code;
}

void ownership_start(struct ownership *ownership)
{
    int failed = pthread_create(&ownership->thread, NULL, run, ownership);
    BUG_IF(failed);
    ownership->started = true;
    ownership_house_start(&ownership->house, ownership->orchestrator);
}

bool ownership_leave(struct ownership *ownership, int64_t until_us)
{
    if (ownership == NULL || !ownership->started)
        return false;
    atomic_store(&ownership->leaving, true);
    eventfd_write(ownership->wake, 1);
    while (!atomic_load(&ownership->followed) && clock_monotonic_us() < until_us)
        clock_sleep_us(LEAVE_PAUSE_US);
    return atomic_load(&ownership->left);
}

/* What was not given in time. */
static void give_rest(struct ownership *ownership)
{
    struct postgres_value value = {0};
    struct error error = {0};
    postgres_set_uuid(&value, &ownership->orchestrator->instance_id);
    enum error_code code = postgres_query(
        ownership->postgres, "UPDATE shards SET owner = NULL, epoch = epoch + 1 WHERE owner = $1",
        &value, 1, NULL, &error);
    if (code == ERR_OK)
        code = postgres_query(ownership->postgres, "DELETE FROM instances WHERE instance_id = $1",
                              &value, 1, NULL, &error);
    if (code == ERR_OK)
        code = ownership_tell(ownership, &error);
    if (code != ERR_OK)
        log_warning("shards cannot be given back; others take them when the lease has run out",
                    LOG_TEXT("error", error.text));
    postgres_value_fini(&value);
}

void ownership_close(struct ownership *ownership)
{
    if (ownership == NULL)
        return;
    atomic_store(&ownership->stopping, true);
    eventfd_write(ownership->wake, 1);
    if (ownership->started)
        pthread_join(ownership->thread, NULL);
    wait_connected(ownership);
    if (postgres_connected(ownership->postgres) && !atomic_load(&ownership->left))
        give_rest(ownership);
    ownership_house_stop(&ownership->house);
    owners_wake_by(ownership->orchestrator->owners, -1);
    peers_free(ownership->peers);
    postgres_free(ownership->postgres);
    free(ownership->advertised_url);
    close(ownership->wake);
    free(ownership);
}
