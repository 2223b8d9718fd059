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

struct asl_bound asl_bound_of(const struct json *value)
{
    enum json_type type = json_type_of(value);
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    if (text)
        return (struct asl_bound){text_bytes_max(text, bytes), 0};
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return (struct asl_bound){NUMBER_BYTES_MAX, 0};
    struct asl_bound bound = {2, 0};
    for (size_t i = 0; i < json_size(value); i++) {
        if (type == JSON_OBJECT) {
            text = json_name_at(value, i, &bytes);
            bound.bytes += text_bytes_max(text, bytes) + 1;
        }
        struct asl_bound member =
            asl_bound_of(type == JSON_OBJECT ? json_member_at(value, i) : json_at(value, i));
        bound.bytes += member.bytes + 1;
        bound.depth = member.depth > bound.depth ? member.depth : bound.depth;
    }
    bound.depth++;
    return bound;
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
