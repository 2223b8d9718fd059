/* SPDX-License-Identifier: MIT */
/* config.h - the options of all programs, declared once in config.def: name, type, unit, range, default
 * and prose. --help, .env.example and docs/reference/configuration.md are generated from the table.
 *
 * Owns      struct config owns its texts; config_fini releases them.
 * Lifetime  Read once at start. Reloading (SIGHUP) reads a second struct config and takes from it
 *           only what may change.
 * Threads   Read-only after config_load.
 * Errors    config_load reports all faults at once, one sentence each with variable, value and legal
 *           range. Secrets are never printed.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* Which programs read an option. */
#define FOR_ORCHESTRATOR 1u
#define FOR_REDUCER 2u
#define FOR_STAMPING 4u
#define FOR_ONEXTREE 8u
#define FOR_BRIDGECTL 16u
#define FOR_BROKER 32u
#define FOR_NODES (FOR_ORCHESTRATOR | FOR_REDUCER)
#define FOR_SERVERS (FOR_NODES | FOR_STAMPING | FOR_ONEXTREE)
#define FOR_DATABASE (FOR_NODES | FOR_STAMPING | FOR_BRIDGECTL)
#define FOR_KAFKA (FOR_NODES | FOR_BRIDGECTL)
#define FOR_ALL 63u

enum config_type { CONFIG_INT, CONFIG_TEXT, CONFIG_SECRET, CONFIG_BOOL, CONFIG_CHOICE, CONFIG_URL };

struct config {
    unsigned programs; /* the FOR_... bit it was loaded for */
#define OPTION_INT(name, field, unit, min, max, value, programs, prose) int64_t field;
#define OPTION_BOOL(name, field, value, programs, prose) bool field;
#define OPTION_TEXT(name, field, value, programs, prose) char *field;
#define OPTION_URL(name, field, value, programs, prose) char *field;
#define OPTION_SECRET(name, field, value, programs, prose) char *field;
#define OPTION_CHOICE(name, field, choices, value, programs, prose) char *field;
#include "base/config.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_TEXT
#undef OPTION_URL
#undef OPTION_SECRET
#undef OPTION_CHOICE
};

/* One row of the table, for help and documentation. */
struct config_option {
    const char *name;
    enum config_type type;
    const char *unit;  /* "" when none; for CONFIG_CHOICE the choices "a|b|c" */
    int64_t min, max;  /* CONFIG_INT only */
    const char *value; /* the default as text */
    unsigned programs;
    const char *prose;
};
extern const struct config_option config_options[];
extern const int config_options_count;

/* Looks a variable up; NULL when unset. getenv for programs, a table in tests. */
typedef const char *config_lookup(const char *name, void *context);

/* Fills *config for the program (one FOR_... bit) from `lookup`; NAME_FILE wins over NAME for every
 * variable. Appends one line for each fault to *faults and returns the number of faults (0: fine). */
int config_load(struct config *config, unsigned program, config_lookup *lookup, void *context,
                struct buffer *faults) MUST_USE;
void config_fini(struct config *config);
const char *config_getenv(const char *name,
                          void *context); /* a config_lookup over the environment */

bool config_is_development(const struct config *config);
/* dev, staging or prod: the first part of topic names. */
const char *config_topic_environment(const struct config *config);

/* libpq connection string from DATABASE_URL or the POSTGRES_... options, free() it. Holds the secret. */
char *config_database_url(const struct config *config) MUST_USE;

/* The text of --help for one program: usage line, then its options. */
void config_help(unsigned program, const char *usage, struct buffer *out);
/* .env.example and docs/reference/configuration.md. */
void config_env_example(struct buffer *out);
void config_markdown(struct buffer *out);

#endif
