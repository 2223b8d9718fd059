/* SPDX-License-Identifier: MIT */
/* Lines NAME=value as the environment of each program: it is taken or every fault has its line, no secret is shown,
 * and what was taken is within the bounds of the table. */
#include "base/config.h"
#include "fuzz.h"

#define VARIABLES_MAX 64

struct variables {
    char *lines[VARIABLES_MAX]; /* the first '=' replaced by NUL */
    const char *values[VARIABLES_MAX];
    int count;
    bool valid; /* as UTF-8 */
};

/* Options in files would make other files part of the input. */
static const char *lookup(const char *name, void *context)
{
    const struct variables *variables = context;
    for (int i = 0; !text_ends_with(name, "_FILE") && i < variables->count; i++)
        if (strcmp(variables->lines[i], name) == 0)
            return variables->values[i];
    return NULL;
}

static void check_values(const struct config *config)
{
#define OPTION_INT(name, field, unit, min, max, value, programs, prose)                            \
    FUZZ_CHECK(config->field >= (min) && config->field <= (max));
#define OPTION_BOOL(name, field, value, programs, prose)
#define OPTION_TEXT(name, field, value, programs, prose) FUZZ_CHECK(config->field != NULL);
#define OPTION_URL OPTION_TEXT
#define OPTION_SECRET OPTION_TEXT
#define OPTION_CHOICE(name, field, choices, value, programs, prose)                                \
    FUZZ_CHECK(config->field[0] == 0 || strstr(choices, config->field) != NULL);
#include "base/config.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_TEXT
#undef OPTION_URL
#undef OPTION_SECRET
#undef OPTION_CHOICE
}

/* What is wrong with a secret is said without it; another option's value is shown. */
static void secrets_stay_hidden(struct variables *variables, const struct buffer *faults)
{
    bool shown = false, hidden = false;
    for (int i = 0; i < config_options_count; i++) {
        const char *value = lookup(config_options[i].name, variables);
        bool marked = value && strstr(value, "s3cret-");
        hidden = hidden || (marked && config_options[i].type == CONFIG_SECRET);
        shown = shown || (marked && config_options[i].type != CONFIG_SECRET);
    }
    FUZZ_CHECK(!hidden || shown || strstr(buffer_text(faults), "s3cret-") == NULL);
}

static void load(unsigned program, struct variables *variables)
{
    struct config config;
    struct buffer faults = {0};
    int count = config_load(&config, program, lookup, variables, &faults), lines = 0;
    for (size_t i = 0; i < faults.bytes; i++)
        lines += faults.data[i] == '\n';
    FUZZ_CHECK(count == lines);
    FUZZ_CHECK(!variables->valid || utf8_is_valid(buffer_text(&faults), faults.bytes));
    secrets_stay_hidden(variables, &faults);
    if (count == 0) {
        check_values(&config);
        free(config_database_url(&config));
        (void)config_is_development(&config);
        FUZZ_CHECK(config_topic_environment(&config)[0]);
    }
    config_fini(&config);
    buffer_fini(&faults);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct fuzz_rest rest = {(const char *)bytes, count};
    struct variables variables = {.valid = utf8_is_valid(rest.text, count)};
    while (rest.bytes > 0 && variables.count < VARIABLES_MAX) {
        char *line = fuzz_take_line(&rest), *sign = strchr(line, '=');
        variables.lines[variables.count] = line;
        variables.values[variables.count++] = sign ? sign + 1 : "";
        if (sign)
            *sign = 0;
    }
    for (unsigned program = 1; program <= FOR_ALL; program <<= 1)
        load(program, &variables);
    for (int i = 0; i < variables.count; i++)
        free(variables.lines[i]);
    return 0;
}
