/* SPDX-License-Identifier: MIT */
#include "base/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

const struct config_option config_options[] = {
#define OPTION_INT(name, field, unit, min, max, value, programs, prose)                            \
    {name, CONFIG_INT, unit, min, max, value, programs, prose},
#define OPTION_BOOL(name, field, value, programs, prose)                                           \
    {name, CONFIG_BOOL, "", 0, 1, value, programs, prose},
#define OPTION_TEXT(name, field, value, programs, prose)                                           \
    {name, CONFIG_TEXT, "", 0, 0, value, programs, prose},
#define OPTION_URL(name, field, value, programs, prose)                                            \
    {name, CONFIG_URL, "", 0, 0, value, programs, prose},
#define OPTION_SECRET(name, field, value, programs, prose)                                         \
    {name, CONFIG_SECRET, "", 0, 0, value, programs, prose},
#define OPTION_CHOICE(name, field, choices, value, programs, prose)                                \
    {name, CONFIG_CHOICE, choices, 0, 0, value, programs, prose},
#include "base/config.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_TEXT
#undef OPTION_URL
#undef OPTION_SECRET
#undef OPTION_CHOICE
};
const int config_options_count = sizeof config_options / sizeof config_options[0];

/* Where each option lives in struct config. */
static const size_t offsets[] = {
#define OPTION_INT(name, field, unit, min, max, value, programs, prose)                            \
    offsetof(struct config, field),
#define OPTION_BOOL(name, field, value, programs, prose) offsetof(struct config, field),
#define OPTION_TEXT(name, field, value, programs, prose) offsetof(struct config, field),
#define OPTION_URL(name, field, value, programs, prose) offsetof(struct config, field),
#define OPTION_SECRET(name, field, value, programs, prose) offsetof(struct config, field),
#define OPTION_CHOICE(name, field, choices, value, programs, prose) offsetof(struct config, field),
#include "base/config.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_TEXT
#undef OPTION_URL
#undef OPTION_SECRET
#undef OPTION_CHOICE
};

#define SECRET_FILE_BYTES_MAX 65536

static void *place(struct config *config, int option) { return (char *)config + offsets[option]; }

const char *config_getenv(const char *name, void *context)
{
    (void)context;
    return getenv(name);
}

static void fault(struct buffer *faults, int *count, const struct config_option *option,
                  const char *value, const char *allowed)
{
    bool hidden = option->type == CONFIG_SECRET;
    buffer_append_format(faults, "%s=%s: %s\n", option->name, hidden ? "(hidden)" : value, allowed);
    (*count)++;
}

/* The text of NAME_FILE without its last line break; NULL with a fault when it cannot be read. */
static char *read_file(const char *path, const char *variable, struct buffer *faults, int *count)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        buffer_append_format(faults, "%s_FILE=%s: %s; name a file that can be read\n", variable,
                             path, strerror(errno));
        (*count)++;
        return NULL;
    }
    char *text = must_alloc(SECRET_FILE_BYTES_MAX + 1);
    size_t bytes = fread(text, 1, SECRET_FILE_BYTES_MAX, file);
    fclose(file);
    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r'))
        bytes--;
    text[bytes] = '\0';
    return text;
}

static void set_int(struct config *config, int index, const char *value, struct buffer *faults,
                    int *count)
{
    const struct config_option *option = &config_options[index];
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno == 0 && end != value && *end == '\0' && number >= option->min &&
        number <= option->max) {
        *(int64_t *)place(config, index) = number;
        return;
    }
    char allowed[128];
    snprintf(allowed, sizeof allowed, "must be a whole number from %" PRId64 " to %" PRId64 " (%s)",
             option->min, option->max, option->unit);
    fault(faults, count, option, value, allowed);
}

static void set_bool(struct config *config, int index, const char *value, struct buffer *faults,
                     int *count)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no",
                                                                                "off"};
    const struct config_option *option = &config_options[index];
    bool *field = place(config, index);
    if (strcmp(value, "auto") == 0 && strcmp(option->value, "auto") == 0) {
        *field = !config_is_development(config);
        return;
    }
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *field = strcmp(value, yes[i]) == 0;
            return;
        }
    }
    fault(faults, count, option, value, "must be true or false");
}

static bool is_choice(const char *choices, const char *value)
{
    size_t bytes = strlen(value);
    for (const char *p = choices; p != NULL; p = strchr(p, '|')) {
        p += *p == '|';
        if (strncmp(p, value, bytes) == 0 && (p[bytes] == '|' || p[bytes] == '\0') && bytes > 0)
            return true;
        if (*p == '\0')
            break;
    }
    return false;
}

static bool is_url(const char *value)
{
    const char *host = strncmp(value, "http://", 7) == 0    ? value + 7
                       : strncmp(value, "https://", 8) == 0 ? value + 8
                                                            : NULL;
    return host != NULL && *host != '\0' && *host != '/' && strpbrk(value, " \t\r\n") == NULL;
}

static void set_text(struct config *config, int index, const char *value, struct buffer *faults,
                     int *count)
{
    const struct config_option *option = &config_options[index];
    if (option->type == CONFIG_CHOICE && !is_choice(option->unit, value)) {
        char allowed[256];
        snprintf(allowed, sizeof allowed, "must be one of %s", option->unit);
        fault(faults, count, option, value, allowed);
        value = option->value;
    } else if (option->type == CONFIG_URL && *value != '\0' && !is_url(value)) {
        fault(faults, count, option, value, "must be a URL such as http://host:8080");
        value = option->value;
    }
    char **field = place(config, index);
    free(*field);
    *field = must_strdup(value);
    size_t bytes = strlen(*field);
    if (option->type == CONFIG_URL && bytes > 0 && (*field)[bytes - 1] == '/')
        (*field)[bytes - 1] = '\0';
}

static void set_option(struct config *config, int index, const char *value, struct buffer *faults,
                       int *count)
{
    switch (config_options[index].type) {
    case CONFIG_INT:
        set_int(config, index, value, faults, count);
        break;
    case CONFIG_BOOL:
        set_bool(config, index, value, faults, count);
        break;
    case CONFIG_TEXT:
    case CONFIG_SECRET:
    case CONFIG_URL:
    case CONFIG_CHOICE:
        set_text(config, index, value, faults, count);
        break;
    }
}

static void load_option(struct config *config, int index, config_lookup *lookup, void *context,
                        struct buffer *faults, int *count)
{
    const struct config_option *option = &config_options[index];
    char file_variable[128];
    snprintf(file_variable, sizeof file_variable, "%s_FILE", option->name);
    struct buffer none = {0};
    int ignored = 0;
    set_option(config, index, option->value, &none,
               &ignored); /* defaults are legal by a unit test */
    buffer_fini(&none);
    if (!(option->programs & config->programs))
        return;
    const char *path = lookup(file_variable, context);
    const char *value = lookup(option->name, context);
    char *from_file =
        path != NULL && *path != '\0' ? read_file(path, option->name, faults, count) : NULL;
    if (from_file != NULL)
        value = from_file;
    if (value != NULL && *value != '\0')
        set_option(config, index, value, faults, count);
    free(from_file);
}

static void add_fault(struct buffer *faults, int *count, const char *line)
{
    buffer_append_text(faults, line);
    buffer_append_char(faults, '\n');
    (*count)++;
}

static bool is_well_known(const char *secret)
{
    static const char *const known[] = {"postgres", "password", "changeme", "change-me",
                                        "secret",   "admin",    "test",     "example",
                                        "omninode", "api-key",  "dev"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(secret, known[i]) == 0)
            return true;
    return false;
}

#define API_KEY_BYTES_MIN 16

static void check_api_keys(const struct config *config, struct buffer *faults, int *count)
{
    if (!config->api_key_required) {
        if (!config_is_development(config))
            add_fault(faults, count,
                      "API_KEY_REQUIRED=false: allowed only when ENVIRONMENT is development");
        return;
    }
    if (*config->api_key == '\0')
        add_fault(faults, count,
                  "API_KEY: must be set when API keys are required (or use API_KEY_FILE)");
    else if (strcmp(config->environment, "production") == 0 &&
             (is_well_known(config->api_key) || strlen(config->api_key) < API_KEY_BYTES_MIN))
        add_fault(
            faults, count,
            "API_KEY=(hidden): must be a generated secret of at least 16 characters in production");
}

/* Rules that more than one variable takes part in. */
static void check_together(const struct config *config, struct buffer *faults, int *count)
{
    if (config->programs & FOR_SERVERS)
        check_api_keys(config, faults, count);
    if (strcmp(config->environment, "production") == 0 && (config->programs & FOR_NODES) &&
        *config->database_url == '\0' &&
        (*config->postgres_password == '\0' || is_well_known(config->postgres_password)))
        add_fault(faults, count,
                  "POSTGRES_PASSWORD: must be set to a generated secret in production (or set "
                  "DATABASE_URL)");
    if (config->postgres_pool_min_size > config->postgres_pool_max_size)
        add_fault(faults, count,
                  "POSTGRES_POOL_MIN_SIZE: must not be larger than POSTGRES_POOL_MAX_SIZE");
    if (strlen(config->default_namespace) > NAMESPACE_BYTES_MAX)
        add_fault(faults, count, "DEFAULT_NAMESPACE: must have 1 to 255 bytes");
}

_Static_assert(NAMESPACE_BYTES_MAX == 255, "the sentence above names the limit");

int config_load(struct config *config, unsigned program, config_lookup *lookup, void *context,
                struct buffer *faults)
{
    int count = 0;
    *config = (struct config){.programs = program};
    for (int i = 0; i < config_options_count; i++)
        load_option(config, i, lookup, context, faults, &count);
    if (*config->kafka_workflow_topic == '\0') {
        struct buffer topic = {0};
        buffer_append_format(&topic, "%s.omninode_bridge.onex.workflows.v1",
                             config_topic_environment(config));
        free(config->kafka_workflow_topic);
        config->kafka_workflow_topic = buffer_take(&topic);
    }
    check_together(config, faults, &count);
    return count;
}

void config_fini(struct config *config)
{
    for (int i = 0; i < config_options_count; i++) {
        if (config_options[i].type == CONFIG_INT || config_options[i].type == CONFIG_BOOL)
            continue;
        char **text = place(config, i);
        free(*text);
        *text = NULL;
    }
}

bool config_is_development(const struct config *config)
{
    return strcmp(config->environment, "development") == 0;
}

const char *config_topic_environment(const struct config *config)
{
    if (strcmp(config->environment, "production") == 0)
        return "prod";
    return strcmp(config->environment, "staging") == 0 ? "staging" : "dev";
}

static void append_parameter(struct buffer *out, const char *name, const char *value)
{
    if (*value == '\0')
        return;
    buffer_append_format(out, "%s%s='", out->bytes == 0 ? "" : " ", name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            buffer_append_char(out, '\\');
        buffer_append_char(out, *p);
    }
    buffer_append_char(out, '\'');
}

char *config_database_url(const struct config *config)
{
    if (*config->database_url != '\0')
        return must_strdup(config->database_url);
    struct buffer out = {0};
    char port[8];
    snprintf(port, sizeof port, "%d", (int)config->postgres_port);
    bool weak = strcmp(config->postgres_ssl_mode, "disable") == 0 ||
                strcmp(config->postgres_ssl_mode, "allow") == 0 ||
                strcmp(config->postgres_ssl_mode, "prefer") == 0;
    append_parameter(&out, "host", config->postgres_host);
    append_parameter(&out, "port", port);
    append_parameter(&out, "dbname", config->postgres_database);
    append_parameter(&out, "user", config->postgres_user);
    append_parameter(&out, "password", config->postgres_password);
    append_parameter(&out, "sslmode",
                     config->postgres_ssl_enabled && weak ? "require" : config->postgres_ssl_mode);
    return buffer_take(&out);
}

/* "1 to 64 threads", "true or false", ... */
static void append_legal(const struct config_option *option, struct buffer *out)
{
    static const char *const names[] = {[CONFIG_TEXT] = "text", [CONFIG_SECRET] = "secret text",
                                        [CONFIG_URL] = "URL",   [CONFIG_BOOL] = "true or false",
                                        [CONFIG_CHOICE] = "",   [CONFIG_INT] = ""};
    if (option->type == CONFIG_INT)
        buffer_append_format(out, "%" PRId64 " to %" PRId64 " %s", option->min, option->max,
                             option->unit);
    else if (option->type == CONFIG_CHOICE)
        for (const char *p = option->unit; *p != '\0'; p++)
            *p == '|' ? buffer_append_text(out, ", ") : buffer_append_char(out, *p);
    else
        buffer_append_text(out, names[option->type]);
}

void config_help(unsigned program, const char *usage, struct buffer *out)
{
    buffer_append_format(
        out,
        "%s\n\nOptions are environment variables; NAME_FILE names a file that holds the value.\n\n",
        usage);
    for (int i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        if (!(option->programs & program))
            continue;
        buffer_append_format(out, "  %s (", option->name);
        append_legal(option, out);
        buffer_append_format(out, "; default %s)\n      %s\n",
                             *option->value == '\0' ? "unset" : option->value, option->prose);
    }
}

void config_env_example(struct buffer *out)
{
    buffer_append_text(out, "# Made from lib/base/config.def by `make docs`. Every variable may be "
                            "given as NAME_FILE, a file "
                            "that holds the value.\n");
    for (int i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        buffer_append_format(out, "\n# %s\n# ", option->prose);
        append_legal(option, out);
        buffer_append_format(out, "\n%s%s=%s\n", *option->value == '\0' ? "# " : "", option->name,
                             option->value);
    }
}

static void append_programs(unsigned programs, struct buffer *out)
{
    static const char *const names[] = {"orchestrator", "reducer",   "stamping",
                                        "onextree",     "bridgectl", "broker"};
    const char *separator = "";
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (programs & (1u << i)) {
            buffer_append_format(out, "%s%s", separator, names[i]);
            separator = ", ";
        }
    }
}

void config_markdown(struct buffer *out)
{
    buffer_append_text(
        out, "# Configuration\n\nMade from `lib/base/config.def` by `make docs`. Options are "
             "environment "
             "variables; `NAME_FILE` names a file that holds the value and wins over `NAME`.\n\n"
             "| variable | legal values | default | read by | meaning |\n| --- | --- | --- | --- | "
             "--- |\n");
    for (int i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        buffer_append_format(out, "| `%s` | ", option->name);
        append_legal(option, out);
        buffer_append_format(out, " | %s%s%s | ", *option->value == '\0' ? "" : "`",
                             *option->value == '\0' ? "unset" : option->value,
                             *option->value == '\0' ? "" : "`");
        append_programs(option->programs, out);
        buffer_append_format(out, " | %s |\n", option->prose);
    }
}
