/* SPDX-License-Identifier: MIT */
#include "core/jsonpath.h"

#include <stdlib.h>

#include "core/jsonpath_internal.h"

void jsonpath_free(struct jsonpath *path)
{
    if (!path)
        return;
    parts_fini(&path->parts);
    free(path->variable);
    free(path->text);
    free(path);
}

bool jsonpath_is_context(const struct jsonpath *path) { return path->context; }

bool jsonpath_is_definite(const struct jsonpath *path) { return path->parts.definite; }

bool jsonpath_is_root(const struct jsonpath *path) { return path->parts.count == 0; }

bool jsonpath_is_reference(const struct jsonpath *path) { return path->reference; }

bool jsonpath_may_repeat(const struct jsonpath *path) { return path->may_repeat; }

const char *jsonpath_variable(const struct jsonpath *path) { return path->variable; }

size_t jsonpath_depth(const struct jsonpath *path) { return path->parts.count; }

const char *jsonpath_text(const struct jsonpath *path) { return path->text; }

static struct json *put_at(const struct jsonpath *path, size_t at, const struct json *value,
                           struct json *member)
{
    if (at == path->parts.count)
        return json_hold(member);
    const struct part *part = &path->parts.items[at];
    if (part->type == PART_INDEX) {
        const struct json *below = part_step(part, value);
        struct json *changed = below ? put_at(path, at + 1, below, member) : NULL;
        return changed ? json_array_with(value, (size_t)part->index, changed) : NULL;
    }
    if (value && json_type_of(value) != JSON_OBJECT)
        return NULL;
    const struct json *below = value ? part_step(part, value) : NULL;
    struct json *changed = put_at(path, at + 1, below, member);
    if (!changed)
        return NULL;
    if (value)
        return json_object_with(value, part->name.text, part->name.bytes, changed);
    struct json *object = json_object();
    json_object_set_bytes(object, part->name.text, part->name.bytes, changed);
    return object;
}

size_t jsonpath_put_members(const struct jsonpath *path, const struct json *root)
{
    size_t members = 0;
    for (size_t i = 0; root && i < path->parts.count; i++) {
        members += json_size(root) + 1;
        root = part_step(&path->parts.items[i], root);
    }
    return members;
}

struct json *jsonpath_put(const struct jsonpath *path, const struct json *root, struct json *member)
{
    BUG_IF(!path->reference);
    struct json *changed = put_at(path, 0, root, member);
    json_release(member);
    return changed;
}
