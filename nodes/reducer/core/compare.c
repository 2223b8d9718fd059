/* SPDX-License-Identifier: MIT */
#include "reducer/core/compare.h"

#include <math.h>

static bool same_value(const struct json *a, const struct json *b)
{
    if (json_type_of(a) != JSON_NUMBER || json_type_of(b) != JSON_NUMBER ||
        (json_is_int(a) && json_is_int(b)))
        return json_equal(a, b);
    double x = json_double_value(a), y = json_double_value(b);
    return fabs(x - y) <= COMPARE_PRECISION * fmax(fabs(x), fabs(y));
}

/* Takes the values over. */
static bool differs(const char *field, struct json *counted, struct json *stored,
                    struct compare_difference *difference)
{
    if (same_value(counted, stored)) {
        json_release(counted);
        json_release(stored);
        return false;
    }
    *difference = (struct compare_difference){.field = field, .counted = counted, .stored = stored};
    return true;
}

static struct json *presence(const struct aggregate *row)
{
    return row ? json_text("there") : json_null();
}

bool compare_rows(const struct aggregate *counted, const struct aggregate *stored,
                  struct compare_difference *difference)
{
    if (!counted || !stored)
        return !differs("row", presence(counted), presence(stored), difference);
    if (differs("revision", json_int(counted->revision), json_int(stored->revision), difference) ||
        differs("events", json_int(counted->events), json_int(stored->events), difference))
        return false;
    for (int i = 0; i < counted->definition->measures_count; i++) {
        if (differs(counted->definition->measures[i].name, aggregate_value(counted, i),
                    aggregate_value(stored, i), difference))
            return false;
    }
    return true;
}

void compare_difference_fini(struct compare_difference *difference)
{
    json_release(difference->counted);
    json_release(difference->stored);
    *difference = (struct compare_difference){0};
}
