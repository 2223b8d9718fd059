/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "core/asl_internal.h"

#define NUMBER_BYTES_MAX 25
#define ESCAPE_BYTES_MAX 6 /* of one octet of a text */
#define TEXT_BYTES_ESTIMATED                                                                       \
    256 /* a longer text is looked at, since the bound would be far too high */

/* -- size of data -- */

static size_t text_bytes_max(const char *text, size_t bytes)
{
    if (bytes <= TEXT_BYTES_ESTIMATED)
        return bytes * ESCAPE_BYTES_MAX + 2;
    size_t total = bytes + 2;
    for (size_t i = 0; i < bytes; i++) {
        i += plain_string_run(text + i, bytes - i);
        if (i == bytes)
            break;
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7F)
            total += ESCAPE_BYTES_MAX - 1;
    }
    return total;
}

/* Text can be this much shorter than its bound: [1,1,1] takes two octets an item. */
#define BOUND_SLACK 32

static void bound_until(const struct json *value, size_t most, size_t depth,
                        struct asl_bound *bound)
{
    enum json_type type = json_type_of(value);
    if (type == JSON_STRING) {
        size_t bytes = 0;
        const char *text = json_string_value(value, &bytes);
        bound->bytes += text_bytes_max(text, bytes);
        return;
    }
    if (type != JSON_ARRAY && type != JSON_OBJECT) {
        bound->bytes += NUMBER_BYTES_MAX;
        return;
    }
    bound->bytes += 2;
    bound->depth = depth > bound->depth ? depth : bound->depth;
    for (size_t i = 0; i < json_size(value) && bound->bytes <= most; i++) {
        size_t bytes = 0;
        const char *name = json_name_at(value, i, &bytes);
        if (name)
            bound->bytes += text_bytes_max(name, bytes) + 1;
        bound->bytes += 1;
        bound_until(name ? json_member_at(value, i) : json_at(value, i), most, depth + 1, bound);
    }
}

struct asl_bound asl_measure(struct asl_meter *meter, const struct json *value)
{
    struct asl_bound bound = {0, 0};
    size_t most = meter ? meter->data_bytes_max * BOUND_SLACK : SIZE_MAX;
    bound_until(value, most, 1, &bound);
    if (meter)
        meter->walked_bytes += bound.bytes;
    return bound;
}

struct asl_bound asl_bound_of(const struct json *value) { return asl_measure(NULL, value); }

void asl_meter_made(struct asl_meter *meter, size_t bytes)
{
    if (meter)
        meter->made_bytes += bytes;
}

bool asl_meter_fits(const struct asl_meter *meter, struct asl_failure *failure)
{
    if (!meter)
        return true;
    if (meter->made_bytes > ASL_STEP_MADE_BYTES_MAX)
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "The states made more than %u octets of data without waiting for anything.",
                        ASL_STEP_MADE_BYTES_MAX);
    else if (meter->walked_bytes > ASL_STEP_WALKED_BYTES_MAX)
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "The states looked through more than %u octets of data without waiting for "
                        "anything.",
                        ASL_STEP_WALKED_BYTES_MAX);
    return !failure->error;
}

bool asl_data_within(struct asl_meter *meter, const struct json *value, struct asl_bound *bound,
                     struct asl_failure *failure, const char *what, const char *name)
{
    size_t most = meter ? meter->data_bytes_max : STATE_DATA_BYTES_MAX;
    if (bound->bytes <= most && bound->depth <= ASL_DATA_DEPTH_MAX)
        return true;
    bound->bytes = json_text_bytes_within(value, most, &bound->depth);
    if (meter)
        meter->walked_bytes += bound->bytes;
    if (bound->bytes > most)
        asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                        "%s \"%s\" have more than %zu octets, which is the most allowed.", what,
                        name, most);
    else if (bound->depth > ASL_DATA_DEPTH_MAX)
        asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                        "%s \"%s\" are nested %zu deep; at most %d are allowed.", what, name,
                        bound->depth, ASL_DATA_DEPTH_MAX);
    return !failure->error;
}

/* -- effects -- */

/* Texts of the machine are lent; data, error and cause are the list's own. */

static void effect_fini(struct asl_effect *effect)
{
    json_release((struct json *)effect->data);
    free((char *)effect->error);
    free((char *)effect->cause);
    free(effect->own);
}

void asl_effects_clear(struct asl_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++)
        effect_fini(&effects->items[i]);
    effects->count = 0;
}

void asl_effects_fini(struct asl_effects *effects)
{
    asl_effects_clear(effects);
    free(effects->items);
    memset(effects, 0, sizeof *effects);
}

struct asl_effect *asl_effect_add(struct asl_effects *effects, enum asl_effect_type type,
                                  const struct asl_state *state)
{
    if (effects->count == effects->capacity) {
        effects->capacity = effects->capacity ? effects->capacity * 2 : 16;
        effects->items = must_realloc(effects->items, effects->capacity * sizeof *effects->items);
    }
    struct asl_effect *effect = &effects->items[effects->count++];
    *effect = (struct asl_effect){.type = type};
    if (state) {
        effect->state = state->name;
        effect->state_path = state->path;
        effect->state_type = asl_state_type_names[state->type];
    }
    return effect;
}

void asl_effect_hold(struct asl_effect *effect, const struct json *data)
{
    effect->data = json_hold(data);
}

void asl_effect_failure(struct asl_effect *effect, const struct asl_failure *failure)
{
    effect->error = must_strdup(failure->error);
    effect->cause = must_strdup(failure->cause);
}
