/* SPDX-License-Identifier: MIT */
/* Octets as the stored form of a row: what is taken for one says the same when it is stored again. */
#include "counting.h"

static struct aggregation_set *set;

static struct aggregate *new_row(void)
{
    return aggregate_new(set, set->items[0], COUNTING_PARTITION, COUNTING_BASE_US, "g", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (!set)
        set = counting_set();
    struct aggregate *row = new_row(), *again = new_row(), *merged = new_row();
    if (aggregate_decode(row, bytes, count)) {
        struct json *values = aggregate_values(set, row);
        struct buffer text = {0};
        json_write(values, &text);
        struct json *read = json_parse(text.data, text.bytes, NULL, NULL);
        FUZZ_CHECK(read != NULL && json_equal(read, values));
        json_release(read);
        json_release(values);
        buffer_fini(&text);
        counting_restore(again, row);
        aggregate_merge(merged, row);
        aggregate_merge(merged, again);
    }
    aggregate_free(merged);
    aggregate_free(again);
    aggregate_free(row);
    return 0;
}
