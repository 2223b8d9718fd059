/* SPDX-License-Identifier: MIT */
/* audit.h - what the files of `bridgectl audit` share: the clients' ledger, the database, the topic and the rows
 * of the reducers held against each other, while everything runs on.
 *
 *     audit.c        the command: opens everything, goes through the parts in the order that makes them comparable
 *     audit_ledger.c what clients were told, and what was done to the system meanwhile
 *     audit_log.c    the database: workflows, their ends, numbers of the lanes
 *     audit_topic.c  the topic
 *     audit_tell.c   the table, as text or JSON
 *
 * Order: what is published is asked for before the ends of the topic, and the log is read after the topic. So
 * what is published must be on the topic, and what is on the topic must be in the log, whatever happens
 * meanwhile.
 *
 * Owns      audit.c owns struct audit: 40 octets for each line of the ledger, two for each event of the log
 *           (lane_check.h), 40 MiB for the times (activity.h), and what a rebuild of the largest partition needs.
 * Threads   The main thread.
 */
#ifndef BRIDGECTL_AUDIT_H
#define BRIDGECTL_AUDIT_H

#include "base/limits.h"
#include "core/activity.h"
#include "core/lane_check.h"
#include "io/postgres.h"
#include "rebuild.h"

#define AUDIT_LEDGER_LINES_MAX 10000000
#define AUDIT_FAULTS_MAX 100000
#define AUDIT_EXAMPLE_BYTES 200

/* What may be found. Names and sentences: audit_tell.c. */
enum audit_check {
    AUDIT_LOST,
    AUDIT_UNFINISHED,
    AUDIT_DOUBLED,
    AUDIT_OTHERWISE,
    AUDIT_BROKEN,
    AUDIT_NUMBERS,
    AUDIT_MISSING,
    AUDIT_UNPUBLISHED,
    AUDIT_UNSAVED,
    AUDIT_EVENTS_DOUBLED,
    AUDIT_MISORDERED,
    AUDIT_UNREAD,
    AUDIT_DIFFERENCES,
    AUDIT_CHECKS
};

struct audit_found {
    int64_t count;
    char example[AUDIT_EXAMPLE_BYTES]; /* the first one */
};

/* A workflow that a client was told of. */
struct audit_entry {
    struct uuid id;
    uint64_t key; /* hash of namespace and idempotency key; 0: none */
    uint64_t namespace;
    uint8_t state; /* enum workflow_state that it was told; WORKFLOW_NONE: not the end */
    bool seen;     /* in the database */
};

struct audit_ledger {
    struct audit_entry *entries; /* by id, each once, when it is read */
    size_t count, capacity;
    uint64_t *namespaces; /* sorted hashes */
    size_t namespaces_count;
    int64_t lines;
};

struct audit_fault {
    int64_t at_us;
    char what[NAME_BYTES_MAX];
};

struct audit_lane {
    struct lane_check check;
    int64_t demanded_seq;  /* published before the topic's ends were asked for: must be there */
    int64_t next_seq;      /* after the topic was read */
    int64_t published_seq; /* then */
};

struct audit {
    const struct ctl *ctl;
    bool settled;  /* nothing is under way any more */
    bool complete; /* the ledger has all workflows of its namespaces */
    struct postgres *postgres;
    struct rebuild rebuild; /* topic and aggregates */
    struct progress progress;
    struct audit_ledger ledger;
    bool has_ledger;
    struct audit_fault *faults;
    size_t faults_count, faults_capacity;
    int64_t incarnation;
    int64_t oldest_ms; /* of ids that the log may have: older partitions were dropped; 0: all */
    int shards;
    struct audit_lane *lanes; /* by shard */
    bool *dropped;            /* by partition: the broker no longer has its first records */
    struct activity activity;
    int64_t workflows, finished, records, events, events_total, repeats, foreign, unknown;
    int64_t ledger_finished, ledger_pruned;
    struct audit_found found[AUDIT_CHECKS];
    struct text_list unchecked; /* sentences, owned */
};

void audit_found(struct audit *audit, enum audit_check check, int64_t count, const char *format,
                 ...) PRINTF_LIKE(4, 5);
void audit_unchecked(struct audit *audit, const char *format, ...) PRINTF_LIKE(2, 3);

/* -- audit_ledger.c -- */

enum error_code audit_read_ledger(struct audit *audit, const char *path,
                                  struct error *error) MUST_USE;
enum error_code audit_read_faults(struct audit *audit, const char *path,
                                  struct error *error) MUST_USE;
struct audit_entry *audit_ledger_find(struct audit *audit, const struct uuid *id);
bool audit_ledger_knows_namespace(const struct audit *audit, const char *namespace, size_t bytes);
/* After the database was gone through: what was not seen there. */
void audit_ledger_close(struct audit *audit);
void audit_ledger_fini(struct audit_ledger *ledger);

/* -- audit_log.c -- */

enum error_code audit_open_log(struct audit *audit, struct error *error) MUST_USE;
/* What must be on the topic; before its ends are asked for. */
enum error_code audit_ask_published(struct audit *audit, struct error *error) MUST_USE;
enum error_code audit_read_workflows(struct audit *audit, struct error *error) MUST_USE;
/* The lanes' numbers, each held against what was seen of it on the topic. */
enum error_code audit_read_lanes(struct audit *audit, struct error *error) MUST_USE;

/* -- audit_topic.c -- */

enum error_code audit_read_topic(struct audit *audit, struct error *error) MUST_USE;

/* -- audit_tell.c -- */

bool audit_is_fine(const struct audit *audit);
void audit_tell(struct audit *audit);
struct json *audit_json(struct audit *audit) MUST_USE;

#endif
