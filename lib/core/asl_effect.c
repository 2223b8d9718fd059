/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_internal.h"

/* Texts of the machine are lent; data, error and cause are the list's own. */

static void effect_fini(struct asl_effect *effect)
{
    json_release((struct json *)effect->data);
    free((char *)effect->error);
    free((char *)effect->cause);
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
