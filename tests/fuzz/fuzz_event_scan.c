/* SPDX-License-Identifier: MIT */
/* Texts through the scanner of events: it accepts what the parser accepts, finds the values that the parser
 * finds, and what an event taught it changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/event_scan.h"
#include "core/json.h"

static const char *const wanted[] = {"event_type", "payload", "payload.a", "payload.a.b", "c"};
#define WANTED ((int)(sizeof wanted / sizeof wanted[0]))

static struct event_paths *paths;
static int slots[sizeof wanted / sizeof wanted[0]];
static struct event_hints taught; /* by all texts before */

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The value of a path in the tree; NULL when there is none. */
static const struct json *tree_value(const struct json *tree, const char *path)
{
    while (tree && *path) {
        size_t bytes = strcspn(path, ".");
        tree = json_type_of(tree) == JSON_OBJECT ? json_get_bytes(tree, path, bytes) : NULL;
        path += bytes + (path[bytes] == '.');
    }
    return tree;
}

static void compare(const struct json *tree, const struct event_value *value)
{
    struct buffer scratch = {0};
    size_t bytes, tree_bytes;
    require(value->type == (tree ? json_type_of(tree) : JSON_ABSENT));
    if (value->type == JSON_STRING) {
        const char *text = event_value_text(value, &scratch, &bytes);
        const char *other = json_string_value(tree, &tree_bytes);
        require(bytes == tree_bytes && memcmp(text, other, bytes) == 0);
    } else if (value->type == JSON_NUMBER) {
        double number, other = json_double_value(tree);
        int64_t whole, other_whole;
        bool is_whole, other_is_whole = event_value_int(value, &other_whole);
        require(event_value_number(value, &number, &whole, &is_whole));
        require(number >= other && number <= other && is_whole == other_is_whole);
        require(!is_whole || whole == other_whole);
    }
    buffer_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct event_value values[EVENT_SLOTS_MAX], again[EVENT_SLOTS_MAX];
    static const struct event_hints none;
    struct event_hints fresh = none;
    const char *text = (const char *)bytes;
    if (!paths) {
        paths = event_paths_new();
        for (int i = 0; i < WANTED; i++)
            slots[i] = event_paths_add(paths, wanted[i], strlen(wanted[i]));
    }
    const char *fault = event_scan(paths, &taught, text, count, values);
    require((fault == NULL) == (event_scan(paths, &fresh, text, count, again) == NULL));
    struct json *tree = json_parse(text, count, NULL, NULL);
    require((fault == NULL) == (tree && json_type_of(tree) == JSON_OBJECT));
    for (int i = 0; i < WANTED && !fault; i++) {
        compare(tree_value(tree, wanted[i]), &values[slots[i]]);
        compare(tree_value(tree, wanted[i]), &again[slots[i]]);
    }
    json_release(tree);
    return 0;
}
